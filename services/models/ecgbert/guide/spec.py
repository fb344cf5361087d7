"""What the guide's network as a family says of itself: task, options, hyperparameters (no torch).

The defaults of the hyperparameters are the guide's own numbers, so that a fine-tune without any is
the guide's; docs/ecgbert.md says which others were measured to be better, and by how much.
"""

from __future__ import annotations

from dataclasses import replace

from services.ecg.labels import AAMI_CLASSES, BINARY_CLASSES
from services.models.ecgbert import spec
from services.models.ecgbert.reference import spec as reference
from services.models.spec import FREEZE_LENGTH, FamilySpec, Hyperparameter

FAMILY = "ecgbert-guide"

LABELS_OF = {"aami": AAMI_CLASSES, "binary": BINARY_CLASSES}
# the published code's focal loss
FOCAL_GAMMA = 2.0
# a class counts at most so many times what the most frequent one does. Without a limit the 39 Q
# tokens of DS1 take 98 % of the weight (docs/ecgbert.md, quirk 15)
LARGEST_WEIGHT = 10.0

HYPERPARAMETERS = {
    "classes": Hyperparameter(
        "aami",
        "aami labels a beat N, S, V, F or Q; binary labels it normal or abnormal",
        choices=tuple(LABELS_OF),
    ),
    "granularity": Hyperparameter(
        "wave",
        "one token a wave, or one a sample: then 3,600 tokens are 10 s of the waveform itself",
        choices=("wave", "sample"),
    ),
    "attention_window": Hyperparameter(
        spec.CHUNK_TOKENS,
        "tokens that attend to one another; 3600 is the whole chunk, as in the guide",
        minimum=8,
        maximum=spec.CHUNK_TOKENS,
    ),
    "epochs": Hyperparameter(
        reference.EPOCHS, "passes over the training records", minimum=1, maximum=1000
    ),
    "batch": Hyperparameter(
        reference.BATCH_SIZE,
        "chunks of 3,600 tokens a step of the optimizer",
        minimum=1,
        maximum=256,
    ),
    "accumulation": Hyperparameter(
        1, "micro-batches that a batch is computed in, to save memory", minimum=1, maximum=256
    ),
    "learning_rate": Hyperparameter(
        reference.LEARNING_RATE, "of Adam, at its highest", minimum=1e-6, maximum=0.1
    ),
    "layer_decay": Hyperparameter(
        1.0, "learning rate of a layer, as a share of that of the next", minimum=0.1, maximum=1.0
    ),
    "schedule": Hyperparameter(
        "constant",
        "cosine rises over a tenth of the steps and then falls to nothing",
        choices=("constant", "cosine"),
    ),
    "shuffle": Hyperparameter(
        True, "whether chunks come in a new order each epoch; the original's come record by record"
    ),
    "chunk_share": Hyperparameter(
        1.0,
        "of the chunks that an epoch goes through, others each time; for one token a sample",
        minimum=0.001,
        maximum=1.0,
    ),
    "train_embedding": Hyperparameter(
        False,
        "whether tokens' and signal's embedding learn too; the guide freezes them. With "
        "freeze_epochs or freeze_updates they learn when those are over",
    ),
    "freeze_layers": Hyperparameter(
        0,
        "how many layers stand still as well, with the embedding before them",
        minimum=0,
        maximum=spec.LAYERS,
    ),
    **FREEZE_LENGTH,
    "loss": Hyperparameter(
        "cross_entropy",
        "cross_entropy (binary: on logits), or focal, which looks away from what is easy",
        choices=("cross_entropy", "focal"),
    ),
    "class_weights": Hyperparameter(
        "none",
        "balanced weighs rare classes up, by the root of their rarity and at most tenfold",
        choices=("none", "balanced"),
    ),
    "clusters": Hyperparameter(
        "base",
        "centres that choose tokens: the base's, or fitted anew to the training records",
        choices=("base", "fitted"),
    ),
    "precision": Hyperparameter(
        "off", "of the forward pass, on a GPU", choices=("off", "bf16", "fp16")
    ),
    "patience": Hyperparameter(
        0, "epochs without a better macro-F1 before the run ends; 0 never", minimum=0, maximum=1000
    ),
    "loaders": Hyperparameter(1, "threads that prepare batches", minimum=0, maximum=16),
}

FAMILY_SPEC: FamilySpec = replace(spec.FAMILY_SPEC, family=FAMILY, hyperparameters=HYPERPARAMETERS)
