"""Boards in the real recordings: how often they are found, compared with the tools that made the recordings."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from calibration.boards import Charuco, Chessboard
from calibration.errors import SuiteWarning
from calibration.observations import ObservationSettings, detect_corners, find_sources, statistics_of

RECORDED = "charuco_4cam/charuco_calibration"
MOUSE = Charuco(columns=8, rows=11, square=24.0, marker=18.75, dictionary="DICT_4X4_1000")
EVERY_VIEW = ObservationSettings(still=0)


def views(corners: xr.Dataset) -> NDArray[np.bool_]:
    """(camera, frame) whether the board was seen."""
    return np.isfinite(corners["position"].values[..., 0]).any(axis=-1)


def test_the_charuco_recording_is_matched_by_its_table_and_found_in_inverted_print(real_data: Path) -> None:
    folder = real_data / RECORDED / "calibration" / "extrinsic"
    board = Charuco(columns=4, rows=5, square=54.0, dictionary="DICT_4X4_1000", inverted=True)
    sources = find_sources(folder)
    assert list(sources) == ["cam_0", "cam_1", "cam_2", "cam_3"]
    corners = detect_corners(
        sources, board, timestamps=folder / "timestamps.csv", settings=EVERY_VIEW, workers=2, cache=False
    )
    # numbers of the table, which starts with frame 26 of longer recordings
    frames = corners["frame"].values
    assert frames[0] >= 26
    np.testing.assert_array_equal(corners["source_frame"].values, np.tile(frames - 26, (4, 1)))
    assert 123 < corners["time"].values.min() < corners["time"].values.max() < 142
    # pictures of one instant were taken within half a frame of 6 per second
    assert np.ptp(corners["time"].values, axis=0).max() < 0.5 / 6
    # the other tool used boards of more corners only
    tool = tomllib.loads((real_data / RECORDED / "camera_array.toml").read_text())["cameras"]
    found = [statistics_of(corners)[name].with_board for name in sources]
    assert all(ours >= tool[str(n)]["grid_count"] for n, ours in enumerate(found)), found
    assert views(corners).sum(axis=0).max() == 4


def test_both_pictures_of_every_pair_of_the_stereo_chessboard_are_found(real_data: Path) -> None:
    board = Chessboard(columns=10, rows=7, square=30.0)
    corners = detect_corners(find_sources(real_data / "stereo_chessboard"), board, workers=1, cache=False)
    assert corners["camera"].values.tolist() == ["left", "right"]
    assert corners["frame"].values.tolist() == list(range(1, 15))
    assert views(corners).all()
    assert corners.attrs["matched_by"] == "the number in the names of the images"


def test_most_checkerboards_of_the_lens_pictures_are_found(real_data: Path) -> None:
    sources = find_sources(real_data / "human_4cam" / "intrinsics")
    assert list(sources) == ["cam01", "cam02", "cam03", "cam04"]
    settings = ObservationSettings(synchronized=False)
    board = Chessboard(columns=5, rows=8, square=60.0)
    corners = detect_corners(sources, board, settings=settings, workers=2, cache=False)
    assert (views(corners).sum(axis=1) >= [7, 6, 6, 6]).all()
    assert (views(corners).sum(axis=0) == 1).all()


def test_pictures_and_clips_of_the_mouse_rig_show_the_same_boards(real_data: Path) -> None:
    session = real_data / "mouse_4cam" / "minimal_session"
    cameras = ("back", "top")
    images = [f"{name}={session / name / 'calibration_images' / '*.jpg'}" for name in cameras]
    clips = [
        f"{name}={session / name / 'calibration_images'}/minimal_session-{name}-calibration.mp4" for name in cameras
    ]
    photographed, filmed = (
        detect_corners(find_sources(paths), MOUSE, settings=EVERY_VIEW, workers=2, cache=False)
        for paths in (images, clips)
    )
    assert views(photographed).all()
    assert views(filmed).all()
    assert photographed.sizes == filmed.sizes
    # the clips are the images, compressed once more
    shift = np.linalg.norm(photographed["position"].values - filmed["position"].values, axis=-1)
    assert np.nanmedian(shift) < 0.1


def test_a_folder_of_clips_and_images_says_what_to_do(real_data: Path) -> None:
    folder = real_data / "mouse_4cam" / "minimal_session" / "back" / "calibration_images"
    with pytest.raises(ValueError, match="videos or images, not both"):
        find_sources([f"back={folder}"])


def test_a_video_without_a_board_is_told_beside_one_with(real_data: Path) -> None:
    folder = real_data / "charuco_4cam" / "4_cam_recording" / "calibration" / "extrinsic"
    empty = real_data / "mouse_4cam" / "minimal_session" / "back" / "minimal_back.mp4"
    board = Charuco(columns=4, rows=5, square=54.0, dictionary="DICT_4X4_1000", inverted=True)
    settings = ObservationSettings(coarse=24, limit=24)
    with pytest.warns(SuiteWarning) as caught:
        corners = detect_corners(
            {"a": folder / "cam_0.mp4", "b": empty}, board, settings=settings, workers=2, cache=False
        )
    assert any("camera 'b': no board" in str(each.message) for each in caught)
    assert views(corners)[0].any()
    assert not views(corners)[1].any()
