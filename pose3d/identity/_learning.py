"""What is learned from a recording before animals are followed: noise, size, distance, and how suddenly they move."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pose3d.identity import _identity_kernels as kernels
from pose3d.identity._sightings import FAR, Sightings, Stage
from pose3d.identity.settings import IdentitySettings
from pose3d.skeleton import Skeleton

__all__ = ["CHI_SQUARE_MEDIAN", "Model", "learn", "parameters"]

Array = NDArray[np.float64]
Places = NDArray[np.int64]

# Pixels with which learning begins; three rounds lead from there to what the recording has, from 0.2 to 20 px.
_FIRST_NOISE = 4.0
_ROUNDS = 4
# A network that repeats itself to the last digit is not that good.
_LEAST_NOISE = 0.3
# The median of the square of a normal number.
CHI_SQUARE_MEDIAN = 0.4549
# Animals are so much larger than the root mean square distance of their keypoints from the middle.
_REACH = 2.0
# Sudden motion is rare: the variance of the usual change of velocity is raised by this.
_SUDDEN = 6.0
# Frames over which second differences are taken, and by how much a clear growth is.
_LAGS = (1, 2, 4, 8)
_CLEARLY = 1.5
# Root mean square angle of an animal where instances do not say: it has one keypoint or two.
_USUAL_ANGLE = 0.05
_RESIDUALS = 200_000
# What a keypoint that does not fit costs: one of 30 is somewhere else.
_BOUND = 3.4
# Keypoints err together, and cameras too: correlation of what they say. Of 100 keypoints of two animals 8 % leave 11.
# With it, of meetings in made scenes about as many were exchanges as was expected; see docs/accuracy.md.
_ALIKE = 0.08
# Logarithms of odds: 3.9 is 2 %.
_CLOSE, _APART = 3.9, 6.0
_CALM = 5
_BLOCK = 50
_NEWBORN = 5
_FEWEST = 3
_BIRTH = 8.0
_SLOTS_FEW = 16


@dataclass(frozen=True, eq=False)
class Model:
    """What animals and cameras are like.

    Attributes:
        noise: standard deviation of a pixel coordinate.
        radius: about how far an animal reaches from its middle, in units of the world.
        scene: (camera,) squared distance of the animals.
        drift: variance of the change of velocity per frame.
        edges: (edge, 2) keypoints whose distance tells animals apart.
    """

    noise: float
    radius: float
    scene: Array
    drift: float
    edges: Places

    @property
    def extent(self) -> Array:
        """(camera,) squared angular radius of an animal."""
        return self.radius**2 / self.scene


def parameters(model: Model, settings: IdentitySettings, *, planar: bool, rate: float | None, slots: int) -> Array:
    """The array of parameters that the kernels take.

    Args:
        model: what was learned.
        settings: how animals are told apart.
        planar: whether one camera looks at a plane.
        rate: frames per second, None where unknown.
        slots: how many tracks there may be at once.
    """
    per_second = 1.0 if rate is None else rate
    absence = max(settings.longest_absence * per_second, 3.0)
    p = np.zeros(kernels.PARAMETERS)
    p[kernels.NOISE] = model.noise**2
    p[kernels.BOUND] = _BOUND
    p[kernels.RADIUS] = model.radius**2
    p[kernels.DRIFT] = model.drift
    p[kernels.FADING] = max(0.15 * per_second, 2.0)
    p[kernels.ABSENCE] = absence
    p[kernels.ALIKE] = _ALIKE
    p[kernels.CLOSE], p[kernels.APART] = _CLOSE, _APART
    p[kernels.SURE] = np.log(settings.sure / max(1.0 - settings.sure, 1e-12))
    p[kernels.BIRTH] = _BIRTH
    p[kernels.PLANAR] = float(planar)
    p[kernels.TRUST] = settings.trust_tracks
    p[kernels.SLOTS] = slots
    p[kernels.CALM] = _CALM
    p[kernels.BLOCK] = _BLOCK
    p[kernels.NEWBORN] = _NEWBORN
    p[kernels.FEWEST] = _FEWEST
    return p


def learn(
    blocks: Sequence[Sightings],
    stage: Stage,
    settings: IdentitySettings,
    skeleton: Skeleton | None,
    names: Sequence[str],
) -> Model:
    """What a recording is like, from some blocks of it.

    Args:
        blocks: of successive frames.
        stage: the cameras.
        settings: of which `noise` may be given.
        skeleton: whose edges tell animals apart, or None for those lengths that change least.
        names: of the keypoints.
    """
    model = _first_model(blocks, stage, settings)
    groups = _group(blocks, stage, model, settings)
    for _ in range(_ROUNDS):
        if not stage.planar and settings.noise is None:
            model = replace(model, noise=_noise(blocks, stage, groups, model.noise))
            groups = _group(blocks, stage, model, settings)
        model = _sized(blocks, stage, groups, model, settings)
    found = [_places(block, stage, group, model, settings) for block, group in zip(blocks, groups, strict=True)]
    drift, noise = _motion(found, model, settings, planar=stage.planar)
    return replace(model, drift=drift, noise=noise, edges=_edges(found, skeleton, names))


def _first_model(blocks: Sequence[Sightings], stage: Stage, settings: IdentitySettings) -> Model:
    """From the angular size of instances alone, as if all animals were at distance one."""
    spreads: list[list[float]] = [[] for _ in stage.names]
    for block in blocks:
        for camera, spread in enumerate(spreads):
            spread += _angular_sizes(block.ray[:, camera], block.conf[:, camera] > 0)
    known = [float(np.median(spread)) for spread in spreads if spread]
    # a camera alone is far away from its image
    usual = float(np.median(known)) if known else _USUAL_ANGLE / (FAR if stage.planar else 1.0)
    sizes = np.array([float(np.median(spread)) if spread else usual for spread in spreads])
    sizes = np.maximum(sizes, 1e-9)
    noise = settings.noise or _FIRST_NOISE
    radius = _REACH * float(np.median(sizes))
    return Model(noise, radius, (radius / (_REACH * sizes)) ** 2, 0.0, np.zeros((0, 2), np.int64))


def _angular_sizes(ray: Array, seen: NDArray[np.bool_]) -> list[float]:
    """Root mean square angle of keypoints from the middle of their instance, of instances with three or more."""
    count = seen.sum(-1)
    chosen = count >= 3
    if not chosen.any():
        return []
    ray, seen, count = ray[chosen], seen[chosen], count[chosen]
    middle = (ray * seen[..., None]).sum(-2) / count[..., None]
    off = ((ray - middle[..., None, :]) ** 2).sum(-1) * seen
    return np.sqrt(off.sum(-1) / count).tolist()


def _group(
    blocks: Iterable[Sightings], stage: Stage, model: Model, settings: IdentitySettings
) -> list[NDArray[np.int64]]:
    p = parameters(model, settings, planar=stage.planar, rate=None, slots=0)
    result = []
    for block in blocks:
        group = np.full(block.conf.shape[:3], -1, dtype=np.int64)
        odds = np.empty(block.conf.shape[:3])
        kernels.group_frames(block.ray, block.conf, block.angle, stage.base, model.extent, p, group, odds)
        result.append(group)
    return result


def _noise(blocks: Sequence[Sightings], stage: Stage, groups: Sequence[Places], before: float) -> float:
    """From how far rays of one group miss each other."""
    out = np.empty(_RESIDUALS)
    found = []
    for block, group in zip(blocks, groups, strict=True):
        count = kernels.group_residuals(block.ray, block.conf, block.angle, stage.base, group, out)
        found.append(out[:count].copy())
    squared = np.concatenate(found)
    if len(squared) < 20:
        return before
    return max(float(np.sqrt(np.median(squared) / CHI_SQUARE_MEDIAN)), _LEAST_NOISE)


def _places(block: Sightings, stage: Stage, group: Places, model: Model, settings: IdentitySettings) -> Array:
    """(time, group, keypoint, 3) places in a block, NaN where not known."""
    shape = (len(group), max(int(group.max(initial=-1)) + 1, 1), block.conf.shape[-1])
    place, variance = np.empty((*shape, 3)), np.empty(shape)
    p = parameters(model, settings, planar=stage.planar, rate=None, slots=0)
    kernels.place_groups(block.ray, block.conf, block.angle, stage.center, model.scene, p, group, place, variance)
    return place


def _sized(
    blocks: Sequence[Sightings], stage: Stage, groups: Sequence[Places], model: Model, settings: IdentitySettings
) -> Model:
    """The size of animals and their distance from the cameras, where they could be placed."""
    sizes, middles = [], []
    for block, group in zip(blocks, groups, strict=True):
        place = _places(block, stage, group, model, settings)
        known = np.isfinite(place[..., 0])
        chosen = known.sum(-1) >= min(3, known.shape[-1])
        place, known = place[chosen], known[chosen]
        count = known.sum(-1)
        middle = np.where(known[..., None], place, 0.0).sum(-2) / count[:, None]
        off = np.where(known, ((place - middle[:, None]) ** 2).sum(-1), 0.0)
        sizes.append(np.sqrt(off.sum(-1) / count))
        middles.append(middle)
    size, middle = np.concatenate(sizes), np.concatenate(middles)
    if not len(size):
        # never two cameras: distances are not known, and hardly matter
        return model
    away = np.median(((middle[:, None] - stage.center[None]) ** 2).sum(-1), axis=0)
    if not size.any():
        # one keypoint has no size; that of the first guess is an angle
        return replace(model, radius=model.radius * float(np.sqrt(np.median(away / model.scene))), scene=away)
    return replace(model, radius=max(_REACH * float(np.median(size)), 1e-9), scene=away)


def _motion(found: Sequence[Array], model: Model, settings: IdentitySettings, *, planar: bool) -> tuple[float, float]:
    """Variance of the change of velocity per frame, and the noise.

    Second differences over L frames have the variance 6 noise^2 + (2/3) L^3 drift if velocity changes by white noise.
    Drift comes from the shortest L and 2 L between which it grows clearly; of smooth motion longer ones would tell too
    much.
    """
    axes = 2 if planar else 3
    least = (1e-3 * model.radius) ** 2
    following = [[_next(one, two, model.radius) for one, two in pairwise(place)] for place in found]
    spread = {lag: _bend(found, following, lag, axes) for lag in _LAGS}
    if spread[1] is None:
        return (0.1 * model.radius) ** 2, model.noise
    drift = 0.0
    for lag in _LAGS[:-1]:
        short, long = spread[lag], spread[2 * lag]
        if short is None or long is None:
            break
        drift = max((long - short) / (2.0 / 3.0 * 7.0 * lag**3), 0.0)
        if long > _CLEARLY * short:
            break
    noise = model.noise
    if planar and settings.noise is None:
        noise = max(float(np.sqrt(max(spread[1] - 2.0 / 3.0 * drift, 0.1 * spread[1]) / 6.0)), _LEAST_NOISE)
    return max(_SUDDEN * drift, least), noise


def _bend(found: Sequence[Array], following: Sequence[Sequence[dict[int, int]]], lag: int, axes: int) -> float | None:
    """Variance along an axis of second differences over some frames, robustly; None where there are few."""
    bends = []
    for place, steps in zip(found, following, strict=True):
        for t in range(len(place) - 2 * lag):
            for a in steps[t]:
                b = _later(steps, t, t + lag, a)
                c = _later(steps, t + lag, t + 2 * lag, b)
                if c >= 0:
                    bend = place[t, a] - 2.0 * place[t + lag, b] + place[t + 2 * lag, c]
                    bends.append(bend[np.isfinite(bend[:, 0]), :axes])
    every = np.concatenate(bends) if bends else np.zeros((0, axes))
    if len(every) < 50:
        return None
    # medians of chi-square with two and three degrees of freedom
    return float(np.median((every**2).sum(-1))) / (2.366 if axes == 3 else 1.386)


def _later(steps: Sequence[dict[int, int]], start: int, end: int, group: int) -> int:
    """Which group of a later frame a group is; -1 where it was lost on the way."""
    for t in range(start, end):
        group = steps[t].get(group, -1)
        if group < 0:
            return -1
    return group


def _next(now: Array, later: Array, radius: float) -> dict[int, int]:
    """Which group of the next frame each group is, where both agree on that and they are near."""
    with np.errstate(invalid="ignore"):
        off = np.linalg.norm(now[:, None] - later[None], axis=-1)
    known = np.isfinite(off)
    count = known.sum(-1)
    mean = np.where(count >= min(2, now.shape[1]), np.where(known, off, 0.0).sum(-1) / np.maximum(count, 1), np.inf)
    if not mean.size:
        return {}
    forward, back = mean.argmin(1), mean.argmin(0)
    return {a: int(b) for a, b in enumerate(forward) if back[b] == a and mean[a, b] < radius}


def _edges(places: Sequence[Array], skeleton: Skeleton | None, names: Sequence[str]) -> Places:
    """Pairs of keypoints whose distance changes little while an animal moves."""
    count = len(names)
    if skeleton is not None:
        index = {name: place for place, name in enumerate(names)}
        chosen = [(index[a], index[b]) for a, b in skeleton.edges if a in index and b in index]
        if chosen:
            return np.array(chosen, dtype=np.int64)
    bodies = np.concatenate([place.reshape(-1, count, 3) for place in places])
    ranked = []
    for a in range(count):
        for b in range(a + 1, count):
            length = np.linalg.norm(bodies[:, a] - bodies[:, b], axis=-1)
            length = length[np.isfinite(length)]
            if len(length) >= 50 and np.median(length) > 0:
                usual = float(np.median(length))
                ranked.append((float(np.median(np.abs(length - usual))) / usual, a, b))
    return np.array([(a, b) for _, a, b in sorted(ranked)[: 2 * count]], dtype=np.int64).reshape(-1, 2)
