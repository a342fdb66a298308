"""From videos or images of a board to its corners: which pictures to look at, and looking at them in parallel."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.boards.geometry import Board
from calibration.corners import corners as make_corners
from calibration.errors import InvalidValueError, SuiteWarning
from calibration.observations._cache import cache_folder, content_key, file_digests, load_arrays, save_arrays
from calibration.observations._common_instants import to_common_instants
from calibration.observations._inventory import Inventory, take_inventory
from calibration.observations._rounds import Progress, observe
from calibration.observations._sightings import NOT_LOOKED, Sightings, new_views
from calibration.observations._worker import Sight
from calibration.observations.examples import no_board_error, unseen_camera
from calibration.observations.matching import Instants, match_pictures
from calibration.observations.settings import ObservationSettings
from calibration.observations.sources import Source, named_source
from calibration.observations.statistics import CameraStatistics

if TYPE_CHECKING:
    from calibration.synchronization.clocks import Synchronization

__all__ = ["Cache", "detect_corners"]

Cache: TypeAlias = str | os.PathLike[str] | Literal[False] | None


def detect_corners(
    sources: Mapping[str, str | os.PathLike[str] | Source],
    board: Board,
    *,
    timestamps: str | os.PathLike[str] | None = None,
    offsets: Mapping[str, float] | None = None,
    clocks: Synchronization | None = None,
    settings: ObservationSettings | None = None,
    progress: Progress | None = None,
    workers: int | None = None,
    cache: Cache = None,
    examples: str | os.PathLike[str] | None = None,
) -> xr.Dataset:
    """Find the corners of a board in the videos or images of all cameras.

    All cameras are looked at at the same instants: pictures are matched by presentation time, by a table of frame
    times, or, for images, by the numbers in their names. Long recordings are first looked at here and there, then more
    closely where the board is seen and moves, see `ObservationSettings`. The result does not depend on the number of
    workers, and is kept in a folder of the user, so that the same question is answered at once the next time.

    Args:
        sources: camera -> a video, a folder of images, or what `find_sources` gives.
        board: the board.
        timestamps: CSV of frame times, see `calibration.observations.timestamps`.
        offsets: seconds to add to the times of a camera.
        clocks: of all cameras, as `calibration.synchronization` finds them: with drift and dropped frames, instead of
            a table or offsets. Corners are then interpolated to common instants, because pictures that belong together
            are up to half a frame apart.
        settings: which pictures to look at, and how.
        progress: called with the number of pictures done and the number to do, which may grow.
        workers: processes to work in; by default one for every core that this process may use.
        cache: folder for results; None is that of the user, False keeps nothing.
        examples: folder for a few annotated pictures of every camera that never saw the board.

    Returns:
        A Corners Dataset of the instants in which any camera saw the board. `statistics_of` gives what is behind it;
        the attribute `matched_by` says what the pictures were matched by.

    Raises:
        CalibrationError: no camera saw the board; the error says what was tried and what is seen instead. Or a worker
            process ended by itself.
        FileFormatError: a source cannot be read.
        MismatchError: pictures cannot be matched, or those of one camera differ in size.
        InvalidValueError: an argument is out of its range.

    Warns:
        SuiteWarning: a camera never saw the board, pictures could not be read, or matching had to assume something.
    """
    settings = settings or ObservationSettings()
    if not sources:
        raise InvalidValueError("sources", expected="at least one camera", got="none", remedy="Name a video.")
    cameras = take_inventory({str(name): named_source(source, str(name)) for name, source in sources.items()})
    instants = match_pictures(
        cameras, timestamps=timestamps, offsets=offsets, clocks=clocks, synchronized=settings.synchronized
    )
    folder = None if cache is False else cache_folder() if cache is None else Path(cache)
    key = "" if folder is None else _key(cameras, board, instants, settings)
    kept = None if folder is None else load_arrays(folder, key)
    sightings = None if kept is None else Sightings.from_arrays(kept, len(board.points))
    if sightings is None:
        sightings = observe(cameras, board, instants, settings, progress or _no_progress, workers)
        if folder is not None:
            save_arrays(folder, key, sightings.to_arrays())
    _warn_of_print(board, sightings)
    _warn_of_symmetry(board)
    seen = np.asarray(sightings.seen.any(axis=1))
    if not seen.any():
        raise no_board_error(cameras, board, sightings, settings.detection, examples)
    for number in np.flatnonzero(~seen):
        warnings.warn(
            unseen_camera(cameras, int(number), board, instants, sightings, settings.detection, examples),
            SuiteWarning,
            stacklevel=2,
        )
    if clocks is not None and settings.synchronized:
        sightings, instants = _moved(clocks, board, instants, sightings)
    return _to_corners(cameras, board, instants, sightings, settings)


def _moved(
    clocks: Synchronization, board: Board, instants: Instants, sightings: Sightings
) -> tuple[Sightings, Instants]:
    """Corners at common instants, where neighboring pictures tell; they are up to half a frame apart otherwise."""
    times = instants.time[:, sightings.looked]
    interval = max(clock.timing.interval for clock in clocks)
    moved = to_common_instants(sightings.position, times, board, interval)
    if moved.kept:
        warnings.warn(
            f"{moved.left} views of the board are {1000 * moved.apart:.1f} ms (in the median) from the others of their "
            "instant, and no picture close before and after them was looked at to tell where the board was; they are "
            "taken as they are. Hold the board still while filming, or calibrate a shorter part of the recording",
            SuiteWarning,
            stacklevel=3,
        )
    time = instants.time.copy()
    time[:, sightings.looked] = moved.time
    return replace(sightings, position=moved.position), replace(instants, time=time)


def _warn_of_symmetry(board: Board) -> None:
    """Say it where nobody can tell which way up the board is."""
    if len(board.symmetries):
        warnings.warn(
            f"{board}: it looks the same after a turn, so which corner is the first is concluded from the other "
            "cameras; with one row or column more, or as a ChArUco, every picture would tell it",
            SuiteWarning,
            stacklevel=3,
        )


def _warn_of_print(board: Board, sightings: Sightings) -> None:
    """Say it where the board is printed in another way than its description says."""
    told = getattr(board, "inverted", None)
    total, inverted = int(sightings.seen.sum()), int(sightings.inverted.sum())
    if told is not None and total and (inverted == 0 if told else inverted == total):
        warnings.warn(
            f"{board}: its black and white are {'not ' if told else ''}exchanged in the pictures, other than its "
            f"description says; set inverted = {str(not told).lower()} in it",
            SuiteWarning,
            stacklevel=3,
        )


def _no_progress(_done: int, _total: int) -> None:
    """Say nothing."""


def _key(cameras: Mapping[str, Inventory], board: Board, instants: Instants, settings: ObservationSettings) -> str:
    return content_key(
        {
            "files": [file_digests(camera.source.paths) for camera in cameras.values()],
            "board": [board.kind, asdict(board)],
            "settings": asdict(settings),
            "pictures": hashlib.blake2b(instants.picture.tobytes(), digest_size=20).hexdigest(),
        }
    )


def _to_corners(
    cameras: Mapping[str, Inventory],
    board: Board,
    instants: Instants,
    sightings: Sightings,
    settings: ObservationSettings,
) -> xr.Dataset:
    kept = np.asarray(np.isfinite(sightings.position[..., 0]).any(axis=(0, 2)))
    if settings.still and any(camera.source.kind == "video" for camera in cameras.values()):
        kept[kept] = new_views(sightings.position[:, kept], sightings.size, settings.still)
    at = sightings.looked[kept]
    picture = instants.picture[:, at]
    dataset = make_corners(
        sightings.position[:, kept],
        board=board,
        cameras=list(cameras),
        image_size=sightings.size,
        frames=instants.numbers[at],
        source_frame=np.where(picture >= 0, picture, np.nan),
        time=instants.time[:, at],
        sources=[str(camera.source) for camera in cameras.values()],
    )
    statistics = {}
    for number, (name, camera) in enumerate(cameras.items()):
        found = _statistics(camera, sightings, number, kept)
        statistics[name] = found.to_json()
        if found.unreadable:
            warnings.warn(
                f"camera '{name}': {found.unreadable} pictures of {found.looked_at} could not be decoded; these "
                "are left out",
                SuiteWarning,
                stacklevel=3,
            )
    dataset.attrs["statistics"] = json.dumps(statistics)
    dataset.attrs["matched_by"] = instants.how
    return dataset


def _statistics(camera: Inventory, sightings: Sightings, number: int, kept: NDArray[np.bool_]) -> CameraStatistics:
    sight = sightings.sight[number]
    counts = np.isfinite(sightings.position[number, ..., 0]).sum(axis=-1)[sight == Sight.BOARD]
    return CameraStatistics(
        pictures=len(camera),
        looked_at=int((sight != NOT_LOOKED).sum()),
        unreadable=int((sight == Sight.UNREADABLE).sum()),
        unchanged=int((sight == Sight.UNCHANGED).sum()),
        with_board=len(counts),
        inverted=int(sightings.inverted[number]),
        kept=int((sight[kept] == Sight.BOARD).sum()),
        corners=float(np.median(counts)) if len(counts) else 0.0,
        fewest_corners=int(counts.min()) if len(counts) else 0,
        tried=sightings.tried[number],
    )
