"""The place where the animals walk: bedding in a round arena, things on it, and a room behind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pose3d.synthetic._arena_kernels import THING
from pose3d.synthetic._quadruped import PLAN_LENGTH

__all__ = ["Arena", "make_arena"]

Array = NDArray[np.float64]

# Things keep this far from where any keypoint ever is, in body lengths: bodies are 0.15 wide on each side.
_CLEARANCE = 0.22
_TRIES = 60  # places that are tried for each thing
_CELL = 0.05  # of the map of free places, in body lengths


@dataclass(frozen=True, eq=False)
class Arena:
    """What stands still.

    Attributes:
        things: (thing, THING) rows, see `_arena_kernels`.
        radius: of the bedding, in mm.
        table: radius of the table that it is on.
        unit: millimeters of the plan per mm.
        draw: of the pattern of the floor.
    """

    things: Array
    radius: float
    table: float
    unit: float
    draw: int


def make_arena(pose: Array, *, body_length: float, clutter: int, seed: int) -> Arena:
    """An arena in which no thing stands in the way.

    Args:
        pose: (time, individual, keypoint, 3) in mm, all of the recording.
        body_length: nose to tail base in mm.
        clutter: number of things; fewer where there is no room.
        seed: of things and pattern.
    """
    rng = np.random.default_rng([seed, 21])
    walked = pose[..., :2].reshape(-1, 2)
    radius = 1.12 * float(np.linalg.norm(walked, axis=-1).max()) + 0.15 * body_length
    free = _free_space(walked, radius, body_length)
    things: list[Array] = []
    for _ in range(clutter * _TRIES):
        if len(things) == clutter:
            break
        thing = _draw_thing(rng, radius, body_length)
        reach = float(np.hypot(thing[5], thing[6]) if thing[0] == 0 else thing[5])
        apart = all(np.hypot(*(thing[1:3] - other[1:3])) > reach + other[5] + other[6] for other in things)
        cell = np.floor((thing[1:3] + radius) / (_CELL * body_length)).astype(int)
        fits = bool((cell >= 0).all() and (cell < free.shape).all()) and free[tuple(cell)] > reach
        if fits and apart and np.hypot(thing[1], thing[2]) + reach < radius:
            things.append(thing)
    return Arena(
        things=np.array(things).reshape(-1, THING),
        radius=radius,
        table=3.0 * radius,
        unit=PLAN_LENGTH / body_length,
        draw=int(rng.integers(1, 1 << 20)),
    )


def _free_space(walked: Array, radius: float, body_length: float) -> Array:
    """(x, y) distance in mm from every cell of the floor to where a thing would be in the way."""
    from scipy.ndimage import distance_transform_edt

    cell = _CELL * body_length
    count = int(np.ceil(2 * radius / cell))
    taken = np.zeros((count, count), dtype=bool)
    index = np.clip(np.floor((walked + radius) / cell).astype(int), 0, count - 1)
    taken[index[:, 0], index[:, 1]] = True
    return np.asarray(distance_transform_edt(~taken)) * cell - _CLEARANCE * body_length


def _draw_thing(rng: np.random.Generator, radius: float, body_length: float) -> Array:
    angle, turn = rng.uniform(0, 2 * np.pi, 2)
    far = radius * np.sqrt(rng.uniform(0, 1))
    width, depth = rng.uniform(0.08, 0.32, 2) * body_length
    color = np.clip(rng.uniform(0.12, 0.75) * rng.uniform(0.7, 1.3, 3), 0.03, 0.95)
    # Half of them are striped.
    other = color if rng.random() < 0.5 else np.clip(color * rng.uniform(0.5, 1.6, 3), 0.03, 0.95)
    round_ = float(rng.random() < 0.4)
    height = rng.uniform(0.06, 0.38) * body_length
    stripe = rng.uniform(0.05, 0.15) * body_length
    if round_:
        depth = 0.0
    place = (far * np.cos(angle), far * np.sin(angle), np.cos(turn), np.sin(turn))
    return np.array([round_, *place, width, depth, height, *color, *other, stripe])
