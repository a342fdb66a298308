"""Annotated pictures, and words, for when no board was found."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.boards.detection import Detection, DetectionSettings, detect_board
from calibration.boards.geometry import Board
from calibration.errors import CalibrationError, FileFormatError
from calibration.files import atomic_path
from calibration.observations._inventory import Inventory
from calibration.observations._sightings import NOT_LOOKED, Sightings
from calibration.observations.sources import Source, named_source, open_source

__all__ = ["no_board_error", "what_is_seen", "write_examples"]

# Pictures of a camera that are looked at more closely when it never saw the board.
_EXAMPLES = 3
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
    settings = settings or DetectionSettings()
    written = []
    for name, place in sources.items():
        source = named_source(place, str(name))
        for number, image in _spread(source, count):
            path = Path(folder) / f"{name}-{number:06d}.png"
            _write(
                path, _annotated(image, detect_board(image, board, settings), _guess(image), f"{name}, {number}")
            )
            written.append(path)
    return written


def what_is_seen(
    cameras: Mapping[str, Inventory],
    board: Board,
    settings: DetectionSettings,
    examples: str | os.PathLike[str] | None,
) -> str:
    """What seems to be in the pictures of cameras that never saw the board, in a sentence or two."""
    guesses: Counter[str] = Counter()
    for camera in cameras.values():
        guesses.update(guess for _, image in _spread(camera.source, _EXAMPLES) if (guess := _guess(image)))
    text = "Nothing in them looks like a board that is known here."
    if guesses:
        guess, times = guesses.most_common(1)[0]
        text = f"{times} of {_EXAMPLES * len(cameras)} pictures looked at closely show {guess}."
    if examples is None:
        return text
    write_examples({name: camera.source for name, camera in cameras.items()}, board, examples, settings=settings)
    return f"{text} Annotated pictures are in {examples}."


def no_board_error(
    cameras: Mapping[str, Inventory],
    board: Board,
    sightings: Sightings,
    settings: DetectionSettings,
    examples: str | os.PathLike[str] | None,
) -> CalibrationError:
    """The error for when no camera saw the board."""
    looked = [
        f"{(row != NOT_LOOKED).sum()} of {len(camera)} pictures of {name}"
        for row, (name, camera) in zip(sightings.sight, cameras.items(), strict=True)
    ]
    tried = list(dict.fromkeys(way for each in sightings.tried for way in each))
    return CalibrationError(
        str(board),
        expected="to see it in the pictures of at least one camera",
        got=f"none in {', '.join(looked)}" + (f" (tried: {', '.join(tried)})" if tried else ""),
        remedy=f"{what_is_seen(cameras, board, settings, examples)} Check the numbers of columns and rows (squares, "
        "not corners) and the dictionary; film the whole board larger, sharp and evenly lit.",
    )


def _guess(_image: NDArray[np.uint8]) -> str | None:
    return None


def _spread(source: Source, count: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Pictures evenly spread over a source, the first and last ones left aside; those that cannot be read left out."""
    with open_source(source) as pictures:
        total = len(pictures)
        for number in np.unique(((np.arange(count) + 0.5) / count * total).astype(int)):
            try:
                yield int(number), pictures.read(int(number)).image
            except FileFormatError:
                continue


def _annotated(image: NDArray[np.uint8], found: Detection, guess: str | None, title: str) -> NDArray[np.uint8]:
    picture = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    scale = max(1, round(image.shape[1] / 640))
    for x, y in found.position[np.isfinite(found.position[:, 0])]:
        cv2.circle(picture, (round(x), round(y)), 4 * scale, _GREEN, scale, cv2.LINE_AA)
    if found.found:
        lines = [f"{title}: {int(np.isfinite(found.position[:, 0]).sum())} corners of the board"]
    else:
        lines = [f"{title}: no board", f"tried: {', '.join(found.tried)}", f"seen: {guess or 'no board known here'}"]
    for number, line in enumerate(lines, start=1):
        place = (6 * scale, 16 * scale * number)
        for color, width in ((_BLACK, 3 * scale), (_GREEN if found.found else _RED, scale)):
            cv2.putText(picture, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45 * scale, color, width, cv2.LINE_AA)
    return np.asarray(picture, dtype=np.uint8)


def _write(path: Path, picture: NDArray[np.uint8]) -> None:
    _, content = cv2.imencode(".png", picture)
    with atomic_path(path) as partial:
        partial.write_bytes(content.tobytes())
