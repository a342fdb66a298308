"""The group /poses3d is a dataset of the movement package: its validator accepts it and its functions work on it."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from calibration.synthetic import make_rig
from calibration.triangulation import TriangulationSettings
from pose3d.datasets import poses2d
from pose3d.formats import save_session
from pose3d.reconstruction import reconstruct, triangulate
from pose3d.skeleton import Skeleton

# movement warns of its own dependencies when it is imported.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("movement", reason="movement is not installed; pip install 'pose3d-suite[dev]'")
    from movement.filtering import filter_by_confidence
    from movement.kinematics import compute_pairwise_distances, compute_path_length, compute_speed, compute_velocity
    from movement.validators.datasets import ValidPosesInputs

FRAME_RATE = 50.0
VELOCITY = np.array([200.0, -50.0, 10.0])  # mm/s
# movement before 0.17, which is what Python 3.11 gets, says `keypoints` and `individuals`.
RENAMED = {ours: ours + "s" for ours in ("keypoint", "individual") if ours + "s" in ValidPosesInputs.DIM_NAMES}


def straight_walk(n_frames: int = 40) -> xr.Dataset:
    """2D poses of two animals with three keypoints that walk straight on at a constant speed, one point missing."""
    rig = make_rig(4)
    start = np.random.default_rng(0).uniform(-50, 50, size=(2, 3, 3))
    points = start + np.arange(n_frames)[:, None, None, None] / FRAME_RATE * VELOCITY
    pixels = np.moveaxis(rig.project(points), 3, 1)
    pixels[7, 1:, 0, 0] = np.nan
    return poses2d(
        pixels,
        np.full(pixels.shape[:-1], 0.9),
        cameras=rig.names,
        individuals=["anna", "ben"],
        keypoints=["nose", "back", "tail"],
        frame_rate=FRAME_RATE,
    )


@pytest.fixture(scope="module")
def as_movement_opens_it(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    path: Path = tmp_path_factory.mktemp("movement") / "session.nc"
    poses3d = triangulate(straight_walk(), make_rig(4), settings=TriangulationSettings(noise=1.0))
    save_session(path, rig=make_rig(4), poses3d=poses3d)
    with xr.open_dataset(path, group="poses3d") as dataset:
        return dataset.load().rename(RENAMED)


def test_its_validator_accepts_the_dataset(as_movement_opens_it):
    ValidPosesInputs.validate(as_movement_opens_it)
    broken = as_movement_opens_it.drop_vars("confidence")
    with pytest.raises(ValueError, match="confidence"):
        ValidPosesInputs.validate(broken)


def test_the_arrays_are_laid_out_as_in_its_own_datasets(as_movement_opens_it):
    """What its constructor makes of the same arrays has the same dimensions, coordinates and attributes."""
    found = as_movement_opens_it
    keypoints, individuals = (RENAMED.get(name, name) for name in ("keypoint", "individual"))
    names = {f"{name[:-1] if name in RENAMED.values() else name}_names" for name in (keypoints, individuals)}
    expected = ValidPosesInputs(
        position_array=found["position"].values,
        confidence_array=found["confidence"].values,
        fps=found.attrs["fps"],
        source_software=found.attrs["source_software"],
        **{name: list(found[keypoints if "keypoint" in name else individuals].values) for name in names},
    ).to_dataset()
    assert found["position"].dims == expected["position"].dims
    assert found["confidence"].dims == expected["confidence"].dims
    for name in expected.coords:
        np.testing.assert_array_equal(found[name].values, expected[name].values)
    for name in ("fps", "time_unit", "ds_type"):
        assert found.attrs[name] == expected.attrs[name]


@pytest.fixture(autouse=True)
def bottleneck():
    """Switched on again, since movement needs it."""
    with xr.set_options(use_bottleneck=True):
        yield


def test_its_kinematics_are_right_on_a_walk_at_constant_speed(as_movement_opens_it):
    position = as_movement_opens_it["position"].sel({RENAMED.get("individual", "individual"): "ben"})
    velocity = compute_velocity(position).transpose("time", ..., "space")
    np.testing.assert_allclose(velocity.values, np.broadcast_to(VELOCITY, velocity.shape), rtol=1e-6)
    np.testing.assert_allclose(compute_speed(position), np.linalg.norm(VELOCITY), rtol=1e-6)
    seconds = float(position["time"][-1] - position["time"][0])
    np.testing.assert_allclose(compute_path_length(position), seconds * np.linalg.norm(VELOCITY), rtol=1e-6)


def test_a_missing_point_stays_missing_in_its_kinematics(as_movement_opens_it):
    chosen = {RENAMED.get("individual", "individual"): "anna", RENAMED.get("keypoint", "keypoint"): "nose"}
    speed = compute_speed(as_movement_opens_it["position"].sel(chosen))
    assert np.flatnonzero(np.isnan(speed.values)).tolist() == [6, 7, 8]  # central differences


def test_its_other_functions_take_it(as_movement_opens_it):
    individuals = RENAMED.get("individual", "individual")
    position = as_movement_opens_it["position"]
    distances = compute_pairwise_distances(position, dim=individuals, pairs={"anna": "ben"})
    assert np.isfinite(distances.isel(time=0)).all()
    kept = filter_by_confidence(position, as_movement_opens_it["confidence"], threshold=0.95)
    assert np.isnan(kept).all()


def test_trajectories_open_as_well(tmp_path):
    """With all that says how they were made; the point that was missing is bridged."""
    flat, skeleton = straight_walk(), Skeleton("worm", ("nose", "back", "tail"), (("nose", "back"), ("back", "tail")))
    flat["position"] += np.random.default_rng(0).normal(0, 0.3, flat["position"].shape)
    save_session(tmp_path / "session.nc", rig=make_rig(4), poses3d=reconstruct(flat, make_rig(4), skeleton=skeleton))
    with xr.open_dataset(tmp_path / "session.nc", group="poses3d") as dataset:
        found = dataset.load().rename(RENAMED)
    ValidPosesInputs.validate(found)
    assert {"view_probability", "repair", "bridged", "smoothness", "bone_length"} <= set(found.data_vars)
    np.testing.assert_allclose(compute_speed(found["position"]), np.linalg.norm(VELOCITY), rtol=0.02)
