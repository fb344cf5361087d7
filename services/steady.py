"""A long-lived process's memory, once it has loaded what it will keep."""

from __future__ import annotations

import gc

# new objects until the collector looks at the youngest, and how often it looks at the older ones
THRESHOLDS = (20_000, 20, 50)


def settle() -> None:
    """Takes what is loaded out of the garbage collector's way, for good.

    Hundreds of thousands of objects of libraries live as long as the process. Going over them again
    and again, in the middle of a request, is tens of milliseconds each time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
