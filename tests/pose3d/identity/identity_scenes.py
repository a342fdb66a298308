"""Scenes of several animals whose owners are known, and what is compared of them."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

import numpy as np
import xarray as xr

from calibration.rig import Rig
from calibration.synthetic import make_rig
from pose3d.datasets import instances
from pose3d.metrics.identity_association import instance_groups
from pose3d.synthetic.crowds import CROWDS, Crowd, make_crowd

# A body of eight keypoints, lengths in units of its size, along and across.
_BODY = np.array(
    [
        *((1.0, 0.0, 0.1), (0.8, 0.15, 0.2), (0.8, -0.15, 0.2), (0.4, 0.2, 0.0)),
        *((0.4, -0.2, 0.0), (0.0, 0.0, 0.2), (-0.3, 0.2, 0.0), (-0.9, 0.0, 0.05)),
    ]
)
KEYPOINTS = ("nose", "left_ear", "right_ear", "left_paw", "right_paw", "back", "left_hip", "tail")


@cache
def crowd(name: str = "easy", **changes: Any) -> Crowd:
    return make_crowd(dataclasses.replace(CROWDS[name], **{"frames": 150, **changes}))


@cache
def stage(cameras: int = 4) -> Rig:
    return make_rig(cameras, distance=1200.0, size=(1280, 1024), seed=5)


def made(
    paths: np.ndarray,
    *,
    heading: np.ndarray | None = None,
    sizes: tuple[float, ...] | None = None,
    hidden: np.ndarray | None = None,
    looks: np.ndarray | None = None,
    rig: Rig | None = None,
    noise: float = 1.0,
    seed: int = 0,
    **more: Any,
) -> tuple[xr.Dataset, np.ndarray]:
    """Instances of rigid animals, and (time, camera, instance) whose each is, -1 for empty places.

    Args:
        paths: (time, animal, 2) of their middles, mm.
        heading: (time, animal) radians; 0 by default.
        sizes: length of each, mm.
        hidden: (time, camera, animal) or (time, 1, animal) which are not reported.
        looks: (animal, feature) what each looks like, with a standard deviation of 1 by frame.
    """
    rng = np.random.default_rng(seed)
    frames, animals = paths.shape[:2]
    cameras = rig or stage()
    turn = np.zeros((frames, animals)) if heading is None else heading
    c, s = np.cos(turn)[..., None], np.sin(turn)[..., None]
    body = _BODY * np.array(sizes or (60.0,) * animals)[:, None, None]
    x, y, z = np.moveaxis(np.broadcast_to(body, (frames, *body.shape)), -1, 0)
    points = np.stack([c * x - s * y + paths[..., :1], s * x + c * y + paths[..., 1:], z], -1)
    pixels = np.moveaxis(cameras.project(points), 3, 1)  # (time, camera, animal, keypoint, 2)
    pixels = pixels + noise * rng.standard_normal(pixels.shape)
    gone = np.zeros(pixels.shape[:3], bool) if hidden is None else np.broadcast_to(hidden, pixels.shape[:3])
    pixels[gone] = np.nan
    order = np.argsort(rng.random(gone.shape), axis=2)
    whose = np.where(np.take_along_axis(gone, order, 2), -1, order)
    appearance = None
    if looks is not None:
        appearance = looks[order] + rng.standard_normal((*order.shape, looks.shape[1]))
        appearance[whose < 0] = np.nan
    found = instances(
        np.take_along_axis(pixels, order[..., None, None], 2),
        cameras=cameras.names,
        keypoints=KEYPOINTS,
        frame_rate=30.0,
        appearance=appearance,
        **more,
    )
    return found, whose


def apart(frames: int, animals: int) -> np.ndarray:
    """(time, animal, 2) animals that keep to their places."""
    middle = np.array([[x, y] for x in (-250.0, 0.0, 250.0) for y in (-200.0, 0.0, 200.0)])[:animals]
    phase = np.linspace(0, 2 * np.pi, frames)[:, None] + np.arange(animals)
    return middle + 30.0 * np.stack([np.cos(phase), np.sin(phase)], -1)


def bounce(frames: int = 640, dark: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """(time, 2, 2) two animals that run at each other, meet where nobody sees them, and turn back; and when that is."""
    half = (frames - dark) // 2
    rest = -270 + 10 * np.cos(2 * np.pi * np.arange(half - 60) / (half - 60)) - 10
    run = np.concatenate([rest, -270 + 250 * np.linspace(0, 1, 60) ** 2])
    x = np.concatenate([run, np.full(frames - 2 * half, -20.0), run[::-1]])
    paths = np.zeros((frames, 2, 2))
    paths[:, 0, 0], paths[:, 1, 0] = x, -x
    unseen = np.zeros((frames, 1, 2), bool)
    unseen[half : frames - half] = True
    return paths, unseen


def owners(identity: xr.Dataset, whose: np.ndarray) -> np.ndarray:
    """(time, camera, individual) the animal that each instance is of; -1 for a false one, -2 for none."""
    place = identity["instance"].values.astype(int)
    return np.where(place >= 0, np.take_along_axis(whose, np.maximum(place, 0), 2), -2)


def animals_of(identity: xr.Dataset, whose: np.ndarray) -> list[set[int]]:
    """Of every individual, all animals that ever had its name."""
    every = owners(identity, whose)
    return [set(np.unique(every[:, :, who][every[:, :, who] >= 0]).tolist()) for who in range(every.shape[2])]


def runs(identity: xr.Dataset, whose: np.ndarray, who: int) -> list[int]:
    """The animals that had a name, one after the other."""
    every = owners(identity, whose)[:, :, who]
    first = [int(row[row >= 0][0]) for row in every if (row >= 0).any()]
    return [one for place, one in enumerate(first) if not place or first[place - 1] != one]


def labels(identity: xr.Dataset, count: int) -> np.ndarray:
    """(time, camera, instance) whose each is, numbered by when they are met: alike if only names differ."""
    return numbered(instance_groups(identity["instance"].values, count))


def numbered(groups: np.ndarray) -> np.ndarray:
    """Labels in the order in which they are met; -1 stays."""
    flat, result = groups.ravel(), np.full(groups.size, -1)
    known, first = np.unique(flat[flat >= 0], return_index=True)
    place = np.flatnonzero(flat >= 0)[first]
    for number, which in enumerate(np.argsort(place)):
        result[flat == known[which]] = number
    return result.reshape(groups.shape)


def numbered_by_frame(groups: np.ndarray) -> np.ndarray:
    return np.stack([numbered(each) for each in groups])


def shuffled(found: xr.Dataset, seed: int = 0) -> tuple[xr.Dataset, np.ndarray]:
    """The instances of every camera and frame in another order, and that order (time, camera, instance)."""
    order = np.argsort(np.random.default_rng(seed).random(found["position"].shape[:3]), axis=2)
    result = found.copy()
    for name in ("position", "confidence", "track", "appearance"):
        if name in found:
            values = found[name].values
            index = order.reshape(*order.shape, *(1,) * (values.ndim - 3))
            result[name] = (found[name].dims, np.take_along_axis(values, index, 2), found[name].attrs)
    return result, order
