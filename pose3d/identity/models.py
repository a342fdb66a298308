"""What is learned of cameras and animals before they are told apart, as a value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from calibration.errors import InvalidValueError, MismatchError
from calibration.rig import Rig
from calibration.schema import check
from pose3d.datasets import INSTANCES
from pose3d.identity._following import learn_model
from pose3d.identity._learning import Model
from pose3d.identity._sightings import Stage, rig_stage, single_stage
from pose3d.identity.settings import IdentitySettings
from pose3d.skeleton import Skeleton

__all__ = ["IdentityModel", "cameras_of", "learn_identity"]


@dataclass(frozen=True, eq=False)
class IdentityModel:
    """What a recording is like.

    Attributes:
        cameras: the cameras that it was learned of.
        keypoints: the keypoints.
        values: noise, size, distances and motion.
    """

    cameras: tuple[str, ...]
    keypoints: tuple[str, ...]
    values: Model

    @property
    def noise(self) -> float:
        """Standard deviation of a pixel coordinate at confidence 1."""
        return self.values.noise

    def on(self, instances: xr.Dataset, rig: Rig | None) -> tuple[Stage, xr.Dataset]:
        """The cameras as the kernels know them, and the instances in their order.

        Raises:
            MismatchError: cameras or keypoints are not those of the model.
        """
        stage, ordered = cameras_of(instances, rig)
        keypoints = tuple(str(name) for name in instances["keypoint"].values)
        if stage.names != self.cameras or keypoints != self.keypoints:
            raise MismatchError(
                "identity, model",
                expected=f"cameras {', '.join(self.cameras)} and keypoints {', '.join(self.keypoints)}",
                got=f"cameras {', '.join(stage.names)} and keypoints {', '.join(keypoints)}",
                remedy="Learn a model of this recording.",
            )
        return stage, ordered


def learn_identity(
    instances: xr.Dataset,
    rig: Rig | None = None,
    *,
    skeleton: Skeleton | None = None,
    settings: IdentitySettings | None = None,
) -> IdentityModel:
    """Learn from some blocks of a recording how precise it is, how large animals are, and how suddenly they move.

    Args:
        instances: Instances Dataset; it need not be loaded.
        rig: the cameras; None for one camera.
        skeleton: whose edges tell animals apart; without one, the lengths that change least.
        settings: of which `noise` may be given.

    Raises:
        InvalidValueError: the instances are empty.
        MismatchError: cameras are not those of the rig, or there are several and no rig.
    """
    stage, ordered = cameras_of(instances, rig)
    values = learn_model(ordered, stage, settings or IdentitySettings(), skeleton)
    return IdentityModel(stage.names, tuple(str(name) for name in instances["keypoint"].values), values)


def cameras_of(instances: xr.Dataset, rig: Rig | None) -> tuple[Stage, xr.Dataset]:
    """The cameras as the kernels know them, and the instances in their order.

    Raises:
        InvalidValueError: the instances do not follow the schema, or are empty.
        MismatchError: cameras are not those of the rig, or there are several and no rig.
    """
    check(instances, INSTANCES, values=False)
    names = [str(name) for name in instances["camera"].values]
    empty = [dim for dim in ("time", "instance", "keypoint", "camera") if not instances.sizes[dim]]
    if empty:
        raise InvalidValueError(
            "instances",
            expected="at least one frame, camera, keypoint and instance",
            got=f"no {empty[0].replace('time', 'frame')}",
            remedy="Check that anything was found in the videos.",
        )
    if (np.diff(instances["frame"].values.astype(np.int64)) <= 0).any():
        raise InvalidValueError(
            "instances, frame numbers",
            expected="increasing numbers, each once",
            got="some that are not larger than the one before",
            remedy="Sort the rows by frame, and keep one row per frame.",
        )
    if len(names) == 1:
        return single_stage(instances), instances
    if rig is None:
        raise MismatchError(
            "identity",
            expected="a rig, as there are several cameras",
            got=f"none, and the cameras {', '.join(names)}",
            remedy="Give the calibration, or the instances of one camera.",
        )
    common = [name for name in rig.names if name in names]
    if len(common) < 2:
        raise MismatchError(
            "identity, cameras",
            expected=f"two of the rig's cameras {', '.join(rig.names)}",
            got=", ".join(names),
            remedy="Give the calibration of these cameras, or name them alike.",
        )
    return rig_stage(rig.select(common)), instances.sel(camera=common)
