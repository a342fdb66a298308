"""Annotated pictures, and words, for when no board was found."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.boards.detection import Detection, DetectionSettings, detect_board
from calibration.boards.geometry import Board
from calibration.boards.guessing import guess_board
from calibration.errors import CalibrationError, FileFormatError
from calibration.files import atomic_path
from calibration.observations._inventory import Inventory
from calibration.observations._sightings import NOT_LOOKED, Sightings
from calibration.observations.matching import Instants
from calibration.observations.sources import Source, named_source, open_source

__all__ = ["no_board_error", "unseen_camera", "write_examples"]

# Pictures of a camera that are written, and pictures of all that are searched for other boards, which takes a second
# each.
_EXAMPLES = 3
_GUESSED = 8
_GREEN, _RED, _BLACK = (80, 220, 60), (60, 60, 240), (0, 0, 0)


def write_examples(
    sources: Mapping[str, str | os.PathLike[str] | Source],
    board: Board,
    folder: str | os.PathLike[str],
    *,
    count: int = _EXAMPLES,
    settings: DetectionSettings | None = None,
) -> list[Path]:
    """Write a few pictures of every camera with the corners found in them, or with what was tried.

    Args:
        sources: camera -> a video, a folder of images, or what `find_sources` gives.
        board: the board that is looked for.
        folder: where to write CAMERA-PICTURE.png.
        count: pictures per camera, spread evenly.
        settings: how to look.

    Returns:
        The files.

    Raises:
        FileFormatError: a source cannot be opened.
        OutputError: a picture cannot be written.
    """
    written = []
    for name, place in sources.items():
        source = named_source(place, str(name))
        with open_source(source) as pictures:
            numbers = _spread(np.arange(len(pictures)), count)
        written += _write_pictures(str(name), source, numbers, board, Path(folder), settings or DetectionSettings())
    return written


def no_board_error(
    cameras: Mapping[str, Inventory],
    board: Board,
    sightings: Sightings,
    settings: DetectionSettings,
    examples: str | os.PathLike[str] | None,
) -> CalibrationError:
    """The error for when no camera saw the board: what was looked at, what was tried, and what is seen instead."""
    looked = [
        f"{(row != NOT_LOOKED).sum()} of {len(camera)} pictures of {name}"
        for row, (name, camera) in zip(sightings.sight, cameras.items(), strict=True)
    ]
    tried = list(dict.fromkeys(way for each in sightings.tried for way in each))
    each = max(1, _GUESSED // len(cameras))
    images = [
        image for camera in cameras.values() for _, image in _read(camera.source, _spread(np.arange(len(camera)), each))
    ][:_GUESSED]
    advice = [guess_board(images, board, settings).message] if images else []
    if examples is not None:
        sources = {name: camera.source for name, camera in cameras.items()}
        write_examples(sources, board, examples, settings=settings)
        advice.append(f"Annotated pictures are in {examples}.")
    advice.append(
        "Check columns and rows (they count squares, not corners) and the dictionary; film the whole board, large, "
        "sharp and evenly lit."
    )
    return CalibrationError(
        str(board),
        expected="to see it in the pictures of at least one camera",
        got=f"none in {', '.join(looked)}" + (f" (tried: {', '.join(tried)})" if tried else ""),
        remedy=" ".join(advice),
    )


def unseen_camera(
    cameras: Mapping[str, Inventory],
    number: int,
    board: Board,
    instants: Instants,
    sightings: Sightings,
    settings: DetectionSettings,
    examples: str | os.PathLike[str] | None,
) -> str:
    """What to say of a camera that never saw the board while others did."""
    name, camera = list(cameras.items())[number]
    looked = int((sightings.sight[number] != NOT_LOOKED).sum())
    text = f"camera '{name}': no board in any of the {looked} pictures that were looked at"
    pictures = instants.picture[number, sightings.looked[sightings.seen.any(axis=0)]]
    pictures = pictures[pictures >= 0]
    if len(pictures):
        text += f", {len(pictures)} of them of instants in which other cameras saw it"
    else:
        pictures = np.arange(len(camera))
    if examples is not None:
        _write_pictures(name, camera.source, _spread(pictures, _EXAMPLES), board, Path(examples), settings)
        text += f"; annotated pictures are in {examples}"
    return f"{text}. Film the board, whole, large and sharp, where this camera and another one see it."


def _spread(numbers: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Some of the numbers, evenly spread, the first and last ones left aside."""
    return numbers[np.unique(((np.arange(count) + 0.5) / count * len(numbers)).astype(int))]


def _read(source: Source, numbers: Iterable[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Pictures of a source; those that cannot be read are left out."""
    with open_source(source) as pictures:
        for number in numbers:
            try:
                yield int(number), pictures.read(int(number)).image
            except FileFormatError:
                continue


def _write_pictures(
    name: str,
    source: Source,
    numbers: Iterable[int],
    board: Board,
    folder: Path,
    settings: DetectionSettings,
) -> list[Path]:
    written = []
    for number, image in _read(source, numbers):
        path = folder / f"{name}-{number:06d}.png"
        _write(path, _annotated(image, detect_board(image, board, settings), f"{name}, picture {number}"))
        written.append(path)
    return written


def _annotated(image: NDArray[np.uint8], found: Detection, title: str) -> NDArray[np.uint8]:
    picture = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    scale = max(1, round(image.shape[1] / 640))
    for x, y in found.position[found.seen]:
        cv2.circle(picture, (round(x), round(y)), 4 * scale, _GREEN, scale, cv2.LINE_AA)
    lines = [title, f"{int(found.seen.sum())} corners" if found.found else found.status.meaning]
    lines += [] if found.found else [f"tried {way}" for way in found.tried]
    for number, line in enumerate(lines, start=1):
        place = (6 * scale, 16 * scale * number)
        for color, width in ((_BLACK, 3 * scale), (_GREEN if found.found else _RED, scale)):
            cv2.putText(picture, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45 * scale, color, width, cv2.LINE_AA)
    return np.asarray(picture, dtype=np.uint8)


def _write(path: Path, picture: NDArray[np.uint8]) -> None:
    _, content = cv2.imencode(".png", picture)
    with atomic_path(path) as partial:
        partial.write_bytes(content.tobytes())
