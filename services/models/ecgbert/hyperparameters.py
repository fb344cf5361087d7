"""What a fine-tune of the beat network may choose, with ranges (no torch here)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.models.spec import FREEZE_LENGTH, Hyperparameter

FREEZABLE = {
    "none": (),
    "embedding": ("*embedding*",),
    "encoder": ("*embedding*", "layers.*", "norm.*"),
}


def frozen_patterns(chosen: Mapping[str, Any]) -> tuple[str, ...]:
    """Shell patterns over the names of the parameters that stand still, for as long as they do."""
    layers = tuple(f"layers.{n}.*" for n in range(chosen["freeze_layers"]))
    return FREEZABLE[chosen["freeze"]] + ((*FREEZABLE["embedding"], *layers) if layers else ())


HYPERPARAMETERS = {
    "classes": Hyperparameter(
        "aami",
        "AAMI classes N S V F Q, or normal and abnormal; others than the base has need head: reset",
        choices=("aami", "binary"),
    ),
    "epochs": Hyperparameter(13, "passes over the beats", minimum=1, maximum=1000),
    "learning_rate": Hyperparameter(
        0.001, "highest, of AdamW: rises over a tenth of the run, then falls", 1e-7, 0.1
    ),
    "batch": Hyperparameter(256, "beats a step of the optimizer", minimum=1, maximum=8192),
    "accumulation": Hyperparameter(
        1, "micro-batches that a batch is computed in, to save memory", minimum=1, maximum=1024
    ),
    "weight_decay": Hyperparameter(0.02, "of AdamW", minimum=0.0, maximum=1.0),
    "layer_decay": Hyperparameter(
        1.0, "learning rate of a layer, as a share of that of the next", minimum=0.1, maximum=1.0
    ),
    "gradient_norm": Hyperparameter(
        1.0, "gradients are scaled down to at most this norm", minimum=0.01, maximum=1000.0
    ),
    "freeze": Hyperparameter(
        "none",
        "what stands still: nothing, the embeddings, or all but the head",
        choices=(*FREEZABLE,),
    ),
    "freeze_layers": Hyperparameter(
        0,
        "how many layers stand still as well, with the embeddings before them",
        minimum=0,
        maximum=4,  # as many as the guide has
    ),
    **FREEZE_LENGTH,
    "balance": Hyperparameter(
        0.5,
        "how beats are drawn: 0 draws all alike, 1 draws classes and records alike",
        minimum=0.0,
        maximum=1.0,
    ),
    "class_weights": Hyperparameter(
        "none",
        "weight of a class in the loss: all alike, or by inverse frequency, at most 10",
        choices=("none", "inverse"),
    ),
    "focal_gamma": Hyperparameter(
        0.0,
        "focal loss: how little beats count that are sure already; 0 is cross entropy",
        0.0,
        5.0,
    ),
    "label_smoothing": Hyperparameter(0.0, "of the target", minimum=0.0, maximum=0.5),
    "augmentation": Hyperparameter(True, "whether beats are varied while they are learned"),
    "average_decay": Hyperparameter(
        0.99, "of the moving average of weights that is kept; 0 keeps the weights", 0.0, 0.9999
    ),
    "patience": Hyperparameter(
        5, "epochs without a better validation macro-F1 before the run stops", 1, 1000
    ),
    "precision": Hyperparameter(
        "off", "mixed precision of the forward pass", choices=("off", "bf16", "fp16")
    ),
    "loaders": Hyperparameter(1, "threads that prepare batches", minimum=0, maximum=16),
}
