"""Reading: frames of a video by presentation time, with exact seek.

Which frame is which is decided by an index of the time stamps of all packets, read once without decoding (2 to 13 ms
for the recordings this was tried on). `i / fps` is wrong for variable frame rates, and seeking is only exact when the
time stamps of the frames that come out of the decoder are compared with those that were asked for.
"""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, Self

import av
import numpy as np
from av.error import FFmpegError, InvalidDataError
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from calibration.errors import FileFormatError, InvalidValueError, SuiteWarning

__all__ = ["Frame", "PixelFormat", "Video", "open_video", "read_frames"]

PixelFormat = Literal["rgb", "bgr", "gray"]

_FORMATS: dict[str, str] = {"rgb": "rgb24", "bgr": "bgr24", "gray": "gray"}
# Without an index of their own, these containers seek to any packet, from which some decoders start with damaged
# frames: begin one group of pictures earlier there.
_WITHOUT_INDEX = ("mpegts", "mpeg", "h264", "hevc")


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a video.

    Attributes:
        index: position in the order of presentation, from 0.
        time: seconds since the first frame, by the time stamps of the file.
        image: (height, width, 3) or, for "gray", (height, width) uint8, upright.
    """

    index: int
    time: float
    image: NDArray[np.uint8]


class Video:
    """An open video file; a context manager, an iterable of `Frame`, and a sequence by `read`.

    Attributes:
        path: the file.
        times: (n,) presentation times in seconds, the first 0, strictly increasing.
        size: width and height in pixels of the upright image.
        rotation: degrees (0, 90, 180, 270) by which stored images are turned counterclockwise to be upright.
        frame_rate: average frames per second, or None where the file holds a single frame and does not say.
        pixel_format: "rgb", "bgr" (OpenCV's order) or "gray".

    Raises:
        FileFormatError: the file is missing, is no video, is cut off or holds no frame.
        InvalidValueError: the pixel format is unknown.
    """

    _next: int  # index of the frame that the decoder gives next, as far as is known
    _counted: int  # frames decoded since the start, which name the frames where time stamps do not
    _damaged: bool  # a packet was lost, and no key frame has come since
    _decoder: Iterator[av.VideoFrame]
    _pending: tuple[int, av.VideoFrame | None] | None  # decoded, but not asked for yet

    def __init__(self, path: str | os.PathLike[str], *, pixel_format: PixelFormat = "rgb") -> None:
        if pixel_format not in _FORMATS:
            raise InvalidValueError(
                "pixel_format", expected=", ".join(_FORMATS), got=repr(pixel_format), remedy="Choose one of these."
            )
        self.path = Path(path)
        self.pixel_format = pixel_format
        self._container = _open_container(self.path)
        # One for all frames, of one thread: each frame's own takes 1.2 instead of 0.3 ms at 640 x 480.
        self._converter = VideoReformatter()
        try:
            self._stream = self._container.streams.video[0]
            self._read_index()
            self._seek(0, 0)
            self.rotation, self.size = self._look_at_first_frame()
        except FFmpegError as error:
            self.close()
            raise _damaged(self.path, error) from error
        except FileFormatError:
            self.close()
            raise

    def _read_index(self) -> None:
        """Read the time stamps of all packets, and say which of them a decoder can start from."""
        stamps, keys, total = [], [], 0
        for packet in self._container.demux(self._stream):
            total += bool(packet.size)
            # Packets that an edit list hides are decoded for those after them, but never shown.
            if packet.size and not packet.is_discard:
                stamps.append(packet.pts)
                keys.append(packet.is_keyframe)
        if not stamps:
            raise FileFormatError(
                self.path,
                expected="at least one frame",
                got="a video stream without any",
                remedy="The recording was probably cut off before the first frame; record or copy it again.",
            )
        promised = self._stream.frames or self._frames_by_duration()
        if total < promised:
            warnings.warn(
                f"{self.path}: the header promises {promised} frames, {total} can be found; these are used. The file "
                "is cut off or damaged; frame numbers behind damage in the middle can be too small.",
                SuiteWarning,
                stacklevel=4,
            )
        self._exact = self._stamps_are_exact(stamps)
        if None in stamps:
            stamps = list(range(len(stamps)))
            self._seconds = float(1 / (self._stream.average_rate or Fraction(1)))
        else:
            self._seconds = float(self._stream.time_base or Fraction(1))
        order = np.argsort(np.array(stamps, dtype=np.int64), kind="stable")
        self._stamps = np.array(stamps, dtype=np.int64)[order]
        self._key_frames = np.flatnonzero(np.array(keys)[order])
        self.times: NDArray[np.float64] = (self._stamps - self._stamps[0]) * self._seconds
        self.times.setflags(write=False)
        rate = self._stream.average_rate
        self.frame_rate = (
            float(rate) if rate else (len(stamps) - 1) / float(self.times[-1]) if len(stamps) > 1 else None
        )

    def _frames_by_duration(self) -> int:
        """A lower bound of the number of frames, by the duration in the header of files without sound; 0 if unknown."""
        duration, rate = self._container.duration, self._stream.average_rate
        if not duration or not rate or len(self._container.streams) > 1:
            return 0
        # Headers round, and the last frame may be held for longer than the others.
        return int(0.95 * float(duration / av.time_base * rate)) - 2

    def _stamps_are_exact(self, stamps: list[int | None]) -> bool:
        """Say whether the time stamps of packets name the frames that will be decoded from them.

        AVI stores none: FFmpeg counts the packets, which is wrong where frames are stored out of order.
        """
        if None in stamps or len(set(stamps)) < len(stamps):
            return False
        reordered = bool(self._stream.codec_context.has_b_frames)
        return not (self._container.format.name == "avi" and reordered)

    def _look_at_first_frame(self) -> tuple[int, tuple[int, int]]:
        self._pending = self._pending or self._decode()
        first = self._pending[1]
        if first is None:
            raise FileFormatError(
                self.path,
                expected="a frame that can be decoded",
                got="none",
                remedy="Play the file in a video player; if it does not play there either, copy or convert it again.",
            )
        turn = round(first.rotation) % 360
        if turn % 90:
            warnings.warn(
                f"{self.path}: asks to be shown turned by {turn} degrees, which is no quarter turn; it is not turned.",
                SuiteWarning,
                stacklevel=4,
            )
            turn = 0
        return turn, (first.height, first.width) if turn % 180 else (first.width, first.height)

    @property
    def key_frames(self) -> NDArray[np.intp]:
        """(k,) indices of the frames from which decoding can start; the first is 0.

        Reading frame `i` decodes all frames from the last of these at or before it.
        """
        if not self._exact:
            return np.zeros(1, dtype=np.intp)
        return np.union1d(self._key_frames, 0).astype(np.intp)

    def __len__(self) -> int:
        return len(self._stamps)

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Frames that were read stay valid."""
        self._container.close()

    def frames(self, indices: Iterable[int] | None = None) -> Iterator[Frame]:
        """The frames of these indices (all of them by default), in the order asked for.

        Increasing indices are fast. Frames that cannot be decoded are left out; their number is said in a warning
        after the last one, and `Frame.index` never shifts.

        Raises:
            InvalidValueError: an index is out of range.
            FileFormatError: the file is damaged.
        """
        lost: list[int] = []
        for index in range(len(self)) if indices is None else indices:
            found = self._find(self._check_index(index))
            if found is None:
                lost.append(int(index))
            else:
                yield self._frame(int(index), found)
        if lost:
            warnings.warn(
                f"{self.path}: {len(lost)} frames could not be decoded and are left out (first: {lost[0]}).",
                SuiteWarning,
                stacklevel=2,
            )

    def read(self, index: int) -> Frame:
        """The frame of this index, exactly.

        Raises:
            InvalidValueError: the index is out of range.
            FileFormatError: this frame cannot be decoded.
        """
        found = self._find(self._check_index(index))
        if found is None:
            raise FileFormatError(
                f"{self.path}, frame {index}",
                expected="a frame that can be decoded",
                got="none",
                remedy="Leave this frame out, or copy the file again if it should be whole.",
            )
        return self._frame(index, found)

    def _check_index(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise InvalidValueError(
                f"{self.path}, frame {index}",
                expected=f"a frame from 0 to {len(self) - 1}",
                got=str(index),
                remedy="Check that the frame numbers belong to this video.",
            )
        return int(index)

    def _find(self, index: int) -> av.VideoFrame | None:
        """Decode up to the frame of this index; None where the decoder skips it."""
        at = int(np.searchsorted(self._key_frames, index, side="right")) - 1
        try:
            if self._next > index or (self._exact and at >= 0 and self._key_frames[at] > self._next):
                self._seek(index, at)
            while True:
                number, frame = self._pending or self._decode()
                self._pending = None
                if number == index and frame is not None:
                    self._next = index + 1
                    return frame
                if number > index:
                    self._pending = (number, frame)
                    self._next = index + 1
                    return None
        except FFmpegError as error:
            raise _damaged(f"{self.path}, frame {index}", error) from error

    def _decode(self) -> tuple[int, av.VideoFrame | None]:
        """The next frame and its index; past the last frame the index is the number of frames."""
        for _ in range(len(self)):
            try:
                for frame in self._decoder:
                    number = self._number(frame)
                    self._damaged = self._damaged and not frame.key_frame
                    if number is not None and not (self._damaged or frame.is_corrupt):
                        return number, frame
                break
            except InvalidDataError:
                # A damaged packet costs its frame and those that were predicted from it, up to the next key frame:
                # decoders conceal the damage with what they saw before, which would be a wrong picture here.
                self._counted += 1
                self._damaged = True
                self._decoder = self._container.decode(self._stream)
        return len(self), None

    def _number(self, frame: av.VideoFrame) -> int | None:
        """Index of a decoded frame; None where it has a time stamp that no packet had."""
        if not self._exact:
            self._counted += 1
            return self._counted - 1
        at = len(self) if frame.pts is None else int(np.searchsorted(self._stamps, frame.pts))
        return at if at < len(self) and self._stamps[at] == frame.pts else None

    def _seek(self, index: int, key: int) -> None:
        """Start decoding at or before the frame: at its key frame if the file obeys, else at ones farther back."""
        if self._container.format.name in _WITHOUT_INDEX:
            key -= 1
        while self._exact and key >= 0:
            self._container.seek(int(self._stamps[self._key_frames[key]]), stream=self._stream)
            self._start(int(self._key_frames[key]))
            self._pending = self._decode()
            if self._pending[0] <= index:
                return
            key -= 1
        self._open()

    def _open(self) -> None:
        """Open the file anew: the one way to its first frame that every container obeys."""
        self._container.close()
        self._container = _open_container(self.path)
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self._start(0)

    def _start(self, index: int) -> None:
        self._next = index
        self._counted = 0
        self._damaged = False
        self._pending = None
        self._decoder = self._container.decode(self._stream)

    def _frame(self, index: int, frame: av.VideoFrame) -> Frame:
        converted = self._converter.reformat(frame, format=_FORMATS[self.pixel_format], threads=1)
        stored = converted.to_ndarray()
        image = np.ascontiguousarray(np.rot90(stored, self.rotation // 90), dtype=np.uint8)
        return Frame(index, float(self.times[index]), image)


def open_video(path: str | os.PathLike[str], *, pixel_format: PixelFormat = "rgb") -> Video:
    """Open a video for reading; use it in a `with` block.

    Raises:
        FileFormatError: the file is missing, is no video, is cut off or holds no frame.
        InvalidValueError: the pixel format is unknown.
    """
    return Video(path, pixel_format=pixel_format)


def read_frames(
    path: str | os.PathLike[str], indices: Iterable[int] | None = None, *, pixel_format: PixelFormat = "rgb"
) -> Iterator[Frame]:
    """The frames of a file: those of the given indices, all of them by default. See `Video.frames`.

    Raises:
        FileFormatError, InvalidValueError: as `Video` and `Video.frames`.
    """
    with open_video(path, pixel_format=pixel_format) as video:
        yield from video.frames(indices)


def _open_container(path: Path) -> av.container.InputContainer:
    if path.is_dir() or not path.exists():
        raise FileFormatError(
            path,
            expected="a video file",
            got="a folder" if path.is_dir() else "no such file",
            remedy="Check the path.",
        )
    try:
        container = av.open(str(path))
    except FFmpegError as error:
        raise _damaged(path, error) from error
    if not container.streams.video:
        container.close()
        raise FileFormatError(
            path, expected="a video", got="a file without a video stream", remedy="Give the video, not its sound track."
        )
    return container


def _damaged(subject: object, error: FFmpegError) -> FileFormatError:
    got = str(error.strerror or error)
    if error.errno in (errno.EACCES, errno.EPERM):
        remedy = "Ask for the permission to read it."
    else:
        remedy = (
            "It is empty, cut off while recording or copying, or no video: copy it again, or play it in a video player."
        )
    return FileFormatError(subject, expected="a video that FFmpeg can read", got=got, remedy=remedy)
