from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from services.errors import Interrupted, UnusableInput
from services.fine_tunes.runner import FineTuneRunner
from services.jobs.lifecycle import JobClaim
from worker.training_process import follow

CLAIM = JobClaim("job_1", "fine_tunes.run", "ft_1", "wrk_1", 1)


class Failing:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def train_along(self, *_: Any) -> None:
        raise self._error


def followed(error: Exception, scratch: Path) -> None:
    follow(cast(FineTuneRunner, Failing(error)), CLAIM, scratch)


def test_a_process_that_cannot_go_on_ends_so_that_the_first_one_sees_it(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        followed(Interrupted("memory"), tmp_path)
    assert ended.value.code not in (None, 0)


def test_what_the_first_process_meets_too_is_its_to_tell(tmp_path: Path) -> None:
    followed(UnusableInput("the loss is nan at update 3"), tmp_path)
