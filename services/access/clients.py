"""Who may call while no keys are configured: this machine, and networks that a setting names."""

from __future__ import annotations

import ipaddress

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def is_loopback(host: str) -> bool:
    """Whether a server that listens on this host hears its own machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def networks(text: str) -> tuple[IPNetwork, ...]:
    """Networks from `172.28.0.0/16, 10.1.2.3`; ValueError names a bad one."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    return tuple(ipaddress.ip_network(part, strict=False) for part in parts)


def may_call(address: str | None, allowed: tuple[IPNetwork, ...]) -> bool:
    """Whether a client at this address may call. A Unix socket has no address and is local."""
    if address is None:
        return True
    try:
        client = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(client, ipaddress.IPv6Address) and client.ipv4_mapped:
        client = client.ipv4_mapped
    return client.is_loopback or any(client in network for network in allowed)
