"""Looking for the board in some pictures of one camera: what a worker process does.

Only what it needs is imported here, so that worker processes start quickly.
"""

from __future__ import annotations

import os
import signal
import threading
import warnings
from dataclasses import dataclass, replace
from enum import IntEnum
from multiprocessing import parent_process
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.boards.detection import DetectionSettings, detect_board
from calibration.boards.geometry import Board
from calibration.errors import FileFormatError, SuiteWarning
from calibration.observations.sources import Source, open_source

__all__ = ["Look", "Sight", "Task", "look", "start_worker"]

# A picture that differs from one without a board by less than this in every block of 8 x 8 pixels shows no board
# either. Noise of 10 gray levels gives differences of up to 9 between blocks of the same 1280 x 720 scene; an edge
# from black to white that moves by half a pixel gives 12.
_BLOCK = 8
_UNCHANGED = 10.0


class Sight(IntEnum):
    """What was found in a picture."""

    UNREADABLE = 0
    NO_BOARD = 1
    UNCHANGED = 2  # not looked at: the same as the picture before, in which there was no board
    BOARD = 3


@dataclass(frozen=True, eq=False)
class Task:
    """Some pictures of one camera.

    Attributes:
        camera: number of the camera.
        source: its pictures.
        pictures: indices, increasing.
        board: what to look for.
        settings: how.
        patient: (n,) which of the pictures to look at with patience.
        running: a file that exists as long as the work is wanted.
    """

    camera: int
    source: Source
    pictures: NDArray[np.int64]
    board: Board
    settings: DetectionSettings
    patient: NDArray[np.bool_]
    running: Path | None = None


@dataclass(frozen=True, eq=False)
class Look:
    """What was seen.

    Attributes:
        camera: number of the camera.
        pictures: (n,) indices.
        sight: (n,) `Sight` of each.
        size: (n, 2) width and height of each, 0 where unreadable.
        position: (k, corner, 2) corners in those with a board.
        inverted: how many of these show the board in inverted print.
        tried: what was tried where there was none.
    """

    camera: int
    pictures: NDArray[np.int64]
    sight: NDArray[np.int8]
    size: NDArray[np.int64]
    position: NDArray[np.float64]
    inverted: int
    tried: tuple[str, ...]


def start_worker() -> None:
    """Prepare a worker process: one thread each, since there is a process for every core."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it and stops the work
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: object) -> None:
    # A parent that was killed cannot stop its workers, which would wait for work forever.
    parent.join()  # type: ignore[attr-defined] # multiprocessing.process has no public name for this type
    os._exit(1)


def look(task: Task) -> Look:
    """Look for the board in the pictures of a task.

    Raises:
        FileFormatError: the source cannot be opened. Pictures that cannot be read are counted.
    """
    count = len(task.pictures)
    sight = np.full(count, Sight.UNREADABLE, dtype=np.int8)
    size = np.zeros((count, 2), dtype=np.int64)
    position: list[NDArray[np.float64]] = []
    tried: dict[str, None] = {}  # a set in order
    hasty = replace(task.settings, patient=False)
    inverted = 0
    empty: NDArray[np.float32] | None = None  # the last picture without a board, small
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SuiteWarning)  # said when the sources were opened first
        with open_source(task.source) as pictures:
            for number, index in enumerate(task.pictures):
                if task.running is not None and not task.running.exists():
                    break
                try:
                    image = pictures.read(int(index)).image
                except FileFormatError:
                    continue
                size[number] = image.shape[1], image.shape[0]
                small = _small(image)
                if empty is not None and _is_unchanged(small, empty):
                    sight[number] = Sight.UNCHANGED
                    continue
                found = detect_board(image, task.board, task.settings if task.patient[number] else hasty)
                if found.found:
                    sight[number] = Sight.BOARD
                    position.append(found.position)
                    inverted += bool(found.inverted)
                    empty = None
                else:
                    sight[number] = Sight.NO_BOARD
                    tried.update(dict.fromkeys(found.tried))
                    empty = small
    corners = len(task.board.points)
    return Look(
        camera=task.camera,
        pictures=task.pictures,
        sight=sight,
        size=size,
        position=np.stack(position) if position else np.zeros((0, corners, 2)),
        inverted=inverted,
        tried=tuple(tried),
    )


def _small(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Means of the blocks of an image."""
    height, width = (max(1, round(length / _BLOCK)) for length in image.shape[:2])
    means = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(means, dtype=np.float32)


def _is_unchanged(small: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    return small.shape == other.shape and float(np.abs(small - other).max()) < _UNCHANGED
