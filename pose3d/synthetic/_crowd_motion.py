"""How the animals of a crowd are built and move: a spine that follows its head, with pairs of keypoints beside it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pose3d.skeleton import Skeleton

__all__ = ["Bodies", "CrowdMotion", "make_bodies", "make_crowd_skeleton"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# In body lengths: height of the spine, distance of the pairs from it, heights of hips and feet, swing of the feet.
_SPINE_HEIGHT = 0.32
_ASIDE = {"side": 0.16, "foot": 0.19}
_HEIGHT = {"side": 0.26, "foot": 0.02}
_SWING = 0.12
_STRIDE = 0.7


@dataclass(frozen=True)
class _Plan:
    """Which keypoints there are: `spine` nodes and, per pair, its kind, its node and the phase of its swing."""

    spine: int
    pairs: tuple[tuple[str, int, float], ...]


@dataclass(frozen=True, eq=False)
class Bodies:
    """Measures of the animals, in the unit of the rig.

    Attributes:
        lengths: (animal, node - 1) between the nodes of the spine.
        aside, height, along: (animal, pair) places of the keypoints of a pair relative to their node; the right one is
            at minus `aside`.
        spine_height: (animal,).
        stride: (animal,) distance walked in a stride; swing: (animal,) of the feet.
    """

    lengths: Array
    aside: Array
    height: Array
    along: Array
    spine_height: Array
    stride: Array
    swing: Array


def _plan(keypoints: int) -> _Plan:
    spine = keypoints if keypoints < 4 else max(2, keypoints // 3)
    spine += (keypoints - spine) % 2
    count = (keypoints - spine) // 2
    nodes = [round(index * (spine - 1) / max(count - 1, 1)) for index in range(count)]
    return _Plan(
        spine, tuple(("foot" if index % 2 else "side", node, 0.5 * (index // 2)) for index, node in enumerate(nodes))
    )


def make_crowd_skeleton(keypoints: int) -> Skeleton:
    """The skeleton of animals with so many keypoints: a third along the spine, the others in pairs beside it."""
    plan = _plan(keypoints)
    spine = [f"spine_{index + 1}" for index in range(plan.spine)]
    names = [f"{kind}_{index + 1}" for index, (kind, _, _) in enumerate(plan.pairs)]
    rigid = list(pairwise(spine))
    swinging: list[tuple[str, str]] = []
    for name, (kind, node, _) in zip(names, plan.pairs, strict=True):
        edges = [(spine[node], f"{side}_{name}") for side in ("left", "right")]
        (swinging if kind == "foot" else rigid).extend(edges)
    return Skeleton(
        name="crowd",
        keypoints=(*spine, *(f"{side}_{name}" for name in names for side in ("left", "right"))),
        edges=(*rigid, *swinging),
        mirrored_pairs=tuple((f"left_{name}", f"right_{name}") for name in names),
        bones=tuple(rigid),
    )


def make_bodies(
    individuals: int, keypoints: int, *, body_length: float, size_spread: float, rng: np.random.Generator
) -> Bodies:
    """Animals whose size, and each of whose measures, differ by `size_spread` (standard deviation, as a share)."""
    plan = _plan(keypoints)
    pairs = len(plan.pairs)

    def strayed(*shape: int) -> Array:
        return np.exp(size_spread * np.clip(rng.standard_normal((individuals, *shape)), -2.5, 2.5))

    size = body_length * strayed(1)

    def measure(values: list[float]) -> Array:
        return np.asarray(size * np.array(values).reshape(1, -1) * strayed(len(values)))

    kinds = [kind for kind, _, _ in plan.pairs]
    lengths = measure([1.0 / max(plan.spine - 1, 1)] * (plan.spine - 1))
    return Bodies(
        lengths=lengths,
        aside=measure([_ASIDE[kind] for kind in kinds]),
        height=measure([_HEIGHT[kind] for kind in kinds]),
        along=size * np.linspace(0.05, -0.05, pairs),
        spine_height=measure([_SPINE_HEIGHT])[:, 0],
        stride=_STRIDE * size[:, 0],
        swing=_SWING * size[:, 0],
    )


class CrowdMotion:
    """Where the animals are, block after block.

    Args:
        bodies: of the animals.
        keypoints: number of keypoints.
        plan: what the kernel `move` wants.
        rng: of the places at which they start.
    """

    def __init__(self, bodies: Bodies, keypoints: int, plan: Array, rng: np.random.Generator) -> None:
        self._bodies, self._plan, self._kernel_plan = bodies, _plan(keypoints), plan
        from pose3d.synthetic._crowd_kernels import AWAY, WALKING

        animals = len(bodies.lengths)
        _, radius, speed, *_ = plan
        heading = rng.uniform(-np.pi, np.pi, animals)
        far, turn = 0.8 * radius * np.sqrt(rng.random(animals)), rng.uniform(-np.pi, np.pi, animals)
        head = np.stack([far * np.cos(turn), far * np.sin(turn)], axis=-1)
        behind = np.concatenate([np.zeros((animals, 1)), np.cumsum(bodies.lengths, axis=1)], axis=1)
        forward = np.stack([np.cos(heading), np.sin(heading)], axis=-1)
        self._nodes = head[:, None] - behind[..., None] * forward[:, None]
        self._motion = np.stack([heading, 0 * heading, 0 * heading + speed, 0 * heading], axis=-1)
        self._mode = np.where(rng.random(animals) < plan[6], AWAY, WALKING)
        self._huddle = np.zeros(3)

    def move(self, frames: int, rng: np.random.Generator) -> tuple[Array, Mask]:
        """The next frames: keypoints (time, animal, keypoint, 3), and who is away, (time, animal)."""
        from pose3d.synthetic._crowd_kernels import move

        animals, count = self._nodes.shape[:2]
        nodes, walked = np.empty((frames, animals, count, 2)), np.empty((frames, animals))
        away = np.empty((frames, animals), dtype=np.bool_)
        normal, uniform = rng.standard_normal((frames, animals, 2)), rng.random((frames, animals + 1, 2))
        move(
            self._nodes, self._motion, self._mode, self._huddle, self._bodies.lengths, self._kernel_plan, normal,
            uniform, nodes, walked, away,
        )  # fmt: skip
        return self._keypoints(nodes, walked), away

    def _keypoints(self, nodes: Array, walked: Array) -> Array:
        """(time, animal, keypoint, 3) of the nodes of the spine (time, animal, node, 2) and the distance walked."""
        bodies, spine = self._bodies, nodes.shape[2]
        result = np.empty((*nodes.shape[:2], spine + 2 * len(self._plan.pairs), 3))
        phase = 2 * np.pi * walked / bodies.stride
        result[:, :, :spine, :2] = nodes
        result[:, :, :spine, 2] = bodies.spine_height[:, None]
        for index, (kind, node, lag) in enumerate(self._plan.pairs):
            before, after = max(node - 1, 0), min(node + 1, spine - 1)
            forward = nodes[:, :, before] - nodes[:, :, after]
            length = np.linalg.norm(forward, axis=-1, keepdims=True)
            # a spine that is folded up has no direction; any will do for a frame
            forward = np.divide(forward, length, out=np.zeros_like(forward), where=length > 0)
            left = np.stack([-forward[..., 1], forward[..., 0]], axis=-1)
            for side, sign in enumerate((1.0, -1.0)):
                along = np.broadcast_to(bodies.along[:, index], phase.shape)
                height = np.broadcast_to(bodies.height[:, index], phase.shape)
                if kind == "foot":
                    turn = phase + 2 * np.pi * (lag + 0.5 * side)
                    along = along + bodies.swing * np.sin(turn)
                    height = height + 0.3 * bodies.swing * np.maximum(np.cos(turn), 0.0)
                place = result[:, :, spine + 2 * index + side]
                place[..., :2] = (
                    nodes[:, :, node] + along[..., None] * forward + sign * bodies.aside[:, index, None] * left
                )
                place[..., 2] = height
        return result
