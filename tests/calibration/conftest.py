"""One small calibration that several files look at from different sides; nobody changes it."""

from __future__ import annotations

import warnings

import pytest

from calibration.boards.geometry import Charuco
from calibration.errors import SuiteWarning
from calibration.lens_models import LENS_MODELS
from calibration.rig_calibration import Calibration, calibrate
from calibration.synthetic import BoardScene, make_board_scene, make_rig


@pytest.fixture(scope="session")
def board_scene() -> BoardScene:
    """Three cameras that look down on a board from all sides; 0.3 px noise, 2 % outliers."""
    rig = make_rig(3, elevation=(1.0, 1.2))
    board = Charuco(7, 5, 50.0)
    return make_board_scene(rig, board, frames=40, noise=0.3, radius=320.0, outlier_rate=0.02, seed=3)


@pytest.fixture(scope="session")
def good_calibration(board_scene: BoardScene) -> Calibration:
    """A calibration of the scene with the lens model that makes it, in most of its terms."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SuiteWarning)
        return calibrate(board_scene.corners, models=dict.fromkeys(board_scene.rig.names, LENS_MODELS["brown5"]))
