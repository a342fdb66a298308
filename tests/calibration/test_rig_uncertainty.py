"""The uncertainty of a rig: what it does to projections, and its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calibration.alignment import move_rig
from calibration.errors import FileFormatError, InvalidValueError, MismatchError
from calibration.formats import load_rig_uncertainty, save_rig_uncertainty
from calibration.rig import Rig
from calibration.rig_uncertainty import RigUncertainty, move_cameras
from calibration.synthetic import make_rig
from calibration.transforms import RigidTransform

LABELS = (("cam_2", "rx"), ("cam_2", "tz"), ("cam_3", "ty"), ("cam_1", "f"), ("cam_2", "k1"), ("cam_3", "cx"))
DEVIATIONS = np.array([1e-3, 0.8, 0.5, 1.5, 1e-3, 0.7])


def make_covariance() -> np.ndarray:
    mixing = np.random.default_rng(0).normal(size=(6, 6)) + 2 * np.eye(6)
    correlation = mixing @ mixing.T
    scale = np.sqrt(np.diag(correlation))
    return np.outer(DEVIATIONS / scale, DEVIATIONS / scale) * correlation


@pytest.fixture
def rig() -> Rig:
    return make_rig(3)


@pytest.fixture
def uncertainty(rig: Rig) -> RigUncertainty:
    return RigUncertainty.of(rig, LABELS, make_covariance())


def test_modes_give_the_covariance_of_projections(rig: Rig, uncertainty: RigUncertainty) -> None:
    """Against draws of whole rigs."""
    points = np.random.default_rng(1).uniform(-60, 60, (7, 3))
    base = rig.project(points)
    modes = np.stack([mode.project(points) - base for mode in uncertainty.modes(rig)])
    variance = (modes**2).sum(0)
    rng = np.random.default_rng(2)
    steps = rng.multivariate_normal(np.zeros(6), make_covariance(), size=4000)
    drawn = np.stack([move_cameras(rig, list(LABELS), step).project(points) for step in steps])
    np.testing.assert_allclose(variance, drawn.var(axis=0), rtol=0.12, atol=1e-9)


def test_one_parameter_is_one_mode_of_its_deviation(rig: Rig) -> None:
    one = RigUncertainty.of(rig, (("cam_2", "tx"),), np.array([[0.25]]))
    (mode,) = one.modes(rig)
    shift = mode["cam_2"].cam_from_world.translation - rig["cam_2"].cam_from_world.translation
    np.testing.assert_allclose(np.abs(shift), [0.5, 0, 0], atol=1e-12)
    assert mode["cam_1"] == rig["cam_1"]


def test_the_choice_of_the_world_does_not_matter(rig: Rig, uncertainty: RigUncertainty) -> None:
    world = RigidTransform.from_rotation_vector([0.3, -0.2, 1.0], [100.0, -20.0, 5.0])
    points = np.random.default_rng(1).uniform(-60, 60, (7, 3))
    moved = move_rig(rig, world)
    here = [mode.project(points) for mode in uncertainty.modes(rig)]
    there = [mode.project(world(points)) for mode in uncertainty.modes(moved)]
    np.testing.assert_allclose(there, here, atol=1e-6)


def test_some_of_the_cameras_have_their_part(rig: Rig, uncertainty: RigUncertainty) -> None:
    two = rig.select(["cam_1", "cam_3"])
    assert len(uncertainty.modes(two)) == 3  # f of the one, ty and cx of the other
    assert uncertainty.modes(two)[0].names == two.names


def test_another_rig_is_refused(rig: Rig, uncertainty: RigUncertainty) -> None:
    with pytest.raises(MismatchError, match="of another calibration"):
        uncertainty.modes(make_rig(3, seed=8, distance=900.0))
    with pytest.raises(MismatchError, match="in m"):
        uncertainty.modes(Rig(rig.cameras, unit="m"))


def test_the_file_gives_it_back(rig: Rig, uncertainty: RigUncertainty, tmp_path: Path) -> None:
    save_rig_uncertainty(uncertainty, tmp_path / "rig_uncertainty.nc")
    for given in (tmp_path, tmp_path / "rig.toml", tmp_path / "rig_uncertainty.nc"):
        read = load_rig_uncertainty(given)
        assert read.labels == uncertainty.labels
        np.testing.assert_array_equal(read.covariance, uncertainty.covariance)
        read.check(rig)


def test_a_missing_or_wrong_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="pose3d calibrate"):
        load_rig_uncertainty(tmp_path / "rig.toml")
    (tmp_path / "rig_uncertainty.nc").write_bytes(b"nothing")
    with pytest.raises(FileFormatError, match="Calibrate again"):
        load_rig_uncertainty(tmp_path)


def test_a_covariance_of_another_size_is_refused(rig: Rig) -> None:
    with pytest.raises(InvalidValueError, match="6 parameters"):
        RigUncertainty(LABELS, np.eye(4), "mm", {})


def test_unknown_parameters_are_refused(rig: Rig) -> None:
    with pytest.raises(MismatchError, match="k9"):
        move_cameras(rig, [("cam_1", "k9")], np.array([1.0]))
