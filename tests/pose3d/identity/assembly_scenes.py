"""Scenes of animals seen in two views, as candidates whose owners are known."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter1d

from pose3d.datasets import detections
from pose3d.skeleton import Skeleton

KEYPOINTS = (
    *("nose", "left_ear", "right_ear", "neck", "left_shoulder", "right_shoulder"),
    *("spine1", "spine2", "left_hip", "right_hip", "tail1", "tail2"),
)
EDGES = (
    *(("nose", "neck"), ("left_ear", "neck"), ("right_ear", "neck"), ("neck", "spine1")),
    *(("left_shoulder", "spine1"), ("right_shoulder", "spine1"), ("spine1", "spine2"), ("spine2", "tail1")),
    *(("left_hip", "tail1"), ("right_hip", "tail1"), ("tail1", "tail2")),
)
SKELETON = Skeleton("mouse", KEYPOINTS, EDGES)
SIZE = (1280, 960)
# Along and across a mouse, px.
_BODY = np.array(
    [
        *((50, 0), (38, 9), (38, -9), (30, 0), (20, 12), (20, -12)),
        *((5, 0), (-15, 0), (-20, 14), (-20, -14), (-40, 0), (-75, 0)),
    ],
    dtype=float,
)
NOBODY, FALSE, OUTLIER = -9, -1, -2


def scene(
    frames: int,
    animals: int,
    *,
    cameras: int = 2,
    seed: int = 0,
    crowd: float = 1.0,
    missing: float = 0.2,
    outliers: float = 0.05,
    false: float = 0.15,
    noise: float = 2.0,
    apart: bool = False,
    affinities: bool = False,
) -> tuple[xr.Dataset, np.ndarray]:
    """Detections, and (time, camera, candidate, keypoint) whose each is.

    Mice walk, turn and bend; cameras look from above, each at its slant. Half of the false candidates are close to an
    animal. `crowd` is how much smaller the area is in which they walk; with `apart` each keeps to its own place.
    """
    rng = np.random.default_rng(seed)

    def walk(scale: float, smooth: float, *ends: int) -> np.ndarray:
        steps = gaussian_filter1d(rng.normal(size=(frames + 300, animals, *ends)), smooth, axis=0)
        return (steps / steps.std() * scale)[150 : 150 + frames]

    place, turn, bend = walk(260 / np.sqrt(crowd), 15, 2), walk(3.0, 15), walk(0.5, 8)
    if apart:
        place = 0.1 * place + 300.0 * (np.arange(animals) - (animals - 1) / 2)[:, None] * [1, 0]
    body = _BODY * (1 + 0.1 * rng.normal(size=(animals, 1, 1)))
    angle = turn[..., None] + bend[..., None] * body[..., 0] / 60
    flat = np.stack(
        [
            np.cos(angle) * body[..., 0] - np.sin(angle) * body[..., 1],
            np.sin(angle) * body[..., 0] + np.cos(angle) * body[..., 1],
        ],
        axis=-1,
    )
    flat = flat + place[:, :, None]
    slant, around = rng.uniform(0.35, 1.0, cameras), rng.uniform(0, 2 * np.pi, cameras)
    if apart:
        slant, around = np.ones(cameras), np.zeros(cameras)
    candidates = animals + (2 if false else 0)
    shape = (frames, cameras, candidates, len(KEYPOINTS))
    position, confidence, owner = np.full((*shape, 2), np.nan), np.zeros(shape), np.full(shape, NOBODY)
    for camera in range(cameras):
        c, s = np.cos(around[camera]), np.sin(around[camera])
        seen = flat @ np.array([[c, s * slant[camera]], [-s, c * slant[camera]]]) + np.array(SIZE) / 2
        seen = seen + rng.normal(0, noise, seen.shape)
        wrong, lost = rng.random(seen.shape[:3]) < outliers, rng.random(seen.shape[:3]) < missing
        seen = np.where(wrong[..., None], rng.uniform(0, 1, seen.shape) * SIZE, seen)
        whose = np.where(wrong, OUTLIER, np.arange(animals)[:, None])
        position[:, camera, :animals] = np.where(lost[..., None], np.nan, seen)
        confidence[:, camera, :animals] = np.where(lost, 0, rng.uniform(0.5, 1, lost.shape))
        owner[:, camera, :animals] = np.where(lost, NOBODY, whose)
        for number in range(animals, candidates):
            there, close = rng.random((2, frames, len(KEYPOINTS))) < np.array([false, 0.5])[:, None, None]
            near = seen[
                np.arange(frames)[:, None], rng.integers(0, animals, there.shape), rng.integers(0, 12, there.shape)
            ]
            points = np.where(
                close[..., None], near + rng.normal(0, 15, near.shape), rng.uniform(0, 1, near.shape) * SIZE
            )
            position[:, camera, number] = np.where(there[..., None], points, np.nan)
            confidence[:, camera, number] = np.where(there, rng.uniform(0.1, 0.7, there.shape), 0)
            owner[:, camera, number] = np.where(there, FALSE, NOBODY)
    order = np.argsort(-confidence, axis=2, kind="stable")
    position = np.take_along_axis(position, order[..., None], 2)
    confidence, owner = (np.take_along_axis(values, order, 2) for values in (confidence, owner))
    found = detections(
        position,
        confidence,
        cameras=[f"cam{number}" for number in range(cameras)],
        keypoints=KEYPOINTS,
        frame_rate=30.0,
        image_size=[SIZE] * cameras,
    )
    return (_with_affinities(found, owner, rng) if affinities else found), owner


def _with_affinities(found: xr.Dataset, owner: np.ndarray, rng: np.random.Generator) -> xr.Dataset:
    """Affinities of all edges and some more, as of a network: most are right, none is a probability."""
    edges = (*EDGES, ("nose", "spine1"), ("neck", "tail1"), ("left_ear", "right_ear"), ("left_hip", "right_hip"))
    first, second = (np.array([KEYPOINTS.index(edge[end]) for edge in edges]) for end in (0, 1))
    one, two = (np.moveaxis(owner[..., places], -1, 2) for places in (first, second))
    same = (one[..., :, None] == two[..., None, :]) & (one[..., :, None] >= 0)
    values = np.clip(rng.normal(np.where(same, 0.6, 0.08), np.where(same, 0.2, 0.1)), 0, 1)
    known = (one[..., :, None] > NOBODY) & (two[..., None, :] > NOBODY)
    dims = ("time", "camera", "edge", "candidate", "candidate_")
    return found.assign(
        affinity=(dims, np.where(known, values, np.nan), {"units": "1"}),
        edge_keypoint=(("edge", "end"), np.array(edges), {"units": "1"}),
    )


def slots_of(found: xr.Dataset, result: xr.Dataset) -> np.ndarray:
    """(time, camera, candidate, keypoint) the instance that has each candidate; -1 for none."""
    given, made = found["position"].values, result["position"].values
    same = (given[:, :, :, None] == made[:, :, None]).all(-1)  # (time, camera, candidate, instance, keypoint)
    return np.where(same.any(3), same.argmax(3), -1) if made.shape[2] else np.full(given.shape[:4], -1)


def grouped(found: xr.Dataset, owner: np.ndarray, result: xr.Dataset, only: np.ndarray | None = None) -> float:
    """Share of the keypoints of animals that are in the instance of their animal: the one that has most of it, and of
    which at least half is it. `only` (time, camera, instance) are the instances that count."""
    slots = slots_of(found, result)
    instances, animals = result.sizes["instance"], int(owner.max()) + 1
    owns = np.stack([(owner == animal) & (slots >= 0) for animal in range(animals)], -1)
    held = np.stack([slots == instance for instance in range(instances)], -1)
    table = np.einsum("tcnka,tcnki->tcai", owns.astype(int), held.astype(int))
    size = held.sum((2, 3))
    best = table.argmax(-1)
    right, of = np.take_along_axis(table, best[..., None], -1)[..., 0], np.take_along_axis(size, best, -1)
    right = np.where(2 * right >= of, right, 0)
    total = owns.sum((2, 3))
    counts = np.take_along_axis(only, best, -1) if only is not None else np.ones(right.shape, bool)
    return float(right[counts].sum() / max(total[counts].sum(), 1))
