"""The main job on recordings that others made; docs/accuracy.md has the figures that these tests hold.

The bounds leave about a tenth of room above what was measured, so that a loss of accuracy is noticed.
"""

import json

import h5py
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from pose3d.cli.triangulate import triangulate
from pose3d.formats import open_session
from pose3d.formats.trc import read_trc


@pytest.fixture
def run(tmp_path):
    """Run the command on a rig and 2D poses; return its JSON and the Poses3D Dataset."""

    def run(rig, poses2d, *options):
        output = tmp_path / "out.nc"
        words = ["--rig", str(rig), "--poses2d", str(poses2d), "-o", str(output), "--json", *options]
        outcome = CliRunner().invoke(triangulate, words, catch_exceptions=False)
        assert outcome.exit_code == 0, outcome.output
        with open_session(output) as session:
            return json.loads(outcome.stdout), session.require("poses3d").load()

    return run


def points(poses3d, individual=0):
    return poses3d["position"].isel(individual=individual).transpose("time", "keypoint", "space").values


@pytest.mark.filterwarnings("ignore::calibration.errors.SuiteWarning")
def test_human_agrees_with_the_published_positions_as_far_as_those_go(real_data, run):
    """Another tool's filtered output, a comparison and no truth: cameras 1 and 2 also see a bystander, and people are
    only told apart by their order here. Naive triangulation of the first person differs by 12 mm median, 63 mm p95."""
    folder = real_data / "human_4cam"
    _, poses3d = run(folder / "Calib_qualisys.toml", folder / "openpose_json", "--frame-rate", "60")
    published = read_trc(folder / "Balancing_for_IK.trc")
    names = [str(name) for name in published["keypoint"].values]
    assert len(names) == 21
    reference = points(published)[..., [2, 0, 1]]  # its axes are permuted to Y-up
    difference = 1000 * np.linalg.norm(points(poses3d.sel(keypoint=names)) - reference, axis=-1)
    assert np.nanmedian(difference) < 13.0
    assert np.nanpercentile(difference, 95) < 62.0
    assert np.isnan(difference).mean() < 0.02


@pytest.mark.filterwarnings("ignore::calibration.errors.SuiteWarning")
def test_mouse_reprojects_better_than_its_published_positions(real_data, run):
    """The published positions reproject at 5 to 10 px; the side camera is not in the (real) calibration."""
    folder = real_data / "mouse_4cam" / "minimal_session"
    summary, poses3d = run(folder / "calibration_3cam.toml", folder, "--format", "sleap-analysis")
    assert list(summary["cameras"]) == ["back", "mid", "top"]
    assert summary["all"]["median"] < 3.0
    assert summary["all"]["missing_3d"] < 0.05
    with h5py.File(folder / "points3d.h5") as file:
        published = file["tracks"][:, 0]
    distance = np.linalg.norm(points(poses3d) - published, axis=-1)
    assert np.nanmedian(distance) < 4.2  # mm


@pytest.mark.filterwarnings("ignore::calibration.errors.SuiteWarning")
def test_labeled_mouse_agrees_with_its_own_positions(real_data, run):
    file = real_data / "labeled_mouse_6cam" / "label3d_dannce.mat"
    summary, poses3d = run(file, file)
    from scipy.io import loadmat

    labeled = loadmat(file, simplify_cells=True)["labelData"][0]["data_3d"].reshape(81, 22, 3)
    distance = np.linalg.norm(points(poses3d) - labeled, axis=-1)
    assert np.nanmedian(distance) < 0.1  # mm
    assert np.isnan(distance).sum() == np.isnan(labeled).any(-1).sum()
    assert summary["all"]["used"] == 1.0


def test_charuco_corners_are_54_mm_apart(real_data, run):
    """Independent truth: the printed square. The corners come in a grid of 3 x 4."""
    folder = real_data / "charuco_4cam" / "4_cam_recording"
    corners = folder / "calibration" / "extrinsic" / "xy.csv"
    _, poses3d = run(folder / "camera_array.toml", corners)
    table = pd.read_csv(corners).drop_duplicates("keypoint_id").set_index("keypoint_id")
    board = table[["obj_loc_x", "obj_loc_y"]]
    position = points(poses3d)
    names = [int(str(name).rsplit("_", 1)[1]) for name in poses3d["keypoint"].values]
    spacing = [
        1000 * np.linalg.norm(position[:, i] - position[:, j], axis=-1)
        for i, a in enumerate(names)
        for j, b in enumerate(names)
        if i < j and abs(np.linalg.norm(board.loc[a] - board.loc[b]) - 0.054) < 1e-3
    ]
    assert len(spacing) == 17  # neighbors in a grid of 3 x 4
    assert abs(np.nanmean(spacing) - 54.0) < 0.5
    assert np.isnan(spacing).mean() < 0.02
