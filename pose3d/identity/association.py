"""Which instances of several cameras are one animal, frame by frame, without any memory."""

from __future__ import annotations

import numpy as np
import xarray as xr

from calibration.rig import Rig
from pose3d.identity._learning import parameters
from pose3d.identity._sightings import make_sightings
from pose3d.identity.models import IdentityModel, learn_identity
from pose3d.identity.settings import IdentitySettings

__all__ = ["associate"]

_AT_ONCE = 1024


def associate(
    instances: xr.Dataset,
    rig: Rig,
    *,
    settings: IdentitySettings | None = None,
    model: IdentityModel | None = None,
) -> xr.Dataset:
    """Group the instances of all cameras, each frame by itself.

    What speaks for two instances of two cameras being one animal is the logarithm of a likelihood ratio: how far rays
    miss each other, in units of the noise, against how far those of another animal about there would. Groups with at
    most one instance of each camera make the sum over all pairs as large as local search finds it, so that the answer
    is consistent over all cameras (correlation clustering; Bansal, Blum and Chawla, 2004).

    `identify` does better, as it remembers where animals were; this is for single frames.

    Args:
        instances: Instances Dataset of two or more of the rig's cameras.
        rig: the cameras.
        settings: how.
        model: what noise and animals are like; learned from the instances where None.

    Returns:
        `group` (time, camera, instance): alike for what is one animal, -1 where there is no instance; and
        `group_confidence`: the probability that the instance belongs to its group rather than to the best alternative,
        NaN for what is alone. Below `settings.sure`, two cameras do not tell.

    Raises:
        InvalidValueError: the instances are empty.
        MismatchError: fewer than two cameras of the rig have instances.
    """
    from pose3d.identity import _identity_kernels as kernels

    chosen = settings or IdentitySettings()
    known = model or learn_identity(instances, rig, settings=chosen)
    stage, ordered = known.on(instances, rig)
    p = parameters(known.values, chosen, planar=stage.planar, rate=None, slots=0)
    shape = tuple(ordered.sizes[dim] for dim in ("time", "camera", "instance"))
    group, odds = np.full(shape, -1, np.int64), np.full(shape, np.nan)
    for start in range(0, shape[0], _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        seen = make_sightings(ordered.isel(time=rows), stage, chosen.minimum_confidence)
        kernels.group_frames(
            seen.ray, seen.conf, seen.angle, stage.base, known.values.extent, p, group[rows], odds[rows]
        )
    with np.errstate(over="ignore"):
        confidence = 1.0 / (1.0 + np.exp(-odds))
    return xr.Dataset(
        {
            "group": (("time", "camera", "instance"), group, {"units": "1"}),
            "group_confidence": (("time", "camera", "instance"), confidence, {"units": "1"}),
        },
        coords={name: ordered[name].variable for name in ("time", "frame", "camera", "instance")},
    )
