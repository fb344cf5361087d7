"""Keeps other sites' pages from using a browser on this machine to call for them.

A caller without a key is let in for being here, and so is every page that a browser here shows.
Such a page may make its own name stand for this machine's address (DNS rebinding): then the request
names a host that is not ours. Or it may send a form or a simple request across: then the browser
says from where. A caller with a key needs neither check, for no other site's page knows the key.
"""

from __future__ import annotations

import ipaddress

from starlette.types import Scope

from services.errors import NotPermitted

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OWN_NAMES = frozenset({"localhost"})


def host_names(text: str) -> frozenset[str]:
    """`ectopy.ward, ecg.local` as a set, beside what is always ours."""
    return OWN_NAMES | {part.strip().lower() for part in text.split(",") if part.strip()}


def require_no_other_site(scope: Scope, hosts: frozenset[str]) -> None:
    """NotPermitted for a request that a page of another site makes or may have made."""
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    host = headers.get(b"host")
    if host is not None and not _is_ours(host, hosts):
        raise NotPermitted(
            "the request names a host that is not known here; while no API keys are configured, "
            "name those of your own in ECTOPY_ALLOWED_HOSTS"
        )
    if scope["method"] in SAFE_METHODS:
        return
    origin = headers.get(b"origin")
    if _is_another(origin, host, hosts) or headers.get(b"sec-fetch-site") in (
        "cross-site",
        "same-site",
    ):
        raise NotPermitted("a page of another site may not change anything here")


def _is_another(origin: str | None, host: str | None, hosts: frozenset[str]) -> bool:
    """A proxy may name another host than the page's: then the page's is one that was set."""
    if origin is None:
        return False
    place = origin.partition("://")[2]
    return place != host and _name(place) not in hosts - OWN_NAMES


def _name(host: str) -> str:
    """Without the port."""
    name, _, port = host.rpartition(":")
    return (name if port.isdigit() else host).lower()


def _is_ours(host: str, hosts: frozenset[str]) -> bool:
    """An address is as good as a name of ours: only names can be made to mean another machine."""
    name = _name(host)
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return name in hosts
    return True
