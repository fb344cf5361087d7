"""The one place that calls ecgdatakit: device formats whose compression or layout it knows well.

It is given a file only after our own check of that format (`device_checks.py`), and what it gives
back is believed only if every lead has the same length and rate and a scale in volts. It also reads
names, birth dates and free text; none of that leaves this module.
"""

from __future__ import annotations

import binascii
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError
from xml.parsers.expat import ExpatError

import numpy as np

from services.ecg.leads import distinct_names
from services.ecg.readers import device_checks
from services.ecg.readers.base import Limits, ReadHints, SourceFile, check_extent, listed, shown
from services.ecg.readers.limb_leads import with_derived_limb_leads
from services.ecg.readers.safe_xml import root_name
from services.ecg.readers.single_file import SingleFileReader
from services.ecg.readers.units import channel_unit, millivolts_in
from services.ecg.record import EcgRecord
from services.errors import MalformedInput, UnusableInput

# what parsers raise on bytes that are not as they should be
_DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ExpatError,
    LookupError,
    MemoryError,
    NotImplementedError,
    ParseError,
    RecursionError,
    TypeError,
    ValueError,
    binascii.Error,
    struct.error,
    zlib.error,
)
_LONGEST_REASON = 160


@dataclass(frozen=True)
class _DeviceFormat:
    """format: of the record; parser: module and class in ecgdatakit."""

    format: str
    accepted: str
    extensions: tuple[str, ...]
    parser: tuple[str, str]
    fits: Callable[[SourceFile], bool]
    check: Callable[[SourceFile, Limits], None]


class EcgDataKitReader(SingleFileReader):
    """One of the formats below."""

    def __init__(self, device_format: _DeviceFormat) -> None:
        self._format = device_format
        # the class says these of one format, here they differ by instance
        self.accepted = device_format.accepted  # type: ignore[misc]
        self.extensions = device_format.extensions  # type: ignore[misc]

    def fits(self, file: SourceFile) -> bool:
        """By magic bytes or the outermost element."""
        return self._format.fits(file)

    def record(
        self, file: SourceFile, *, limits: Limits, workspace: Path, hints: ReadHints
    ) -> EcgRecord:
        """The rhythm strip; median beats and everything about the patient are left."""
        self._format.check(file, limits)
        parsed = self._parsed(file)
        record = self._converted(parsed, file, limits, hints)
        if self._format.format == "philips-sierra":
            record = device_checks.without_calibration_pulse(record)
        return with_derived_limb_leads(record)

    def _parsed(self, file: SourceFile) -> Any:
        """What the library makes of the file; MalformedInput for what it refuses or doubts."""
        module, name = self._format.parser
        parser = getattr(import_module(f"ecgdatakit.parsing.parsers.{module}"), name)()
        library = import_module("ecgdatakit.exceptions")
        try:
            with device_checks.recorded_warnings() as caught:
                parsed = parser.parse(file.path)
        except library.ECGDataKitError as error:
            raise MalformedInput(_reason(file, error)) from error
        except _DAMAGE as error:
            raise MalformedInput(
                f"{shown(file.plain_name)} is damaged: it is no readable {self.accepted}"
            ) from error
        if any(issubclass(warning.category, library.ChecksumWarning) for warning in caught):
            raise MalformedInput(
                f"{shown(file.plain_name)} is damaged: a checksum in it does not fit its content"
            )
        return parsed

    def _converted(
        self, parsed: Any, file: SourceFile, limits: Limits, hints: ReadHints
    ) -> EcgRecord:
        leads, name = parsed.leads, shown(file.plain_name)
        if not leads:
            raise UnusableInput(f"{name} has no ECG lead in it")
        lengths = {lead.label: len(lead.samples) for lead in leads}
        rates = {lead.sampling_rate for lead in leads}
        if len(set(lengths.values())) > 1 or len(rates) > 1:
            found = listed([f"{label} {n}" for label, n in lengths.items()], at_most=12)
            raise MalformedInput(f"{name}: its leads differ in length or rate ({found} samples)")
        rate_hz = _exact_rate(parsed) or float(rates.pop())
        check_extent(
            file.plain_name,
            n_samples=max(lengths.values()),
            n_leads=len(leads),
            sampling_rate_hz=rate_hz,
            limits=limits,
        )
        units = [_unit(name, lead, hints) for lead in leads]
        started = parsed.recording.date
        return EcgRecord(
            signal=np.stack(
                [_in_units(lead, factor) for lead, (_, factor) in zip(leads, units, strict=True)]
            ),
            lead_names=distinct_names([lead.label for lead in leads]),
            sampling_rate_hz=rate_hz,
            units=tuple(unit for unit, _ in units),
            format=self._format.format,
            start_time=started.replace(tzinfo=None) if started is not None else None,
        )


def _reason(file: SourceFile, error: Exception) -> str:
    """The library's own words, without the place where we keep the file."""
    name = shown(file.plain_name)
    kept_at = rf"(?<!\w)(?:{re.escape(str(file.path))}|{re.escape(file.path.name)})(?!\w)"
    words = re.sub(kept_at, lambda _: name, str(error))
    clean = "".join(c if c.isprintable() else "?" for c in words)[:_LONGEST_REASON]
    return clean if name in clean else f"{name}: {clean}"


def _exact_rate(parsed: Any) -> float | None:
    """The rate before the library rounds it to a whole number, where it tells."""
    if exact := parsed.raw_metadata.get("rhythm_time", {}).get("sampling_rate_exact"):
        return round(float(exact), 6)
    groups = parsed.raw_metadata.get("multiplex_groups", [])
    exact = [
        group["sampling_frequency"]
        for group in groups
        if group["samples"] == len(parsed.leads[0].samples)
        and round(group["sampling_frequency"]) == parsed.leads[0].sampling_rate
    ]
    return float(exact[0]) if exact else None


def _unit(name: str, lead: Any, hints: ReadHints) -> tuple[str, float]:
    """The unit of the result and the factor to it; the request's unit where the file has none."""
    unit = lead.resolution_unit if lead.is_raw else lead.units
    if not unit and hints.units and millivolts_in(hints.units) is not None:
        unit = hints.units
    if not unit:
        raise UnusableInput(
            f"{name}: nothing says how many millivolts a step of lead {shown(lead.label)} is"
        )
    return channel_unit(lead.label, unit)


def _in_units(lead: Any, factor: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    samples = np.asarray(lead.samples, dtype=np.float64)
    if lead.is_raw:
        samples = samples * float(lead.resolution) + float(lead.offset)
    with np.errstate(over="ignore"):  # what overflows is found to be no ECG later
        return (samples * factor).astype(np.float32)


def _is_xml(root: str) -> Callable[[SourceFile], bool]:
    return lambda file: root_name(file).lower() == root.lower()


def _is_dicom(file: SourceFile) -> bool:
    return file.head(132)[128:] == b"DICM"


DEVICE_READERS = tuple(
    EcgDataKitReader(device_format)
    for device_format in (
        _DeviceFormat(
            "dicom",
            "DICOM waveform (.dcm)",
            ("dcm", "dicom"),
            ("dicom_waveform", "DICOMWaveformParser"),
            _is_dicom,
            device_checks.check_dicom,
        ),
        _DeviceFormat(
            "scp-ecg",
            "SCP-ECG (.scp)",
            ("scp",),
            ("scp_ecg", "SCPECGParser"),
            device_checks.is_scp,
            device_checks.check_scp,
        ),
        _DeviceFormat(
            "hl7-aecg",
            "HL7 aECG (.xml)",
            (),
            ("hl7_aecg", "HL7aECGParser"),
            _is_xml("AnnotatedECG"),
            device_checks.check_xml,
        ),
        _DeviceFormat(
            "ge-muse",
            "GE MUSE XML",
            (),
            ("ge_muse_xml", "GEMuseXMLParser"),
            _is_xml("RestingECG"),
            device_checks.check_xml,
        ),
        _DeviceFormat(
            "philips-sierra",
            "Philips Sierra XML",
            (),
            ("sierra_xml", "SierraXMLParser"),
            _is_xml("restingecgdata"),
            device_checks.check_sierra,
        ),
    )
)
