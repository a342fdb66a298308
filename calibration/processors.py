"""How many processors there are to work on."""

from __future__ import annotations

import os

__all__ = ["available_processors"]


def available_processors() -> int:
    """How many processors this process may use: a cluster or a container may give it fewer than the machine has."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1
