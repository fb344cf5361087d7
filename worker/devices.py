"""Which device a worker computes on."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from services.errors import Unavailable


def device_for(setting: str) -> str:
    """`auto` is a GPU where there is one; a named device that is not there is an error."""
    import torch

    if setting == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if setting.startswith("cuda") and not torch.cuda.is_available():
        raise Unavailable(f"ECTOPY_DEVICE is {setting}, but no CUDA device answers here")
    return setting


def memory_in_use() -> dict[str, int]:
    """Bytes: `resident` of this process; of its GPU, if it uses one, what is taken and all."""
    found = {}
    statm = Path("/proc/self/statm")
    if statm.exists():  # on Linux
        found["resident"] = int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    torch = sys.modules.get("torch")  # a worker that has not loaded it uses no device
    if torch is not None and torch.cuda.is_initialized():
        free, total = torch.cuda.mem_get_info()
        found |= {"device_used": total - free, "device_total": total}
    return found
