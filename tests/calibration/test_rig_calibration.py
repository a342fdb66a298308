"""A rig from corners, with known truth: errors in the volume, against the bound of Cramér and Rao, bit by bit again.

The error in the volume is what positions are off that the estimated rig makes of noise-free pixels: random points in a
ball of 250 mm, 1 m from the cameras, projected by the true rig and triangulated by the estimated one, after the best
rigid motion; scale and bending stay in. Where nothing else is said, it is the mean over the points.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.boards.geometry import Charuco
from calibration.bundle import BundleAdjustment, BundleSettings, adjust_boards
from calibration.diagnosis import diagnose
from calibration.findings import Level
from calibration.lens_models import LENS_MODELS, lens_from_vector, lens_vector, parameter_names
from calibration.rig import Rig
from calibration.rig_calibration import Calibration, CalibrationSettings, calibrate
from calibration.synthetic import BoardScene, make_board_scene, make_rig
from calibration.synthetic.volume import volume_errors
from calibration.transforms import RigidTransform
from calibration.verdict import judge

BOARD = Charuco(8, 6, 50.0)
COUNTS = (2, 3, 4, 6, 8, 12, 16)
# Rings and domes: cameras at one height, or alternately low and high.
ELEVATIONS = ((0.35, 0.9), (0.5, 0.5))


def scene(seed: int, *, cameras: int | None = None, frames: int = 120, **settings: float) -> BoardScene:
    """A board in a rig of `brown5` lenses; two to five cameras are neighbors of a ring of six."""
    count = COUNTS[seed % len(COUNTS)] if cameras is None else cameras
    rig = make_rig(max(count, 6), seed=seed, elevation=ELEVATIONS[seed // len(COUNTS) % 2])
    rig = rig.select(rig.names[:count])
    chosen = {"radius": 250.0, "noise": 0.3, "outlier_rate": 0.05} | settings
    return make_board_scene(rig, BOARD, frames=frames, seed=seed, **chosen)  # type: ignore[arg-type]  # numbers


def mean_error(made: BoardScene, found: Calibration) -> float:
    return float(volume_errors(made.rig, found.rig).mean())


@pytest.mark.parametrize("seed", range(4))
def test_positions_in_the_volume_are_right_to_a_twentieth_of_a_millimeter(seed: int) -> None:
    made = scene(seed)
    found = calibrate(made.corners)
    assert mean_error(made, found) < 0.05
    assert found.adjustment.status.name == "CONVERGED"
    assert found.excess == pytest.approx(1.0, abs=0.05)
    assert found.clocks is None
    assert found.bend == 0.0


@pytest.mark.slow
def test_all_of_a_hundred_rigs_are_right_to_a_twentieth_of_a_millimeter() -> None:
    """Rings and domes of 2 to 16 cameras, 0.3 px noise, 5 % outliers, lenses of five coefficients.

    Rigs of six and more cameras need half the frames for it.
    """
    errors = {}
    for seed in range(100):
        made = scene(seed, frames=120 if COUNTS[seed % len(COUNTS)] < 6 else 60)
        errors[seed] = mean_error(made, calibrate(made.corners, settings=CalibrationSettings(folds=2)))
    assert max(errors.values()) < 0.05, {seed: error for seed, error in errors.items() if error >= 0.05}


def test_what_is_told_of_a_good_calibration_is_true() -> None:
    made = scene(3, outlier_rate=0.02)
    found = calibrate(made.corners)
    diagnosis = diagnose(found)
    # 0.3 px along each axis; left-out frames are predicted as well but for the poses of their boards
    np.testing.assert_allclose(found.adjustment.noise, 0.3, rtol=0.05)
    assert diagnosis.used.rms == pytest.approx(0.3 * np.sqrt(2), rel=0.05)
    assert diagnosis.held_out is not None
    assert 0.98 < diagnosis.held_out.rms / diagnosis.used.rms < 1.1
    assert diagnosis.used.outliers == pytest.approx(0.02, abs=0.005)
    assert diagnosis.lengths is not None
    assert abs(diagnosis.lengths.mean_length - BOARD.square) < 0.02
    assert judge(diagnosis, found).level in (Level.GOOD, Level.LOOK)
    # outliers are known by their weight
    seen = np.isfinite(found.corners["position"].values[..., 0])
    wrong = made.outlier[:, found.corners["frame"].values] & seen
    assert np.nanmedian(found.adjustment.weights[wrong]) < 0.01
    assert np.nanmedian(found.adjustment.weights[seen & ~wrong]) > 0.7


def test_lenses_grow_where_all_cameras_together_tell_more_than_each_alone() -> None:
    """Models of single views leave errors four times as large in this rig."""
    made = scene(2)
    found = calibrate(made.corners)
    assert any(found.models[name] != lens.model for name, lens in found.lenses.items())
    alone = calibrate(made.corners, models={name: lens.model for name, lens in found.lenses.items()})
    assert alone.models == {name: lens.model for name, lens in found.lenses.items()}
    assert mean_error(made, found) < 0.5 * mean_error(made, alone)


def test_nothing_is_random() -> None:
    made = scene(2, frames=40)
    first, second = calibrate(made.corners), calibrate(made.corners)
    for one, other in zip(first.rig, second.rig, strict=True):
        assert one.cam_from_world == other.cam_from_world
        assert np.array_equal(one.lens.camera_matrix, other.lens.camera_matrix)
        assert np.array_equal(one.lens.coefficients, other.lens.coefficients)
    assert np.array_equal(first.adjustment.residuals, second.adjustment.residuals, equal_nan=True)
    assert first.held_out is not None
    assert second.held_out is not None
    assert np.array_equal(first.held_out.residuals, second.held_out.residuals, equal_nan=True)


def test_the_number_of_threads_changes_no_bit() -> None:
    made = scene(1, frames=40)
    rigs = [
        calibrate(made.corners, settings=CalibrationSettings(bundle=BundleSettings(workers=workers))).rig
        for workers in (1, 2)
    ]
    for one, other in zip(*rigs, strict=True):
        assert one.cam_from_world == other.cam_from_world
        assert np.array_equal(one.lens.coefficients, other.lens.coefficients)


# --- the bound of Cramér and Rao ---


def at_truth(made: BoardScene) -> BundleAdjustment:
    """The adjustment at the true values, whose covariance is the bound; the pose of the first camera is held."""
    return adjust_boards(
        made.rig,
        BOARD.points,
        made.world_from_board,
        made.truth,
        models=dict.fromkeys(made.rig.names, LENS_MODELS["brown5"]),
        settings=BundleSettings(loss="none", noise=0.3),
    )


def drawn(bound: BundleAdjustment, rng: np.random.Generator) -> Rig:
    """A rig as an estimate at the bound would be: parameters drawn with their covariance."""
    assert bound.covariance is not None
    off = rng.multivariate_normal(np.zeros(len(bound.labels)), bound.covariance, method="eigh")
    cameras = []
    for camera in bound.rig:
        step = {name: value for (one, name), value in zip(bound.labels, off, strict=True) if one == camera.name}
        vector = lens_vector(camera.lens)
        for place, name in enumerate(parameter_names(fisheye=False)):
            vector[place] += step.get(name, 0.0)
        moved = RigidTransform.from_rotation_vector(
            [step.get(name, 0.0) for name in ("rx", "ry", "rz")], [step.get(name, 0.0) for name in ("tx", "ty", "tz")]
        )
        lens = lens_from_vector(vector, fisheye=False, count=5)
        cameras.append(replace(camera, lens=lens, cam_from_world=moved @ camera.cam_from_world))
    return Rig(tuple(cameras), unit=bound.rig.unit)


def squares(errors: NDArray[np.float64]) -> float:
    return float((errors**2).mean())


def test_with_all_parameters_of_the_lenses_free_errors_are_at_the_bound() -> None:
    """Within 1.3 times, as root mean squares over the seeds, in the volume and of the focal lengths and poses."""
    volume, bound_volume, parameters = [], [], []
    for seed in range(4):
        made = scene(seed, cameras=4, frames=60, outlier_rate=0.0)
        models = dict.fromkeys(made.rig.names, LENS_MODELS["brown5"])
        found = calibrate(made.corners, models=models, settings=CalibrationSettings(folds=2))
        bound = at_truth(made)
        volume.append(squares(volume_errors(made.rig, found.rig)))
        rng = np.random.default_rng(seed)
        bound_volume += [squares(volume_errors(bound.rig, drawn(bound, rng), count=200)) for _ in range(8)]
        for estimated, true in zip(found.rig, made.rig, strict=True):
            known = bound.standard_deviations(true.name)
            difference = lens_vector(estimated.lens) - lens_vector(true.lens)
            off = dict(zip(parameter_names(fisheye=False), difference, strict=True))
            # the estimated world is the frame of the first camera
            moved = estimated.cam_from_world @ made.rig.cameras[0].cam_from_world @ true.cam_from_world.inverse()
            motion = np.concatenate([moved.rotation_vector, moved.translation])
            off |= dict(zip(("rx", "ry", "rz", "tx", "ty", "tz"), motion, strict=True))
            parameters += [off[name] / known[name] for name in known]
    assert np.sqrt(np.mean(volume) / np.mean(bound_volume)) < 1.3
    assert 0.7 < np.sqrt(squares(np.array(parameters))) < 1.3


def test_the_uncertainty_that_is_told_is_that_of_the_bound() -> None:
    made = scene(2, outlier_rate=0.0)
    models = dict.fromkeys(made.rig.names, LENS_MODELS["brown5"])
    found, bound = calibrate(made.corners, models=models), at_truth(made)
    for name in made.rig.names:
        told, known = found.adjustment.standard_deviations(name), bound.standard_deviations(name)
        assert set(told) == set(known)
        # of the robust loss that 5 % more noise is asked of
        ratio = [told[parameter] / known[parameter] for parameter in told]
        np.testing.assert_allclose(ratio, 1.03, atol=0.1)
