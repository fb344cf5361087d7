"""A run that is spread over machines: the first process invites, workers without work join.

Every training worker whose ECTOPY_TRAINING_MACHINES is above one does both. Who has not come when
nobody idle is left to come, or after JOIN_S, is not waited for: the effective batch is the same on
any number of machines.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import structlog
from sqlalchemy.exc import SQLAlchemyError

from services.db.session import SessionFactory
from services.fine_tunes import groups
from services.fine_tunes.groups import Meeting, PlaceStatus
from services.jobs import lifecycle
from services.jobs.lifecycle import JobClaim
from services.jobs.presence import ALIVE
from services.settings import Settings
from worker.meeting import Invitation, listening_at, use_interface_of
from worker.training_group import Share, TrainingGroup, processes_of

log = structlog.get_logger()

JOIN_S = 60.0
LOOK_S = 0.5
# A machine counts as lost when its worker is not heard of for this long beyond the usual: after
# the database was away, all of them are heard of again at different moments.
SILENCE_S = 6.0


class Recruits:
    """The machines that have joined, as the first process sees them through the database.

    Implements worker.training_group.Machines. A database that is away loses nobody.
    """

    death_seen_s = ALIVE.total_seconds() + 2 * SILENCE_S

    def __init__(self, sessions: SessionFactory, claim: JobClaim) -> None:
        self._sessions, self._claim = sessions, claim
        self._silent_since: float | None = None
        self._has_lost_one, self._next_look = False, 0.0

    def has_lost_one(self) -> bool:
        """Whether one has said so, or was silent for too long; looks no more often than LOOK_S."""
        if not self._has_lost_one and time.monotonic() >= self._next_look:
            self._has_lost_one = self._looked()
            self._next_look = time.monotonic() + LOOK_S
        return self._has_lost_one

    def _looked(self) -> bool:
        try:
            with self._sessions() as session:
                said = groups.statuses(session, self._claim)
                silent = groups.one_is_silent(session, self._claim)
        except (SQLAlchemyError, OSError):
            said, silent = set(), False
        if not silent:
            self._silent_since = None
        elif self._silent_since is None:
            self._silent_since = time.monotonic()
        since = self._silent_since
        return PlaceStatus.LOST in said or (
            since is not None and time.monotonic() - since > SILENCE_S
        )

    def one_leaves(self) -> bool:
        """Whether a machine's worker is told to stop."""
        try:
            with self._sessions() as session:
                return PlaceStatus.LEAVING in groups.statuses(session, self._claim)
        except (SQLAlchemyError, OSError):
            return False

    def dismiss(self) -> None:
        """The attempt is over."""
        try:
            with self._sessions.begin() as session:
                groups.withdraw(session, self._claim)
        except (SQLAlchemyError, OSError) as error:  # upkeep does it
            log.warning("training.group_left_behind", reason=type(error).__name__)


def invited(
    sessions: SessionFactory,
    claim: JobClaim,
    settings: Settings,
    *,
    command: Sequence[str],
    device: str,
    stops: Callable[[], bool],
) -> TrainingGroup:
    """The first of a group of all who come; alone where nobody does and there is one device.

    stops: whether the run is told to stop meanwhile. Raises Unavailable where the host of the
    settings is not this machine.
    """
    processes = processes_of(device, settings.training_processes)
    listening = listening_at(settings.training_host)
    port = listening.getsockname()[1]
    meeting = Meeting(settings.training_host, port, _kind(device), settings.training_machines)
    with sessions.begin() as session:
        groups.announce(session, claim, meeting, processes=processes)
    deadline = time.monotonic() + JOIN_S
    while time.monotonic() < deadline and not stops():
        with sessions() as session:
            if lifecycle.holds(session, claim) is not True or groups.is_full(session, claim):
                break
            if not groups.somebody_may_come(session, claim):
                break
        time.sleep(LOOK_S)
    with sessions.begin() as session:
        size = groups.close(session, claim)
    log.info("training.group", job_id=claim.job_id, processes=size, on_this_machine=processes)
    if size <= processes:
        listening.close()
        Recruits(sessions, claim).dismiss()
        return TrainingGroup.led(command, device, processes=processes)
    share = Share(settings.training_host, port, size, 0, 0, processes)
    return TrainingGroup.led_from(listening, share, command, device, Recruits(sessions, claim))


def joined(
    sessions: SessionFactory,
    claim: JobClaim,
    invitation: Invitation,
    settings: Settings,
    *,
    command: Sequence[str],
    device: str,
) -> TrainingGroup | None:
    """A part of the group, with the processes of this machine; None where there is no place."""
    meeting = invitation.meeting
    if _kind(device) != meeting.device:
        log.info("training.other_device", here=_kind(device), there=meeting.device)
        return None
    with listening_at(settings.training_host) as reachable:
        use_interface_of(reachable)
    processes = processes_of(device, settings.training_processes)
    with sessions.begin() as session:
        number = groups.take_place(session, claim, worker=invitation.worker, processes=processes)
    if number is None:
        return None
    while True:
        try:
            with sessions() as session:
                if lifecycle.holds(session, claim) is not True:
                    return None
                ranks = groups.ranks(session, claim, number)
        except LookupError:
            return None
        if ranks is not None:
            break
        time.sleep(LOOK_S)
    share = Share(meeting.host, meeting.port, ranks.size, number, ranks.first, processes)
    return TrainingGroup.following(device, share.started(command))


def _kind(device: str) -> str:
    return device.partition(":")[0]
