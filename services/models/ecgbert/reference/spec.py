"""Numbers of the guide and of the original's code that the default pipeline does not use.

What both use stands in services.models.ecgbert.spec. Sources: "guide" is the ECGBERT fine-tuning
guide; "code" is the published code, whose arithmetic this package reproduces; "quirk n" is the row
of that number in docs/ecgbert.md.
"""

from __future__ import annotations

from services.models.ecgbert import spec

# step 1, preprocessing
BANDSTOP_LOW_HZ = 50.0  # guide
BANDSTOP_HIGH_HZ = 60.0  # guide
BANDSTOP_ORDER = 2  # code
WAVELET = "db4"  # guide, for both uses
BASELINE_LEVEL = 2  # code; quirk 2 says what this level does to the signal
TEST_SIZE = 0.2  # guide: share of the patients that validate
SPLIT_SEED = 42  # code; quirk 12 says why it fixes nothing there

# step 2, segmentation
R_PEAK_METHOD = "hamilton2002"  # guide: NeuroKit2's, each lead by itself
SEGMENTATION_RATE_HZ = 360  # code: whatever the record's own rate is (quirk 5)
SEGMENTATION_WAVELET_LEVEL = 4  # guide; the published segmentation takes it and never uses it
QRS_HALF_WIDTH_S = 0.05  # guide
P_BEFORE_QRS_S = 0.10  # guide
T_AFTER_QRS_S = 0.15  # guide

# step 3, sentence
WAVE_ORDER = ("p", "qrs", "t", "bg")  # guide: order of the ids, and of waves that start together
# ids that the public checkpoint was trained with: its tokenizer puts the special tokens first
PRETRAIN_PAD_ID, PRETRAIN_CLS_ID, PRETRAIN_SEP_ID, PRETRAIN_MASK_ID = range(4)  # code
PRETRAIN_ID_SHIFT = 4  # code: a wave's id in pre-training is that much above the guide's
PRETRAIN_UNKNOWN_ID = 74  # code

# step 4, network
UNET_KERNELS = (7, 5, 4, 4, 3)  # guide
UNET_STRIDES = (2, 2, 2, 2, 1)  # guide
UNET_PADDING = (3, 2, 1, 1, 1)  # code
UNET_CHANNELS = (1, 32, 64, 32, 32, 32)  # 1 to 32: guide; the steps between: code
POSITION_BASE = 10_000.0  # code: of the sinusoid
HEAD_WIDTHS = (spec.WIDTH, spec.VOCABULARY_SIZE)  # guide: 32 to 75, then to the classes
CLASSES_AAMI = 5  # guide: cross entropy
CLASSES_BINARY = 1  # guide: binary cross entropy on logits

# step 4, fine-tuning
BATCH_SIZE = 1  # guide
LEARNING_RATE = 0.001  # guide: Adam
EPOCHS = 13  # guide

# pre-training
MASKED_SHARE = 0.15  # code: of the tokens
PRETRAIN_LEARNING_RATE = 0.0005  # code and the name of the public checkpoint: AdamW
PRETRAIN_BATCH_SIZE = 32  # the same
PRETRAIN_EPOCHS = 500  # the name of the public checkpoint

# folders of a task's results, guide
PREPROCESSING_FOLDER = "ECG_Preprocessing"
SEGMENTATION_FOLDER = "ECG_Segmentation"
SENTENCE_FOLDER = "ECG_Sentence"
SENTENCE_PARTS = ("train", "val")
RESULTS_FOLDER = "results"
