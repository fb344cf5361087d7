"""The numbers in a WFDB signal file, piece by piece: every storage format, bounded memory.

Whole-byte formats and 212 (nearly all records there are) are unpacked here; the others go through
the `wfdb` library, which sees a header of our making and a link of our naming, never the sender's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.ecg.readers.base import SourceFile, shown
from services.ecg.readers.wfdb_header import SignalLine
from services.errors import MalformedInput

PIECE_VALUES = 1 << 20  # decoded at a time, at most: 8 MB as the library returns them
# of a lead, where it is not the library, whose every call costs more than decoding these: what is
# made of so many on their way stays in a processor's cache
PIECE_FRAMES = 1 << 15

FLAC_FORMATS = frozenset({508, 516, 524})

# the stored number that stands for a missing sample; format 8 has none
MISSING = {
    16: -(1 << 15),
    24: -(1 << 23),
    32: -(1 << 31),
    61: -(1 << 15),
    80: -(1 << 7),
    160: -(1 << 15),
    212: -(1 << 11),
    310: -(1 << 9),
    311: -(1 << 9),
    508: -(1 << 7),
    516: -(1 << 15),
    524: -(1 << 23),
}

# (bytes, samples) of the smallest block that holds whole samples
_BLOCK = {
    8: (1, 1),
    16: (2, 1),
    24: (3, 1),
    32: (4, 1),
    61: (2, 1),
    80: (1, 1),
    160: (2, 1),
    212: (3, 2),
    310: (4, 3),
    311: (4, 3),
}

IntSamples = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class SignalFile:
    """The signals that one file holds, interleaved frame by frame in the order of `signals`."""

    source: SourceFile
    signals: tuple[SignalLine, ...]

    @property
    def storage(self) -> int:
        """The format code, the same for all signals of a file."""
        return self.signals[0].storage

    @property
    def byte_offset(self) -> int:
        """Bytes before the first sample; in FLAC, samples before it."""
        return self.signals[0].byte_offset

    @property
    def values_per_frame(self) -> int:
        """Numbers stored for one frame: all samples of all signals in it."""
        return sum(signal.samples_per_frame for signal in self.signals)

    def n_frames(self) -> int:
        """Whole frames that the file really holds."""
        if self.storage in FLAC_FORMATS:
            return _flac_frames(self)
        block_bytes, block_samples = _BLOCK[self.storage]
        n_bytes = max(0, self.source.n_bytes - self.byte_offset)
        whole, rest = divmod(n_bytes, block_bytes)
        # an odd number of 12-bit samples ends with two bytes; 310 and 311 fill four bytes or two
        partial = {212: rest // 2, 310: rest // 2, 311: rest // 2}.get(self.storage, 0)
        return (whole * block_samples + partial) // self.values_per_frame


def pieces(file: SignalFile, *, n_frames: int, folder: Path) -> Iterator[tuple[int, IntSamples]]:
    """(first frame, (frames, values per frame) integers) for the first `n_frames`, in order.

    folder: a folder of ours for what the library needs. MalformedInput when it cannot decode.
    """
    step = _frames_a_piece(file)
    decode = _decoder(file, n_frames, folder)
    for start in range(0, n_frames, step):
        yield start, decode(file, start, min(start + step, n_frames))


def _frames_a_piece(file: SignalFile) -> int:
    """Even, so that a piece of format 212 starts at a whole byte triplet."""
    n_frames = PIECE_VALUES // file.values_per_frame
    if _is_decoded_here(file):
        n_frames = min(n_frames, PIECE_FRAMES)
    return max(2, n_frames // 2 * 2)


def _raw(file: SignalFile, first_byte: int, n_bytes: int) -> NDArray[np.uint8]:
    with file.source.opened() as stream:
        stream.seek(file.byte_offset + first_byte)
        return np.frombuffer(stream.read(n_bytes), dtype=np.uint8)


def _decode_whole_bytes(file: SignalFile, start: int, end: int) -> IntSamples:
    """Integers as numpy knows them, some of them counted from the middle of their range."""
    kind, middle = _WHOLE_BYTES[file.storage]
    dtype, width = np.dtype(kind), file.values_per_frame
    raw = _raw(file, start * width * dtype.itemsize, (end - start) * width * dtype.itemsize)
    samples = raw.view(dtype).reshape(-1, width)
    return samples.astype(np.int32) - middle if middle else samples


def _decode_212(file: SignalFile, start: int, end: int) -> IntSamples:
    """Two 12-bit samples in three bytes: low byte, both high nibbles, low byte."""
    width = file.values_per_frame
    n_values = (end - start) * width
    raw = _raw(file, start * width // 2 * 3, math.ceil(n_values * 3 / 2))
    if n_values % 2:
        raw = np.append(raw, np.uint8(0))
    low, nibbles, high = (raw[i::3].astype(np.int16) for i in range(3))
    samples = np.empty(2 * len(low), dtype=np.int16)
    # shifted to the top of 16 bits and back, so that the sign bit of 12 is kept
    samples[0::2] = ((nibbles << 12) | (low << 4)) >> 4
    samples[1::2] = (((nibbles & 0xF0) << 8) | (high << 4)) >> 4
    return samples[:n_values].reshape(-1, width)


_Decoder = Callable[[SignalFile, int, int], IntSamples]
_WHOLE_BYTES = {
    16: ("<i2", 0),
    32: ("<i4", 0),
    61: (">i2", 0),
    80: ("u1", 128),
    160: ("<u2", 32768),
}


def _decoder(file: SignalFile, n_frames: int, folder: Path) -> _Decoder:
    if not _is_decoded_here(file):
        return _library_decoder(file, n_frames, folder)
    return _decode_212 if file.storage == 212 else _decode_whole_bytes


def _is_decoded_here(file: SignalFile) -> bool:
    return file.storage == 212 or file.storage in _WHOLE_BYTES


def _library_decoder(file: SignalFile, n_frames: int, folder: Path) -> _Decoder:
    """A decoder for the file that reads through `wfdb.rdrecord`."""
    import wfdb  # brings pandas along, half a second that few records need

    _write_private_record(file, n_frames, folder)
    last = {i: signal.init_value for i, signal in enumerate(file.signals)}

    def decode(_: SignalFile, start: int, end: int) -> IntSamples:
        try:
            record = wfdb.rdrecord(
                str(folder / "r"), sampfrom=start, sampto=end, physical=False, smooth_frames=False
            )
            columns = [np.asarray(column, dtype=np.int64) for column in record.e_d_signal]
            if file.storage == 8:
                columns = _continued(columns, file, last)
            return _interleaved(columns, file, end - start)
        except (MemoryError, OSError):  # the machine's trouble, not the file's
            raise
        # what else the library stumbles over is in the bytes: sizes and header are checked before
        except Exception as error:
            raise MalformedInput(
                f"{shown(file.source.plain_name)} cannot be decoded as format {file.storage}"
            ) from error

    return decode


def _write_private_record(file: SignalFile, n_frames: int, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"r {len(file.signals)} 1 {n_frames}"]
    lines += [
        f"s.dat {s.storage}x{s.samples_per_frame}+{s.byte_offset} "
        f"1(0)/NU 0 0 {s.init_value} 0 0 s{i}"
        for i, s in enumerate(file.signals)
    ]
    (folder / "r.hea").write_text("\n".join(lines) + "\n", encoding="ascii")
    link = folder / "s.dat"
    link.unlink(missing_ok=True)
    link.symlink_to(file.source.path.resolve())


def _continued(
    columns: list[NDArray[np.int64]], file: SignalFile, last: dict[int, int]
) -> list[NDArray[np.int64]]:
    """Format 8 stores differences: the library starts every piece at the header's first value."""
    for i, column in enumerate(columns):
        column += last[i] - file.signals[i].init_value
        last[i] = int(column[-1])
    return columns


def _interleaved(columns: list[NDArray[np.int64]], file: SignalFile, n_frames: int) -> IntSamples:
    per_frame = [signal.samples_per_frame for signal in file.signals]
    return np.hstack([c.reshape(n_frames, n) for c, n in zip(columns, per_frame, strict=True)])


def _flac_frames(file: SignalFile) -> int:
    import soundfile  # loads a C library that few records need

    name = shown(file.source.plain_name)
    try:
        info = soundfile.info(str(file.source.path))
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise MalformedInput(f"{name} is not a FLAC file, as format {file.storage} is") from error
    if info.channels != len(file.signals):
        raise MalformedInput(
            f"{name} has {info.channels} channels, the header gives it {len(file.signals)} signals"
        )
    per_frame = {signal.samples_per_frame for signal in file.signals}
    if len(per_frame) > 1:
        raise MalformedInput(f"{name} is FLAC: all of its signals need the same samples per frame")
    return max(0, int(info.frames) - file.byte_offset) // per_frame.pop()
