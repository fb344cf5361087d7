"""From a layout and its files to one array of physical values, in memory or mapped to a file."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.ecg.readers.base import shown
from services.ecg.readers.signal_memory import empty_signal, finished
from services.ecg.readers.units import channel_unit
from services.ecg.readers.wfdb_header import SignalLine
from services.ecg.readers.wfdb_layout import Layout, Part
from services.ecg.readers.wfdb_samples import MISSING, IntSamples, SignalFile, pieces
from services.ecg.record import FloatArray

ASSUMED_GAIN = 200.0  # header(5): the default where a header gives none


def physical_signal(layout: Layout, workspace: Path) -> tuple[FloatArray, list[str]]:
    """((n_leads, n_samples) float32 in the layout's units, notes on what looked odd).

    Missing samples are NaN. The array is read-only and mapped to a file when it is large.
    """
    signal = empty_signal(len(layout.lead_names), layout.n_samples, workspace)
    if not _is_complete(layout):
        signal[:] = np.nan
    notes = _assumption_notes(layout)
    for number, part in enumerate(layout.parts):
        for file in part.files:
            folder = workspace / f"part{number}" / f"{file.signals[0].line}"
            notes += _fill(signal, layout, part, file, folder)
    return finished(signal), notes


def _is_complete(layout: Layout) -> bool:
    """Whether every sample of every lead will be written."""
    written = sum(
        part.n_frames
        for part, signal, _ in layout.placed()
        if signal.has_data and not signal.skew_frames
    )
    return written == layout.n_frames * len(layout.lead_names)


def _fill(
    signal: FloatArray, layout: Layout, part: Part, file: SignalFile, folder: Path
) -> list[str]:
    """Writes the signals of one file into their leads; notes on checksums that differ."""
    sums: dict[int, int] = defaultdict(int)
    lead_of = dict(zip((s.line for s in part.header.signals), part.lead_of, strict=True))
    for start, block in pieces(file, n_frames=part.n_frames, folder=folder):
        column = 0
        for line in file.signals:
            values = block[:, column : column + line.samples_per_frame]
            column += line.samples_per_frame
            sums[line.line] += int(values.sum(dtype=np.int64))
            if (lead := lead_of[line.line]) is not None:
                _place(signal[lead], layout, part, line, values, start)
    return [
        f"{shown(part.header.file_name)}, line {line.line}: the samples of "
        f"{shown(line.name)} do not add up to the header's checksum, they may be damaged"
        for line in file.signals
        # 0 is what writers put who do not compute it
        if line.checksum and (sums[line.line] - line.checksum) % 65536
    ]


def _place(
    lead: NDArray[np.float32],
    layout: Layout,
    part: Part,
    line: SignalLine,
    values: IntSamples,
    first_frame: int,
) -> None:
    """Puts (frames, samples a frame) integers where they belong in the lead, as physical values."""
    early = max(0, line.skew_frames - first_frame)  # frames from before the record's first
    values = values[early:]
    if not len(values):
        return
    physical = _physical(line, values)
    per_frame = layout.samples_per_frame
    if line.samples_per_frame != per_frame:
        # a channel of another rate: the sample that was the latest at each moment
        physical = physical[:, np.arange(per_frame) * line.samples_per_frame // per_frame]
    start = (part.start_frame + first_frame + early - line.skew_frames) * per_frame
    lead[start : start + physical.size] = physical.reshape(-1)


def _physical(line: SignalLine, values: IntSamples) -> NDArray[np.float32]:
    """(value - baseline) / gain in the unit of the result, computed in float64."""
    _, factor = channel_unit(line.name, line.unit)
    physical = np.subtract(values, line.baseline, dtype=np.float64)
    physical /= (line.gain or ASSUMED_GAIN) / factor
    result = physical.astype(np.float32)
    if line.storage in MISSING:
        result[values == MISSING[line.storage]] = np.nan
    return result


def _assumption_notes(layout: Layout) -> list[str]:
    """What was taken for granted, or changed, once a lead."""
    notes: dict[str, None] = {}
    for _, signal, lead in layout.placed():
        name = layout.lead_names[lead]
        if signal.has_data and signal.gain is None:
            notes[f"the header gives no gain for {name}: {ASSUMED_GAIN:g} per unit is assumed"] = (
                None
            )
        if signal.has_data and signal.samples_per_frame != layout.samples_per_frame:
            rate_hz = layout.frame_rate_hz * signal.samples_per_frame
            notes[
                f"{name} was recorded at {rate_hz:g} Hz and is held at its latest sample to fit "
                f"{layout.sampling_rate_hz:g} Hz"
            ] = None
    return list(notes)
