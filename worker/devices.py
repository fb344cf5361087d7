"""Which device a worker computes on."""

from __future__ import annotations

from services.errors import Unavailable


def device_for(setting: str) -> str:
    """`auto` is a GPU where there is one; a named device that is not there is an error."""
    import torch

    if setting == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if setting.startswith("cuda") and not torch.cuda.is_available():
        raise Unavailable(f"ECTOPY_DEVICE is {setting}, but no CUDA device answers here")
    return setting
