"""Kinematics of whole recordings: pieces make no difference, and what is left out is told."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from calibration.errors import InvalidValueError, MismatchError
from pose3d.formats import open_session, save_session
from pose3d.kinematics import KinematicsSettings, compute_kinematics
from pose3d.pipeline import KinematicsFiles, export_kinematics, kinematics_session
from pose3d.pipeline import kinematics as whole
from pose3d.skeleton import Anatomy, Angle, Skeleton
from pose3d.synthetic import SimulationSettings, simulate


@pytest.fixture(scope="module")
def scene():
    return simulate(SimulationSettings(duration=3.0, individuals=2, paths="shared", cameras=2, seed=3))


@pytest.fixture(scope="module")
def poses(scene):
    """The true poses with gaps and a covariance."""
    found = scene.poses3d.copy(deep=True)
    found["position"].values[120:135, :, 3] = np.nan
    dims = ("time", "space", "space_", "keypoint", "individual")
    shape = [found.sizes[dim.rstrip("_")] for dim in dims]
    found["covariance"] = (dims, np.broadcast_to(0.01 * np.eye(3)[None, :, :, None, None], shape).copy())
    return found.assign_coords(space_=["x", "y", "z"])


@pytest.fixture(scope="module")
def computed(scene, poses):
    return compute_kinematics(poses, scene.skeleton)


def same(a: xr.Dataset, b: xr.Dataset) -> None:
    assert set(a.data_vars) == set(b.data_vars)
    for name in a.data_vars:
        first, second = a[name].values, b[name].transpose(*a[name].dims).values
        if first.dtype.kind == "f":
            np.testing.assert_allclose(first, second, rtol=1e-6, atol=1e-9, err_msg=str(name))
        else:
            assert (first == second).all(), name


@pytest.mark.parametrize("piece", [20_000, 110])
def test_the_file_holds_what_is_computed_in_memory_whatever_the_pieces(
    scene, poses, computed, tmp_path, monkeypatch, piece
):
    monkeypatch.setattr(whole, "_PIECE", piece)
    save_session(tmp_path / "a.nc", rig=scene.rig, poses3d=poses)
    done = []
    with open_session(tmp_path / "a.nc") as session:
        summary = kinematics_session(
            session.require("poses3d"), tmp_path / "a.nc", skeleton=scene.skeleton, source=tmp_path / "a.nc",
            progress=done.append,
        )  # fmt: skip
    assert sum(done) == summary.frames == 300
    assert summary.variables["joint_angle"] == "rad"
    with open_session(tmp_path / "a.nc") as session:
        assert session.rig == scene.rig
        same(computed, session.require("kinematics").load())


def test_angles_go_on_past_a_whole_turn_from_piece_to_piece(tmp_path, monkeypatch):
    monkeypatch.setattr(whole, "_PIECE", 120)
    monkeypatch.setattr(whole, "_HALO", 5)
    turn = np.linspace(0, 6 * np.pi, 400)
    points = np.zeros((400, 3, 4, 1))
    points[:, 0, 1] = 1.0
    points[:, 0, 3, 0], points[:, 1, 3, 0] = np.cos(turn), np.sin(turn)
    from pose3d.datasets import poses3d

    names = ("a", "b", "c", "d")
    wheel = poses3d(points, individuals=["x"], keypoints=names, unit="m", frame_rate=100.0)
    angle = Angle("turn", (("a",), ("b",), ("c",), ("d",)), ("x", "y"))
    skeleton = Skeleton("wheel", names, anatomy=Anatomy(angles=(angle,)))
    kinematics_session(wheel, tmp_path / "w.nc", skeleton=skeleton)
    with open_session(tmp_path / "w.nc") as session:
        found = session.require("kinematics")["joint_angle"].values.ravel()
    np.testing.assert_allclose(found, turn, atol=1e-9)


def test_every_variable_has_units_and_what_is_measured_a_standard_deviation(computed):
    for name, values in computed.data_vars.items():
        assert "units" in values.attrs, name
    for name in ("velocity", "speed", "acceleration", "joint_angle", "bone_length", "body_yaw", "body_speed"):
        spread = computed[f"{name}_std"].values
        assert np.isfinite(spread).mean() > 0.8
        assert (spread[np.isfinite(spread)] >= 0).all()
    for name in ("stride_length", "stride_duration", "duty_factor", "stride_speed", "foot_clearance"):
        assert np.isfinite(computed[f"{name}_std"].values).mean() > 0.5, name


def test_strides_are_those_of_the_simulation(computed, scene):
    length = computed["stride_length"].values
    # footprints lie beside a curved path, so single strides are longer or shorter; their mean is that of the gait
    assert np.nanmean(length) == pytest.approx(scene.settings.stride_length, rel=0.03)
    assert np.nanmean(computed["duty_factor"].values) == pytest.approx(scene.settings.duty_factor, abs=0.02)
    assert set(computed["gait_class"].values.tolist()) == {"lateral_sequence_walk"}


def test_what_the_skeleton_does_not_say_is_left_out_with_a_reason(poses, tmp_path):
    summary = kinematics_session(poses, tmp_path / "a.nc")
    assert "no skeleton is given" in summary.left_out["gait"]
    assert "velocity" in summary.variables
    assert "joint_angle" not in summary.variables


def test_only_what_is_asked_for_is_computed(scene, poses):
    found = compute_kinematics(poses, scene.skeleton, KinematicsSettings(quantities=("speed",)))
    assert set(found.data_vars) == {"speed", "speed_std"}


def test_wrong_input_is_refused_in_words(scene, poses, tmp_path):
    with pytest.raises(InvalidValueError, match="Did you mean 'velocity'"):
        KinematicsSettings(quantities=("velocitty",))
    with pytest.raises(InvalidValueError, match="at least one frame"):
        kinematics_session(poses.isel(time=slice(0)), tmp_path / "a.nc")
    with pytest.raises(MismatchError, match="some of the keypoints of the poses"):
        compute_kinematics(poses, Skeleton("other", ("x", "y")))
    with pytest.raises(InvalidValueError, match="Poses3D"):
        compute_kinematics(scene.poses2d, scene.skeleton)
    assert list(tmp_path.iterdir()) == []


def test_legs_that_are_never_seen_have_no_strides_and_the_others_do(scene, poses):
    blind = poses.copy(deep=True)
    blind["position"].loc[{"keypoint": "left_hind_paw"}] = np.nan
    found = compute_kinematics(blind, scene.skeleton, KinematicsSettings(quantities=("gait",)))
    status = found["leg_status"].sel(individual="animal_1")
    assert int(status.sel(leg="left_hind")) > 0
    assert int(status.sel(leg="right_hind")) == 0
    assert "left_hind" not in found["stride_leg"].values
    assert "right_hind" in found["stride_leg"].values


def test_all_files_are_written(computed, scene, poses, tmp_path):
    files = KinematicsFiles(
        events=tmp_path / "e.csv", csv=tmp_path / "csv", mot=tmp_path / "a.mot", c3d=tmp_path / "a.c3d",
        figures=tmp_path / "figures", trc=tmp_path / "a.trc", marker_set=tmp_path / "a.xml",
    )  # fmt: skip
    written = export_kinematics(computed, poses, files, skeleton=scene.skeleton)
    assert all(path.is_file() and path.stat().st_size for path in written)
    names = {path.name for path in written}
    assert {"e.csv", "a_animal_1.mot", "a_animal_2.c3d", "columns.csv", "by_stride.csv"} <= names
    assert {"a_animal_1.trc", "a.xml"} <= names
    assert {f"{name}_animal_1.png" for name in ("speed", "gait", "phases", "angles", "cycles", "sticks")} <= names


def test_a_hip_that_is_never_seen_loses_its_own_leg_no_more_than_the_other(scene, poses):
    blind = poses.copy(deep=True)
    blind["position"].loc[{"keypoint": "left_hip"}] = np.nan
    found = compute_kinematics(blind, scene.skeleton, KinematicsSettings(quantities=("gait",)))
    assert (found["leg_status"].values == 0).all()


def test_a_foot_that_never_moves_has_no_steps(scene, poses):
    stiff = poses.copy(deep=True)
    foot = stiff["position"].sel(keypoint="left_hind_paw")
    stiff["position"].loc[{"keypoint": "left_hind_paw"}] = foot.isel(time=0).broadcast_like(foot)
    found = compute_kinematics(stiff, scene.skeleton, KinematicsSettings(quantities=("gait",)))
    assert "left_hind" not in found["stride_leg"].values
    assert "right_hind" in found["stride_leg"].values


def test_poses_without_any_step_have_everything_else(scene, poses, tmp_path):
    still = poses.isel(time=slice(0, 30)).copy(deep=True)
    still["position"].values[:] = still["position"].values[:1]
    kinematics_session(still, tmp_path / "a.nc", skeleton=scene.skeleton)
    with open_session(tmp_path / "a.nc") as session:
        found = session.require("kinematics")
        assert found.sizes["stride"] == found.sizes["event"] == 0
        assert np.isfinite(found["joint_angle"].values).any()
        written = export_kinematics(
            found, still, KinematicsFiles(figures=tmp_path / "f", csv=tmp_path / "t"), skeleton=scene.skeleton
        )
    assert any(path.name.startswith("angles") for path in written)


def test_nothing_at_all_is_an_error_that_says_what_is_missing(poses, tmp_path):
    with pytest.raises(InvalidValueError, match="no skeleton is given"):
        kinematics_session(poses, tmp_path / "a.nc", settings=KinematicsSettings(quantities=("gait", "joint_angles")))
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_what_is_not_there_is_refused(computed, poses, tmp_path):
    bare = computed[["speed"]]
    for files in (KinematicsFiles(events=tmp_path / "e.csv"), KinematicsFiles(mot=tmp_path / "a.mot")):
        with pytest.raises(MismatchError, match="Name a skeleton"):
            export_kinematics(bare, poses, files)


def test_a_spline_is_not_cut_into_pieces(scene, poses, tmp_path, monkeypatch):
    monkeypatch.setattr(whole, "_PIECE", 50)
    settings = KinematicsSettings(quantities=("speed",))
    spline = replace(settings, derivatives=replace(settings.derivatives, method="spline"))
    kinematics_session(poses, tmp_path / "a.nc", settings=spline)
    with open_session(tmp_path / "a.nc") as session:
        same(compute_kinematics(poses, None, spline), session.require("kinematics").load())
