"""Where the pictures of each camera are: videos and images named on the command line or found in a folder."""

from __future__ import annotations

import glob
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from calibration.errors import FileFormatError, InvalidValueError, MismatchError, SuiteWarning
from calibration.observations._naming import group_images, natural_key, short_names
from calibration.video import IMAGE_SUFFIXES, VIDEO_SUFFIXES, ImageSequence, PixelFormat, Video, open_video

__all__ = ["Kind", "Source", "find_sources", "named_source", "open_source"]

Kind = Literal["video", "images"]
_HOW = "Name the cameras: CAMERA=VIDEO, CAMERA=FOLDER or CAMERA='images*.jpg'."


@dataclass(frozen=True)
class Source:
    """The pictures of one camera.

    Attributes:
        kind: "video" or "images".
        paths: the video, or the images in their order.
    """

    kind: Kind
    paths: tuple[Path, ...]

    def __str__(self) -> str:
        if self.kind == "video":
            return str(self.paths[0])
        return f"{self.paths[0]} ... ({len(self.paths)} images)" if len(self.paths) > 1 else str(self.paths[0])


def find_sources(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | Mapping[str, str | os.PathLike[str]],
) -> dict[str, Source]:
    """The pictures of every camera.

    Args:
        paths: one of
            - CAMERA=PATH texts or a mapping from camera name to path; a path is a video, a folder of images or of one
              video, an image, or a pattern such as `left*.jpg`;
            - a folder: with a video per camera, named by the camera; or with a folder per camera; or with images whose
              names are the camera and a number (left01.jpg, right01.jpg, ...);
            - several videos, or several folders, named by the camera.
            Words that all names share at their start or end are no part of the name.

    Returns:
        Camera name -> source, in natural order (cam2 before cam10), or in the order given.

    Raises:
        FileFormatError: a path does not exist, or holds no videos or images.
        MismatchError: it is not clear which pictures belong to which camera, or a camera is named twice.
        InvalidValueError: no path is given.
    """
    if isinstance(paths, Mapping):
        return {str(name): named_source(path, str(name)) for name, path in paths.items()}
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not given:
        raise InvalidValueError("pictures of the board", expected="a folder or files", got="none", remedy=_HOW)
    named: dict[str, Source] = {}
    bare: list[Path] = []
    for path in given:
        name, place = _split(path)
        if name is None:
            bare += _expand(place)
        elif name in named:
            raise _twice(name, named[name].paths[0], place)
        else:
            named[name] = named_source(place, name)
    if bare and named:
        raise MismatchError(
            str(bare[0]),
            expected="all cameras named, or none",
            got="a path without CAMERA= beside named ones",
            remedy=_HOW,
        )
    return named or _unnamed(bare)


def named_source(path: str | os.PathLike[str] | Source, name: str) -> Source:
    """The pictures of one camera at a path: a video, an image, a folder of images or of one video, or a pattern.

    Raises:
        FileFormatError: there are none.
        MismatchError: there are several videos, or videos beside images.
    """
    if isinstance(path, Source):
        return path
    found = _expand(Path(path))
    if len(found) == 1 and found[0].is_dir():
        return _folder_of_one_camera(found[0], name)
    videos, images = _split_kinds(found)
    if len(videos) + len(images) < len(found):
        other = next(each for each in found if each not in videos and each not in images)
        raise _no_pictures(other, f"the suffix '{other.suffix}'")
    return _one_source(Path(path), videos, images, name)


def open_source(source: Source, *, pixel_format: PixelFormat = "gray") -> Video | ImageSequence:
    """Open the pictures of a camera for reading; use it in a `with` block.

    Raises:
        FileFormatError: a video cannot be read.
    """
    if source.kind == "video":
        return open_video(source.paths[0], pixel_format=pixel_format)
    return ImageSequence(source.paths, pixel_format=pixel_format)


def _split(path: str | os.PathLike[str]) -> tuple[str | None, Path]:
    if isinstance(path, str) and "=" in path and not Path(path).exists():
        name, _, rest = path.partition("=")
        if not name.strip() or not rest.strip():
            raise InvalidValueError(path, expected="CAMERA=PATH", got=f"'{path}'", remedy=_HOW)
        return name.strip(), Path(rest.strip()).expanduser()
    return None, Path(path)


def _expand(path: Path) -> list[Path]:
    """The path itself, or the files that a pattern stands for."""
    if path.exists():
        return [path]
    if glob.has_magic(str(path)):
        found = sorted(path.parent.glob(path.name), key=lambda each: natural_key(each.name))
        if found:
            return found
        raise FileFormatError(path, expected="files that fit this pattern", got="none", remedy="Check the pattern.")
    raise FileFormatError(
        path, expected="a video, an image or a folder", got="no such file", remedy="Check the path for spelling."
    )


def _unnamed(paths: Sequence[Path]) -> dict[str, Source]:
    if len(paths) == 1 and paths[0].is_dir():
        return _folder_of_cameras(paths[0])
    folders = [path for path in paths if path.is_dir()]
    if folders and len(folders) < len(paths):
        raise MismatchError(
            folders[0], expected="folders alone, or files alone", got="a folder beside files", remedy=_HOW
        )
    if folders:
        return _by_folder(folders)
    videos, images = _split_kinds(paths)
    others = [path for path in paths if path not in videos and path not in images]
    if others:
        raise _no_pictures(others[0], f"the suffix '{others[0].suffix}'")
    return _flat(Path(os.path.commonpath([path.parent for path in paths])), videos, images)


def _folder_of_cameras(folder: Path) -> dict[str, Source]:
    videos, images = _split_kinds(_entries(folder))
    inside = [each for each in _entries(folder) if each.is_dir() and any(_split_kinds(_entries(each)))]
    if videos or (images and not inside):
        if inside:
            warnings.warn(
                f"{folder}: the folders {', '.join(each.name for each in inside[:4])} in it hold pictures too and are "
                f"left out; the {'videos' if videos else 'images'} beside them are used",
                SuiteWarning,
                stacklevel=4,
            )
        return _flat(folder, videos, images)
    if inside:
        return _by_folder(inside)
    names = [each.name for each in _entries(folder)]
    raise _no_pictures(folder, f"a folder with {', '.join(names[:5])}" if names else "an empty folder")


def _flat(folder: Path, videos: Sequence[Path], images: Sequence[Path]) -> dict[str, Source]:
    groups = group_images(images) if images else {}
    if videos and any(len(group) > 1 for group in groups.values()):
        raise _both_kinds(folder, videos, images)
    if videos:
        names = short_names([path.stem for path in videos])
        for name in names:
            twins = [path for path, other in zip(videos, names, strict=True) if other == name]
            if len(twins) > 1:
                raise _twice(name, *twins[:2])
        return {name: Source("video", (path,)) for name, path in zip(names, videos, strict=True)}
    names = short_names(list(groups))
    return {name: Source("images", tuple(group)) for name, group in zip(names, groups.values(), strict=True)}


def _by_folder(folders: Sequence[Path]) -> dict[str, Source]:
    names = short_names([folder.name for folder in folders])
    if len(set(names)) < len(names):
        twin = next(name for name in names if names.count(name) > 1)
        raise _twice(twin, *[folder for folder in folders if folder.name == twin][:2])
    return {name: _folder_of_one_camera(folder, name) for name, folder in zip(names, folders, strict=True)}


def _folder_of_one_camera(folder: Path, name: str) -> Source:
    videos, images = _split_kinds(_entries(folder))
    if not videos and not images:
        inside = [each.name for each in _entries(folder)]
        raise _no_pictures(folder, f"a folder with {', '.join(inside[:5])}" if inside else "an empty folder")
    return _one_source(folder, videos, images, name)


def _one_source(place: Path, videos: Sequence[Path], images: Sequence[Path], name: str) -> Source:
    if videos and images:
        raise _both_kinds(place, videos, images, name)
    if len(videos) > 1:
        raise MismatchError(
            f"{place}, camera '{name}'",
            expected="one video of one camera",
            got=f"{len(videos)} videos: {', '.join(path.name for path in videos[:4])}",
            remedy=f"Say which: {name}={videos[0]}",
        )
    return Source("video", tuple(videos)) if videos else Source("images", tuple(images))


def _entries(folder: Path) -> list[Path]:
    try:
        inside = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    except OSError as error:
        raise FileFormatError(
            folder, expected="a folder to read", got=str(error.strerror or error), remedy="Check its permissions."
        ) from error
    return sorted(inside, key=lambda entry: natural_key(entry.name))


def _split_kinds(paths: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Videos and images by suffix, in the order given."""
    files = [path for path in paths if path.is_file()]
    videos = [path for path in files if path.suffix.lower() in VIDEO_SUFFIXES]
    return videos, [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]


def _no_pictures(subject: object, got: str) -> FileFormatError:
    kinds = ", ".join(sorted(suffix[1:] for suffix in VIDEO_SUFFIXES | IMAGE_SUFFIXES))
    return FileFormatError(subject, expected=f"videos or images ({kinds})", got=got, remedy=_HOW)


def _both_kinds(place: Path, videos: Sequence[Path], images: Sequence[Path], name: str = "CAMERA") -> MismatchError:
    return MismatchError(
        place,
        expected="videos or images, not both",
        got=f"{videos[0].name} beside {images[0].name} and {len(images) - 1} more images",
        remedy=f"Say which: {name}={videos[0]} or {name}='{images[0].parent / ('*' + images[0].suffix)}'",
    )


def _twice(name: str, first: Path, second: Path) -> MismatchError:
    return MismatchError(
        f"camera '{name}'",
        expected="one source for each camera",
        got=f"two: {first} and {second}",
        remedy="Give every camera a name of its own, and only one video or folder.",
    )
