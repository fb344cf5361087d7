"""Whether a WFDB record is as large, and its files as long, as its headers say, and within limits.

Asked before any memory is taken for its samples.
"""

from __future__ import annotations

from services.ecg.readers.base import (
    MAX_SAMPLING_RATE_HZ,
    MIN_SAMPLING_RATE_HZ,
    Limits,
    refuse,
    shown,
)
from services.ecg.readers.units import channel_unit
from services.ecg.readers.wfdb_header import Header
from services.ecg.readers.wfdb_layout import Layout, Part
from services.ecg.record import MILLIVOLT
from services.errors import MalformedInput, TooLarge, UnusableInput

MAX_VALUES_PER_FRAME = 1_000_000  # a piece is at least two frames, and must fit in memory


def check_layout(layout: Layout, root: Header, limits: Limits) -> None:
    """MalformedInput, TooLarge or UnusableInput for a record that must not or cannot be decoded."""
    if not MIN_SAMPLING_RATE_HZ <= layout.sampling_rate_hz <= MAX_SAMPLING_RATE_HZ:
        raise UnusableInput(
            f"{shown(root.file_name)}: a sampling rate of {layout.sampling_rate_hz:g} Hz; from "
            f"{MIN_SAMPLING_RATE_HZ:g} to {MAX_SAMPLING_RATE_HZ:g} Hz are read"
        )
    if layout.n_samples * len(layout.lead_names) > limits.max_values:
        raise _too_many(root, layout.n_samples, len(layout.lead_names), limits)
    for part in layout.parts:
        _check_part(part, limits)
    for part, signal, lead in layout.placed():
        if channel_unit(signal.name, signal.unit)[0] != layout.units[lead]:
            refuse(
                part.header.file_name,
                signal.line,
                f"{layout.lead_names[lead]} is in {shown(signal.unit or MILLIVOLT)}, "
                f"elsewhere in the record in {shown(layout.units[lead])}",
            )
    if layout.n_frames == 0:
        raise UnusableInput(f"{shown(root.file_name)}: the record has no samples")


def _check_part(part: Part, limits: Limits) -> None:
    """What the header announces is there, and within the limits."""
    for file in part.files:
        if file.values_per_frame > MAX_VALUES_PER_FRAME:
            raise TooLarge(
                f"{shown(part.header.file_name)}: a frame of {file.values_per_frame:,} samples, "
                f"at most {MAX_VALUES_PER_FRAME:,} are read"
            )
        if part.n_frames * file.values_per_frame > limits.max_values:
            raise _too_many(part.header, part.n_frames, file.values_per_frame, limits)
        found = file.n_frames()
        if found < part.n_frames:
            raise MalformedInput(
                f"{shown(file.source.plain_name)} is shorter than {shown(part.header.file_name)} "
                f"says: {part.n_frames:,} samples a signal announced, its {file.source.n_bytes:,} "
                f"bytes hold {found:,}"
            )


def _too_many(header: Header, n_samples: int, n_leads: int, limits: Limits) -> TooLarge:
    return TooLarge(
        f"{shown(header.file_name)} announces {n_samples:,} samples of {n_leads} signals, "
        f"at most {limits.max_values:,} values are read of a record"
    )
