"""Overlays: the pose is drawn on the right pixel of the right frame of the right camera."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.errors import FileFormatError, InvalidValueError, MismatchError
from calibration.lens import BrownConrady
from calibration.rig import Rig
from calibration.transforms import RigidTransform
from calibration.video import VideoWriter, open_video
from pose3d.datasets import poses2d as make_poses2d
from pose3d.datasets import poses3d as make_poses3d
from pose3d.visualization import OverlaySettings, overlay_frames, overlay_video
from pose3d.visualization._overlay_parts import BLACK, WHITE, draw_names
from pose3d.visualization.drawing import Lettering

WIDTH, HEIGHT, COUNT = 240, 180, 12
LENS = BrownConrady(np.array([[200.0, 0, 119.5], [0, 200.0, 89.5], [0, 0, 1]]), np.array([-0.1, 0.02, 0, 0]))
RIG = Rig(
    tuple(
        Camera(name, (WIDTH, HEIGHT), LENS, RigidTransform(np.eye(3), np.array([x, 0.0, 100.0])))
        for name, x in (("left", 5.0), ("right", -5.0))
    )
)
# The picture without text: captions stand above.
BELOW = 60


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gray frames, each a little brighter than the one before."""
    path = tmp_path_factory.mktemp("video") / "left.mp4"
    with VideoWriter(path, 25, quality=8) as writer:
        for number in range(COUNT):
            writer.write(np.full((HEIGHT, WIDTH, 3), 20 + 5 * number, np.uint8))
    return path


def solid(points: NDArray[np.float64], frames: list[int]) -> xr.Dataset:
    """Poses3D of points (time, keypoint, 3)."""
    return make_poses3d(
        np.moveaxis(points, 1, 2)[..., None],
        individuals=["mouse"],
        keypoints=[f"k{n}" for n in range(points.shape[1])],
        unit="mm",
        frames=frames,
        frame_rate=25.0,
    )


def flat(pixels: NDArray[np.float64], frames: list[int], camera: str = "left") -> xr.Dataset:
    """Poses2D of one camera of pixels (time, keypoint, 2)."""
    return make_poses2d(
        pixels[:, None, None],
        cameras=[camera],
        individuals=["mouse"],
        keypoints=[f"k{n}" for n in range(pixels.shape[1])],
        frames=frames,
        frame_rate=25.0,
    )


def changed(image: NDArray[np.uint8], background: float) -> NDArray[np.float64]:
    """Middle (x, y) of what is drawn below the caption."""
    rows, columns = np.nonzero(np.abs(image[BELOW:].astype(float) - background).max(axis=-1) > 25)
    assert len(rows)
    return np.array([(columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2 + BELOW])


@pytest.mark.parametrize("point", [(0.0, 8.0, 0.0), (20.0, 15.0, 3.0), (-25.0, 10.0, -4.0)])
def test_a_keypoint_is_drawn_where_the_camera_projects_it(video: Path, point: tuple[float, float, float]) -> None:
    poses3d = solid(np.array(point).reshape(1, 1, 3), [3])
    image = next(overlay_frames(video, None, poses3d, RIG, "left"))
    np.testing.assert_allclose(changed(image, 35), RIG["left"].project(point), atol=0.6)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_a_scaled_overlay_is_drawn_at_the_same_place(video: Path, scale: float) -> None:
    point = np.array([20.0, 25.0, 3.0])
    poses3d = solid(point.reshape(1, 1, 3), [0])
    image = next(overlay_frames(video, None, poses3d, RIG, "left", settings=OverlaySettings(scale=scale)))
    assert image.shape == (HEIGHT * scale, WIDTH * scale, 3)
    expected = RIG["left"].project(point) * scale + (scale - 1) / 2
    np.testing.assert_allclose(changed(image, 20), expected, atol=1.0)


def test_frames_are_found_by_number_and_the_output_is_as_long_as_the_poses(video: Path, tmp_path: Path) -> None:
    frames = [2, 5, 6, 11, 40]  # the last one is not in the video
    poses3d = solid(np.tile(np.array([0.0, 20.0, 0.0]), (5, 1, 1)), frames)
    images = list(overlay_frames(video, None, poses3d, RIG, "left"))
    assert [round((image[-10:, :10].mean() - 20) / 5) for image in images] == frames[:4]
    done = []
    overlay_video(
        video, None, poses3d, RIG, "left", tmp_path / "o.mp4", frames=[5, 11], on_progress=lambda *n: done.append(n)
    )
    with open_video(tmp_path / "o.mp4") as output:
        assert (len(output), output.size, output.frame_rate) == (2, (WIDTH, HEIGHT), 25.0)
        assert [round((frame.image[-10:, :10].mean() - 20) / 5) for frame in output] == [5, 11]
    assert done == [(1, 2), (2, 2)]


def test_detections_are_matched_by_frame_number_and_keypoint_name(video: Path) -> None:
    poses3d = solid(np.full((2, 2, 3), np.nan), [4, 5])
    pixels = np.full((3, 2, 2), np.nan)
    pixels[1, 1] = (60, 120)
    poses2d = flat(pixels, [3, 5, 9]).isel(keypoint=[1, 0])
    first, second = overlay_frames(video, poses2d, poses3d, RIG, "left")
    assert np.ptp(first[BELOW:]) < 25
    np.testing.assert_allclose(changed(second, 45), (60, 120), atol=0.6)


def test_a_used_detection_is_circled_and_a_rejected_one_is_crossed(video: Path) -> None:
    point = np.array([0.0, 20.0, 0.0])
    pixel = RIG["left"].project(point)
    poses3d = solid(point.reshape(1, 1, 3), [0]).assign_coords(camera=["left"])
    poses2d = flat((pixel + np.array([30, 8])).reshape(1, 1, 2), [0])
    pictures = {}
    for used in (True, False):
        poses3d["inlier"] = (("time", "camera", "keypoint", "individual"), np.full((1, 1, 1, 1), used))
        pictures[used] = next(overlay_frames(video, poses2d, poses3d, RIG, "left")).astype(int)
    middle = np.round(pixel + np.array([15, 4])).astype(int)
    # A yellow line joins what was used with the reprojection; what was not is crossed in red.
    yellow, none = (pictures[used][middle[1], middle[0]] for used in (True, False))
    assert yellow[0] > 150 > yellow[2] + 20
    assert np.abs(none - 20).max() < 10
    red = {used: (image[BELOW:, :, 0] - image[BELOW:, :, 1] > 100).sum() for used, image in pictures.items()}
    assert red[True] == 0
    assert red[False] > 10


def test_what_is_missing_is_not_drawn(video: Path) -> None:
    poses3d = solid(np.full((1, 3, 3), np.nan), [0])
    image = next(overlay_frames(video, None, poses3d, RIG, "left"))
    assert np.ptp(image[BELOW:]) < 5


def test_a_video_of_another_size_is_refused(video: Path) -> None:
    other = Rig((Camera("left", (WIDTH, HEIGHT + 2), LENS, RigidTransform.identity()),))
    with pytest.raises(MismatchError, match=r"camera 'left'.*240 x 182.*240 x 180"):
        next(overlay_frames(video, None, solid(np.zeros((1, 1, 3)), [0]), other, "left"))


def test_an_unknown_camera_is_refused_in_rig_and_poses(video: Path) -> None:
    poses3d = solid(np.zeros((1, 1, 3)), [0])
    with pytest.raises(MismatchError, match="left, right"):
        next(overlay_frames(video, None, poses3d, RIG, "top"))
    with pytest.raises(MismatchError, match="poses of right"):
        next(overlay_frames(video, flat(np.zeros((1, 1, 2)), [0], "right"), poses3d, RIG, "left"))


@pytest.mark.parametrize(("known", "wanted"), [([50, 51], None), ([0, 1], [7]), ([], None)])
def test_poses_of_another_recording_are_refused(video: Path, known: list[int], wanted: list[int] | None) -> None:
    poses3d = solid(np.zeros((len(known), 1, 3)), known)
    with pytest.raises(MismatchError, match="in the video and in the poses"):
        next(overlay_frames(video, None, poses3d, RIG, "left", frames=wanted))


def test_a_missing_video_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"none\.mp4"):
        overlay_video(tmp_path / "none.mp4", None, solid(np.zeros((1, 1, 3)), [0]), RIG, "left", tmp_path / "out.mp4")
    assert not list(tmp_path.iterdir())


def test_an_impossible_scale_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="scale"):
        OverlaySettings(scale=0.0)


def lettering(picture: NDArray[np.uint8], points: NDArray[np.float64], names: list[str]) -> NDArray[np.uint8]:
    draw_names(picture, Lettering(12), points, names, [WHITE] * len(names), BLACK)
    return picture


def test_a_name_stands_above_its_animal() -> None:
    picture = lettering(np.full((100, 200, 3), 90, np.uint8), np.array([[[100.0, 70], [96, 66], [104, 74]]]), ["ada"])
    rows, columns = np.nonzero((picture > 150).any(-1))
    assert rows.max() < 66
    assert rows.min() > 40
    assert columns.mean() == pytest.approx(100, abs=4)


def test_an_outlier_does_not_carry_the_name_away() -> None:
    body = [[100.0, 70], [96, 66], [104, 74], [98, 68]]
    pictures = [
        lettering(np.full((100, 200, 3), 90, np.uint8), np.array([[*body, far]]), ["ada"])
        for far in ([100.0, 72], [190.0, 5])
    ]
    middles = [np.mean(np.nonzero((picture > 150).any(-1)), axis=1) for picture in pictures]
    np.testing.assert_allclose(middles[0], middles[1], atol=4)


def test_names_of_animals_at_one_place_do_not_cover_each_other() -> None:
    one, two = np.array([[100.0, 70], [96, 66]]), np.array([[101.0, 70], [97, 66]])
    both = lettering(np.full((100, 200, 3), 90, np.uint8), np.stack([one, two]), ["ada", "bob"])
    alone = lettering(np.full((100, 200, 3), 90, np.uint8), one[None], ["ada"])
    letters = [(picture > 150).any(-1) for picture in (both, alone)]
    assert (letters[0] & letters[1]).sum() == letters[1].sum()
    assert np.nonzero(letters[0])[0].min() < np.nonzero(letters[1])[0].min() - 10


def test_who_is_not_in_the_picture_has_no_name() -> None:
    for points in (np.full((1, 2, 2), np.nan), np.full((1, 2, 2), -50.0), np.full((1, 2, 2), 500.0)):
        assert (lettering(np.full((100, 200, 3), 90, np.uint8), points, ["ada"]) == 90).all()


def test_at_the_edge_a_name_stays_in_the_picture() -> None:
    picture = lettering(np.full((60, 120, 3), 90, np.uint8), np.array([[[1.0, 2.0], [2, 3]]]), ["adalbert"])
    whole = lettering(np.full((60, 120, 3), 90, np.uint8), np.array([[[60.0, 50.0], [61, 51]]]), ["adalbert"])
    assert (picture > 150).any(-1).sum() == (whole > 150).any(-1).sum()


def test_the_overlay_names_several_animals_and_not_a_single_one(video: Path) -> None:
    points = np.array([[0.0, 8.0, 0.0], [20.0, 8.0, 0.0]])
    for count in (1, 2):
        poses3d = make_poses3d(
            np.moveaxis(points[:count], 0, 1)[None, :, None],
            individuals=["ada", "bob"][:count],
            keypoints=["k0"],
            unit="mm",
            frames=[3],
            frame_rate=25.0,
        )
        image = next(overlay_frames(video, None, poses3d, RIG, "left"))
        x, y = np.round(RIG["left"].project(points[0])).astype(int)
        above = np.abs(image[y - 20 : y - 5, x - 12 : x + 12].astype(float) - 35).max(-1) > 40
        assert above.any() == (count > 1)
