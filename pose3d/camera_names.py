"""Which camera a path or a name belongs to: by its words, as wholes, and never by its place in a sorted list.

A path is looked at part by part (folders and file name), and each part as words of letters and numbers, so that cam_1
is not found in cam_10. How exactly a camera's name has to be found decides first:

1. a part of the path is the name, or has it between characters that are neither letters nor digits;
2. a part has the words of the name in a row, whatever their case, separators and leading zeros, with "camera" the same
   as "cam" ('cam1_json' and 'cam01.0000.json' are camera 'cam_01');
3. a part is the number of the camera, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["distinguishing_names", "matching_cameras", "path_parts"]

# What DeepLabCut appends to the name of a video: scorer, network, shuffle and iteration, full of numbers.
_SCORER = re.compile(r"(?<=.)DLC[_A-Z].*$")
# Endings of poses and of videos, which are no part of a name.
_SUFFIXES = re.compile(
    r"((\.(analysis|predictions|labels|keypoints)|_full)?"
    r"\.(h5|hdf5|hdf|csv|slp|mat|nc|json|txt|pickle|mp4|avi|mov|mkv|webm|mpg))+$",
    re.IGNORECASE,
)


def path_parts(paths: Sequence[str]) -> list[list[str]]:
    """The parts of each path that can name a camera: those that not all paths share, without suffixes.

    Of a single path, the last two parts.
    """
    split = [[part for part in re.split(r"[/\\]+", path) if part not in ("", ".")] for path in paths]
    if len(split) == 1:
        shared = max(0, len(split[0]) - 2)
    else:
        shared = next((depth for depth, parts in enumerate(zip(*split, strict=False)) if len(set(parts)) > 1), 0)
    return [[_without_suffix(part) for part in parts[shared:]] for parts in split]


def matching_cameras(parts: Sequence[str], names: Sequence[str]) -> list[str]:
    """The cameras out of `names` that the parts of a path speak of: one where it is clear, several where it is not."""
    for test in (_spelled, _worded, _numbered):
        found = [name for name in names if any(test(part, name) for part in parts)]
        found = [name for name in found if not _is_inside_another(name, found, parts)]
        if found:
            return found
    return []


def distinguishing_names(paths: Sequence[str]) -> list[str]:
    """A name for each path: the words in which it differs from the others, in the first part where all differ.

    The names are empty texts where no part tells all paths apart. A single path is called by its last part.
    """
    parts = path_parts(paths)
    if len(parts) == 1:
        return [parts[0][-1]]
    for column in zip(*parts, strict=False):
        if len(set(column)) == len(column):
            return _without_shared_words(list(column))
    return [""] * len(paths)


def _without_suffix(part: str) -> str:
    # a scorer reaches to the end: what DeepLabCut appends to it as well goes with it
    return _SUFFIXES.sub("", _SCORER.sub("", part))


def _words(text: str) -> list[str]:
    """'Camera01-left' -> ['cam', '1', 'left']."""
    words: list[str] = []
    for word in re.findall(r"\d+|[^\W\d_]+", text.casefold()):
        prefix = re.match(r"cam(era)?", word)
        if prefix:
            words += ["cam", *filter(None, [word[prefix.end() :]])]
        else:
            words.append(word.lstrip("0") or "0" if word.isdigit() else word)
    return words


def _spelled(part: str, name: str) -> bool:
    return re.search(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])", part) is not None


def _worded(part: str, name: str) -> bool:
    words, sought = _words(part), _words(name)
    return bool(sought) and any(words[i : i + len(sought)] == sought for i in range(len(words) - len(sought) + 1))


def _numbered(part: str, name: str) -> bool:
    # 'cam_2' in a folder '2', or camera 2 of a table.
    words, sought = _words(part), _words(name)
    return len(words) == 1 and words[0].isdigit() and [word for word in sought if word.isdigit()] == words


def _is_inside_another(name: str, found: Sequence[str], parts: Sequence[str]) -> bool:
    """True if the name was found only inside that of another camera, as 'top' in 'top_left'."""
    longer = [other for other in found if len(_words(other)) > len(_words(name)) and _worded(other, name)]
    return bool(longer) and not any(_worded(_blanked(part, longer), name) for part in parts)


def _blanked(part: str, others: Sequence[str]) -> str:
    """The words of a part, without those that belong to other names."""
    words = _words(part)
    for sought in map(_words, others):
        for start in range(len(words) - len(sought) + 1):
            if words[start : start + len(sought)] == sought:
                words[start : start + len(sought)] = ["-"] * len(sought)
    return " ".join(words)


def _without_shared_words(column: list[str]) -> list[str]:
    words = [re.split(r"[\W_]+", part) for part in column]
    shortest = min(map(len, words))
    same = [len({line[index] for line in words}) == 1 for index in range(shortest)]
    same_end = [len({line[-1 - index] for line in words}) == 1 for index in range(shortest)]
    start = same.index(False) if False in same else 0
    end = same_end.index(False) if False in same_end else 0
    names = []
    for part, line in zip(column, words, strict=True):
        kept = line[start : len(line) - end]
        if start and all(word.isdigit() for word in kept):
            kept = line[start - 1 : len(line) - end]  # 'cam_1' rather than '1'
        names.append("_".join(kept) if any(kept) else part)
    return names if len(set(names)) == len(names) else column
