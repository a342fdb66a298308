"""Honest confidence and covariance: what a network says of itself, corrected by what held-out images show.

The height of a peak is turned into the probability that the position is nearer to the truth than a threshold, by a
line that never falls (isotonic regression). Covariances are multiplied by one number, so that the squared distance to
the truth, in units of them, has the median that two dimensions have by chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from pose3d.networks.decoding import Candidates
from pose3d.networks.evaluation import Comparison

__all__ = [
    "ConfidenceCalibration",
    "apply",
    "calibration_error",
    "fit_confidence",
    "left_out_probability",
    "plain_probability",
    "reliability",
]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

# Fewer labels than this cannot say what a height means: a share of 90 % of 30 is known to within 11 %.
_FEWEST = 30
# Labels per step of the line, at least; more than so many steps do not make it better.
_PER_STEP, _STEPS = 10, 20
# A peak so low is none (a thousandth), whatever was seen higher up.
_NOTHING = -6.9
_PARTS = 5
# Median of the squared distance of two normal numbers from 0, and what 95 % are below.
_MEDIAN, _OUTER = 1.3863, 5.9915


@dataclass(frozen=True)
class ConfidenceCalibration:
    """How confidence and covariance of a network are corrected; plain numbers.

    Attributes:
        threshold: pixels of the image; confidence is the probability of an error below it.
        logits: heights of peaks, increasing, at least one.
        probabilities: what they mean; between them in a straight line, beyond them the last.
        covariance_scale: factor of the covariances.
        count: labeled keypoints it was found with.
        error_before: expected calibration error of the plain sigmoid of the heights, 0 to 1.
        error_after: of the corrected probability, on images that were left out when it was found.
        coverage: share of labels inside the ellipse that should hold 95 %, on images that were left out.

    Raises:
        InvalidValueError: numbers are out of order or range.
    """

    threshold: float
    logits: tuple[float, ...]
    probabilities: tuple[float, ...]
    covariance_scale: float = 1.0
    count: int = 0
    error_before: float = 0.0
    error_after: float = 0.0
    coverage: float = 0.0

    def __post_init__(self) -> None:
        logits, probabilities = np.asarray(self.logits, dtype=float), np.asarray(self.probabilities, dtype=float)
        rules = {
            "threshold": ("a distance above 0", 0 < self.threshold < np.inf),
            "logits": ("increasing numbers", len(logits) > 0 and bool((np.diff(logits) > 0).all())),
            "probabilities": (
                "one per height, from 0 to 1, never falling",
                probabilities.shape == logits.shape
                and bool((np.diff(probabilities) >= 0).all() and (abs(probabilities - 0.5) <= 0.5).all()),
            ),
            "covariance_scale": ("a factor above 0", 0 < self.covariance_scale < np.inf),
        }
        for name, (expected, fine) in rules.items():
            if not fine:
                raise InvalidValueError(
                    f"calibration of confidence, {name}",
                    expected=expected,
                    got=repr(getattr(self, name))[:80],
                    remedy="Train or evaluate again; the file was changed.",
                )

    def probability(self, logit: NDArray[np.floating]) -> Floats:
        """Of an error below the threshold; 0 where there is no peak (-inf)."""
        found = np.interp(logit, self.logits, self.probabilities)
        return np.where(np.isfinite(logit), found, 0.0).astype(np.float32)

    def apply(self, candidates: Candidates) -> tuple[Floats, Floats]:
        """See `apply`."""
        covariance = candidates.covariance * np.float32(self.covariance_scale)
        return self.probability(candidates.logit), covariance


def apply(candidates: Candidates, calibration: ConfidenceCalibration | None) -> tuple[Floats, Floats]:
    """Confidence (image, candidate, keypoint) from 0 to 1, and covariance (..., 2, 2) in squared pixels of the image.

    Args:
        candidates: what was decoded.
        calibration: of the network; without one the sigmoid of the height of the peak, and covariances as decoded.
    """
    if calibration is not None:
        return calibration.apply(candidates)
    height = np.where(np.isfinite(candidates.logit), candidates.logit, -np.inf).astype(np.float64)
    with np.errstate(over="ignore"):
        return (1.0 / (1.0 + np.exp(-height))).astype(np.float32), candidates.covariance


def fit_confidence(comparison: Comparison, threshold: float, *, seed: int = 0) -> ConfidenceCalibration | None:
    """What the heights of peaks mean, from images that the network was not trained on.

    A keypoint that is absent counts as an error, whatever was found, and so does every peak of several that is at none
    of the animals: such peaks are given out as candidates as well. The reported errors are cross-validated: the line
    is found anew five times without a fifth of the images, and judged by these.

    Args:
        comparison: of images held out.
        threshold: pixels; an error below it is correct.
        seed: of the division into fifths.

    Returns:
        None where fewer than 30 labels are there.
    """
    height, correct, _ = _samples(comparison, threshold)
    labels = len(height) - int(np.isfinite(comparison.surplus).sum())
    if labels < _FEWEST:
        return None
    square, place = _squares(comparison)
    parts = _parts(comparison.group_numbers, seed)
    inside = np.full(len(square), np.nan)
    for own in (parts[place] == part for part in range(_PARTS)):
        if own.any() and not own.all():
            inside[own] = square[own] / _scale(square[~own]) < _OUTER
    tested = np.isfinite(inside)
    logits, probabilities = _line(height, correct)
    return ConfidenceCalibration(
        threshold,
        tuple(logits.tolist()),
        tuple(probabilities.tolist()),
        _scale(square),
        labels,
        calibration_error(*plain_probability(comparison, threshold)),
        calibration_error(*left_out_probability(comparison, threshold, seed=seed)),
        float(inside[tested].mean()) if tested.any() else 0.0,
    )


def plain_probability(comparison: Comparison, threshold: float) -> tuple[Doubles, NDArray[np.bool_]]:
    """(label,) sigmoid of the height of each peak, and whether its error is below the threshold."""
    height, correct, _ = _samples(comparison, threshold)
    return 1 / (1 + np.exp(-height)), correct


def left_out_probability(
    comparison: Comparison, threshold: float, *, seed: int = 0
) -> tuple[Doubles, NDArray[np.bool_]]:
    """(label,) corrected probability by lines found without the image, and whether the error is below the threshold."""
    height, correct, image = _samples(comparison, threshold)
    parts = _parts(comparison.group_numbers, seed)
    found = np.full(len(height), np.nan)
    for own in (parts[image] == part for part in range(_PARTS)):
        if own.any() and not own.all():
            found[own] = np.interp(height[own], *_line(height[~own], correct[~own]))
    judged = np.isfinite(found)
    return found[judged], correct[judged]


def _samples(comparison: Comparison, threshold: float) -> tuple[Doubles, NDArray[np.bool_], NDArray[np.int64]]:
    """Height, whether the error is below the threshold, and image, of all that was labeled or said to be absent.

    Peaks that are at none of several animals come last; their error is not below anything.
    """
    distance = comparison.distance
    used = (~np.isnan(distance) | comparison.absent) & np.isfinite(comparison.logit)
    wrong = np.isfinite(comparison.surplus)
    return (
        np.concatenate([comparison.logit[used], comparison.surplus[wrong]]),
        np.concatenate([(distance < threshold)[used], np.zeros(int(wrong.sum()), dtype=np.bool_)]),
        np.concatenate([np.nonzero(used)[0], np.nonzero(wrong)[0]]),
    )


def _squares(comparison: Comparison) -> tuple[Doubles, NDArray[np.int64]]:
    """Squared distances in units of the covariance, and their images."""
    offset = comparison.found - comparison.labeled
    used = np.isfinite(offset).all(axis=-1) & np.isfinite(comparison.covariance).all(axis=(-2, -1))
    solved = np.linalg.solve(comparison.covariance[used], offset[used][..., None])[..., 0]
    return (offset[used] * solved).sum(axis=-1), np.nonzero(used)[0]


def _scale(square: Doubles) -> float:
    """Factor that gives squared distances the median they should have; outliers have no say."""
    return max(float(np.median(square)) / _MEDIAN, 1e-6) if len(square) else 1.0


def _parts(groups: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """(image,) part of the cross-validation; groups stay together where there are enough."""
    names, numbers = np.unique(groups, return_inverse=True)
    if len(names) < _PARTS:
        numbers = np.arange(len(groups))
    order = np.random.default_rng(seed).permutation(int(numbers.max()) + 1)
    return np.asarray(order[numbers] % _PARTS, dtype=np.int64)


def _line(height: Doubles, correct: NDArray[np.bool_]) -> tuple[Doubles, Doubles]:
    """Heights and probabilities: shares of steps of equal count, made to rise."""
    from sklearn.isotonic import IsotonicRegression

    order = np.argsort(height, kind="stable")
    steps = np.array_split(order, min(_STEPS, max(1, len(order) // _PER_STEP)))
    middle = np.array([height[step].mean() for step in steps])
    # Half a success and half a failure more (Jeffreys): ten of ten is not certainty.
    share = np.array([(correct[step].sum() + 0.5) / (len(step) + 1) for step in steps])
    count = np.array([len(step) for step in steps], dtype=float)
    risen = IsotonicRegression(y_min=0.0, y_max=1.0).fit(middle, share, sample_weight=count).predict(middle)
    if middle[0] > _NOTHING:
        middle, risen = np.append(_NOTHING, middle), np.append(0.0, risen)
    first = np.append(True, np.diff(middle) > 0)
    return middle[first], np.maximum.accumulate(risen[first])


def reliability(probability: Doubles, correct: NDArray[np.bool_], bins: int | None = None) -> Doubles:
    """(bin, 3) mean probability, share that is correct, and count, of bins of equal count.

    Args:
        probability: (n,) from 0 to 1.
        correct: (n,) what came true.
        bins: by default so many that each has 30 labels, at most 10; with fewer, chance alone looks like an error.
    """
    order = np.argsort(probability, kind="stable")
    bins = bins or min(10, max(1, len(order) // _FEWEST))
    parts = [part for part in np.array_split(order, min(bins, len(order))) if len(part)] if len(order) else []
    return np.array([(probability[p].mean(), correct[p].mean(), len(p)) for p in parts]).reshape(-1, 3)


def calibration_error(probability: Doubles, correct: NDArray[np.bool_], bins: int | None = None) -> float:
    """Expected calibration error (Guo et al. 2017): mean difference of probability and share, bins of equal count."""
    table = reliability(probability, correct, bins)
    return float((abs(table[:, 0] - table[:, 1]) * table[:, 2]).sum() / table[:, 2].sum()) if len(table) else 0.0
