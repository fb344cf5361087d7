"""Every number of the ECGBERT pipeline: meaning, unit and source, each stated once (no torch here).

Sources: "guide" is the ECGBERT fine-tuning guide; "search" is docs/beats-search.md, the choices
that patient-wise cross-validation inside DS1 made.
"""

from __future__ import annotations

from services.ecg.labels import AAMI_CLASSES
from services.models.ecgbert.hyperparameters import HYPERPARAMETERS
from services.models.spec import FamilySpec, OptionSpec

FAMILY = "ecgbert"
TASK = "beats"

SAMPLING_RATE_HZ = 360.0  # guide, step 2; every signal is brought to this rate first

# clusters a wave type, in the order of services.ecg.segmentation (P, QRS, T, background); guide
CLUSTERS_PER_WAVE = (12, 19, 14, 25)
# ids follow one another from 0: P 0-11, QRS 12-30, T 31-44, background 45-69
TOKEN_OFFSETS = tuple(sum(CLUSTERS_PER_WAVE[:kind]) for kind in range(4))
UNUSED_ID = sum(CLUSTERS_PER_WAVE)  # 70, free in the guide too
CLS_ID, SEP_ID, MASK_ID, PAD_ID = range(UNUSED_ID + 1, UNUSED_ID + 5)  # 71 to 74
VOCABULARY_SIZE = UNUSED_ID + 5  # 75
CHUNK_TOKENS = 3600  # guide: the most tokens that the network is given at a time

WIDTH = 32  # guide: embedding and encoder width
LAYERS = 4  # guide
HEADS = 8  # guide
FEED_FORWARD = 64  # guide
DROPOUT = 0.1  # published code

TOKEN_POINTS = 10  # numbers that describe a wave to its clusters; published cluster files
# waves of a beat's own window, in time order: background, P, QRS, T, background
WAVES_PER_BEAT = 5
MAX_LEADS = 2  # leads read at once; the database that the model is trained on has two

# the stretch of signal that a beat is judged by, around its R peak; search
WINDOW_BEFORE_S = 0.4
WINDOW_AFTER_S = 0.6
WINDOW_STEP = 3  # every third sample of 360 Hz: 120 Hz, after a low pass
WINDOW_RATE_HZ = SAMPLING_RATE_HZ / WINDOW_STEP
WINDOW_POINTS = round((WINDOW_BEFORE_S + WINDOW_AFTER_S) * WINDOW_RATE_HZ)  # 120
R_POINT = round(WINDOW_BEFORE_S * WINDOW_RATE_HZ)  # index of the R peak in the window: 48

MIN_DURATION_S = 3.0  # an R-R interval before and after at least one beat, at 45 beats a minute

FAMILY_SPEC = FamilySpec(
    family=FAMILY,
    task=TASK,
    labels=AAMI_CLASSES,
    min_duration_s=MIN_DURATION_S,
    hyperparameters=HYPERPARAMETERS,
    options={
        "rpeaks": OptionSpec(
            default="ectopy",
            choices=("ectopy", "hamilton2002"),
            description="R-peak detector: Ectopy's own over both leads, or the guide's",
        )
    },
)
