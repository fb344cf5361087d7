"""Every number of the DeepECG five-year AFIB model: meaning, unit and source, once (no torch here).

Sources: "checkpoint" is the configuration and the tensor shapes of the published files; "pipeline"
is the published DeepECG_Docker; "paper" is Nolin-Lapalme et al., European Heart Journal 2026,
ehaf1119.
"""

from __future__ import annotations

from services.ecg.leads import DERIVED_LIMB_LEADS, STANDARD_12
from services.models.deepecg.hyperparameters import HYPERPARAMETERS
from services.models.spec import FamilySpec, OptionSpec

FAMILY = "deepecg"
TASK = "afib-5y"

# what a window is. The published description speaks of 2500 points at 500 Hz; the weights were
# fine-tuned on 10 s at 250 Hz (training data and pipeline), and 5 s stretched to 2500 points moves
# a logit by up to 2.7
LEADS = STANDARD_12
SAMPLING_RATE_HZ = 250.0
WINDOW_S = 10.0
WINDOW_SAMPLES = round(WINDOW_S * SAMPLING_RATE_HZ)  # 2500

# architecture; checkpoint
CONV_CHANNELS = 256
CONV_BLOCKS = 4
CONV_KERNEL = 2  # and stride: blocks do not overlap
MODEL_WIDTH = 768
LAYERS = 12
HEADS = 12
FEED_FORWARD = 3072
POSITION_KERNEL = 128
POSITION_GROUPS = 16
EPSILON = 1e-5  # of every normalisation
# of the pre-training model alone; checkpoint
QUANTIZER_ENTRIES = 640
QUANTIZER_WIDTH = 128
CONTRAST_WIDTH = 256

ACTIVATION_DROPOUT = 0.1  # fine-tuning configuration; all other dropouts are 0 there

# operating point: label iAF5, column SSL, in the threshold file that comes with the pipeline
THRESHOLD = 0.231
THRESHOLD_SOURCE = "published operating point (DeepECG_Docker, label iAF5, SSL model)"

# the pipeline's scaling: the mean magnitude that lead I's spectrum is brought to, and its cleaning
REFERENCE_POWER = 3.003154
PEAK_LOWEST_HZ = 20.0
PEAK_WINDOW_HZ = 5.0
PEAK_DEVIATIONS = 5.0
HARMONICS = (2, 3, 4)
HARMONIC_TOLERANCE = 0.05
HARMONIC_LENIENCY = 0.65  # of the deviations, for a multiple of a peak that was found
PEAK_MERGE_HZ = 1.0
BASELINE_LOWEST_HZ = 30.0
BASELINE_MEDIAN_BINS = 5
BASELINE_SHARE = 0.1  # of the bins, in each local fit
WIDENED_HZ = 1.0

# what a signal in millivolts looks like: its range (99 % of the samples) over 10 s. A resting ECG
# has 0.5 to 5 mV a lead. Volts would read 0.001 of that, microvolts 1000, raw counts about 200
SMALLEST_USUAL_RANGE_MV = 0.05  # of the median lead
LARGEST_USUAL_RANGE_MV = 20.0  # of the median lead
LARGEST_LEAD_RANGE_MV = 60.0  # of any one lead, drift and pacing included
RANGE_SHARE = 0.99

# the network has learned resting ECGs of 10 s; an hour is 360 of them and not a Holter reading
MAX_DURATION_S = 3600.0

HUB_REPOSITORY = "heartwise/wcr_afib_5y"  # gated: access is asked for on its page
HUB_FILE = "wcr_afib_5y.pt"
HOW_TO_GET = (
    "The weights may not be redistributed, so none come with Ectopy. Ask for access to the gated "
    f"repository {HUB_REPOSITORY} on the Hugging Face hub, download {HUB_FILE} with your "
    "own account, and run `ectopy models import wcr_afib_5y.pt`, or send it to POST "
    "/v1/models/import. `ectopy models fetch` downloads it with your token and imports it."
)

FAMILY_SPEC = FamilySpec(
    family=FAMILY,
    task=TASK,
    labels=("low", "high"),
    min_duration_s=WINDOW_S,
    # the limb leads that I and II determine need not be there
    required_leads=tuple(name for name in LEADS if name not in DERIVED_LIMB_LEADS),
    options={
        "preparation": OptionSpec(
            default="record",
            choices=("record", "reference"),
            description="record: millivolts as they are, the same answer alone or among others; "
            "reference: the published scaling and noise removal, computed over this record's "
            "windows",
        ),
    },
    hyperparameters=HYPERPARAMETERS,
)
