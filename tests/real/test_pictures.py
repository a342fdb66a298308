"""Videos of real recordings are read frame by frame, and poses are drawn on them where the animal is."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from calibration.formats import load_rig
from calibration.rig import Rig
from calibration.video import open_video
from pose3d.formats import load_poses2d
from pose3d.reconstruction import triangulate
from pose3d.skeleton import Skeleton
from pose3d.visualization import collect_evidence, judge, overlay_frames, write_report
from pose3d.visualization.verdict import Level

MOUSE = "mouse_4cam/minimal_session"
VIDEOS = {
    f"{MOUSE}/back/minimal_back.mp4": (120, (1280, 1024), 30.0),
    f"{MOUSE}/side/minimal_side.mp4": (120, (1280, 1024), 30.0),
    "mirror_mouse/videos/test_vid.mp4": (994, (396, 406), 250.0),
    "charuco_4cam/4_cam_recording/calibration/extrinsic/cam_0.mp4": (48, (1280, 720), 6.0),
    "human_4cam/videos/cam02.mp4": (100, (1080, 1920), 60.0),
}


@pytest.mark.parametrize("name", VIDEOS)
def test_any_frame_is_the_one_that_reading_in_order_gives(real_data: Path, name: str) -> None:
    count, size, rate = VIDEOS[name]
    with open_video(real_data / name, pixel_format="gray") as video:
        assert (len(video), video.size) == (count, size)
        assert video.frame_rate == pytest.approx(rate, rel=1e-4)
        np.testing.assert_allclose(np.diff(video.times), 1 / rate, rtol=0.01)
        first = {frame.index: frame.image[::5, ::5] for frame in video.frames(range(40))}
        for index in (31, 7, 8, 0, 39):
            np.testing.assert_array_equal(video.read(index).image[::5, ::5], first[index])
        assert video.read(count - 1).index == count - 1


@pytest.fixture(scope="module")
def mouse(real_data: Path) -> tuple[Rig, xr.Dataset, xr.Dataset]:
    rig = load_rig(real_data / MOUSE / "calibration_3cam.toml")
    files = [real_data / MOUSE / name / f"minimal_{name}_proofread.analysis.h5" for name in rig.names]
    with warnings.catch_warnings(action="ignore"):
        poses2d = load_poses2d(files, rig=rig, frame_rate=30.0)
    return rig, poses2d, triangulate(poses2d, rig)


@pytest.mark.parametrize("camera", ["mid", "top"])
def test_the_overlay_lies_on_the_mouse(real_data: Path, mouse: tuple[Rig, xr.Dataset, xr.Dataset], camera: str) -> None:
    # The mouse is white on dark bedding: around its trunk the picture is bright, and there the skeleton is drawn.
    rig, poses2d, poses3d = mouse
    file = real_data / MOUSE / camera / f"minimal_{camera}.mp4"
    with open_video(file) as video:
        plain = video.read(20).image.astype(int)
    drawn = next(overlay_frames(file, poses2d, poses3d, rig, camera, frames=[20])).astype(int)
    assert drawn.shape == plain.shape
    pixels = rig[camera].project(poses3d["position"].isel(time=20, individual=0).sel(keypoint="Trunk").values)
    column, row = np.round(pixels).astype(int)
    assert plain[row - 15 : row + 15, column - 15 : column + 15].mean() > 2 * plain.mean()
    changed = np.abs(drawn - plain).max(axis=-1) > 40
    rows, columns = np.nonzero(changed[100:])  # below the caption
    solid = rig[camera].project(poses3d["position"].isel(time=20, individual=0).transpose("keypoint", "space").values)
    flat = poses2d["position"].isel(time=20, individual=0).sel(camera=camera).values
    body = np.concatenate([solid, flat])
    low, high = np.nanmin(body, axis=0) - 20, np.nanmax(body, axis=0) + 20
    assert (columns >= low[0]).all()
    assert (columns <= high[0]).all()
    assert (rows + 100 >= low[1]).all()
    assert (rows + 100 <= high[1]).all()


def test_the_report_finds_the_badly_calibrated_camera(
    mouse: tuple[Rig, xr.Dataset, xr.Dataset], tmp_path: Path
) -> None:
    rig, poses2d, poses3d = mouse
    verdict = judge(collect_evidence(poses3d, poses2d, rig), poses3d)
    assert verdict.level == Level.LOOK
    assert "back is out of line" in verdict.headline
    keypoints = [str(name) for name in poses3d["keypoint"].values]
    skeleton = Skeleton("mouse", tuple(keypoints), (("Head", "Nose"), ("TTI", "Head")))
    path = tmp_path / "report.html"
    assert write_report(path, poses3d=poses3d, poses2d=poses2d, rig=rig, skeleton=skeleton).level == Level.LOOK
    assert path.stat().st_size < 2_500_000
