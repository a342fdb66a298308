"""Poses2D and a rig become Poses3D: cameras by name, noise by keypoint, a reason for every gap."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from calibration import BrownConrady, InvalidValueError, MismatchError, Rig, Status, SuiteWarning
from calibration import triangulate as triangulate_pixels
from calibration.schema import check
from calibration.synthetic import make_points, make_rig, observe
from pose3d.datasets import POSES3D, poses2d
from pose3d.reconstruction import TriangulationSettings, estimate_noise, match_cameras, triangulate

KEYPOINTS = ("nose", "trunk", "tail")
SETTINGS = TriangulationSettings(noise=1.0, threshold=5.0)


@pytest.fixture(scope="module")
def rig():
    return make_rig(4, seed=3)


def scene(rig, frames=40, individuals=("a", "b"), noise=1.0, keypoints=KEYPOINTS, **rates):
    """True points (time, individual, keypoint, 3) and their Poses2D."""
    truth = make_points((frames, len(individuals), len(keypoints)), seed=1)
    seen = observe(rig, truth, **{"noise": noise, "outlier_rate": 0.0, "dropout_rate": 0.0, "seed": 2, **rates})
    dataset = poses2d(
        np.moveaxis(seen.pixels, 3, 1),
        np.moveaxis(seen.confidence, 3, 1),
        cameras=rig.names,
        individuals=individuals,
        keypoints=keypoints,
        frames=np.arange(100, 100 + frames),
        frame_rate=50.0,
    )
    return truth, dataset


def positions(dataset):
    return dataset["position"].transpose("time", "individual", "keypoint", "space").values


def test_noise_free_poses_give_the_truth_and_follow_the_schema(rig):
    truth, poses = scene(rig, noise=0.0)
    result = triangulate(poses, rig, settings=SETTINGS)
    check(result, POSES3D)
    np.testing.assert_allclose(positions(result), truth, atol=1e-7)
    assert result["position"].attrs["units"] == rig.unit
    assert result["covariance"].attrs["units"] == f"{rig.unit}^2"
    assert list(result["frame"].values) == list(range(100, 140))
    np.testing.assert_allclose(result["time"], np.arange(100, 140) / 50.0)
    assert result.attrs["fps"] == 50.0
    assert json.loads(result.attrs["triangulation"])["threshold"] == 5.0


def test_every_number_is_that_of_the_geometry_below(rig):
    """The Dataset says the same as `calibration.triangulate` on the same pixels, axis by axis."""
    _, poses = scene(rig, outlier_rate=0.1, dropout_rate=0.2)
    result = triangulate(poses, rig, settings=SETTINGS)
    pixels = poses["position"].transpose("time", "individual", "keypoint", "camera", "space").values
    scores = poses["confidence"].transpose("time", "individual", "keypoint", "camera").values
    outcome = triangulate_pixels(rig, pixels, scores, noise=1.0, threshold=5.0)
    order = ("time", "individual", "keypoint")
    np.testing.assert_allclose(positions(result), outcome.points, rtol=0, atol=1e-7)
    np.testing.assert_array_equal(result["status"].transpose(*order), outcome.status)
    np.testing.assert_array_equal(result["n_cameras"].transpose(*order), outcome.n_cameras)
    np.testing.assert_array_equal(result["inlier"].transpose(*order, "camera"), outcome.inliers)
    np.testing.assert_allclose(result["residual"].transpose(*order, "camera"), outcome.residuals, atol=1e-4)
    np.testing.assert_allclose(result["covariance"].transpose(*order, "space", "space_"), outcome.covariance, rtol=1e-6)
    with np.errstate(invalid="ignore"):
        rms = np.sqrt(np.where(outcome.inliers, outcome.residuals**2, 0).sum(-1) / outcome.inliers.sum(-1))
        mean = np.where(outcome.inliers, scores, 0).sum(-1) / outcome.inliers.sum(-1)
    np.testing.assert_allclose(result["reprojection_error"].transpose(*order), rms, atol=1e-4)
    np.testing.assert_allclose(result["confidence"].transpose(*order), mean)


def test_missing_points_say_why(rig):
    _, poses = scene(rig, frames=4)
    poses["position"][0, 1:, 0, 0] = np.nan  # one camera left
    poses["position"][1, 2:, 0, 0] = np.nan  # two left,
    poses["position"][1, 1, 0, 0] += 400.0  # which disagree
    status = triangulate(poses, rig, settings=SETTINGS)["status"].sel(individual="a", keypoint="nose")
    assert list(status.values[:3]) == [Status.TOO_FEW_VIEWS, Status.NO_CONSENSUS, Status.OK]
    assert status.attrs["flag_meanings"].split()[Status.TOO_FEW_VIEWS] == "seen_by_fewer_than_two_cameras"


def test_cameras_are_found_by_name_whatever_their_order(rig):
    _, poses = scene(rig)
    shuffled = poses.isel(camera=[2, 0, 3, 1])
    expected = triangulate(poses, rig, settings=SETTINGS)
    xr.testing.assert_equal(triangulate(shuffled, rig, settings=SETTINGS), expected)


def test_a_camera_that_only_one_side_has_is_left_out_with_a_warning(rig):
    _, poses = scene(rig)
    with pytest.warns(SuiteWarning, match="cam_4 of the rig is not in the 2D poses"):
        fewer, same_rig = match_cameras(poses.sel(camera=["cam_1", "cam_2", "cam_3"]), rig)
    assert same_rig.names == ("cam_1", "cam_2", "cam_3")
    assert list(fewer["camera"].values) == ["cam_1", "cam_2", "cam_3"]
    with pytest.warns(SuiteWarning, match="camera cam_1, cam_4 of the 2D poses is not in the rig"):
        triangulate(poses, rig.select(["cam_2", "cam_3"]), settings=SETTINGS)


def test_one_common_camera_is_an_error(rig):
    _, poses = scene(rig)
    renamed = poses.assign_coords(camera=["cam_1", "left", "right", "top"])
    with pytest.raises(MismatchError, match=r"cam_1, left, right, top.*NAME=PATH"):
        triangulate(renamed, rig)


def test_images_of_another_size_than_calibrated_are_refused(rig):
    _, poses = scene(rig)
    size = np.array([camera.size for camera in rig], dtype=float)
    poses["image_size"] = (("camera", "space"), size, {"units": "px"})
    triangulate(poses, rig, settings=SETTINGS)
    poses["image_size"][1] = [640, 480]
    with pytest.raises(MismatchError, match=r"'cam_2', image size.*1280 x 1024.*640 x 480"):
        triangulate(poses, rig, settings=SETTINGS)
    poses["image_size"][1] = np.nan  # unknown
    triangulate(poses, rig, settings=SETTINGS)


def test_what_is_no_poses2d_is_refused(rig):
    _, poses = scene(rig)
    with pytest.raises(InvalidValueError, match="'confidence'"):
        triangulate(poses.drop_vars("confidence"), rig)


def test_a_sharp_and_a_blurred_keypoint_keep_their_own_noise(rig):
    """One noise for both would refuse the blurred keypoint and make the sharp one look uncertain."""
    sigma = np.array([0.5, 8.0])
    truth, poses = scene(rig, frames=600, individuals=("a",), keypoints=("sharp", "blurred"), noise=sigma[:, None])
    poses["confidence"] = xr.where(
        np.isfinite(poses["position"]).all("space"), 1.0, 0.0
    )  # the noise is the same for all
    learned = estimate_noise(poses, rig)
    np.testing.assert_allclose(learned.sigma, np.tile(sigma[:, None], 4), rtol=0.1)
    assert 4 * 0.5 < learned.threshold[0] < 5 * 0.5
    assert learned.threshold[1] > 25
    result = triangulate(poses, rig)
    missing = np.isnan(result["position"]).any("space").mean(("time", "individual"))
    assert float(missing.max()) < 0.02
    error = positions(result) - truth
    covariance = result["covariance"].transpose("time", "individual", "keypoint", "space", "space_").values
    squared = np.einsum("...i,...ij,...j->...", error, np.linalg.inv(covariance), error)
    inside = np.nanmean(squared < 7.815, axis=(0, 1))  # 95 % of chi-squared with 3 degrees of freedom
    assert ((inside > 0.92) & (inside < 0.98)).all(), inside


def test_noise_that_was_learned_before_makes_chunks_agree_with_the_whole(rig):
    _, poses = scene(rig, frames=300, outlier_rate=0.1, dropout_rate=0.2)
    noise = estimate_noise(poses, rig)
    whole = triangulate(poses, rig, noise=noise)
    parts = [triangulate(poses.isel(time=slice(i, i + 70)), rig, noise=noise) for i in range(0, 300, 70)]
    joined = xr.concat(parts, dim="time", data_vars="minimal")
    xr.testing.assert_allclose(joined, whole, rtol=1e-5)
    assert (joined["status"] == whole["status"]).all()


def test_no_covariance_where_none_is_wanted(rig):
    _, poses = scene(rig)
    assert "covariance" not in triangulate(poses, rig, settings=SETTINGS, covariance=False)


def test_all_missing_gives_all_missing_and_no_numpy_warning(rig):
    _, poses = scene(rig, frames=5)
    poses["position"][:] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = triangulate(poses, rig)
    assert np.isnan(result["position"]).all()
    assert (result["status"] == Status.TOO_FEW_VIEWS).all()


def test_projections_in_place_of_measurements_are_noticed(rig):
    """As in label3d files, whose 2D labels are reprojections: their agreement is no accuracy."""
    _, poses = scene(rig, noise=0.0)
    with pytest.warns(SuiteWarning, match="no measurements"):
        triangulate(poses, rig)


def test_positions_beyond_the_reach_of_a_lens_are_announced(rig):
    """A strong single-coefficient model folds inside the image: what lies behind the fold has no ray."""
    folding = BrownConrady(rig.cameras[0].lens.camera_matrix, [-2.5, 0.0, 0.0, 0.0])
    assert folding.valid_radius < 0.37
    bad = Rig((replace(rig.cameras[0], lens=folding), *rig.cameras[1:]))
    _, poses = scene(rig)
    poses["position"][::2, 0] = [10.0, 10.0]
    with pytest.warns(SuiteWarning, match=r"camera cam_1: \d+\.\d % of the 2D positions .* calibrate it with more"):
        triangulate(poses, bad, settings=TriangulationSettings(noise=1.0))


def test_positions_without_confidence_are_announced(rig):
    _, poses = scene(rig)
    poses["confidence"][:, 2] = 0.0
    with pytest.warns(SuiteWarning, match=r"camera cam_3: 100 % of the 2D positions have no confidence"):
        triangulate(poses, rig)


def test_the_noise_of_a_long_recording_is_that_of_a_sample_of_its_frames(rig):
    """Chunks, files and arrays learn from the same frames, so that all ways give the same numbers."""
    _, poses = scene(rig, frames=4000, dropout_rate=0.1)
    first = estimate_noise(poses, rig)
    assert first.freedom.sum() < 4000 * 2 * 3 * 8 / 2
    changed = poses.copy(deep=True)
    changed["position"][200] += 300.0  # between two blocks of the sample
    np.testing.assert_array_equal(estimate_noise(changed, rig).sigma, first.sigma)
    np.testing.assert_allclose(first.sigma, 0.9, rtol=0.1)
