"""Results to what a row keeps and back; to what the API answers see beat_json.

Beats are kept as packed arrays, not as JSON: a 24-hour record has about 100,000, which is 3 MB as
arrays and 20 MB as JSON text.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from services.models.results import BeatResult, RiskResult

_ZIP = b"PK"


def summary_and_beats(result: BeatResult | RiskResult) -> tuple[dict[str, Any], bytes | None]:
    """What to keep: a small JSON object, and for beats arrays as safetensors."""
    if isinstance(result, RiskResult):
        return _risk(result), None
    rate = result.mean_heart_rate_bpm()
    summary: dict[str, Any] = {
        "sampling_rate_hz": result.sampling_rate_hz,
        "leads_used": list(result.leads_used),
        "labels": list(result.labels),
        "counts": result.counts(),
        "mean_heart_rate_bpm": None if rate is None else round(rate, 2),
        "unreadable_beats": int(result.unreadable.sum()),
        "notes": list(result.notes),
    }
    arrays: dict[str, NDArray[Any]] = {
        "sample": np.ascontiguousarray(result.sample, np.int64),
        "label_index": np.ascontiguousarray(result.label_index, np.uint8),
        "probabilities": np.ascontiguousarray(result.probabilities, np.float32),
        "unreadable": np.ascontiguousarray(result.unreadable, np.bool_),
    }
    return summary, safetensors.numpy.save(arrays)


def beat_result(summary: dict[str, Any], beats: bytes) -> BeatResult:
    """The kept arrays as a BeatResult again."""
    arrays = _arrays(beats)
    return BeatResult(
        sampling_rate_hz=summary["sampling_rate_hz"],
        leads_used=tuple(summary["leads_used"]),
        labels=tuple(summary["labels"]),
        sample=arrays["sample"],
        label_index=arrays["label_index"].astype(np.int64),
        probabilities=arrays["probabilities"],
        unreadable=arrays["unreadable"],
        notes=tuple(summary["notes"]),
    )


def _arrays(kept: bytes) -> dict[str, NDArray[Any]]:
    """Of safetensors, or of the npz that was kept before 2026-11-28."""
    if not kept.startswith(_ZIP):
        return safetensors.numpy.load(kept)
    with np.load(io.BytesIO(kept), allow_pickle=False) as arrays:
        return dict(arrays)


def _risk(result: RiskResult) -> dict[str, Any]:
    windows = zip(result.window_start_s.tolist(), result.window_risk.tolist(), strict=True)
    marked = {"synthetic": True} if result.synthetic else {}
    return {
        "risk": result.risk,
        "logit": result.logit,
        "threshold": result.threshold,
        "label": result.label,
        "calibrated": result.calibrated,
        "windows": [{"start_s": start, "risk": risk} for start, risk in windows],
        "notes": list(result.notes),
    } | marked
