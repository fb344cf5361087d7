from __future__ import annotations

import os
import signal

import pytest

from ectopy.serve.stopping import SIGNALS, Stopping, StopRequested


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_is_heard_at_the_next_pause(number: signal.Signals) -> None:
    forced: list[str] = []
    stopping = Stopping(force=lambda: forced.append("now"))
    with stopping.listening():
        stopping.pause(0)
        os.kill(os.getpid(), number)
        with pytest.raises(StopRequested):
            stopping.pause(600)
    assert forced == []


def test_the_second_signal_ends_all_by_force() -> None:
    forced: list[str] = []
    stopping = Stopping(force=lambda: forced.append("now"))
    with stopping.listening():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
    assert forced == ["now"]


def test_the_handlers_from_before_are_back_after_the_block() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with Stopping(force=lambda: None).listening():
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before
