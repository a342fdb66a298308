"""How to reconstruct trajectories; public as `pose3d.reconstruction.TrajectorySettings`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from calibration.errors import InvalidValueError
from calibration.triangulation import TriangulationSettings

__all__ = ["LONGEST_LAG", "ORDERS", "Motion", "TrajectorySettings"]

Motion = Literal["automatic", "velocity", "acceleration", "jerk"]

LONGEST_LAG = 500
"""Frames: each pose takes as long as its lag; for a longer one, leave it out and wait for the whole recording."""

# The order of the derivative that a motion of constant velocity, acceleration or jerk does not have.
ORDERS: Mapping[str, int] = {"velocity": 2, "acceleration": 3, "jerk": 4}


@dataclass(frozen=True)
class TrajectorySettings:
    """How to reconstruct trajectories.

    Attributes:
        motion: what stays constant where nothing happens: "velocity", "acceleration" or "jerk". Changes of it are
            white noise, whose size is `smoothness`. "automatic": velocity or acceleration, whichever predicts better
            what held-out cameras saw; with two cameras, velocity; with a given smoothness, acceleration.
        smoothness: standard deviation, along each axis, of the derivative that follows (of acceleration for constant
            velocity, of jerk for constant acceleration), in the rig's unit per s^2 (s^3, s^4) at the frame rate of the
            recording, or per frame where that is unknown. None: learned for every keypoint by marginal likelihood, and
            once or twice doubled for all where held-out cameras are predicted better so.
        adaptive: whether smoothness follows the motion, from moment to moment, where it is learned.
        bones: whether the lengths of bones are learned and held; needs a skeleton.
        bone_spread: standard deviation of the length of a bone as a share of it, for those that the skeleton calls
            rigid; the others have the spread that they show, at least this.
        symmetric: whether mirrored bones, left and right, have the same length.
        joint_spread: radians by which an angle may leave the range that the skeleton gives for it.
        repair_swaps: whether left and right are exchanged where that explains a camera better; needs a skeleton.
        longest_gap: frames in a row in which no two cameras agree over which a keypoint is bridged; across longer gaps
            it is unknown.
        largest_deviation: a position whose expected error (the root of the trace of its covariance) is larger than
            this share of the distance to the cameras is not determined, hence NaN.
        noise: standard deviation of a pixel coordinate at confidence 1; None: learned for every keypoint and camera.
        lasting_noise: whether covariances allow for noise that is alike in successive frames, as far as the residuals
            show it.
        minimum_confidence: a camera with less confidence in a point counts as not seeing it.
        lag: None: every pose is found from the whole recording; a number: from what was seen until so many frames
            later, as a live system has it, see `FixedLag`; at most 500.
        pilot_frames: about so many frames, in blocks spread over the recording, are learned from.
        seed: see `TriangulationSettings`.

    Raises:
        InvalidValueError: a setting is out of its range.
    """

    motion: Motion = "automatic"
    smoothness: float | None = None
    adaptive: bool = True
    bones: bool = True
    bone_spread: float = 0.01
    symmetric: bool = True
    joint_spread: float = float(np.deg2rad(3.0))
    repair_swaps: bool = True
    longest_gap: int = 60
    largest_deviation: float = 0.1
    noise: float | None = None
    lasting_noise: bool = True
    minimum_confidence: float = 0.0
    lag: int | None = None
    pilot_frames: int = 600
    seed: int = 0

    def __post_init__(self) -> None:
        known = ("automatic", *ORDERS)
        _require("motion", self.motion in known, f"one of {', '.join(known)}", self.motion)
        for name in ("smoothness", "noise"):
            value = getattr(self, name)
            _require(name, value is None or 0 < value < np.inf, "a positive number", value)
        for name in ("bone_spread", "joint_spread", "largest_deviation"):
            value = getattr(self, name)
            _require(name, 0 < value < np.inf, "a positive number", value)
        _require("longest_gap", self.longest_gap >= 0, "frames from 0", self.longest_gap)
        _require("lag", self.lag is None or 0 <= self.lag <= LONGEST_LAG, f"frames from 0 to {LONGEST_LAG}", self.lag)
        _require("minimum_confidence", 0 <= self.minimum_confidence <= 1, "0 to 1", self.minimum_confidence)
        _require("pilot_frames", self.pilot_frames >= 50, "at least 50 frames", self.pilot_frames)
        _require("seed", self.seed >= 0, "a whole number from 0", self.seed)

    @property
    def order(self) -> int:
        """Order of the derivative that is white noise; the motion has to be chosen."""
        return ORDERS[self.motion]

    @property
    def triangulation(self) -> TriangulationSettings:
        """How the start of every point is triangulated."""
        return TriangulationSettings(noise=self.noise, minimum_confidence=self.minimum_confidence, seed=self.seed)


def _require(name: str, fine: bool, expected: str, got: object) -> None:
    if not fine:
        raise InvalidValueError(
            f"TrajectorySettings, {name}", expected=expected, got=str(got), remedy="Correct the setting."
        )
