"""From paths to files of poses: folders are searched, and names given as NAME=PATH are kept."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from calibration.errors import FileFormatError, MismatchError, SuiteWarning
from pose3d.formats._detecting import detect
from pose3d.formats._registry import FORMATS
from pose3d.formats.pose_format import PoseFormat

__all__ = ["Paths", "Source", "find_sources"]

Paths: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Mapping[str, str | os.PathLike[str]]

# A session folder has a folder per camera, which may have one for the poses.
_DEEPEST = 2
# The same table, which DeepLabCut writes twice on request.
_TABLES = ("deeplabcut", "lightning-pose", "anipose")


@dataclass(frozen=True)
class Source:
    """One file (or folder of one file per frame) of poses.

    Attributes:
        path: where it is.
        format: what it is.
        name: the camera's name as the caller gave it; None where it has to be found out.
    """

    path: Path
    format: PoseFormat
    name: str | None = None


def find_sources(
    paths: Paths,
    chosen: PoseFormat | None,
    *,
    formats: Mapping[str, PoseFormat] = FORMATS,
    what: str = "2D poses",
) -> list[Source]:
    """The files of poses that `paths` stand for.

    Args:
        paths: a file, a folder, a list of them, or a mapping from camera name to file; a text NAME=PATH names the
            camera.
        chosen: the format; detected for each file if None.
        formats: those that it can be in.
        what: what is wanted, for the errors.

    Raises:
        FileFormatError: a path does not exist, or has no poses.
        MismatchError: a name is given to a folder with several files.
    """
    sources: list[Source] = []
    for name, path in _named_paths(paths):
        if not path.exists():
            raise FileFormatError(
                path, expected=f"a file or folder of {what}", got="no such file", remedy="Check the path for spelling."
            )
        found = list(_sources_at(path, chosen, formats, what))
        if name is not None and len(found) > 1:
            raise MismatchError(
                f"{path} for camera '{name}'",
                expected="the poses of one camera",
                got=f"{len(found)} files: {', '.join(source.path.name for source in found[:4])}",
                remedy=f"Name the file: {name}={found[0].path}",
            )
        sources += [Source(source.path, source.format, name) for source in found]
    if not sources:
        raise FileFormatError(
            what, expected="at least one file", got="an empty list of paths", remedy="Name files or a folder."
        )
    return sources


def _named_paths(paths: Paths) -> list[tuple[str | None, Path]]:
    if isinstance(paths, Mapping):
        return [(str(name), Path(path)) for name, path in paths.items()]
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    return [_split_name(path) for path in paths]


def _split_name(path: str | os.PathLike[str]) -> tuple[str | None, Path]:
    if isinstance(path, str) and "=" in path and not Path(path).exists():
        name, _, rest = path.partition("=")
        return name.strip(), Path(rest)
    return None, Path(path)


def _sources_at(
    path: Path, chosen: PoseFormat | None, formats: Mapping[str, PoseFormat], what: str
) -> Iterator[Source]:
    if not path.is_dir():
        yield Source(path, chosen or detect(formats, path, what))
        return
    possible = list(formats.values()) if chosen is None else [chosen]
    found = list(_search(path, possible, 0))
    if not found:
        wanted = ", ".join(known.name for known in possible)
        raise FileFormatError(
            path,
            expected=f"a folder with {what} ({wanted}), or with one folder per camera",
            got=_describe_folder(path),
            remedy="Give the folder or the files of the poses, or name their format.",
        )
    yield from _without_twins(found)


def _search(folder: Path, formats: Sequence[PoseFormat], depth: int) -> Iterator[Source]:
    itself = next((known for known in formats if known.sniff(folder)), None)
    if itself is not None:
        yield Source(folder, itself)
        return
    for entry in sorted(folder.iterdir(), key=lambda entry: _natural_key(entry.name)):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if depth < _DEEPEST:
                yield from _search(entry, formats, depth + 1)
            continue
        likely = [known for known in formats if entry.suffix.casefold() in known.suffixes]
        fitting = next((known for known in likely if known.sniff(entry)), None)
        if fitting is not None:
            yield Source(entry, fitting)


def _without_twins(found: Sequence[Source]) -> Iterator[Source]:
    """Leaves out the csv beside an h5 of the same name, which holds the same table."""
    tables = {source.path.with_suffix("") for source in found if source.format.name in _TABLES and not _is_csv(source)}
    for source in found:
        if source.format.name in _TABLES and _is_csv(source) and source.path.with_suffix("") in tables:
            warnings.warn(
                f"{source.path}: left out; the h5 file of the same name beside it is read", SuiteWarning, stacklevel=2
            )
        else:
            yield source


def _is_csv(source: Source) -> bool:
    return source.path.suffix.casefold() == ".csv"


def _describe_folder(path: Path) -> str:
    names = sorted((entry.name for entry in path.iterdir()), key=_natural_key)
    if not names:
        return "an empty folder"
    return f"a folder with {', '.join(names[:6])}" + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _natural_key(text: str) -> list[tuple[int, int, str]]:
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", text.casefold())]
