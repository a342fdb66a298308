"""Overlays of 2D positions alone: the right dot on the right pixel of the right frame; what is unsure is left out."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError, MismatchError, SuiteWarning
from calibration.video import VideoWriter, open_video
from pose3d.datasets import detections
from pose3d.datasets import poses2d as make_poses2d
from pose3d.skeleton import Skeleton
from pose3d.visualization import DetectionOverlaySettings, detection_frames, detection_video

WIDTH, HEIGHT, COUNT = 320, 240, 12
GRAY = 60
# The picture without text: the caption stands above, the legend in the lower left corner.
MIDDLE = np.s_[60:, 100:]
PLAIN = DetectionOverlaySettings(trail=0, candidates=False)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "top.mp4"
    with VideoWriter(path, 25, quality=8) as writer:
        for _ in range(COUNT):
            writer.write(np.full((HEIGHT, WIDTH, 3), GRAY, np.uint8))
    return path


def found(
    places: dict[int, tuple[float, float]] | None = None,
    *,
    confidence: float = 0.9,
    second: tuple[float, float] | None = None,
    count: int = COUNT,
    size: tuple[int, int] = (WIDTH, HEIGHT),
) -> xr.Dataset:
    """Detections of the keypoint "nose" at these places by frame, and of "tail" nowhere."""
    position, sure = np.full((count, 1, 2, 2, 2), np.nan), np.zeros((count, 1, 2, 2))
    for frame, place in (places or {}).items():
        position[frame, 0, 0, 0], sure[frame, 0, 0, 0] = place, confidence
        if second is not None:
            position[frame, 0, 1, 0], sure[frame, 0, 1, 0] = second, confidence / 2
    return detections(
        position, sure, cameras=["top"], keypoints=["nose", "tail"], frame_rate=25.0, image_size=[size]
    )  # fmt: skip


def drawn(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(n, 2) x, y of the pixels of the middle that differ from the background."""
    rows, columns = np.nonzero(np.abs(image[MIDDLE].astype(int) - GRAY).max(axis=-1) > 25)
    return np.column_stack([columns + 100, rows + 60]).astype(float)


def picture(video: Path, data: xr.Dataset, frame: int, settings: DetectionOverlaySettings = PLAIN, **more):
    return next(detection_frames(video, data, "top", frames=[frame], settings=settings, **more))


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_a_keypoint_is_drawn_where_it_was_found_and_only_in_its_frame(video: Path, scale: float) -> None:
    data = found({5: (200.0, 130.0)})
    settings = DetectionOverlaySettings(trail=0, scale=scale)
    image = picture(video, data, 5, settings)
    assert image.shape == (HEIGHT * scale, WIDTH * scale, 3)
    rows, columns = np.nonzero(np.abs(image.astype(int) - GRAY).max(axis=-1)[:, int(100 * scale) :] > 25)
    below = rows > 60 * scale
    place = np.array([columns[below].mean() + int(100 * scale), rows[below].mean()])
    np.testing.assert_allclose(place, np.array([200.0, 130.0]) * scale + (scale - 1) / 2, atol=0.6)
    assert not len(drawn(picture(video, data, 4)))


def test_what_is_less_sure_than_asked_for_is_not_drawn(video: Path) -> None:
    data = found({5: (200.0, 130.0)}, confidence=0.4)
    assert len(drawn(picture(video, data, 5, DetectionOverlaySettings(minimum_confidence=0.4))))
    assert not len(drawn(picture(video, data, 5, DetectionOverlaySettings(minimum_confidence=0.41))))


def test_the_trail_leads_to_the_keypoint_from_where_it_was(video: Path) -> None:
    data = found({frame: (120.0 + 15 * frame, 130.0) for frame in range(COUNT)})
    long, short = (drawn(picture(video, data, 10, DetectionOverlaySettings(trail=trail))) for trail in (6, 2))
    assert long[:, 0].min() == pytest.approx(120 + 15 * 4, abs=3)
    assert short[:, 0].min() == pytest.approx(120 + 15 * 8, abs=3)
    # a frame without the keypoint leaves a gap
    del_one = found({frame: (120.0 + 15 * frame, 130.0) for frame in range(COUNT) if frame != 7})
    columns = drawn(picture(video, del_one, 10, DetectionOverlaySettings(trail=6)))[:, 0]
    assert not ((columns > 120 + 15 * 6 + 3) & (columns < 120 + 15 * 8 - 3)).any()


def test_less_probable_places_are_smaller(video: Path) -> None:
    data = found({5: (150.0, 130.0)}, second=(250.0, 130.0))
    places = drawn(picture(video, data, 5, DetectionOverlaySettings(trail=0)))
    first, second = places[places[:, 0] < 200], places[places[:, 0] > 200]
    assert 0 < len(second) < 0.7 * len(first)
    np.testing.assert_allclose(second.mean(axis=0), (250, 130), atol=0.7)
    assert (drawn(picture(video, data, 5))[:, 0] < 200).all()


def test_bones_join_what_was_found(video: Path) -> None:
    points = np.full((COUNT, 1, 1, 2, 2), np.nan)
    points[5] = [[150.0, 130.0], [250.0, 130.0]]
    data = make_poses2d(points, cameras=["top"], individuals=["mouse"], keypoints=["nose", "tail"])
    bone = Skeleton("mouse", ("nose", "tail"), (("nose", "tail"),))
    middle = [picture(video, data, 5, skeleton=skeleton)[130, 200].astype(int) for skeleton in (bone, None)]
    assert middle[0].min() > 150
    assert np.abs(middle[1] - GRAY).max() < 10


def test_colors_say_how_sure_the_network_is(video: Path) -> None:
    settings = DetectionOverlaySettings(color_by="confidence", trail=0)
    sure, unsure = (
        picture(video, found({5: (200.0, 130.0)}, confidence=one), 5, settings)[130, 200].astype(int)
        for one in (1.0, 0.1)
    )
    assert sure[1] > sure[0] + 50
    assert unsure[0] > unsure[1] + 50


def test_the_video_is_as_long_as_the_detections(video: Path, tmp_path: Path) -> None:
    done: list[tuple[int, int]] = []
    path = tmp_path / "out.mp4"
    detection_video(video, found({5: (200.0, 130.0)}), "top", path, on_progress=lambda *n: done.append(n))
    with open_video(path) as output:
        assert (len(output), output.size, output.frame_rate) == (COUNT, (WIDTH, HEIGHT), 25.0)
    assert done[-1] == (COUNT, COUNT)


def test_a_video_of_another_size_is_refused(video: Path) -> None:
    with pytest.raises(MismatchError, match=r"640 x 480.*320 x 240.*pose3d predict"):
        picture(video, found(size=(640, 480)), 5)


def test_a_video_of_another_length_is_told(video: Path) -> None:
    with pytest.warns(SuiteWarning, match="has 12 frames.*had 30; is it another recording"):
        picture(video, found(count=30), 5)


def test_an_unknown_camera_is_refused(video: Path) -> None:
    with pytest.raises(MismatchError, match=r"'left'.*top.*--on top=VIDEO"):
        next(detection_frames(video, found(), "left"))


@pytest.mark.parametrize("wrong", [{"trail": -1}, {"minimum_confidence": 2.0}, {"color_by": "size"}, {"scale": 0.0}])
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidValueError, match=next(iter(wrong))):
        DetectionOverlaySettings(**wrong)
