"""What is said of the uncertainty holds where the corners of one picture err together, and where they do not.

Detectors of corners err by what a whole picture has: blur, a hand, light from one side. Such errors are made here as
smooth shifts over the board, drawn anew for every picture. A share of 95 % of the parameters should be within two
standard deviations of the truth.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.boards.geometry import Charuco
from calibration.bundle import BundleAdjustment, BundleSettings, adjust_boards
from calibration.lens_models import LENS_MODELS, LensModel, lens_vector, parameter_names
from calibration.rig import Rig
from calibration.synthetic import BoardScene, make_board_scene, make_rig
from calibration.transforms import RigidTransform

BOARD = Charuco(8, 6, 50.0)
POSE = ("rx", "ry", "rz", "tx", "ty", "tz")


def together(position: NDArray[np.float64], rng: np.random.Generator, size: float) -> NDArray[np.float64]:
    """Errors (camera, frame, corner, 2) that are smooth over the board, another one in each view, about `size` px."""
    x, y, _ = (2 * (BOARD.points - BOARD.points.mean(axis=0)) / np.ptp(BOARD.points[:, 0])).T
    shapes = np.stack([np.ones_like(x), x, y, x * y, x**2, y**2], axis=1)
    weights = rng.standard_normal((*position.shape[:2], shapes.shape[1], 2)) * size
    return np.einsum("cq,nfqd->nfcd", shapes, weights)


def adjusted(made: BoardScene, errors: NDArray[np.float64], settings: BundleSettings) -> BundleAdjustment:
    position = made.truth + errors
    seen = np.isfinite(position[..., 0]).any(axis=(0, 2))
    poses = RigidTransform(made.world_from_board.rotation[seen], made.world_from_board.translation[seen])
    models: Mapping[str, LensModel] = dict.fromkeys(made.rig.names, LENS_MODELS["brown5"])
    return adjust_boards(made.rig, BOARD.points, poses, position[:, seen], models=models, settings=settings)


def scores(found: BundleAdjustment, truth: Rig) -> list[float]:
    """Errors of all parameters, in units of their standard deviations."""
    values = []
    for camera, true in zip(found.rig, truth, strict=True):
        difference = lens_vector(camera.lens) - lens_vector(true.lens)
        off = dict(zip(parameter_names(fisheye=False), difference, strict=True))
        moved = camera.cam_from_world @ true.cam_from_world.inverse()
        off |= dict(zip(POSE, np.concatenate([moved.rotation_vector, moved.translation]), strict=True))
        values += [off[name] / deviation for name, deviation in found.standard_deviations(camera.name).items()]
    return values


@pytest.mark.parametrize(("cameras", "frames"), [(1, 30), (3, 60)])
def test_deviations_are_honest_where_corners_of_one_picture_err_together(cameras: int, frames: int) -> None:
    told, independent = [], []
    for seed in range(12):
        rig = make_rig(6, seed=seed, elevation=(0.35, 0.9))
        made = make_board_scene(rig.select(rig.names[:cameras]), BOARD, frames=frames, radius=250.0, seed=seed)
        rng = np.random.default_rng(seed)
        errors = together(made.truth, rng, 0.03) + 0.02 * rng.standard_normal(made.truth.shape)
        told += scores(adjusted(made, errors, BundleSettings()), made.rig)
        noise = float(adjusted(made, errors, BundleSettings(covariance=False)).noise.mean())
        plain = BundleSettings(loss="none", noise=noise)
        independent += scores(adjusted(made, errors, plain), made.rig)
    share, naive = (float((np.abs(each) < 2).mean()) for each in (told, independent))
    assert share > 0.9
    # what is said where every corner is taken for a witness of its own
    assert naive < 0.8


def test_independent_corners_are_taken_for_independent() -> None:
    """Deviations are those of the known noise, but for the robust loss (3 %) and chance."""
    ratios = []
    for seed in range(6):
        rig = make_rig(6, seed=seed, elevation=(0.35, 0.9))
        made = make_board_scene(rig.select(rig.names[:3]), BOARD, frames=60, radius=250.0, seed=seed)
        errors = 0.3 * np.random.default_rng(seed).standard_normal(made.truth.shape)
        found = adjusted(made, errors, BundleSettings())
        known = adjusted(made, errors, BundleSettings(loss="none", noise=0.3))
        assert found.covariance is not None
        assert known.covariance is not None
        ratios.append(np.sqrt(np.diag(found.covariance) / np.diag(known.covariance)))
    assert np.mean(ratios[0]) == pytest.approx(1.04, abs=0.1)
    assert np.mean(np.concatenate(ratios)) == pytest.approx(1.04, abs=0.04)


def test_one_camera_with_poor_pictures_is_less_certain_and_the_others_are_not_blamed() -> None:
    rig = make_rig(6, seed=2, elevation=(0.35, 0.9))
    made = make_board_scene(rig.select(rig.names[:3]), BOARD, frames=60, radius=250.0, seed=2)
    rng = np.random.default_rng(0)
    errors = 0.05 * rng.standard_normal(made.truth.shape)
    good = adjusted(made, errors, BundleSettings())
    errors[1] += together(made.truth[1:2], rng, 0.1)[0]
    poor = adjusted(made, errors, BundleSettings())
    growth = {
        name: poor.standard_deviations(name)["fx"] / good.standard_deviations(name)["fx"] for name in made.rig.names
    }
    assert growth["cam_2"] > 2
    assert growth["cam_2"] > 1.5 * growth["cam_1"]
    assert growth["cam_2"] > 1.5 * growth["cam_3"]


def test_a_noise_that_is_given_to_plain_least_squares_is_believed() -> None:
    rig = make_rig(6, seed=1, elevation=(0.35, 0.9))
    made = make_board_scene(rig.select(rig.names[:1]), BOARD, frames=40, radius=250.0, seed=1)
    settings = BundleSettings(loss="none", noise=0.3)
    poor = adjusted(made, together(made.truth, np.random.default_rng(0), 0.5), settings)
    exact = adjusted(made, np.zeros_like(made.truth), settings)
    for name, deviation in exact.standard_deviations("cam_1").items():
        assert poor.standard_deviations("cam_1")[name] == pytest.approx(deviation, rel=0.15)
