"""What every reader of ECG files has in common: its input, its limits and its interface."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn, Protocol

from services.ecg.record import EcgRecord
from services.errors import MalformedInput, TooLarge, UnusableInput

MIN_SAMPLING_RATE_HZ = 10.0
MAX_SAMPLING_RATE_HZ = 100_000.0
MAX_TEXT_BYTES = 1024 * 1024  # the longest header or annotation note file that is sensible

_SHOWN_CHARACTERS = 60


@dataclass(frozen=True)
class SourceFile:
    """One uploaded file.

    name: what the sender called it. A label: matched against other names, never opened.
    place: where we keep its bytes; never shown to the sender.
    held: the bytes, where they are in memory; at its place they are once somebody needs a path.
    known_sha256: their hash, where it was taken on their way in, or asked for before.
    """

    name: str
    place: Path
    held: bytes | None = None
    known_sha256: str | None = None

    @property
    def path(self) -> Path:
        """Where its bytes are; `opened` is for those who need no path."""
        if self.held is not None and not self.place.exists():
            self.place.write_bytes(self.held)
        return self.place

    def opened(self) -> BinaryIO:
        """Its bytes, from the first one on."""
        return self.place.open("rb") if self.held is None else io.BytesIO(self.held)

    @property
    def sha256(self) -> str:
        """The hash of its bytes, in hexadecimal digits; taken once."""
        if self.known_sha256 is None:
            # not by `cached_property`: in Python 3.11 one lock of it is held for all files at once
            object.__setattr__(self, "known_sha256", self._hashed())
        return str(self.known_sha256)

    def _hashed(self) -> str:
        if self.held is not None:
            return hashlib.sha256(self.held).hexdigest()
        with self.place.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    @property
    def plain_name(self) -> str:
        """The name without the folders that some senders put before it."""
        return self.name.replace("\\", "/").rsplit("/", 1)[-1]

    @property
    def stem(self) -> str:
        """The plain name without its extension."""
        return self.plain_name.rpartition(".")[0] or self.plain_name

    @property
    def extension(self) -> str:
        """What follows the last dot, in lower case, or nothing."""
        return self.plain_name.rpartition(".")[2].lower() if "." in self.plain_name else ""

    @property
    def n_bytes(self) -> int:
        """The size of the file."""
        return self.place.stat().st_size if self.held is None else len(self.held)

    def head(self, n_bytes: int) -> bytes:
        """The first bytes, fewer if the file is shorter."""
        with self.opened() as stream:
            return stream.read(n_bytes)

    def content(self, *, at_most_bytes: int) -> bytes:
        """All bytes; TooLarge when there are more than allowed for this kind of file."""
        if self.n_bytes > at_most_bytes:
            raise TooLarge(
                f"{shown(self.plain_name)} has {self.n_bytes:,} bytes, "
                f"at most {at_most_bytes:,} are read of such a file"
            )
        with self.opened() as stream:
            return stream.read()


@dataclass(frozen=True)
class Limits:
    """What a record may ask of us; the defaults are those of the settings.

    max_values: samples times leads, after every lead is brought to the same rate.
    max_unpacked_bytes: of all files of an archive together.
    keep_free_text: whether notes of annotations that are no codes are kept.
    """

    max_values: int = 500_000_000
    max_leads: int = 64
    min_duration_s: float = 1.0
    max_unpacked_bytes: int = 2 * 1024**3
    keep_free_text: bool = False


@dataclass(frozen=True)
class ReadHints:
    """What the sender says about the record, for formats that do not say it themselves."""

    name: str | None = None
    sampling_rate_hz: float | None = None
    units: str | None = None
    leads: tuple[str, ...] | None = None


class Reader(Protocol):
    """One file format: a file in this folder and a line in detect.py."""

    @property
    def accepted(self) -> str:
        """What to send, in a few words for an error message."""
        ...

    def recognizes(self, files: Sequence[SourceFile]) -> bool:
        """Whether the content is of this format."""
        ...

    def claims(self, files: Sequence[SourceFile]) -> bool:
        """Whether the names look like this format; asked when no content was recognized."""
        ...

    def read(
        self, files: Sequence[SourceFile], *, limits: Limits, workspace: Path, hints: ReadHints
    ) -> EcgRecord:
        """The record; large ones are a memory map of a file in `workspace`.

        MalformedInput, UnusableInput or TooLarge, naming file, line or field.
        """
        ...


def shown(text: str) -> str:
    """Text of the sender's making, short and printable enough for an error message."""
    clean = "".join(c if c.isprintable() else "?" for c in text)
    return clean if len(clean) <= _SHOWN_CHARACTERS else clean[:_SHOWN_CHARACTERS] + "..."


def listed(names: Sequence[str], *, at_most: int = 5) -> str:
    """`a, b, c and 4 more`."""
    text = ", ".join(shown(name) for name in names[:at_most])
    return f"{text} and {len(names) - at_most} more" if len(names) > at_most else text


def refuse(file_name: str, line: int, problem: str) -> NoReturn:
    """MalformedInput that points at a line of a file."""
    raise MalformedInput(f"{shown(file_name)}, line {line}: {problem}")


def check_extent(
    file_name: str, *, n_samples: int, n_leads: int, sampling_rate_hz: float, limits: Limits
) -> None:
    """TooLarge or UnusableInput for what a file announces, before memory is taken for it."""
    name = shown(file_name)
    if n_leads > limits.max_leads:
        raise TooLarge(f"{name} has {n_leads:,} leads, at most {limits.max_leads} are read")
    if n_leads * n_samples > limits.max_values:
        raise TooLarge(
            f"{name} announces {n_samples:,} samples of {n_leads} leads, "
            f"at most {limits.max_values:,} values are read of a record"
        )
    if not MIN_SAMPLING_RATE_HZ <= sampling_rate_hz <= MAX_SAMPLING_RATE_HZ:
        raise UnusableInput(
            f"{name}: a sampling rate of {sampling_rate_hz:g} Hz; from "
            f"{MIN_SAMPLING_RATE_HZ:g} to {MAX_SAMPLING_RATE_HZ:g} Hz are read"
        )


def hinted_rate(file_name: str, hints: ReadHints) -> float:
    """The rate from the request, for a file that has none; UnusableInput without one."""
    if hints.sampling_rate_hz is None:
        raise needed(
            "sampling_rate_hz",
            f"{shown(file_name)} does not say its sampling rate: send it as sampling_rate_hz",
        )
    return hints.sampling_rate_hz


def needed(field: str, problem: str) -> UnusableInput:
    """What a file does not say and a field of the request must; a client can ask for it by name."""
    return UnusableInput(problem, errors=[{"loc": ["body", field], "msg": problem}])
