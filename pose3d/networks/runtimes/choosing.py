"""Which runtime is the fastest here: measured for a moment, remembered beside the exports."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from pose3d.networks.predicting import Maps
from pose3d.networks.runtimes.exporting import Export, write_export
from pose3d.networks.runtimes.opening import installed_runtimes, open_runtime

__all__ = ["choose_runtime", "timed"]

# Half a second tells runtimes apart that differ by a tenth.
_MOMENT = 0.5


def choose_runtime(folder: Path, export: Export, frames: NDArray[np.uint8], *, sessions: int) -> Export:
    """Time the runtimes that are installed and were not refused, and remember the fastest.

    Args:
        folder: of the exports.
        export: what is known of them.
        frames: (image, height, width, 3) of their size.
        sessions: that compute at once, of one thread each.

    Raises:
        InvalidValueError: there is none.
    """
    names = [name for name in installed_runtimes() if name in export.differences and name not in export.refused]
    if not names:
        notes = "; ".join(f"{name} {note}" for name, note in export.refused.items())
        raise InvalidValueError(
            f"runtimes of {folder}",
            expected="one that agrees with Keras",
            got=notes or "none installed",
            remedy="Install one (pip install onnxruntime), or use --runtime keras.",
        )
    speeds = {name: round(_images_per_second(folder, name, frames, sessions), 1) for name in names}
    found = replace(export, chosen=max(speeds, key=speeds.__getitem__), speeds=speeds)
    with suppress(OSError):  # a folder that cannot be written is measured again next time
        write_export(folder, found)
    return found


def _images_per_second(folder: Path, name: str, frames: NDArray[np.uint8], sessions: int) -> float:
    return timed([open_runtime(folder, name) for _ in range(sessions)], frames[:1], _MOMENT)


def timed(sessions: Sequence[Maps], images: NDArray[np.uint8], seconds: float) -> float:
    """Images per second of sessions that compute at once.

    Args:
        sessions: each used by one thread.
        images: what each computes, again and again.
        seconds: how long.
    """

    def work(maps: Maps) -> tuple[int, float]:
        maps(images)
        start, done = time.perf_counter(), 0
        while (spent := time.perf_counter() - start) < seconds:
            maps(images)
            done += len(images)
        return done, spent

    with ThreadPoolExecutor(len(sessions)) as pool:
        return sum(done / spent for done, spent in pool.map(work, sessions))
