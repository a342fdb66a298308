"""Folders of images, read like a video: picture by picture, gray or in color, upright."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.errors import FileFormatError, InvalidValueError
from calibration.files import IMAGE_SUFFIXES, VIDEO_SUFFIXES, atomic_path
from calibration.video.reading import Frame, PixelFormat

__all__ = ["IMAGE_SUFFIXES", "VIDEO_SUFFIXES", "ImageSequence", "image_size", "read_image", "write_png"]


_PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"


class ImageSequence:
    """The images of one camera, in the order given; the counterpart of `Video` for files of single pictures.

    A context manager, an iterable of `Frame`, and a sequence by `read`. Files are opened when they are read.

    Attributes:
        paths: the files.
        times: (n,) NaN: nothing says when an image was taken.
        key_frames: (n,) all of them: every picture can be read without another.
        pixel_format: "rgb", "bgr" (OpenCV's order) or "gray".

    Raises:
        InvalidValueError: there is no file.
    """

    def __init__(self, paths: Sequence[str | os.PathLike[str]], *, pixel_format: PixelFormat = "rgb") -> None:
        self.paths = tuple(Path(path) for path in paths)
        if not self.paths:
            raise InvalidValueError("images", expected="at least one file", got="none", remedy="Name the images.")
        self.pixel_format = pixel_format
        self.times: NDArray[np.float64] = np.full(len(self.paths), np.nan)
        self.key_frames: NDArray[np.intp] = np.arange(len(self.paths))

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()

    def close(self) -> None:
        """Do nothing: no file is kept open."""

    def frames(self, indices: Iterable[int] | None = None) -> Iterator[Frame]:
        """The pictures of these indices (all of them by default).

        Raises:
            InvalidValueError, FileFormatError: see `read`.
        """
        for index in range(len(self)) if indices is None else indices:
            yield self.read(index)

    def read(self, index: int) -> Frame:
        """The picture of this index; its time is NaN.

        Raises:
            InvalidValueError: the index is out of range.
            FileFormatError: the file cannot be read.
        """
        if not 0 <= index < len(self):
            raise InvalidValueError(
                f"{self.paths[0].parent}, picture {index}",
                expected=f"a picture from 0 to {len(self) - 1}",
                got=str(index),
                remedy="Check that the numbers belong to these images.",
            )
        return Frame(int(index), float("nan"), read_image(self.paths[index], pixel_format=self.pixel_format))


def read_image(path: str | os.PathLike[str], *, pixel_format: PixelFormat = "rgb") -> NDArray[np.uint8]:
    """An image file as uint8, turned upright as its EXIF orientation says (as `Video` does with its rotation).

    Images of 16 bits or of floating point are scaled so that their brightest value becomes 255: cameras of 10, 12 and
    14 bits store them in files of 16, and which of them it was the file does not say.

    Returns:
        (height, width, 3), or (height, width) for "gray".

    Raises:
        FileFormatError: the file is missing, empty, damaged or no image.
    """
    file = Path(path)
    flag = cv2.IMREAD_ANYDEPTH | (cv2.IMREAD_GRAYSCALE if pixel_format == "gray" else cv2.IMREAD_COLOR)
    try:
        content = np.fromfile(file, dtype=np.uint8)  # imread cannot open paths beyond ASCII on Windows
        image = cv2.imdecode(content, flag) if content.size else None
    except (OSError, cv2.error) as error:
        raise _unreadable(file, str(getattr(error, "strerror", None) or error)) from error
    if image is None:
        raise _unreadable(file, "none that can be decoded" if content.size else "an empty file")
    if image.dtype != np.uint8:
        image = _to_bytes(image)
    if pixel_format == "rgb":
        image = np.ascontiguousarray(image[..., ::-1])
    return np.asarray(image, dtype=np.uint8)


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Width and height of an image file, upright. Of PNG files only the header is read.

    Raises:
        FileFormatError: the file is missing, empty, damaged or no image.
    """
    file = Path(path)
    try:
        with file.open("rb") as opened:
            head = opened.read(24)
    except OSError as error:
        raise _unreadable(file, error.strerror or str(error)) from error
    if len(head) == 24 and head.startswith(_PNG):
        return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    height, width = read_image(file, pixel_format="gray").shape
    return width, height


def write_png(path: str | os.PathLike[str], image: NDArray[np.uint8]) -> None:
    """Write an image as PNG, completely or not at all.

    Args:
        path: the file; folders that are missing are made.
        image: (height, width, 3) RGB, or (height, width) gray.

    Raises:
        OutputError: the file cannot be written.
        InvalidValueError: the image has another shape or type.
    """
    if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)) or not image.size:
        raise InvalidValueError(
            "image",
            expected="uint8 of shape (height, width) or (height, width, 3)",
            got=f"{image.dtype} of shape {image.shape}",
            remedy="Give one picture.",
        )
    content = cv2.imencode(".png", image if image.ndim == 2 else image[..., ::-1])[1]
    with atomic_path(path) as partial:
        content.tofile(partial)  # imwrite cannot open paths beyond ASCII on Windows


def _to_bytes(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    values = np.nan_to_num(image.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    brightest = float(values.max())
    scale = 255 / brightest if brightest > 0 else 0.0
    return np.clip(np.rint(values * scale), 0, 255).astype(np.uint8)


def _unreadable(path: Path, got: str) -> FileFormatError:
    return FileFormatError(
        path,
        expected="an image that OpenCV can read",
        got=got,
        remedy="Open it in an image viewer; if it does not show there either, copy it again or leave it out.",
    )
