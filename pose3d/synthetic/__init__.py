"""Moving animals with known truth: quadrupeds walk in front of a rig, and a detector reports them with known errors."""

from __future__ import annotations

from pose3d.synthetic._quadruped import QUADRUPED
from pose3d.synthetic.sample import PROJECT_SAMPLE_FILES, SAMPLE_FILES, sample_folder
from pose3d.synthetic.scene import Scene, simulate
from pose3d.synthetic.settings import SimulationSettings

# Not `rendering`, `videos`, `pixel_truth` and `labels`: they load OpenCV and PyAV, which most users of this package do
# not need.
__all__ = [
    "PROJECT_SAMPLE_FILES",
    "QUADRUPED",
    "SAMPLE_FILES",
    "Scene",
    "SimulationSettings",
    "sample_folder",
    "simulate",
]
