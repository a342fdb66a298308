"""How good a network is on labeled images: one path from maps to errors, in training and afterwards.

Errors are distances in pixels of the image between what was labeled and what was found. All numbers come with 95 %
intervals from drawing the images again, whole videos at a time where there are several.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from pose3d.networks._bootstrap import Draws, interval, weighted_median
from pose3d.networks.predicting import Maps, locate
from pose3d.networks.settings import NetworkSettings
from pose3d.networks.targets import ABSENT, OCCLUDED, UNKNOWN, VISIBLE

if TYPE_CHECKING:
    from pose3d.networks.training import TrainingData

__all__ = ["Comparison", "EvaluationSettings", "body_lengths", "compare", "evaluate", "joined_comparisons"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Object keypoint similarity counts as found from 0.5 to 0.95, as in COCO.
_SIMILARITIES = np.arange(0.5, 0.96, 0.05)
_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class EvaluationSettings:
    """What is measured.

    Attributes:
        pixels: distances below which a keypoint counts as correct, in pixels of the image.
        shares: the same as shares of the length of the body.
        reference: two keypoints between which the body is measured; empty for the diagonal of the box around all
            labeled keypoints of an animal.
        oks_sigma: spread of labels as a share of the size of the animal, as in DeepLabCut.
        confidence_share: confidence is the probability of an error below this share of the length of the body.
        resamples: draws for intervals.
        seed: of the draws.
    """

    pixels: tuple[float, ...] = (2.0, 5.0, 10.0)
    shares: tuple[float, ...] = (0.05, 0.1)
    reference: tuple[str, ...] = ()
    oks_sigma: float = 0.1
    confidence_share: float = 0.05
    resamples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        rules = {
            "pixels": ("distances above 0", all(one > 0 for one in self.pixels)),
            "shares": ("shares above 0", all(one > 0 for one in self.shares)),
            "reference": ("two names of keypoints, or none", len(self.reference) in (0, 2)),
            "oks_sigma": ("a share above 0", self.oks_sigma > 0),
            "confidence_share": ("a share above 0", self.confidence_share > 0),
            "resamples": ("0 or more", self.resamples >= 0),
        }
        for name, (expected, fine) in rules.items():
            if not fine:
                raise InvalidValueError(
                    f"evaluation, {name}",
                    expected=expected,
                    got=repr(getattr(self, name)),
                    remedy="Correct the setting.",
                )


@dataclass(frozen=True, eq=False)
class Comparison:
    """What was labeled in images, and what was found there.

    Of several candidates the nearest counts, each for one animal only; the nearest pair of label and candidate comes
    first. What is left then is found beside what is labeled.

    Attributes:
        keypoints: names.
        labeled: (image, individual, keypoint, 2) pixels; NaN where there is no position.
        found: (image, individual, keypoint, 2) pixels; NaN where nothing was found.
        logit: (image, individual, keypoint) height of the peak that was found; -inf where there is none.
        covariance: (image, individual, keypoint, 2, 2) px^2, as decoded.
        absent: (image, individual, keypoint) True where somebody looked, and it is not in the image.
        images: numbers of the images in the labels.
        groups: name of the group of each image: what was filmed together.
        surplus: (image, candidate, keypoint) height of the peaks that are at none of the animals, of several; -inf
            where there is none, and where an animal without a label may be.
    """

    keypoints: tuple[str, ...]
    labeled: Floats
    found: Floats
    logit: Floats
    covariance: Floats
    absent: NDArray[np.bool_]
    images: Integers
    groups: tuple[str, ...] = field(default=())
    surplus: Floats = field(default_factory=lambda: np.empty((0, 0, 0)))

    @property
    def distance(self) -> Floats:
        """(image, individual, keypoint) pixels; NaN where nothing is labeled, infinite where nothing was found."""
        distance = np.linalg.norm(self.found - self.labeled, axis=-1)
        there = np.isfinite(self.labeled[..., 0])
        return np.where(there, np.where(np.isfinite(distance), distance, np.inf), np.nan)

    @property
    def group_numbers(self) -> Integers:
        """(image,) number of what is drawn together: the group, or the image where there are not two groups."""
        names, numbers = np.unique(np.array(self.groups or ("",) * len(self.images)), return_inverse=True)
        return numbers.astype(np.int64) if len(names) > 1 else np.arange(len(self.images), dtype=np.int64)


def compare(
    maps: Maps,
    data: TrainingData,
    chosen: Integers,
    network: NetworkSettings,
    *,
    groups: Sequence[str] = (),
    batch_size: int = 8,
) -> Comparison:
    """Find keypoints in labeled images.

    Args:
        maps: the model.
        data: labeled images.
        chosen: numbers of those to look at.
        network: its settings.
        groups: of all images in `data`, what was filmed together.
        batch_size: images per batch.
    """
    points = data.points[chosen].astype(np.float64)
    individuals = points.shape[1]
    shape = points.shape[:3]
    found = np.full((*shape, 2), np.nan)
    logit, covariance = np.full(shape, -np.inf), np.full((*shape, 2, 2), np.nan)
    there = (points[..., 2] == VISIBLE) | (points[..., 2] == OCCLUDED)
    labeled = np.where(there[..., None], points[..., :2], np.nan)
    candidates = 1 if individuals == 1 else 2 * individuals
    surplus = np.full((shape[0], candidates, shape[2]), -np.inf)
    all_known = (points[..., 2] != UNKNOWN).all(axis=1)
    images = (data.read(int(index)) for index in chosen)
    done = 0
    for batch in locate(maps, images, network, candidates=candidates, batch_size=batch_size):
        for row, position in enumerate(batch.position):
            taken, free = _matched(labeled[done], position.astype(np.float64))
            own = np.nonzero(taken >= 0)  # individual, keypoint
            place = (taken[own], own[1])
            found[done][own], logit[done][own] = position[place], batch.logit[row][place]
            covariance[done][own] = batch.covariance[row][place]
            surplus[done] = np.where(free & all_known[done], batch.logit[row], -np.inf)
            done += 1
    names = tuple(groups[int(index)] for index in chosen) if len(groups) else ()
    absent = points[..., 2] == ABSENT
    return Comparison(network.keypoints, labeled, found, logit, covariance, absent, np.asarray(chosen), names, surplus)


def _matched(labeled: Floats, position: Floats) -> tuple[Integers, NDArray[np.bool_]]:
    """Which candidate is whose keypoint: the nearest pair first, then the nearest of what is left.

    Args:
        labeled: (individual, keypoint, 2), NaN without a label.
        position: (candidate, keypoint, 2), NaN without a candidate.

    Returns:
        (individual, keypoint) number of the candidate, -1 for none; (candidate, keypoint) whether it is left over. Of
        one animal the only candidate is its own even where nothing is labeled.
    """
    individuals, keypoints = labeled.shape[:2]
    if individuals == 1 and len(position) == 1:
        return np.zeros((1, keypoints), dtype=np.int64), np.zeros((1, keypoints), dtype=np.bool_)
    distance = np.linalg.norm(labeled[:, None] - position[None], axis=-1)  # (individual, candidate, keypoint)
    distance = np.where(np.isfinite(distance), distance, np.inf)
    taken = np.full((individuals, keypoints), -1)
    free = np.asarray(np.isfinite(position).all(axis=-1))
    for _ in range(individuals):
        who, which = np.divmod(distance.reshape(-1, keypoints).argmin(axis=0), len(position))
        near = np.flatnonzero(np.isfinite(distance[who, which, np.arange(keypoints)]))
        taken[who[near], near] = which[near]
        free[which[near], near] = False
        distance[who[near], :, near] = np.inf
        distance[:, which[near], near] = np.inf
    return taken, free


def joined_comparisons(parts: Sequence[Comparison]) -> Comparison:
    """Comparisons of several networks of the same keypoints, one after the other: the folds of a cross-validation."""
    arrays = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("labeled", "found", "logit", "covariance", "absent", "images", "surplus")
    }
    return Comparison(parts[0].keypoints, **arrays, groups=tuple(name for part in parts for name in part.groups))


def body_lengths(comparison: Comparison, reference: Sequence[str] = ()) -> Floats:
    """(image, individual) length of the body in pixels; the median where it cannot be measured, NaN without any.

    Raises:
        InvalidValueError: a keypoint of the reference is unknown.
    """
    unknown = [name for name in reference if name not in comparison.keypoints]
    if unknown:
        raise InvalidValueError(
            "evaluation, reference",
            expected=f"keypoints out of {', '.join(comparison.keypoints)}",
            got=", ".join(unknown),
            remedy="Correct the names.",
        )
    if reference:
        first, second = (comparison.keypoints.index(name) for name in reference)
        length = np.linalg.norm(comparison.labeled[:, :, first] - comparison.labeled[:, :, second], axis=-1)
    else:
        length = np.linalg.norm(_box(comparison.labeled), axis=-1)
    known = length[np.isfinite(length) & (length > 0)]
    return np.where(np.isfinite(length) & (length > 0), length, np.median(known) if len(known) else np.nan)


def _box(labeled: Floats) -> Floats:
    """(image, individual, 2) width and height of the box around labeled keypoints; NaN with fewer than two."""
    there = np.isfinite(labeled)
    width = np.where(there, labeled, -np.inf).max(axis=2) - np.where(there, labeled, np.inf).min(axis=2)
    return np.where(there[..., 0].sum(axis=2)[..., None] > 1, width, np.nan)


def evaluate(comparison: Comparison, settings: EvaluationSettings | None = None) -> dict[str, Any]:
    """Metrics as plain numbers, ready for JSON: each a value with a 95 % interval, None where it cannot be said.

    Returns:
        "images", "labels", "drawn" (what intervals draw: "images" or "groups"), "count" (how many of them),
        "body_length" (median, px), "found" (share of labels where anything was found), "overall", and "keypoints" (name
        -> metrics): "rmse" and "median" (px), "pck" (threshold in words -> share), and for overall "oks_map".
    """
    settings = settings or EvaluationSettings()
    distance = comparison.distance
    numbers = comparison.group_numbers
    draws = Draws(numbers, settings.resamples, settings.seed)
    length = body_lengths(comparison, settings.reference)
    limits: dict[str, Floats] = {f"{one:g} px": np.full(length.shape, one) for one in settings.pixels}
    limits |= {f"{100 * one:g} % of the body": one * length for one in settings.shares}
    known = np.isfinite(comparison.labeled[..., 0])
    grouped = len(np.unique(numbers)) < len(numbers)
    names = comparison.keypoints
    return {
        "images": len(distance),
        "labels": int(known.sum()),
        "drawn": "groups" if grouped else "images",
        "count": len(np.unique(numbers)),
        "body_length": float(np.nanmedian(length)) if np.isfinite(length).any() else None,
        "found": float(np.isfinite(distance[known]).mean()) if known.any() else None,
        "overall": _metrics(distance, limits, draws)
        | {"oks_map": interval(_mean_precision(comparison, draws, settings))},
        "keypoints": {name: _metrics(distance[:, :, [k]], limits, draws) for k, name in enumerate(names)},
    }


def _metrics(distance: Floats, limits: Mapping[str, Floats], draws: Draws) -> dict[str, Any]:
    """Metrics of (image, individual, keypoint) distances."""
    images = np.broadcast_to(np.arange(len(distance))[:, None, None], distance.shape)
    labeled = ~np.isnan(distance)
    seen = np.isfinite(distance)
    values, weights = distance[seen], draws.weights[:, images[seen]]
    with np.errstate(invalid="ignore", divide="ignore"):
        rmse = np.sqrt(weights @ values**2 / weights.sum(axis=1))
        of_all = draws.weights[:, images[labeled]]
        pck = {
            name: interval(of_all @ (distance < limit[:, :, None])[labeled] / of_all.sum(axis=1))
            for name, limit in limits.items()
            if np.isfinite(limit).any()
        }
    return {
        "labels": int(labeled.sum()),
        "rmse": interval(rmse),
        "median": interval(weighted_median(values, weights)),
        "pck": pck,
    }


def _mean_precision(comparison: Comparison, draws: Draws, settings: EvaluationSettings) -> Floats:
    """(draw,) mean average precision of object keypoint similarity, as in COCO with one spread for all keypoints."""
    area = _box(comparison.labeled).prod(axis=-1)
    distance = comparison.distance
    labeled = ~np.isnan(distance)
    usable = np.isfinite(area) & (area > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        near = np.exp(-(distance**2) / (2 * area[..., None] * (2 * settings.oks_sigma) ** 2))
        similarity = np.where(labeled, near, 0).sum(axis=-1) / labeled.sum(axis=-1)
    height = np.where(np.isfinite(comparison.logit), comparison.logit, -30.0)
    score = np.where(labeled, 1 / (1 + np.exp(-np.clip(height, -30, 30))), 0).sum(axis=-1) / np.maximum(
        labeled.sum(axis=-1), 1
    )
    images = np.broadcast_to(np.arange(len(distance))[:, None], usable.shape)[usable]
    order = np.argsort(-score[usable], kind="stable")
    correct = similarity[usable][order][:, None] >= _SIMILARITIES  # (animal, threshold)
    if not len(order):
        return np.full(len(draws.weights), np.nan)
    return np.array([_average_precision(correct, weight) for weight in draws.weights[:, images[order]]])


def _average_precision(correct: NDArray[np.bool_], weight: Floats) -> float:
    """Mean over thresholds of precision at 101 recalls; rows (animal, threshold) sorted by falling score."""
    total = weight.sum()
    if total == 0:
        return float("nan")
    true = np.cumsum(correct * weight[:, None], axis=0)
    seen = np.cumsum(weight)[:, None]
    precision = np.maximum.accumulate((true / np.maximum(seen, 1e-12))[::-1], axis=0)[::-1]
    recall = true / total
    at = np.array([np.searchsorted(recall[:, one], _RECALLS - 1e-12) for one in range(recall.shape[1])])
    padded = np.concatenate([precision, np.zeros((1, precision.shape[1]))])
    return float(np.mean([padded[places, one] for one, places in enumerate(at)]))
