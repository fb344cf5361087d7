"""GE CardioSoft XML (`CardiologyXML`): the leads of its strip, as comma-separated counts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from services.ecg.leads import distinct_names
from services.ecg.readers.base import Limits, ReadHints, SourceFile, check_extent, shown
from services.ecg.readers.limb_leads import with_derived_limb_leads
from services.ecg.readers.safe_xml import child_text, parsed_xml, root_name
from services.ecg.readers.single_file import SingleFileReader
from services.ecg.readers.text_fields import decimal, moment, whole
from services.ecg.readers.units import millivolts_in
from services.ecg.record import EcgRecord, FloatArray
from services.errors import MalformedInput, UnusableInput

if TYPE_CHECKING:
    from datetime import datetime
    from xml.etree.ElementTree import Element

_PER_COUNT = "perlsb"


class CardioSoftReader(SingleFileReader):
    """CardioSoft and CASE exports of a resting ECG."""

    accepted = "GE CardioSoft XML"
    extensions = ()

    def fits(self, file: SourceFile) -> bool:
        """By the outermost element."""
        return root_name(file) == "CardiologyXML"

    def record(
        self, file: SourceFile, *, limits: Limits, workspace: Path, hints: ReadHints
    ) -> EcgRecord:
        """The strip; the median beats beside it are passed over."""
        root, name = parsed_xml(file), shown(file.plain_name)
        strip = root.find("StripData")
        if strip is None:
            strip = root.find("Strip/StripData")
        waves = strip.findall("WaveformData") if strip is not None else []
        if strip is None or not waves:
            raise UnusableInput(f"{name} has no StripData with WaveformData in it")
        n_samples = whole(
            child_text(strip, "ChannelSampleCountTotal"), where=f"{name}, ChannelSampleCountTotal"
        )
        rate_hz = decimal(child_text(strip, "SampleRate"), where=f"{name}, SampleRate")
        check_extent(
            name, n_samples=n_samples, n_leads=len(waves), sampling_rate_hz=rate_hz, limits=limits
        )
        millivolts = _millivolts_per_count(name, strip)
        counts = np.stack([_counts(name, wave, n_samples) for wave in waves])
        with np.errstate(over="ignore"):  # what overflows is found to be no ECG later
            signal = (counts.astype(np.float64) * millivolts).astype(np.float32)
        record = EcgRecord(
            signal=signal,
            lead_names=distinct_names([wave.get("lead", "") for wave in waves]),
            sampling_rate_hz=rate_hz,
            format="ge-cardiosoft",
            start_time=_start_time(root),
        )
        return with_derived_limb_leads(record)


def _millivolts_per_count(name: str, strip: Element) -> float:
    resolution = decimal(child_text(strip, "Resolution"), where=f"{name}, Resolution")
    found = strip.find("Resolution")
    unit = (found.get("units", "") if found is not None else "").lower()
    millivolts = millivolts_in(unit.removesuffix(_PER_COUNT))
    if millivolts is None or resolution <= 0:
        raise MalformedInput(
            f"{name}, Resolution: expected volts a count (uVperLsb), "
            f"found {resolution:g} '{shown(unit)}'"
        )
    return resolution * millivolts


def _counts(name: str, wave: Element, n_samples: int) -> FloatArray:
    lead = shown(wave.get("lead", ""))
    cells = (wave.text or "").strip().rstrip(",").split(",")
    if len(cells) != n_samples:
        raise MalformedInput(
            f"{name}, WaveformData {lead}: {len(cells):,} samples, {n_samples:,} announced"
        )
    try:
        return np.array(cells, dtype=np.int32).astype(np.float32)
    except (ValueError, OverflowError) as error:
        raise MalformedInput(f"{name}, WaveformData {lead}: a sample is not a number") from error


def _start_time(root: Element) -> datetime | None:
    fields = ("Year", "Month", "Day", "Hour", "Minute", "Second")
    texts = [child_text(root, f"ObservationDateTime/{field}") for field in fields]
    if not all(text.isascii() and text.isdigit() and len(text) <= 4 for text in texts):
        return None
    return moment(*map(int, texts))
