"""Looking in rounds: each round looks where the rounds before promise most."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from calibration.boards.geometry import AprilGrid, Board, Charuco
from calibration.observations._inventory import Inventory
from calibration.observations._pool import Runner, runner, worker_count
from calibration.observations._schedule import coarse_instants, finer_instants, patient_pictures, pieces
from calibration.observations._sightings import Sightings, gather, is_same_view, new_views
from calibration.observations._worker import Look, Sight, Task
from calibration.observations.matching import Instants
from calibration.observations.settings import ObservationSettings

__all__ = ["Progress", "observe"]

Progress: TypeAlias = Callable[[int, int], None]

# Each round decodes again what lies around the pictures it looks at.
_ROUNDS = 3


@dataclass(frozen=True, eq=False)
class _Search:
    """What stays the same in all rounds."""

    cameras: Mapping[str, Inventory]
    instants: Instants
    settings: ObservationSettings
    run: Runner
    progress: Progress

    @property
    def alone(self) -> bool:
        """Whether cameras have nothing to do with each other."""
        return not self.settings.synchronized or len(self.cameras) == 1

    @property
    def limit(self) -> int:
        return self.settings.limit * self.share

    @property
    def share(self) -> int:
        """How many cameras share the instants: each has instants of its own where they are not synchronized."""
        return 1 if self.settings.synchronized else len(self.cameras)


def observe(
    cameras: Mapping[str, Inventory],
    board: Board,
    instants: Instants,
    settings: ObservationSettings,
    progress: Progress,
    workers: int | None,
) -> Sightings:
    """Look for the board: in a first pass over the recording, then where it was seen, and then with patience.

    The first pass is hasty, and is made again with black and white exchanged where it finds nothing at all.

    Raises:
        FileFormatError, MismatchError: see `calibration.observations._sightings.gather`.
        CalibrationError: a worker process ended by itself.
    """
    videos = any(camera.source.kind == "video" for camera in cameras.values())
    share = 1 if settings.synchronized else len(cameras)
    first = coarse_instants(
        instants.picture,
        [camera.key_frames for camera in cameras.values()],
        share * (settings.coarse if videos else settings.limit),
    )
    with runner(worker_count(workers, int((instants.picture[:, first] >= 0).sum()))) as run:
        search = _Search(cameras, instants, settings, run, progress)
        wanted = np.zeros(instants.picture.shape, dtype=np.bool_)
        wanted[:, first] = True
        looks = _look(search, board, wanted, np.zeros_like(wanted), [])
        if isinstance(board, Charuco | AprilGrid) and not any((each.sight == Sight.BOARD).any() for each in looks):
            board = replace(board, inverted=not board.inverted)
            again = _look(search, board, wanted, np.zeros_like(wanted), looks)
            if any((each.sight == Sight.BOARD).any() for each in again):
                looks = again
            else:
                board = replace(board, inverted=not board.inverted)
        return _further_rounds(search, board, looks)


def _further_rounds(search: _Search, board: Board, looks: list[Look]) -> Sightings:
    corners = len(board.points)
    sightings = gather(looks, search.cameras, search.instants, corners)
    patient = np.zeros(search.instants.picture.shape, dtype=np.bool_)
    for _ in range(_ROUNDS - 1):
        again = np.zeros_like(patient)
        if search.settings.detection.patient:
            again[:, sightings.looked] = _worth_patience(search, sightings, patient[:, sightings.looked])
        wanted = again.copy()
        wanted[:, _finer(search, sightings)] = True
        if not (wanted & (search.instants.picture >= 0)).any():
            break
        looks = looks + _look(search, board, wanted, again, looks)
        patient |= again
        sightings = gather(looks, search.cameras, search.instants, corners)
    return sightings


def _worth_patience(search: _Search, sightings: Sightings, patient: NDArray[np.bool_]) -> NDArray[np.bool_]:
    target = search.settings.target // 2
    rows = zip(sightings.sight, patient, strict=True)
    return np.stack([patient_pictures(sight, tried, target=target) for sight, tried in rows])


def _finer(search: _Search, sightings: Sightings) -> NDArray[np.intp]:
    """Instants between those looked at; none where all are images, which are all looked at from the start."""
    still, size = search.settings.still, sightings.size
    views = np.moveaxis(sightings.position, 0, 1)
    unmoved = [
        is_same_view(first, second, size, still) and is_same_view(second, first, size, still)
        for first, second in pairwise(views)
    ]
    return finer_instants(
        sightings.looked,
        sightings.seen,
        np.array(unmoved, dtype=np.bool_),
        new_views(sightings.position, size, still),
        target=search.settings.target,
        limit=search.limit,
        alone=search.alone,
    )


def _look(
    search: _Search, board: Board, wanted: NDArray[np.bool_], patient: NDArray[np.bool_], before: list[Look]
) -> list[Look]:
    """Look at the wanted pictures (camera, instant), in pieces, the earliest of all cameras first."""
    tasks = []
    for number, camera in enumerate(search.cameras.values()):
        row = search.instants.picture[number]
        chosen = np.flatnonzero(wanted[number] & (row >= 0))
        chosen = chosen[np.argsort(row[chosen])]
        parts = pieces(row[chosen], camera.key_frames)
        for index, part in enumerate(parts):
            places = chosen[np.searchsorted(row[chosen], part)]
            task = Task(number, camera.source, part, board, search.settings.detection, patient[number, places])
            tasks.append((index / len(parts), number, task))
    done = sum(len(each.pictures) for each in before)
    total = done + sum(len(task.pictures) for _, _, task in tasks)
    search.progress(done, total)

    def advance(pictures: int) -> None:
        nonlocal done
        done += pictures
        search.progress(done, total)

    return search.run([task for _, _, task in sorted(tasks, key=lambda entry: entry[:2])], advance)
