"""What file names say: natural order, names of cameras, numbers of pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["group_images", "match_names", "natural_key", "picture_numbers", "short_names"]

_NUMBER = re.compile(r"\d+")


def natural_key(text: str) -> list[tuple[int, int, str]]:
    """Sorts img2 before img10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", text.casefold())]


def short_names(names: Sequence[str]) -> list[str]:
    """Names without the words at their start and end that all of them share: calib_cam1_left.mp4 -> cam1_left."""
    words = [list(re.finditer(r"[^\W_]+", name)) for name in names]
    if len(names) < 2 or not all(words):
        return list(names)
    shortest = min(map(len, words))
    start = next((i for i in range(shortest) if len({line[i].group() for line in words}) > 1), shortest)
    end = next((i for i in range(shortest - start) if len({line[-1 - i].group() for line in words}) > 1), 0)
    shortened = []
    for name, line in zip(names, words, strict=True):
        kept = line[start : len(line) - end]
        if start and all(word.group().isdigit() for word in kept):
            kept = line[start - 1 : len(line) - end]  # 'cam_1' rather than '1'
        shortened.append(name[kept[0].start() : kept[-1].end()] if kept else name)
    return shortened if len(set(shortened)) == len(names) else list(names)


def group_images(paths: Sequence[Path]) -> dict[str, list[Path]]:
    """Images of one folder by camera: what is left of their names without the number of the picture.

    Which of the numbers in a name is that of the picture is found out by trying each: cam1_001 is picture 1 of cam1,
    001_cam1 as well, and left01 is picture 1 of left. The right one makes the fewest groups, but more than one, of at
    least two pictures and about equal length.
    """
    names = [path.stem for path in paths]
    counts = {len(_NUMBER.findall(name)) for name in names}
    count = counts.pop() if len(counts) == 1 else 0
    trials = [[_without_number(name, position) for name in names] for position in reversed(range(count))]
    trials = [keys for keys in trials if _is_partition(keys)]
    trials.sort(key=lambda keys: (len(set(keys)) < 2, len(set(keys))))
    keys = trials[0] if trials else [_tidy(_NUMBER.sub("", name)) for name in names]
    groups: dict[str, list[Path]] = {}
    for key, path in sorted(zip(keys, paths, strict=True), key=lambda pair: natural_key(pair[1].name)):
        groups.setdefault(key or "camera", []).append(path)
    return groups


def _is_partition(keys: Sequence[str]) -> bool:
    sizes = [keys.count(key) for key in set(keys)]
    return min(sizes) >= 2 and max(sizes) <= 2 * min(sizes)


def _without_number(name: str, position: int) -> str:
    number = list(_NUMBER.finditer(name))[position]
    return _tidy(name[: number.start()] + name[number.end() :])


def _tidy(name: str) -> str:
    return re.sub(r"([\W_])[\W_]+", r"\1", name).strip("-_. ()")


def picture_numbers(paths: Sequence[Path]) -> list[int] | None:
    """The numbers of the pictures of one camera: the last number in their names that is different in all of them.

    Returns:
        None where no number in the names counts the pictures.
    """
    found = [[int(number) for number in _NUMBER.findall(path.stem)] for path in paths]
    shortest = min(map(len, found))
    for position in range(1, shortest + 1):
        column = [numbers[-position] for numbers in found]
        if len(set(column)) == len(column):
            return column
    return None


def match_names(wanted: Sequence[str], known: Sequence[str]) -> Mapping[str, str]:
    """Which of the known names stand for the wanted ones; those without a match are left out.

    A name matches one that is equal, or equal but for the case, or, where neither is so, one whose last number is the
    same (0 and cam_0, Camera1 and 1) if that number tells all names on each side apart.
    """
    found: dict[str, str] = {}
    exact, folded = set(known), {name.casefold(): name for name in known}
    for name in wanted:
        if name in exact:
            found[name] = name
        elif name.casefold() in folded:
            found[name] = folded[name.casefold()]
    if found:
        return found
    numbers = {_last_number(name): name for name in known}
    ours = [_last_number(name) for name in wanted]
    distinct = len(numbers) == len(known) and len(set(ours)) == len(ours)
    if not distinct:
        return {}
    return {
        name: numbers[number]
        for name, number in zip(wanted, ours, strict=True)
        if number is not None and number in numbers
    }


def _last_number(name: str) -> int | None:
    numbers = _NUMBER.findall(name)
    return int(numbers[-1]) if numbers else None
