"""Who may call without a key."""

from __future__ import annotations

import pytest

from services.access.clients import may_call, networks


@pytest.mark.parametrize(
    ("address", "allowed", "may"),
    [
        ("127.0.0.1", "", True),
        ("127.8.8.8", "", True),
        ("::1", "", True),
        ("::ffff:127.0.0.1", "", True),
        (None, "", True),
        ("10.1.2.3", "", False),
        ("::ffff:10.1.2.3", "", False),
        ("localhost", "", False),
        ("", "", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("::ffff:10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8, 11.1.2.3", True),
        ("11.1.2.4", "10.0.0.0/8, 11.1.2.3", False),
        ("fd00::5", "fd00::/64", True),
        ("fd00:1::5", "10.0.0.0/8,fd00::/64", False),
    ],
)
def test_loopback_and_named_networks_may_call(address: str | None, allowed: str, may: bool) -> None:
    assert may_call(address, networks(allowed)) is may


def test_a_network_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        networks("10.0.0.0/8, nonsense")
