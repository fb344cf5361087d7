"""Which files become a model together; told by their names, before any is copied (no torch)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from services.ecg.segmentation import WAVE_NAMES


@dataclass(frozen=True)
class ImportFiles:
    """What may be sent for a task.

    expected: for a person. beside: sets of file names, one of which has to come with the
    checkpoint; `*.npz` is a file of any name that ends so. Empty where it comes alone.
    """

    expected: str
    beside: tuple[frozenset[str], ...] = ()

    def checkpoint(self, names: Sequence[str]) -> str | None:
        """The checkpoint among the files, None where they are not those that are expected."""
        others = [name for name in names if self._is_beside(name)]
        rest = [name for name in names if not self._is_beside(name)]
        patterns = frozenset("*.npz" if _ends_npz(name) else name for name in others)
        complete = patterns in self.beside if self.beside else not others
        unique = len(set(names)) == len(names) and len(others) == len(patterns)
        return rest[0] if complete and unique and len(rest) == 1 else None

    def _is_beside(self, name: str) -> bool:
        wanted = frozenset().union(*self.beside)
        return name in wanted or ("*.npz" in wanted and _ends_npz(name))


def _ends_npz(name: str) -> bool:
    return PurePath(name).suffix == ".npz"


ONE_CHECKPOINT = ImportFiles("one is expected: wcr_afib_5y.pt or base_ssl.pt")
ECGBERT_FILES = ImportFiles(
    "the public ECGBERT checkpoint (.pth) is expected together with its clusters: P_cluster.pkl, "
    "QRS_cluster.pkl, T_cluster.pkl and BG_cluster.pkl, or one .npz file",
    (frozenset(f"{wave}_cluster.pkl" for wave in WAVE_NAMES), frozenset({"*.npz"})),
)
