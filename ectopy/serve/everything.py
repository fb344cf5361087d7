"""Ectopy on one machine: in which order its parts start, and what each is told."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.engine import make_url

from ectopy.commands.migrate import bring_up
from ectopy.serve import ports
from ectopy.serve.banner import banner
from ectopy.serve.errors import CannotServe
from ectopy.serve.folder import DataFolder
from ectopy.serve.postgres import Postgres
from ectopy.serve.programs import (
    Api,
    Trainer,
    Worker,
    batch_worker,
    environment_of_programs,
    threads,
)
from ectopy.serve.session import Session
from services.access import keys
from services.access.clients import is_loopback
from services.db.session import engine_for, session_factory
from services.registry.files import keep_shipped
from services.settings import Settings
from services.storage.factory import store_for


def serve_everything(settings: Settings, *, reload: bool, show: Callable[[str], None]) -> int:
    """See `command.serve`."""
    try:
        folder = DataFolder.open(settings.data_dir)
    except CannotServe as error:
        show(str(error))
        return 1
    return Session(folder, show=show).run(lambda session: start_parts(session, settings, reload))


def start_parts(session: Session, settings: Settings, reload: bool) -> None:
    """Start all, wait until it answers, say so."""
    folder = session.folder
    host = settings.api_host
    insisted = "api_port" in settings.model_fields_set
    port = ports.for_api(host, settings.api_port, fixed=insisted, say=session.say)
    postgres, valkey = session.start_servers()
    environment = environment_of_programs(
        folder, settings, postgres=postgres, valkey=valkey, api_port=port
    )
    session.say("bringing the database up to date")
    keep_shipped(store_for(settings.model_copy(update={"data_dir": folder.root})))
    if added := bring_up(make_url(postgres.url)):
        session.say(f"registered {', '.join(added)}")
    require_keys_for_others(settings, postgres)
    session.say("starting the API and the workers")
    session.start(Worker(folder, threads(settings), environment, reload))
    session.start(batch_worker(folder, environment, reload))
    session.start(Trainer(folder, environment, reload))
    api = Api(folder, host, port, environment, reload)
    session.start(api)
    session.wait_until_ready(api.readiness)
    session.show(banner(session.supervisor.parts, folder=folder, url=api.url))


def require_keys_for_others(settings: Settings, postgres: Postgres) -> None:
    """CannotServe where other machines would reach a service that knows no keys."""
    if is_loopback(settings.api_host) or settings.allowed_clients:
        return
    engine = engine_for(make_url(postgres.url))
    try:
        with session_factory(engine)() as session:
            if not keys.are_configured(session):
                raise CannotServe(keys.needed_to_listen(settings.api_host))
    finally:
        engine.dispose()
