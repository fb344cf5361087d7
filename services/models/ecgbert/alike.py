"""What the beats of a record that look alike have in common: their time, and their P waves.

One wide beat in step, with something like a P wave before it, may be either; a hundred alike that
come in step are conducted, and a hundred alike that come early are not. A block that comes and goes
is told so, which no beat of it tells alone, and no label is needed for it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.ecg.record import FloatArray
from services.models.ecgbert.reference_beat import P_CORRELATION
from services.models.ecgbert.rhythm import RHYTHM_FEATURES
from services.models.ecgbert.spec import R_POINT

# means over the beats of one QRS shape: the interval before and after against those near by, the
# share of beats in step, and how well the P wave agrees with the ordinary one
ALIKE_FEATURES = ("alike_pre", "alike_post", "alike_in_step", "alike_p_wave")
MOST_COMPARED = 600  # of a record, evenly chosen
_AT_ONCE = 8192  # beats, so that memory does not grow with the record
_QRS = slice(R_POINT - 10, R_POINT + 16)  # 83 ms before R to 133 ms after it
_FROM, _FULL = 0.8, 0.95  # correlation from which a beat counts a little, and from which fully
_LARGEST = 0.5  # of a log ratio
_IN_STEP = 0.15
_PRE, _POST = (RHYTHM_FEATURES.index(name) for name in ("pre_to_near", "post_to_near"))


def alike_features(windows: FloatArray, rhythm: FloatArray, similarity: FloatArray) -> FloatArray:
    """ALIKE_FEATURES of each beat, (n_beats, 4) float32; of a beat like no other, its own.

    windows: (n_beats, n_leads, 120), aligned. rhythm: (n_beats, n) `rhythm_features`.
    similarity: (n_beats, n_leads, n) `reference_beat.similarity`.
    """
    own = _own(rhythm, similarity)
    qrs = windows[..., _QRS]
    qrs = (qrs - qrs.mean(axis=-1, keepdims=True)).reshape(len(windows), -1)
    qrs = qrs / np.sqrt((qrs * qrs).sum(axis=1, keepdims=True) + 1e-9)
    at = np.arange(0, len(windows), max(1, -(-len(windows) // MOST_COMPARED)))
    found = np.empty_like(own)
    for first in range(0, len(windows), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        weight = np.clip((qrs[part] @ qrs[at].T - _FROM) / (_FULL - _FROM), 0.0, 1.0)
        total = weight.sum(axis=1, keepdims=True) + 1.0
        found[part] = (weight @ own[at] + own[part]) / total
    return found


def _own(rhythm: FloatArray, similarity: FloatArray) -> NDArray[np.float32]:
    pre, post = rhythm[:, _PRE], rhythm[:, _POST]
    step = (np.abs(pre) < _IN_STEP) & (np.abs(post) < _IN_STEP)
    columns = (
        np.clip(pre, -_LARGEST, _LARGEST),
        np.clip(post, -_LARGEST, _LARGEST),
        step,
        similarity[..., P_CORRELATION].max(axis=1),
    )
    return np.stack(columns, axis=1).astype(np.float32)
