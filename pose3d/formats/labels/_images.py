"""Where the images of labels are, how large they are, and which frame they show."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath, PureWindowsPath

from calibration.errors import FileFormatError
from calibration.files import VIDEO_SUFFIXES
from calibration.video import image_size
from pose3d.formats._tidy import last_number
from pose3d.labeling.labels import LabeledImage

__all__ = ["image_names", "labeled_images", "root_of_images", "videos_of_folders"]


def image_names(rows: Sequence[object]) -> list[str]:
    """Names of images as POSIX paths; from `labeled-data` on where they are absolute paths of another computer."""
    names = []
    for row in rows:
        text = str(row)
        parts = (PureWindowsPath(text) if "\\" in text else PurePosixPath(text)).parts
        if "labeled-data" in parts:
            parts = parts[len(parts) - 1 - parts[::-1].index("labeled-data") :]
        elif parts and (parts[0].endswith(("/", "\\")) or ":" in parts[0][:2]):
            parts = parts[-1:]
        names.append("/".join(part for part in parts if part != "."))
    return names


def root_of_images(names: Sequence[str], candidates: Sequence[Path]) -> Path:
    """The folder out of `candidates` under which most of the images are; the first where none has any."""
    counts = [sum((folder / name).is_file() for name in names) for folder in candidates]
    return candidates[counts.index(max(counts))]


def labeled_images(names: Sequence[str], root: Path, videos: dict[str, str] | None = None) -> list[LabeledImage]:
    """The images of these names under `root`.

    Args:
        names: POSIX paths relative to `root`.
        root: the folder.
        videos: paths of videos by the folder of their images (`labeled-data/m4s1`). An image whose folder is not
            there has its folder for a video.
    """
    result = []
    for name in names:
        folder = str(PurePosixPath(name).parent)
        number = last_number(PurePosixPath(name).stem)
        size: tuple[int, int] | None = None
        with suppress(FileFormatError):  # the caller counts the images without a size
            size = image_size(root / name)
        result.append(
            LabeledImage(name, (videos or {}).get(folder, folder), -1 if number is None else number, size=size)
        )
    return result


def videos_of_folders(root: Path) -> dict[str, str]:
    """labeled-data/<name> -> videos/<name>.mp4, of the videos that are in a project."""
    folder = root / "videos"
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return {
        f"labeled-data/{file.stem}": f"videos/{file.name}" for file in files if file.suffix.lower() in VIDEO_SUFFIXES
    }
