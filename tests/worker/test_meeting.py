"""Where a run's processes meet: at one address, which has to be this machine's."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from services.errors import Unavailable
from services.fine_tunes.groups import Meeting
from services.settings import Settings
from worker.meeting import Invitation, listening_at, require_host, use_interface_of
from worker.training_group import HERE, TrainingGroup


def settings(tmp_path: Path, **more: object) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path, **more)  # type: ignore[arg-type]


def test_several_machines_need_an_address_of_this_one(tmp_path: Path) -> None:
    require_host(settings(tmp_path))
    with pytest.raises(Unavailable, match="set ECTOPY_TRAINING_HOST"):
        require_host(settings(tmp_path, training_machines=2))
    with pytest.raises(
        Unavailable, match=r"192\.0\.2\.77, which is no address that is this machine"
    ):
        require_host(settings(tmp_path, training_machines=2, training_host="192.0.2.77"))
    for nonsense in ("no such host", "0.0.0.0", "::", ""):
        with pytest.raises(Unavailable, match="no address that is this machine's alone"):
            require_host(settings(tmp_path, training_machines=2, training_host=nonsense))
    require_host(settings(tmp_path, training_machines=2, training_host=HERE))


def test_the_group_listens_at_its_address_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "GROUP_RANK"):
        monkeypatch.setenv(name, "0")
    for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "0")
    before = {each.laddr for each in psutil.Process().net_connections() if each.status == "LISTEN"}
    group = TrainingGroup.led(("true",), "cpu", processes=2)
    assert group.store is not None
    listens = [each.laddr for each in psutil.Process().net_connections() if each.status == "LISTEN"]
    assert {each.ip for each in listens if each not in before} == {HERE}
    assert group.store.timeout == timedelta(minutes=3)
    for other in group.others:
        other.wait()


def test_tensors_go_through_the_interface_of_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    monkeypatch.setenv("NCCL_SOCKET_IFNAME", "chosen")
    with listening_at(HERE) as listening:
        use_interface_of(listening)
    interface = os.environ["GLOO_SOCKET_IFNAME"]
    assert HERE in {each.address for each in psutil.net_if_addrs()[interface]}
    assert os.environ["NCCL_SOCKET_IFNAME"] == "chosen"


def test_an_invitation_arrives_as_it_was_sent() -> None:
    sent = Invitation(Meeting("10.0.0.1", 4000, "cuda", 2), "wrk_1")
    assert Invitation.read(sent.text()) == sent
