"""Confidence that is a probability, and covariances that are as wide as the errors."""

import numpy as np
import pytest

from calibration.errors import InvalidValueError
from pose3d.networks.confidence import (
    ConfidenceCalibration,
    apply,
    calibration_error,
    fit_confidence,
    reliability,
)
from pose3d.networks.decoding import Candidates
from pose3d.networks.evaluation import Comparison


def overconfident(images: int, seed: int = 0, *, scale: float = 9.0) -> Comparison:
    """Errors whose probability to be below 3 px is the sigmoid of a third of the height; covariances too small."""
    rng = np.random.default_rng(seed)
    shape = (images, 1, 4)
    logit = rng.normal(1.5, 3, shape)
    right = rng.random(shape) < 1 / (1 + np.exp(-logit / 3))
    offset = rng.normal(0, 1, (*shape, 2))
    offset *= np.where(right, 1.0, 30.0)[..., None] * 0.9
    labeled = np.full((*shape, 2), 50.0)
    covariance = np.broadcast_to(np.eye(2) * 0.81 / scale, (*shape, 2, 2)).copy()
    return Comparison(
        ("a", "b", "c", "d"), labeled, labeled + offset, logit, covariance, np.zeros(shape, bool), np.arange(images)
    )


def test_confidence_becomes_the_share_that_is_right() -> None:
    found = fit_confidence(overconfident(200), 3.0)
    assert found is not None
    assert found.error_before > 0.08
    assert found.error_after < 0.6 * found.error_before
    fresh = overconfident(500, seed=1)
    correct = (fresh.distance < 3.0).ravel()
    probability = found.probability(fresh.logit.ravel()).astype(float)
    assert calibration_error(probability, correct) < 0.04
    assert calibration_error(1 / (1 + np.exp(-fresh.logit.ravel())), correct) > 0.08


def test_the_error_after_is_that_of_images_left_out() -> None:
    """Heights that say nothing: only what was left out shows that the line follows chance."""
    made = overconfident(30)
    made.logit[:] = np.random.default_rng(1).normal(size=made.logit.shape)
    found = fit_confidence(made, 3.0)
    assert found is not None
    height, correct = made.logit.ravel(), (made.distance < 3.0).ravel()
    assert found.error_after > 2 * calibration_error(found.probability(height).astype(float), correct)


def test_covariances_become_as_wide_as_errors() -> None:
    found = fit_confidence(_right(overconfident(300, scale=9.0)), 3.0)
    assert found is not None
    assert found.covariance_scale == pytest.approx(9.0, rel=0.1)
    assert found.coverage == pytest.approx(0.95, abs=0.02)


def _right(made: Comparison) -> Comparison:
    """The same labels, found with errors of 0.9 px alone."""
    rng = np.random.default_rng(5)
    found = made.labeled + rng.normal(0, 0.9, made.labeled.shape)
    return Comparison(made.keypoints, made.labeled, found, made.logit, made.covariance, made.absent, made.images)


def test_what_is_absent_counts_as_wrong() -> None:
    made = _right(overconfident(100))
    made.logit[:] = np.where(np.arange(100) < 50, 4.0, -4.0)[:, None, None]
    made.labeled[50:] = np.nan
    made.absent[50:] = True
    found = fit_confidence(made, 10.0)
    assert found is not None
    assert found.probability(np.array([-4.0]))[0] < 0.1
    assert found.probability(np.array([4.0]))[0] > 0.9


def test_too_few_labels_say_nothing() -> None:
    assert fit_confidence(overconfident(7), 3.0) is None
    assert fit_confidence(overconfident(8), 3.0) is not None


def test_probability_never_falls_and_no_peak_is_none() -> None:
    found = fit_confidence(overconfident(50), 3.0)
    assert found is not None
    probability = found.probability(np.linspace(-20, 20, 500))
    assert (np.diff(probability) >= 0).all()
    assert 0 <= probability[0] < 0.01
    assert found.probability(np.array([-np.inf]))[0] == 0


def test_confidence_and_covariance_of_candidates() -> None:
    shape = (1, 2, 1)
    covariance = np.broadcast_to(np.eye(2, dtype=np.float32), (*shape, 2, 2))
    logit = np.array([1.0, -np.inf], dtype=np.float32).reshape(shape)
    candidates = Candidates(np.zeros((*shape, 2), np.float32), logit, np.zeros(shape, np.float32), covariance)
    confidence, wide = apply(candidates, ConfidenceCalibration(5.0, (0.0, 2.0), (0.2, 0.6), 4.0))
    np.testing.assert_allclose(confidence.ravel(), [0.4, 0.0], rtol=1e-6)
    np.testing.assert_allclose(wide, 4 * covariance)
    confidence, same = apply(candidates, None)
    np.testing.assert_allclose(confidence.ravel(), [1 / (1 + np.exp(-1)), 0.0], rtol=1e-6)
    np.testing.assert_array_equal(same, covariance)


def test_reliability_is_counted_in_bins() -> None:
    probability = np.array([0.1] * 10 + [0.9] * 10)
    correct = np.array([True] * 2 + [False] * 8 + [True] * 7 + [False] * 3)
    np.testing.assert_allclose(reliability(probability, correct, 2), [[0.1, 0.2, 10], [0.9, 0.7, 10]])
    assert calibration_error(probability, correct, 2) == pytest.approx(0.15)
    assert calibration_error(np.empty(0), np.empty(0, dtype=bool)) == 0


@pytest.mark.parametrize(
    ("logits", "probabilities"), [((1.0, 0.0), (0.1, 0.2)), ((0.0, 1.0), (0.2, 0.1)), ((), ()), ((0.0,), (1.2,))]
)
def test_a_line_that_falls_is_refused(logits: tuple[float, ...], probabilities: tuple[float, ...]) -> None:
    with pytest.raises(InvalidValueError, match="calibration of confidence"):
        ConfidenceCalibration(5.0, logits, probabilities)
