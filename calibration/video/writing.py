"""Writing videos that browsers play."""

from __future__ import annotations

import os
import warnings
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from calibration.errors import InvalidValueError, OutputError, SuiteWarning
from calibration.files import atomic_path

__all__ = ["VideoWriter"]

_ENCODERS = ("libx264", "libopenh264", "mpeg4")
_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".avi")
# The MPEG-4 encoder refuses time bases with a denominator above 65535.
_LARGEST_DENOMINATOR = 60000


class VideoWriter:
    """Writes images to a video file that browsers play: H.264, 4:2:0, even size, index in front.

    A context manager. The file appears under its name when the block ends without an error. Images of odd width or
    height get their last column or row twice, so that pixel coordinates stay what they are.

    Args:
        path: the file; its suffix (.mp4, .m4v, .mov, .mkv, .avi) chooses the container.
        frame_rate: frames per second.
        quality: constant rate factor of H.264: 18 is visually lossless, 23 is the encoder's default, 28 is small.
        encoder: name of an FFmpeg encoder; the best one that is there by default (`libx264`, else MPEG-4).

    Raises:
        InvalidValueError: the suffix is unknown or the frame rate is not positive.
        OutputError: the file cannot be written, or no image came.
    """

    def __init__(
        self, path: str | os.PathLike[str], frame_rate: float, *, quality: int = 21, encoder: str | None = None
    ) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() not in _SUFFIXES:
            raise InvalidValueError(
                self.path,
                expected=f"a file name that ends in {', '.join(_SUFFIXES)}",
                got=f"'{self.path.suffix}'",
                remedy="Use .mp4, which browsers and slides play.",
            )
        if not (np.isfinite(frame_rate) and frame_rate > 0):
            raise InvalidValueError(
                f"{self.path}, frame rate",
                expected="a positive number of frames per second",
                got=str(frame_rate),
                remedy="Give the rate at which the video is to be played.",
            )
        self.encoder = encoder or next(name for name in _ENCODERS if _has_encoder(name))
        if encoder is None and self.encoder == "mpeg4":
            warnings.warn(
                "This build of PyAV has no H.264 encoder; MPEG-4 is written, which players show and browsers do not.",
                SuiteWarning,
                stacklevel=2,
            )
        self.count = 0
        self._rate = Fraction(frame_rate).limit_denominator(_LARGEST_DENOMINATOR)
        self._quality = quality
        self._stack = ExitStack()
        self._shape: tuple[int, ...] | None = None

    def __enter__(self) -> Self:
        self._partial = self._stack.enter_context(atomic_path(self.path))
        self._stack.push(self._finish)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    def write(self, image: NDArray[np.uint8]) -> None:
        """Append an image: (height, width, 3) RGB or (height, width) gray, uint8, all of one size.

        Raises:
            InvalidValueError: the type, shape or size is wrong.
            OutputError: the encoder fails.
        """
        color = image.ndim == 3 and image.shape[2] == 3
        if image.dtype != np.uint8 or not (color or image.ndim == 2) or self._shape not in (None, image.shape):
            raise InvalidValueError(
                f"{self.path}, frame {self.count}",
                expected=f"a uint8 image of shape {self._shape or '(height, width, 3) or (height, width)'}",
                got=f"{image.dtype}, shape {image.shape}",
                remedy="Scale the image to 0..255 and keep one size for all frames.",
            )
        try:
            if self._shape is None:
                self._open(image.shape)
            odd = [(0, length % 2) for length in image.shape[:2]]
            even = np.pad(image, odd + [(0, 0)] * (image.ndim - 2), mode="edge") if (0, 1) in odd else image
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24" if color else "gray")
            frame.pts, frame.time_base = self.count, 1 / self._rate
            self._container.mux(self._stream.encode(frame))
        except FFmpegError as error:
            raise self._failed(error) from error
        self.count += 1

    def _open(self, shape: tuple[int, ...]) -> None:
        options = {"movflags": "+faststart"} if self.path.suffix.lower() in (".mp4", ".m4v", ".mov") else {}
        self._container = av.open(str(self._partial), "w", options=options)
        self._shape = shape
        self._stream = cast(av.VideoStream, self._container.add_stream(self.encoder, rate=self._rate))
        self._stream.height, self._stream.width = (size + size % 2 for size in shape[:2])
        self._stream.pix_fmt = "yuv420p"
        if self.encoder == "libx264":
            self._stream.options = {"crf": str(self._quality), "preset": "superfast"}
        else:
            self._stream.bit_rate = int(0.2 * self._stream.height * self._stream.width * float(self._rate))

    def _finish(
        self, kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._shape is not None:
                self._container.mux(self._stream.encode())
            if self._shape is not None:
                self._container.close()
        except FFmpegError as error:
            if kind is None:
                raise self._failed(error) from error
        if kind is None and self._shape is None:
            raise OutputError(
                self.path,
                expected="at least one image",
                got="none",
                remedy="Check the range of frames that was asked for.",
            )

    def _failed(self, error: FFmpegError) -> OutputError:
        return OutputError(
            f"{self.path}, frame {self.count}",
            expected="to write the video",
            got=str(error.strerror or error),
            remedy="Check free space; sizes above 4096 x 4096 and odd frame rates are refused by some encoders.",
        )


def _has_encoder(name: str) -> bool:
    try:
        av.codec.Codec(name, "w")
    except av.codec.codec.UnknownCodecError:
        return False
    return True
