"""What kinematics to compute, and how."""

from __future__ import annotations

from dataclasses import dataclass, field

from calibration.errors import InvalidValueError
from calibration.nearest import nearest_name
from pose3d.kinematics._derivative_settings import DerivativeSettings
from pose3d.kinematics._gait_settings import GaitSettings

__all__ = ["CYCLED", "QUANTITIES", "KinematicsSettings"]

QUANTITIES = (
    "velocity",
    "speed",
    "acceleration",
    "jerk",
    "curvature",
    "body_speed",
    "body_axis",
    "center_of_mass",
    "bone_lengths",
    "joint_angles",
    "joint_coordinates",
    "gait",
)
"""What can be asked for."""

_USUAL = tuple(name for name in QUANTITIES if name not in ("jerk", "curvature"))
CYCLED = ("joint_angle", "joint_coordinate")
"""What is averaged over the stride."""


@dataclass(frozen=True)
class KinematicsSettings:
    """What is computed, and how.

    Attributes:
        quantities: names out of `QUANTITIES`. What the skeleton does not define is left out, and the attribute
            `left_out` says why.
        derivatives: how velocity and what follows from it are differentiated.
        gait: how steps are found.

    Raises:
        InvalidValueError: a quantity is unknown.
    """

    quantities: tuple[str, ...] = _USUAL
    derivatives: DerivativeSettings = field(default_factory=DerivativeSettings)
    gait: GaitSettings = field(default_factory=GaitSettings)

    def __post_init__(self) -> None:
        for name in self.quantities:
            if name not in QUANTITIES:
                raise InvalidValueError(
                    "KinematicsSettings, quantities",
                    expected=f"names out of {', '.join(QUANTITIES)}",
                    got=str(name),
                    remedy=nearest_name(str(name), QUANTITIES) or "Leave it out.",
                )
