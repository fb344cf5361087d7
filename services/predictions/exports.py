"""Records and findings as files that other programs read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO

import numpy as np

from services import clock
from services.ecg.annotation_files import beats_annotation_zip, beats_csv
from services.ecg.record import EcgRecord
from services.ecg.writers.edf_writer import edf_plus
from services.ecg.writers.fhir import fhir_bundle
from services.ecg.writers.findings import BeatFindings, RiskFinding
from services.ecg.writers.pdf_report import pdf_report
from services.ecg.writers.wfdb_writer import wfdb_zip
from services.errors import UnusableInput
from services.models.results import BeatResult


@dataclass(frozen=True)
class Findings:
    """What a prediction found in one record: beats or a risk."""

    beats: BeatFindings | None = None
    risk: RiskFinding | None = None
    patient_id: str | None = None


def csv_bytes(result: BeatResult) -> bytes:
    """`sample,time_s,label,probability`, one line a beat."""
    text = beats_csv(
        result.sample,
        labels=_labels(result),
        probabilities=_probability(result),
        sampling_rate_hz=result.sampling_rate_hz,
    )
    return text.encode()


def annotation_zip(result: BeatResult, *, record_name: str, n_samples: int = 0) -> bytes:
    """A WFDB annotation file and a header that says which record it belongs to, as a .zip."""
    return beats_annotation_zip(
        result.sample,
        labels=_labels(result),
        sampling_rate_hz=result.sampling_rate_hz,
        record_name=record_name,
        n_samples=n_samples,
    )


def beat_findings(result: BeatResult, *, model: str) -> BeatFindings:
    """A result as the writers take it; model: `name@version`."""
    return BeatFindings(
        sample=result.sample,
        labels=tuple(_labels(result)),
        probabilities=_probability(result),
        classes=result.labels,
        leads_used=result.leads_used,
        model=model,
        notes=result.notes,
    )


def write_record(
    record: EcgRecord, file_format: str, target: IO[bytes], *, beats: BeatFindings | None = None
) -> None:
    """The record as `wfdb` (a .zip) or `edf`, with the beats as annotations where given."""
    writers = {"wfdb": wfdb_zip, "edf": edf_plus}
    writers[file_format](record, target, beats=beats)


def report_pdf(record: EcgRecord, findings: Findings, *, start_s: float) -> bytes:
    """One page; UnusableInput when the stretch begins behind the record's end."""
    if start_s >= record.duration_s:
        raise UnusableInput(f"start_s {start_s:g} is past the end ({record.duration_s:g} s)")
    return pdf_report(
        record,
        made_at=clock.now(),
        beats=findings.beats,
        risk=findings.risk,
        start_s=start_s,
    )


def fhir_json(record: EcgRecord, findings: Findings) -> bytes:
    """A FHIR R4 bundle of what was found."""
    return fhir_bundle(
        record,
        issued_at=clock.now(),
        beats=findings.beats,
        risk=findings.risk,
        patient_id=findings.patient_id,
    )


def _labels(result: BeatResult) -> list[str]:
    return [result.labels[index] for index in result.label_index.tolist()]


def _probability(result: BeatResult) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    rows = np.arange(len(result.sample))
    chosen: np.ndarray[tuple[int], np.dtype[np.float32]]
    chosen = result.probabilities[rows, result.label_index]
    return chosen
