"""A video through a detector: decoding, detection and what comes after overlap, in bounded queues.

A thread decodes frames into batches; as many threads as the detector allows detect in them; results come out in the
order of the video. Memory does not grow with its length. Decoders, networks and the search for peaks leave Python's
lock, so threads are enough.
"""

from __future__ import annotations

import queue
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.errors import FileFormatError, SuiteWarning
from calibration.video import open_video
from pose3d.detection.detector import Detector, RawDetections

__all__ = ["CHUNK", "DetectedFrames", "detect_video", "find_batch_size"]

# Frames that come out at once, and after which a detector starts anew, so that a run that is resumed gives what one
# without a break would have given.
CHUNK = 256
# Bytes of decoded frames that wait or are looked at.
_MEMORY = 256_000_000
# A larger batch has to be this much faster, and is at most so large.
_GAIN = 1.05
_LARGEST = 64


@dataclass(frozen=True, eq=False)
class DetectedFrames:
    """What was found in consecutive frames of a video.

    Attributes:
        first: number of the first of them.
        found: one entry per frame; NaN where it could not be decoded.
        lost: numbers of the frames that could not be decoded.
    """

    first: int
    found: RawDetections
    lost: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class _Batch:
    """Consecutive frames: those that could be decoded, and their numbers; or where a chunk ends."""

    numbers: tuple[int, ...] = ()
    images: NDArray[np.uint8] | None = None
    end: int | None = None
    lost: tuple[int, ...] = ()


def find_batch_size(detector: Detector, image: NDArray[np.uint8]) -> int:
    """The number of images at once that is fastest, within bounded memory; takes a moment.

    Args:
        detector: to time; it is started anew.
        image: (height, width, 3).
    """
    waiting = 2 * detector.parallel + 2
    largest = int(np.clip(_MEMORY // (waiting * image.nbytes), 1, _LARGEST))
    best, fastest, size = 1, 0.0, 1
    detector.detect(image[None])
    while size <= largest:
        images = np.repeat(image[None], size, axis=0)
        try:
            speed = _images_per_second(detector, images)
        except MemoryError:
            break
        if speed < _GAIN * fastest:
            break
        best, fastest, size = size, speed, 2 * size
    detector.restart()
    return best


def _images_per_second(detector: Detector, images: NDArray[np.uint8], seconds: float = 0.1) -> float:
    start, done = time.perf_counter(), 0
    while (spent := time.perf_counter() - start) < seconds or not done:
        detector.detect(images)
        done += len(images)
    return done / spent


def detect_video(
    path: Path,
    detector: Detector,
    *,
    first: int = 0,
    stop: int | None = None,
    batch_size: int | None = None,
    chunk: int = CHUNK,
    progress: Callable[[int], object] | None = None,
) -> Iterator[DetectedFrames]:
    """What a detector finds in a video, `chunk` frames at a time.

    Args:
        path: of the video.
        detector: to look with.
        first, stop: numbers of the first frame and of that after the last; all by default. `first` is a multiple of
            `chunk` where the result is to be what a run without a break gives.
        batch_size: frames that are looked at at once; found by measuring by default.
        chunk: frames per result.
        progress: told the number of frames after every batch.

    Raises:
        FileFormatError: the video is missing or damaged, or the size of its frames changes.
    """
    with open_video(path) as video:
        count = len(video) if stop is None else min(stop, len(video))
        if batch_size is None:
            batch_size = find_batch_size(detector, next(video.frames()).image)
    batches: queue.Queue[_Batch | BaseException | None] = queue.Queue(detector.parallel + 1)
    ended = threading.Event()
    reader = threading.Thread(
        target=_read, args=(path, range(first, count), batch_size, chunk, batches, ended), daemon=True
    )
    reader.start()
    try:
        with ThreadPoolExecutor(detector.parallel) as pool:
            yield from _results(pool, detector, batches, first, progress or (lambda _frames: None))
    finally:
        ended.set()
        reader.join()


def _results(
    pool: ThreadPoolExecutor,
    detector: Detector,
    batches: queue.Queue[_Batch | BaseException | None],
    first: int,
    progress: Callable[[int], object],
) -> Iterator[DetectedFrames]:
    running: deque[tuple[_Batch, Future[RawDetections | None]]] = deque()
    done: list[tuple[_Batch, RawDetections]] = []
    pool.submit(detector.restart).result()
    more = True
    while more or running:
        while more and len(running) <= detector.parallel:
            item = batches.get()
            if isinstance(item, BaseException):
                raise item
            if item is None:
                more = False
            elif item.images is not None:
                running.append((item, pool.submit(detector.detect, item.images)))
            else:
                # With one thread, what follows is looked at after the detector has forgotten; with more, it remembers
                # nothing.
                running.append((item, pool.submit(detector.restart)))
        if not running:
            break
        batch, future = running.popleft()
        found = future.result()
        if batch.end is None:
            assert found is not None
            done.append((batch, found))
            progress(len(found))
        else:
            yield _chunk(done, batch, first, detector)
            first, done = batch.end, []


def _chunk(done: list[tuple[_Batch, RawDetections]], end: _Batch, first: int, detector: Detector) -> DetectedFrames:
    assert end.end is not None
    whole = RawDetections.missing(
        end.end - first, detector.candidates, len(detector.keypoints), covariance=detector.gives_covariance
    )
    for batch, found in done:
        places = np.array(batch.numbers) - first
        whole.position[places] = found.position
        whole.confidence[places] = found.confidence
        if whole.covariance is not None and found.covariance is not None:
            whole.covariance[places] = found.covariance
    return DetectedFrames(first, whole, end.lost)


def _read(
    path: Path,
    wanted: range,
    batch_size: int,
    chunk: int,
    batches: queue.Queue[_Batch | BaseException | None],
    ended: threading.Event,
) -> None:
    """Decode frames into batches that no chunk shares with another; runs in a thread of its own."""
    try:
        with open_video(path) as video, warnings.catch_warnings():
            # Frames that cannot be decoded are told by the caller, with all others.
            warnings.filterwarnings("ignore", message=".*could not be decoded", category=SuiteWarning)
            size = (video.size[1], video.size[0], 3)
            for start in range(wanted.start, wanted.stop, chunk):
                numbers = range(start, min(start + chunk, wanted.stop))
                lost: list[int] = []
                waiting: list[tuple[int, NDArray[np.uint8]]] = []
                expected = start
                for frame in video.frames(numbers):
                    if frame.image.shape != size:
                        raise _other_size(path, frame.index, frame.image.shape, size)
                    lost += range(expected, frame.index)
                    expected = frame.index + 1
                    waiting.append((frame.index, frame.image))
                    if len(waiting) == batch_size:
                        _put(_batch(waiting), batches, ended)
                        waiting = []
                    if ended.is_set():
                        return
                if waiting:
                    _put(_batch(waiting), batches, ended)
                lost += range(expected, numbers.stop)
                _put(_Batch(end=numbers.stop, lost=tuple(lost)), batches, ended)
        _put(None, batches, ended)
    except BaseException as error:  # noqa: BLE001 - raised again where the results are waited for
        _put(error, batches, ended)


def _batch(waiting: list[tuple[int, NDArray[np.uint8]]]) -> _Batch:
    return _Batch(tuple(number for number, _ in waiting), np.stack([image for _, image in waiting]))


def _put(
    item: _Batch | BaseException | None,
    batches: queue.Queue[_Batch | BaseException | None],
    ended: threading.Event,
) -> None:
    while not ended.is_set():
        try:
            batches.put(item, timeout=0.1)
        except queue.Full:
            continue
        return


def _other_size(path: Path, index: int, shape: tuple[int, ...], size: tuple[int, ...]) -> FileFormatError:
    return FileFormatError(
        f"{path}, frame {index}",
        expected=f"frames of one size, {size[1]} x {size[0]} as the first",
        got=f"{shape[1]} x {shape[0]}",
        remedy="Convert the video to one size: ffmpeg -i VIDEO -vf scale=WIDTH:HEIGHT NEW.mp4",
    )
