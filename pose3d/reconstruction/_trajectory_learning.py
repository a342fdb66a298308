"""Learning noise, motion and bones from parts of a recording: empirical Bayes by expectation and maximization.

Each round reconstructs the parts and then renews, from the result and its covariance:

- the noise of every keypoint and camera, the share and width of its tail, and the share that is lost (expectation
  maximization of a mixture; the uncertainty of the places is added to the residuals, so that noise is not taken for
  smaller where few cameras see a keypoint);
- the smoothness of every keypoint, by the fixed point of the marginal likelihood of MacKay (Bayesian interpolation,
  1992): the squares of the differences over the number of those that the observations decide;
- once, before the last rounds, the lengths of bones: the median over frames, and by how much more they vary than their
  uncertainty says.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import comb

import numpy as np
from numpy.typing import NDArray

from calibration.processors import available_processors
from pose3d.reconstruction._adaptation import adapts, local_strength
from pose3d.reconstruction._prediction import predictive_density
from pose3d.reconstruction._trajectory_model import Bones, NoiseModel, TrajectoryModel
from pose3d.reconstruction._trajectory_problem import (
    Frame,
    Solution,
    Window,
    derivatives,
    differences,
    has_difference,
    solve_window,
)

__all__ = ["Links", "learn", "start_model"]

Array = NDArray[np.float64]

_FEWEST_ROUNDS, _ROUNDS = 3, 10
_TOLERANCE = 1e-2  # of the uncertainty of a point
_ENOUGH = 0.05  # change of the logarithm of smoothness and noise in a round
# A keypoint or camera is believed to be like the others until so many observations speak for it.
_PRIOR_COUNT = 30.0
_PRIOR_SHARES = 100.0
# Before anything is learned: shares of the tail and of what is lost, and variance of the tail.
_TAIL, _LOST, _WIDTH = 0.02, 0.02, 9.0
_WIDTHS = (4.0, 100.0)
_LARGEST_STEP = np.log(10.0)  # of the logarithm of the smoothness in a round
_LARGEST_RATE = 0.8
_LARGEST_LEAP = 1.0  # a motion that became much too rough is long in coming back
_STRIDES = (1, 2, 4, 8)  # frames
_ABOVE = 1.5
# So long is a vector of three normal numbers in 80 of 100 cases; legs stand still for most of the time.
_QUANTILE, _QUANTILE_OF_NORMAL = 0.8, 2.1544
_FACTORS = (2.0, 4.0)  # of the smoothness, tried on held-out cameras
# Fewer frames with both ends of a bone say nothing about its length.
_FEWEST_LENGTHS = 10
_NOISE_FLOOR = 1e-3  # px; the best subpixel corners are found to 0.01 px


@dataclass(frozen=True, eq=False)
class Links:
    """What a skeleton says, by numbers of keypoints.

    Attributes:
        bones: (bone, 2) pairs whose distance is held.
        rigid: (bone,) whether the skeleton calls it rigid.
        mirrored: (bone,) number of the bone on the other side, or its own.
    """

    bones: NDArray[np.int64]
    rigid: NDArray[np.bool_]
    mirrored: NDArray[np.int64]


def start_model(deviation: Array, frame: Frame, interval: float, area: Array, alone: Array) -> TrajectoryModel:
    """A model before anything is learned.

    Args:
        deviation: (keypoint, camera) noise.
        frame: see there.
        interval: between frames.
        area: (keypoint,) see `NoiseModel`.
        alone: (individual, keypoint) see `TrajectoryModel`.
    """
    count = len(deviation)
    shares = [np.full(count, value) for value in (_TAIL, _WIDTH, _LOST)]
    given = frame.settings.smoothness
    # a guess that is too rough rather than too smooth: in one frame a hundredth of the distance to the cameras
    guess = 0.01 * frame.reach / interval**frame.settings.order
    return TrajectoryModel(
        noise=NoiseModel(deviation, shares[0], shares[1], shares[2], area),
        smoothness=np.full(alone.shape, guess if given is None else given),
        loosened=1.0,
        score=-np.inf,
        interval=interval,
        bones=None,
        correlation=np.ones((count, 1)),
        alone=alone,
        rounds=0,
    )


def learn(
    model: TrajectoryModel, windows: Sequence[Sequence[Window]], frame: Frame, links: Links | None
) -> TrajectoryModel:
    """The model that explains the windows (part, individual) best."""
    solutions: list[list[Solution | None]] = [[None] * len(part) for part in windows]
    if frame.settings.smoothness is None:
        model = replace(model, smoothness=_guess(model, windows, frame))
    last = np.full(model.smoothness.shape, np.inf)
    for rounds in range(1, _ROUNDS + 1):
        solutions = _solve(model, windows, solutions, frame)
        renewed = replace(
            model,
            noise=_noise(model.noise, windows, solutions, fixed=frame.settings.noise is not None),
            rounds=rounds,
        )
        step = np.log(_smoothness(model, windows, solutions, frame) / model.smoothness)
        # steps shrink by about the same factor, a slow one at first: every other time go the whole way (Aitken)
        rate = np.clip(step / np.where(last == 0, np.inf, last), 0.0, _LARGEST_RATE) if rounds % 2 == 0 else 0.0
        last = step
        step = np.clip(step / (1.0 - rate), -_LARGEST_STEP, _LARGEST_LEAP)
        least = model.least_smoothness(frame.settings.order)
        renewed = replace(renewed, smoothness=np.maximum(model.smoothness * np.exp(step), least))
        change = max(
            float(np.abs(np.log(renewed.smoothness / model.smoothness)).max()),
            float(np.abs(np.log(renewed.noise.deviation / model.noise.deviation)).max()),
        )
        model = renewed
        if rounds >= _FEWEST_ROUNDS and change < _ENOUGH:
            break
    if links is not None and len(links.bones):
        model = replace(model, bones=_bones(windows, solutions, frame, links))
    return _loosened(model, windows, solutions, frame)


def _loosened(
    model: TrajectoryModel,
    windows: Sequence[Sequence[Window]],
    solutions: Sequence[Sequence[Solution | None]],
    frame: Frame,
) -> TrajectoryModel:
    """The model with the factor of its smoothness that predicts best what held-out cameras saw.

    Marginal likelihood believes that the motion is white noise. Of one that is not, as that of a gait of few frames
    a stride, it can make too little.
    """
    if model.noise.deviation.shape[1] < 3:
        return model
    best = replace(model, score=predictive_density(model, windows, solutions, frame))
    for factor in _FACTORS if frame.settings.smoothness is None else ():
        rougher = replace(model, smoothness=factor * model.smoothness, loosened=factor)
        score = predictive_density(rougher, windows, solutions, frame)
        if score <= best.score:
            break
        best = replace(rougher, score=score)
    return best


def _guess(model: TrajectoryModel, windows: Sequence[Sequence[Window]], frame: Frame) -> Array:
    """(individual, keypoint) smoothness by the triangulated places.

    By differences over the shortest span over which the motion shows above the noise: over a longer one a stride of a
    gait averages out, and from a motion that is much too smooth learning does not come back.
    """
    order = frame.settings.order
    guess = model.smoothness.copy()
    for number in range(len(guess)):
        found = np.full(guess.shape[1], np.nan)
        for stride in _STRIDES:
            size = _difference_size(model, [part[number] for part in windows], order, stride)
            # a difference of white noise has the variance binomial(2 p, p) over the interval to the power of 2 p
            noise = np.sqrt(comb(2 * order, order) * model.alone[number] / 3) / (stride * model.interval) ** order
            # white noise of the derivative is averaged over the span
            here = np.sqrt(np.maximum(size**2 - np.nan_to_num(noise) ** 2, 0.01 * size**2) * stride)
            found = np.where(np.isnan(found) & ((size > _ABOVE * noise) | (stride == _STRIDES[-1])), here, found)
        guess[number] = np.where(np.isfinite(found) & (found > 0), found, guess[number])
    return np.maximum(guess, model.least_smoothness(order))


def _difference_size(model: TrajectoryModel, windows: Sequence[Window], order: int, stride: int) -> Array:
    """(keypoint,) size, along an axis, of the differences over a stride, robust; NaN if there are none."""
    rows: list[Array] = []
    for window in windows:
        for first in range(stride):
            times, places = window.times[first::stride], window.start[first::stride]
            coefficients = differences(times, order, stride * model.interval)
            count = len(coefficients)
            parts = [coefficients[:, a, None, None] * places[a : a + count] for a in range(order + 1)]
            rows.append(np.linalg.norm(np.sum(parts, axis=0), axis=-1))
    known = [one[np.isfinite(one)] for one in np.concatenate(rows).T]
    return np.array([np.quantile(one, _QUANTILE) / _QUANTILE_OF_NORMAL if len(one) else np.nan for one in known])


def _solve(
    model: TrajectoryModel,
    windows: Sequence[Sequence[Window]],
    before: Sequence[Sequence[Solution | None]],
    frame: Frame,
) -> list[list[Solution | None]]:
    """The trajectories of all windows, by threads: the kernels let them run side by side."""

    def solve(place: tuple[int, int]) -> Solution:
        part, number = place
        window, old = windows[part][number], before[part][number]
        strength = local_strength(window, old, frame, model, number) if old is not None and adaptive else None
        return solve_window(
            window, frame, model, number, solution=old, strength=strength, bodies=False, tolerance=_TOLERANCE
        )

    adaptive = adapts(frame)
    places = [(part, number) for part in range(len(windows)) for number in range(len(windows[part]))]
    with ThreadPoolExecutor(available_processors()) as pool:
        found = dict(zip(places, pool.map(solve, places), strict=True))
    return [[found[part, number] for number in range(len(windows[part]))] for part in range(len(windows))]


def _noise(
    noise: NoiseModel,
    windows: Sequence[Sequence[Window]],
    solutions: Sequence[Sequence[Solution | None]],
    *,
    fixed: bool,
) -> NoiseModel:
    count, cameras = noise.deviation.shape
    sums, weights = np.zeros((count, cameras)), np.zeros((count, cameras))
    core_count, tail_count, lost_count, tail_sum = (np.zeros(count) for _ in range(4))
    telling = _telling(windows)
    for part, found in zip(windows, solutions, strict=True):
        for person, (window, solution) in enumerate(zip(part, found, strict=True)):
            assert solution is not None
            if person not in telling:
                continue
            seen = np.isfinite(solution.squared) & np.isfinite(solution.spread)
            core, tail, lost = (
                np.where(seen, share, 0.0) for share in noise.shares(solution.squared, window.table[..., 5])
            )
            total = np.where(seen, solution.squared + solution.spread, 0.0)
            total = np.where(np.isfinite(total), total, 0.0)
            explained = core + tail / noise.width[:, None]
            sums += (explained * total).sum(0)
            weights += 2 * (core + tail).sum(0)
            core_count += core.sum((0, 2))
            tail_count += tail.sum((0, 2))
            lost_count += lost.sum((0, 2))
            tail_sum += (tail * total).sum((0, 2))
    everything = max(float((core_count + tail_count + lost_count).sum()), 1.0)
    number = core_count + tail_count + lost_count + _PRIOR_SHARES
    tail = (tail_count + _PRIOR_SHARES * float(tail_count.sum()) / everything) / number
    lost = (lost_count + _PRIOR_SHARES * float(lost_count.sum()) / everything) / number
    width = (tail_sum + 2 * _PRIOR_SHARES * _WIDTH) / (2 * tail_count + 2 * _PRIOR_SHARES)
    deviation = noise.deviation
    if not fixed:
        variance = noise.deviation**2
        own = variance * sums
        by_keypoint = (own.sum(1) + _PRIOR_COUNT * np.exp(np.log(variance).mean(1))) / (weights.sum(1) + _PRIOR_COUNT)
        deviation = np.sqrt((own + _PRIOR_COUNT * by_keypoint[:, None]) / (weights + _PRIOR_COUNT))
    return NoiseModel(
        deviation=np.maximum(deviation, _NOISE_FLOOR),
        tail=np.clip(tail, 1e-4, 0.3),
        width=np.clip(width, *_WIDTHS),
        lost=np.clip(lost, 1e-4, 0.5),
        area=noise.area * (noise.deviation**2).mean(1) / (deviation**2).mean(1),
    )


def _telling(windows: Sequence[Sequence[Window]]) -> set[int]:
    """The individuals that noise is learned from: those that three cameras usually see, where there are any.

    A bystander in two cameras, who is no subject, would say that these two are bad (human_4cam: median distance from
    the published positions of the subject 19 mm instead of 15).
    """
    typical: dict[int, float] = {}
    for number in range(len(windows[0]) if windows else 0):
        views = np.concatenate([(part[number].table[..., 5] > 0).sum(-1).ravel() for part in windows])
        typical[number] = float(np.median(views[views > 0])) if (views > 0).any() else 0.0
    enough = {number for number, views in typical.items() if views >= 3}
    return enough or set(typical)


def _smoothness(
    model: TrajectoryModel,
    windows: Sequence[Sequence[Window]],
    solutions: Sequence[Sequence[Solution | None]],
    frame: Frame,
) -> Array:
    """(individual, keypoint) renewed."""
    if frame.settings.smoothness is not None:
        return model.smoothness
    squares, decided = np.zeros(model.smoothness.shape), np.zeros(model.smoothness.shape)
    for part, found in zip(windows, solutions, strict=True):
        for number, (window, solution) in enumerate(zip(part, found, strict=True)):
            assert solution is not None
            size = (derivatives(window, solution.places, frame, model) ** 2).sum(-1)
            has = has_difference(window, frame)
            squares[number] += np.where(has, size, 0.0).sum(0)
            decided[number] += np.where(has, 3.0 - solution.absorbed, 0.0).sum(0)
    known = decided > 1.0
    if not known.any():
        return model.smoothness
    # a keypoint of which nothing is known moves like the others
    common = squares[known].sum() / decided[known].sum()
    variance = (squares + common) / (np.maximum(decided, 0.0) + 1.0)
    step = np.log(np.sqrt(np.maximum(variance, 1e-30)) / model.smoothness)
    return np.asarray(model.smoothness * np.exp(np.clip(step, -_LARGEST_STEP, _LARGEST_STEP)))


def _bones(
    windows: Sequence[Sequence[Window]], solutions: Sequence[Sequence[Solution | None]], frame: Frame, links: Links
) -> Bones:
    settings = frame.settings
    individuals, count = len(windows[0]), len(links.bones)
    length, deviation, error = (np.full((individuals, count), np.nan) for _ in range(3))
    for number in range(individuals):
        for bone in range(count):
            sides = {bone, int(links.mirrored[bone])} if settings.symmetric else {bone}
            samples = [
                _lengths(part[number], found[number], *links.bones[side].tolist())
                for part, found in zip(windows, solutions, strict=True)
                for side in sorted(sides)
            ]
            values, variances = (np.concatenate([sample[each] for sample in samples]) for each in (0, 1))
            if len(values) < _FEWEST_LENGTHS:
                continue
            middle = float(np.median(values))
            spread = 1.4826 * float(np.median(np.abs(values - middle)))
            excess = np.sqrt(max(spread**2 - float(np.median(variances)), 0.0))
            least = settings.bone_spread * middle
            length[number, bone] = middle
            deviation[number, bone] = least if links.rigid[bone] else max(excess, least)
            error[number, bone] = 1.2533 * spread / np.sqrt(len(values))
    return Bones(links.bones, length, deviation, error)


def _lengths(window: Window, solution: Solution | None, a: int, b: int) -> tuple[Array, Array]:
    """Lengths of a bone in the frames where cameras agree on both ends, and their variances.

    Noise across a bone makes it longer: by half its variance over the length.
    """
    assert solution is not None
    both = np.isfinite(window.start[:, a, 0]) & np.isfinite(window.start[:, b, 0])
    apart = solution.places[both, a] - solution.places[both, b]
    covariance = solution.covariance[both, a] + solution.covariance[both, b]
    length = np.linalg.norm(apart, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        unit = apart / length[:, None]
        along = np.einsum("ti,tij,tj->t", unit, covariance, unit)
        corrected = length - (np.trace(covariance, axis1=-2, axis2=-1) - along) / (2 * length)
    fine = np.isfinite(corrected) & (corrected > 0)
    return corrected[fine], along[fine]
