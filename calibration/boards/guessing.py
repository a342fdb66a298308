"""Which board is in the pictures, when the one that was named is not found in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.boards._chessboards import find_larger
from calibration.boards._markers import find_markers
from calibration.boards._pattern import dictionary_names, dictionary_of, marker_border
from calibration.boards.detection import DetectionSettings, as_gray, detect_board
from calibration.boards.geometry import AprilGrid, Board, Charuco, Chessboard
from calibration.errors import InvalidValueError

__all__ = ["BoardGuess", "guess_board"]

# Looking for every board in one picture takes seconds.
_MOST_IMAGES = 8
_MOST_SCANNED = 3
# So many of one dictionary in one picture leave no doubt, and no need to look for others.
_SURE_MARKERS = 6
# Fewer markers of one dictionary may be chance: the dictionaries of 4 x 4 cells are read from textures now and then.
_FEWEST_MARKERS = 3
_LONGEST_SIDE = 30


@dataclass(frozen=True)
class BoardGuess:
    """What board seems to be in some images.

    Attributes:
        board: the board that was found most often; None where none was found.
        images: in how many images it was found.
        looked_at: how many images were looked at.
        message: what was found and how it differs from the board that was named, for a user.
        dictionary: the dictionary of which markers were seen; None without markers.
        ids: the ids that were seen.
    """

    board: Board | None
    images: int
    looked_at: int
    message: str
    dictionary: str | None = None
    ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Markers:
    """Markers of one dictionary."""

    dictionary: str
    border: int
    inverted: bool
    ids: tuple[int, ...]


def guess_board(images: Sequence[ArrayLike], board: Board, settings: DetectionSettings | None = None) -> BoardGuess:
    """Say which board is in images, beginning with the one that was named and those it is easily mistaken for.

    Sizes counted in inner corners instead of squares, other sizes, other dictionaries, other ids, the pattern of old
    versions of OpenCV, and prints with black and white exchanged are tried. Lengths cannot be seen: those of `board`
    are kept.

    Args:
        images: pictures with the board in them; at most 8, evenly spread, are looked at.
        board: the board that was named.
        settings: how to search.

    Raises:
        InvalidValueError: there are no images, or one is no picture.
    """
    if not len(images):
        raise InvalidValueError("images", expected="at least one", got="none", remedy="Give pictures of the board.")
    picked = np.unique(np.linspace(0, len(images) - 1, min(len(images), _MOST_IMAGES)).round().astype(int))
    pictures = [as_gray(images[index]) for index in picked]
    settings = DetectionSettings() if settings is None else settings
    quick = replace(settings, patient=False)
    markers: _Markers | None = None
    best = _best(pictures, [board], quick)
    if best is None and isinstance(board, Chessboard):
        best = _best(pictures, _miscounted(board), quick)
    if best is None:
        best = _best(pictures, [board], settings)
    if best is not None and isinstance(best[0], Chessboard):
        # squares with markers in them make a chessboard, too
        markers = _most_markers(pictures[:1], board)
        best = best if markers is None or len(markers.ids) < _SURE_MARKERS else None
    if best is not None and best[0] == board:
        return BoardGuess(board, best[1], len(pictures), f"The {board} is in {best[1]} of {len(pictures)} images.")
    if best is None:
        scanned = pictures[:: max(1, len(pictures) // _MOST_SCANNED)][:_MOST_SCANNED]
        markers = _most_markers(scanned, board) if markers is None or len(markers.ids) < _SURE_MARKERS else markers
        candidates = _chessboards(scanned, board) if markers is None else _marker_boards(board, markers)
        best = _best(scanned, candidates, quick)
        if best is not None:
            best = best[0], _count(pictures, best[0], quick)[0]
    found, images_with = best or (None, 0)
    message = _message(board, found, images_with, len(pictures), markers)
    name, ids = (markers.dictionary, markers.ids) if markers else (None, ())
    return BoardGuess(found, images_with, len(pictures), message, name, ids)


def _best(
    pictures: list[NDArray[np.uint8]], candidates: Iterable[Board], settings: DetectionSettings
) -> tuple[Board, int] | None:
    """The candidate that is in most pictures, with most corners, and the number of pictures; the first of equals."""
    best: tuple[Board, tuple[int, int]] | None = None
    for candidate in candidates:
        score = _count(pictures, candidate, settings)
        if score[0] and (best is None or score > best[1]):
            best = candidate, score
    return None if best is None else (best[0], best[1][0])


def _count(pictures: list[NDArray[np.uint8]], board: Board, settings: DetectionSettings) -> tuple[int, int]:
    """In how many pictures a board is found, and with how many corners in all."""
    try:
        found = [detection for picture in pictures if (detection := detect_board(picture, board, settings)).found]
    except InvalidValueError:  # its dictionary has too few markers
        return 0, 0
    # corners that were found and contradict the rest speak against a board
    return len(found), sum(int(detection.seen.sum()) - 2 * detection.rejected for detection in found)


def _miscounted(board: Board) -> Iterator[Chessboard]:
    """The size that was named taken for inner corners, and the other way round."""
    for change in (1, -1):
        if min(board.columns, board.rows) + change >= Chessboard.fewest:
            yield Chessboard(board.columns + change, board.rows + change, board.square, board.unit)


def _chessboards(pictures: list[NDArray[np.uint8]], board: Board) -> Iterator[Chessboard]:
    """What chessboards can be seen, of any size."""
    sizes = {size for picture in pictures if (size := find_larger(picture)) is not None}
    for size in sorted({(max(size), min(size)) for size in sizes}, reverse=True):
        columns, rows = size if board.columns >= board.rows else size[::-1]
        yield Chessboard(columns, rows, board.square, board.unit)


def _most_markers(pictures: list[NDArray[np.uint8]], board: Board) -> _Markers | None:
    """The dictionary of which most markers are seen in one picture; all ids of it that are seen in any."""
    best: _Markers | None = None
    for picture in pictures:
        for name in _largest_dictionaries(board):
            for border in sorted({1, marker_border(name)}):
                for inverted in (False, True):
                    ids, _ = find_markers(255 - picture if inverted else picture, name, border=border)
                    if len(ids) >= _FEWEST_MARKERS and (best is None or len(ids) > len(best.ids)):
                        best = _Markers(name, border, inverted, tuple(int(number) for number in ids))
            if best is not None and len(best.ids) >= _SURE_MARKERS:
                break
        if best is not None:
            break
    if best is None:
        return None
    seen: set[int] = set()
    for picture in pictures:
        numbers, _ = find_markers(255 - picture if best.inverted else picture, best.dictionary, border=best.border)
        seen.update(int(number) for number in numbers)
    of_board = _of_one_board(sorted(seen))
    return replace(best, dictionary=_smallest(best.dictionary, max(of_board)), ids=of_board)


def _of_one_board(ids: list[int]) -> tuple[int, ...]:
    """The ids without those far above the rest, which are misread: a board has all ids from its first to its last."""
    dense = [place for place, number in enumerate(ids) if 2 * (place + 1) > number - ids[0]]
    return tuple(ids[: dense[-1] + 1])


def _largest_dictionaries(board: Board) -> list[str]:
    """One dictionary of every family, as the smaller ones are their beginnings; that of the board first."""
    names = [name for name in dictionary_names() if not name.endswith(("_50", "_100", "_250"))]
    return sorted(names, key=lambda name: _family(name) != _family(getattr(board, "dictionary", "")))


def _family(name: str) -> str:
    """The name without the size."""
    family, _, size = name.rpartition("_")
    return family if size.isdigit() else name


def _smallest(name: str, largest_id: int) -> str:
    family, _, size = name.rpartition("_")
    if not size.isdigit():
        return name
    sizes = (number for number in (50, 100, 250, 1000) if number > largest_id)
    return f"{family}_{next(sizes)}"


def _marker_boards(board: Board, markers: _Markers) -> Iterator[Board]:
    """Boards of these markers: that which was named with other properties, and all sizes that have as many."""
    name = markers.dictionary
    if isinstance(board, Charuco | AprilGrid) and _family(board.dictionary) == _family(name):
        name = board.dictionary if _has(board.dictionary, max(markers.ids)) else name
    marker = board.marker if isinstance(board, Charuco) else 0.0
    base = Charuco(max(board.columns, 2), max(board.rows, 2), board.square, board.unit, marker=marker, dictionary=name)
    base = replace(base, inverted=markers.inverted)
    if not isinstance(board, AprilGrid) or not markers.dictionary.startswith("DICT_APRILTAG"):
        for columns, rows in _sizes(board, max(markers.ids) + 1, 2):
            yield replace(base, columns=columns, rows=rows)
            if rows % 2 == 0:
                yield replace(base, columns=columns, rows=rows, legacy=True)
    if isinstance(board, AprilGrid) or markers.dictionary.startswith("DICT_APRILTAG"):
        spacing = board.spacing if isinstance(board, AprilGrid) else 0.3
        first = min(markers.ids)
        for columns, rows in _sizes(board, max(markers.ids) + 1 - first, 1):
            yield AprilGrid(
                columns,
                rows,
                board.square,
                board.unit,
                spacing=spacing,
                dictionary=name,
                first_id=first,
                inverted=markers.inverted,
            )


def _sizes(board: Board, count: int, squares: int) -> Iterator[tuple[int, int]]:
    """Sizes with so many markers, of one for every so many squares; those that were named first, also exchanged."""
    least = 2 if squares == 2 else 1
    named = [(board.columns, board.rows), (board.rows, board.columns), (board.columns + 1, board.rows + 1)]
    others = [
        (columns, rows)
        for columns in range(least, _LONGEST_SIDE + 1)
        for rows in range(least, _LONGEST_SIDE + 1)
        # the white squares are half of an odd number, rounded down or up in the two patterns
        if columns * rows // squares == count or -(-columns * rows // squares) == count
    ]
    yield from dict.fromkeys([size for size in named if min(size) >= least] + others)


def _has(name: str, number: int) -> bool:
    return len(dictionary_of(name).bytesList) > number


def _message(board: Board, found: Board | None, images: int, looked_at: int, markers: _Markers | None) -> str:
    """What was found, and what is different."""
    said = f"You said {_in_words(board)}."
    seen = "" if markers is None else f"Markers of {markers.dictionary} are seen, ids {_ranges(markers.ids)}. "
    if found is None:
        if markers is not None:
            return f"{seen}No board that they belong to was recognized in {looked_at} images. {said}"
        return (
            f"Neither a chessboard nor three markers of one dictionary were found in {looked_at} images: the board is "
            f"not in them, not seen whole, blurred, or too small. {said}"
        )
    start = f"Found {_in_words(found)} in {images} of {looked_at} images. {seen}{said}"
    return f"{start} {_difference(board, found)}".rstrip()


def _difference(board: Board, found: Board) -> str:
    """Why the named board is not the one that was found."""
    if isinstance(found, Chessboard) and {board.columns, board.rows} == {found.columns - 1, found.rows - 1}:
        return f"That is the number of inner corners; give the squares: {found.columns} x {found.rows}."
    if isinstance(found, Chessboard) and {board.columns, board.rows} == {found.columns + 1, found.rows + 1}:
        return f"Give the squares, not one more: {found.columns} x {found.rows}."
    reasons = []
    if type(found) is not type(board):
        reasons.append(f"it is {'an' if isinstance(found, AprilGrid) else 'a'} {found.kind}, no {board.kind}")
    if (board.columns, board.rows) == (found.rows, found.columns) and board.columns != board.rows:
        reasons.append("columns and rows are exchanged")
    for key in ("dictionary", "legacy", "inverted", "first_id"):
        now, was = getattr(found, key, None), getattr(board, key, None)
        if was is not None and now is not None and now != was:
            reasons.append(f"{key} is {str(now).lower() if isinstance(now, bool) else now}")
    return f"The difference: {', '.join(reasons)}." if reasons else ""


def _in_words(board: Board) -> str:
    if isinstance(board, Chessboard):
        inner = f"{board.columns - 1} x {board.rows - 1}"
        return f"a chessboard of {board.columns} x {board.rows} squares ({inner} inner corners)"
    if isinstance(board, AprilGrid):
        return f"an aprilgrid of {board.columns} x {board.rows} tags"
    return f"a {board.kind} of {board.columns} x {board.rows} squares"


def _ranges(numbers: Sequence[int]) -> str:
    """Numbers as 0-5, 7, 9-12."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)
