"""A video through a detector: every frame in its place, whatever the threads do, and errors come out."""

import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from discs import DiscDetector, center, film, picture

from calibration.errors import FileFormatError
from calibration.video import open_video
from pose3d.detection import RawDetections, detect_video, streaming
from pose3d.detection.streaming import find_batch_size


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    return film(tmp_path_factory.mktemp("videos") / "disc.mp4", 70)


def positions(path: Path, detector: DiscDetector, **options) -> np.ndarray:
    chunks = list(detect_video(path, detector, **options))
    assert [chunk.first for chunk in chunks] == list(
        np.cumsum([options.get("first", 0)] + [len(chunk.found) for chunk in chunks])[:-1]
    )
    return RawDetections.joined([chunk.found for chunk in chunks]).position[:, 0, 0]


@pytest.mark.parametrize(("parallel", "batch_size", "chunk"), [(1, 1, 1000), (1, 7, 32), (3, 4, 32), (2, None, 50)])
def test_every_frame_is_in_its_place(video: Path, parallel: int, batch_size: int | None, chunk: int) -> None:
    found = positions(video, DiscDetector(parallel), batch_size=batch_size, chunk=chunk)
    expected = np.array([center(frame) for frame in range(70)])
    np.testing.assert_allclose(found, expected, atol=0.3)


def test_a_part_of_a_video_is_that_of_the_whole(video: Path) -> None:
    whole = positions(video, DiscDetector(), batch_size=4, chunk=16)
    part = positions(video, DiscDetector(), batch_size=4, chunk=16, first=32, stop=60)
    np.testing.assert_array_equal(part, whole[32:60])


def test_a_detector_starts_anew_with_every_chunk(video: Path) -> None:
    detector = DiscDetector()
    positions(video, detector, batch_size=8, chunk=32)
    assert detector.restarts >= 3


def test_frames_that_cannot_be_decoded_keep_their_place(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", 80, encoder="mpeg4")
    whole = positions(path, DiscDetector(), batch_size=3)
    content = bytearray(path.read_bytes())
    middle = content.index(b"mdat") + (len(content) - content.index(b"mdat")) // 2
    content[middle : middle + 60] = b"\x00" * 60
    path.write_bytes(content)
    with open_video(path) as opened, pytest.warns(UserWarning, match="could not be decoded"):
        good = {frame.index for frame in opened}
    chunks = list(detect_video(path, DiscDetector(2), batch_size=3, chunk=32))
    found = RawDetections.joined([chunk.found for chunk in chunks])
    lost = {number for chunk in chunks for number in chunk.lost}
    assert len(lost) >= 1
    assert lost == set(range(80)) - good
    assert set(np.flatnonzero(np.isnan(found.confidence[:, 0, 0]))) == lost
    # MPEG-4 hides damage inside a packet up to the next key frame, which comes every 12 frames.
    kept = [number for number in good if number < min(lost) or number > max(lost) + 12]
    np.testing.assert_array_equal(found.position[kept, 0, 0], whole[kept])


def test_frames_of_several_sizes_are_an_error_that_names_the_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.mjpeg"
    with path.open("wb") as stream:
        for frame, size in enumerate([(96, 64)] * 5 + [(64, 64)] * 3):
            stream.write(cv2.imencode(".jpg", picture(frame, size))[1].tobytes())
    with pytest.raises(FileFormatError, match=r"frame 5: expected frames of one size, 96 x 64.*got 64 x 64"):
        list(detect_video(path, DiscDetector(), batch_size=2))


def test_an_error_of_the_detector_comes_out_and_ends_the_threads(video: Path) -> None:
    class BrokenDetector(DiscDetector):
        def detect(self, _images):  # type: ignore[no-untyped-def]
            raise RuntimeError("no memory left")

    before = threading.active_count()
    with pytest.raises(RuntimeError, match="no memory left"):
        list(detect_video(video, BrokenDetector(2), batch_size=2))
    assert threading.active_count() == before


def test_frames_wait_in_bounded_memory(video: Path, monkeypatch) -> None:
    made = looked_at = most = 0
    make = streaming._batch

    def count(waiting):  # type: ignore[no-untyped-def]
        nonlocal made, most
        made += 1
        most = max(most, made - looked_at)
        return make(waiting)

    class SlowDetector(DiscDetector):
        def detect(self, images):  # type: ignore[no-untyped-def]
            nonlocal looked_at
            time.sleep(0.02)
            looked_at += 1
            return super().detect(images)

    monkeypatch.setattr(streaming, "_batch", count)
    positions(video, SlowDetector(), batch_size=2)
    assert made == 35
    assert most <= 6


@pytest.mark.parametrize(
    ("speeds", "best"),
    [
        ({size: 10 * size for size in (1, 2, 4, 8, 16, 32, 64)}, 64),  # the larger, the faster; 64 at most
        ({1: 10, 2: 19, 4: 19.5}, 2),  # a little faster is not worth it
        ({1: 10, 2: 9}, 1),
    ],
)
def test_the_batch_size_grows_while_it_makes_things_faster(speeds: dict[int, float], best: int, monkeypatch) -> None:
    monkeypatch.setattr(streaming, "_images_per_second", lambda _detector, images: speeds[len(images)])
    detector = DiscDetector()
    assert find_batch_size(detector, picture(0)) == best
    assert detector.restarts == 1


def test_the_batch_size_is_bounded_by_memory(monkeypatch) -> None:
    monkeypatch.setattr(streaming, "_images_per_second", lambda _detector, images: float(len(images)))
    monkeypatch.setattr(streaming, "_MEMORY", 4 * 9 * picture(0).nbytes)
    assert find_batch_size(DiscDetector(), picture(0)) == 8
