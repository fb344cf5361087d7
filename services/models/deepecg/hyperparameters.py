"""What a fine-tune of DeepECG may choose, with ranges (no torch here).

The defaults are the published recipe for AFIB-5Y (see the fine-tuning guide): Adam at a constant
5e-5, 128 recordings a step, focal loss, the convolutions frozen, at most 100 epochs, and 30 without
a better validation loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.models.spec import FREEZE_LENGTH, Hyperparameter

ADAM_BETAS = (0.9, 0.98)
ADAM_EPSILON = 1e-8

FREEZABLE = {
    "none": (),
    "extractor": ("encoder.feature_extractor.*",),
    "backbone": ("encoder.*",),
}

# what a signal goes through before the transformer's layers
_BEFORE_LAYERS = ("feature_extractor", "layer_norm", "post_extract_proj", "conv_pos")
LAYERS = 12  # of the published network


def frozen_patterns(chosen: Mapping[str, Any]) -> tuple[str, ...]:
    """Shell patterns over the names of the parameters that stand still, for as long as they do."""
    before = (*(f"encoder.{name}.*" for name in _BEFORE_LAYERS), "encoder.encoder.layer_norm.*")
    layers = tuple(f"encoder.encoder.layers.{n}.*" for n in range(chosen["freeze_layers"]))
    return FREEZABLE[chosen["freeze"]] + (before + layers if layers else ())


def extractor_learns(chosen: Mapping[str, Any]) -> bool:
    """Whether the convolutions learn at any time."""
    for_a_while = chosen["freeze_epochs"] > 0 or chosen["freeze_updates"] > 0
    return for_a_while or not frozen_patterns(chosen)


HYPERPARAMETERS = {
    "epochs": Hyperparameter(100, "passes over the recordings", minimum=1, maximum=1000),
    "learning_rate": Hyperparameter(5e-5, "of Adam, the same throughout", 1e-8, 0.1),
    "batch": Hyperparameter(128, "windows a step of the optimizer", minimum=1, maximum=4096),
    "accumulation": Hyperparameter(
        16, "micro-batches that a batch is computed in, to save memory", minimum=1, maximum=4096
    ),
    "weight_decay": Hyperparameter(0.0, "of Adam", minimum=0.0, maximum=1.0),
    "layer_decay": Hyperparameter(
        1.0, "learning rate of a layer, as a share of that of the next", minimum=0.1, maximum=1.0
    ),
    "gradient_norm": Hyperparameter(
        0.0, "gradients are scaled down to at most this norm; 0 leaves them", 0.0, 1000.0
    ),
    "loss": Hyperparameter(
        "focal", "binary focal loss, or cross entropy", choices=("focal", "cross_entropy")
    ),
    "focal_alpha": Hyperparameter(0.25, "weight of events; 1 minus it of the others", 0.01, 0.99),
    "focal_gamma": Hyperparameter(2.0, "how little counts what is sure already", 0.0, 5.0),
    "class_weights": Hyperparameter(
        "none",
        "weight of an outcome in the loss: all alike, or by inverse frequency, at most 10",
        choices=("none", "inverse"),
    ),
    "activation_dropout": Hyperparameter(
        0.1, "after the GELU of each layer, while it learns", minimum=0.0, maximum=0.9
    ),
    "freeze": Hyperparameter(
        "extractor",
        "what stands still: nothing, the convolutions, or all but the head. With the last, for the "
        "whole run, the head learns from features that are computed once",
        choices=(*FREEZABLE,),
    ),
    "freeze_layers": Hyperparameter(
        0,
        "how many of the transformer's layers stand still as well, with all before them",
        minimum=0,
        maximum=LAYERS,
    ),
    **FREEZE_LENGTH,
    "windows": Hyperparameter(
        1, "10 s windows of a recording that are learned, from its start", minimum=1, maximum=360
    ),
    "patience": Hyperparameter(
        30, "epochs without a better validation loss before the run stops", 1, 1000
    ),
    "precision": Hyperparameter(
        "auto",
        "mixed precision of the forward pass; auto: fp16 on a GPU, none on a CPU",
        choices=("auto", "off", "bf16", "fp16"),
    ),
    "operating_point": Hyperparameter(
        "validation",
        "calibration (Platt) and threshold (largest sum of sensitivity and specificity): fitted to "
        "the validation patients where they suffice, or as published",
        choices=("validation", "published"),
    ),
    "loaders": Hyperparameter(1, "threads that prepare batches", minimum=0, maximum=16),
}
