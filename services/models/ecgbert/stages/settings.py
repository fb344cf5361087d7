"""What a run of the guide's four steps is told, and where its files lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from services.ecg.labels import AAMI_CLASSES, BINARY_CLASSES
from services.ecg.rpeaks import METHODS, OWN_METHOD
from services.errors import NotPermitted, UnusableInput
from services.models.ecgbert.reference import spec as reference
from services.models.ecgbert.stages.parallel import Workforce

TRAIN, VALIDATION = reference.SENTENCE_PARTS
PARTS = reference.SENTENCE_PARTS


class Mode(StrEnum):
    """Whose arithmetic: the right one, or the original's with its quirks."""

    DEFAULT = "default"
    REFERENCE = "reference"


@dataclass(frozen=True)
class StageSettings:
    """What the first three steps depend on beside the records.

    test_size: share of the patients that validate. seed: of the split, where patients are equal.
    validation: records that validate instead; leave_out: records that are never opened.
    rpeaks: detector of the default mode (the reference always takes hamilton2002).
    pickle: also write the guide's .pkl files.
    """

    mode: Mode = Mode.DEFAULT
    binary: bool = False
    test_size: float = reference.TEST_SIZE
    seed: int = reference.SPLIT_SEED
    validation: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    rpeaks: str = OWN_METHOD
    allow_missing_classes: bool = False
    pickle: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.test_size < 1:
            raise UnusableInput(f"test_size is {self.test_size}; expected a share between 0 and 1")
        if self.rpeaks not in METHODS:
            raise UnusableInput(f"rpeaks is {self.rpeaks!r}; expected one of {', '.join(METHODS)}")

    @property
    def classes(self) -> tuple[str, ...]:
        """What beats are told apart as."""
        return BINARY_CLASSES if self.binary else AAMI_CLASSES


@dataclass(frozen=True)
class StageRun(Workforce):
    """Who works, as what, and where the files go."""

    settings: StageSettings
    task: TaskFolder


@dataclass(frozen=True)
class TaskFolder:
    """`{output_dir}/{task_name}` and the four folders in it, named as the guide names them."""

    root: Path
    task_name: str

    @staticmethod
    def under(output_dir: Path, task_name: str) -> TaskFolder:
        """Made if it is not there. UnusableInput for a name that is a path, NotPermitted where
        nothing can be written.
        """
        if not task_name or task_name in (".", "..") or "/" in task_name or "\\" in task_name:
            raise UnusableInput(f"task_name is {task_name!r}; expected the name of one folder")
        root = output_dir / task_name
        try:
            root.mkdir(parents=True, exist_ok=True)
            probe = root / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as problem:
            raise NotPermitted(f"nothing can be written to {root}: {problem.strerror}") from problem
        return TaskFolder(root, task_name)

    @property
    def preprocessing(self) -> Path:
        """Step 1: signals, labels, split."""
        return self.root / reference.PREPROCESSING_FOLDER

    @property
    def segmentation(self) -> Path:
        """Step 2: R peaks and waves."""
        return self.root / reference.SEGMENTATION_FOLDER

    @property
    def sentence(self) -> Path:
        """Step 3: `train` and `val`, a sentence a lead."""
        return self.root / reference.SENTENCE_FOLDER

    @property
    def results(self) -> Path:
        """Step 4: checkpoints, figures, the model."""
        return self.root / reference.RESULTS_FOLDER

    def __iter__(self) -> Iterator[Path]:
        yield from (self.preprocessing, self.segmentation, self.sentence, self.results)
