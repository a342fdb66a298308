"""Rigs, boards and observations with known truth, and videos of them, for tests, benchmarks and power analyses."""

from __future__ import annotations

from calibration.synthetic.boards import BoardScene, make_board_scene
from calibration.synthetic.rigs import LENSES, Observation, make_points, make_rig, observe

# Not `rendering`, `recordings` and `paths`: they load OpenCV and PyAV, which most users of this package do not need.
__all__ = ["LENSES", "BoardScene", "Observation", "make_board_scene", "make_points", "make_rig", "observe"]
