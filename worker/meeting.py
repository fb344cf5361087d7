"""Where the processes of a run meet when it is spread over machines, and how one is invited."""

from __future__ import annotations

import ipaddress
import json
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import psutil

from services.errors import Unavailable
from services.fine_tunes.groups import Meeting
from services.settings import Settings


@dataclass(frozen=True)
class Invitation:
    """What a worker that helps tells its process."""

    meeting: Meeting
    worker: str

    @classmethod
    def read(cls, text: str) -> Invitation:
        """As `text` gave it."""
        said = json.loads(text)
        return cls(Meeting(**said["meeting"]), said["worker"])

    def text(self) -> str:
        """For the process's arguments."""
        return json.dumps(asdict(self))


def require_host(settings: Settings) -> None:
    """Unavailable where runs are to take several machines and the others cannot reach this one."""
    if settings.training_machines == 1:
        return
    if "training_host" not in settings.model_fields_set:
        raise Unavailable(
            "ECTOPY_TRAINING_MACHINES is above 1: set ECTOPY_TRAINING_HOST to the address by which "
            "the other machines reach this one"
        )
    listening_at(settings.training_host).close()


def listening_at(host: str) -> socket.socket:
    """A socket that listens there and nowhere else; Unavailable where that is not this machine."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        number = str(address[0])
        if not ipaddress.ip_address(number).is_unspecified:
            return socket.create_server((number, 0), family=family)
        reason = "it stands for all of them"
    except OSError as error:
        reason = str(error)
    raise Unavailable(
        f"ECTOPY_TRAINING_HOST is {host}, which is no address that is this machine's alone: "
        f"{reason}"
    )


def use_interface_of(listening: socket.socket) -> None:
    """Has the processes of a run exchange tensors through the interface of this socket alone."""
    name = _interface(listening.getsockname()[0])
    if name is not None:
        for library in ("GLOO", "NCCL"):
            os.environ.setdefault(f"{library}_SOCKET_IFNAME", name)


def _interface(address: str) -> str | None:
    there: Mapping[str, Sequence[object]] = psutil.net_if_addrs()
    for name, addresses in there.items():
        if any(getattr(each, "address", "").partition("%")[0] == address for each in addresses):
            return name
    return None
