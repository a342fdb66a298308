"""Metrics: equal to what they are defined as, with intervals that hold, by images that belong together."""

import json
from dataclasses import replace

import numpy as np
import pytest

from calibration.errors import InvalidValueError
from pose3d.networks._bootstrap import Draws, weighted_median
from pose3d.networks.confidence import fit_confidence
from pose3d.networks.evaluation import (
    Comparison,
    EvaluationSettings,
    body_lengths,
    compare,
    evaluate,
    joined_comparisons,
)
from pose3d.networks.predicting import keras_maps
from pose3d.networks.settings import TrainingSettings
from pose3d.networks.targets import ABSENT, UNKNOWN, VISIBLE
from pose3d.networks.training import TrainingData, held_out_errors, train


def comparison(error, *, groups=(), logit=None, spacing=40.0) -> Comparison:  # type: ignore[no-untyped-def]
    """Two or more keypoints `spacing` apart along a diagonal, found `error` (image, keypoint) pixels to the right."""
    error = np.asarray(error, dtype=float)
    images, keypoints = error.shape
    labeled = np.broadcast_to(np.arange(keypoints)[:, None] * spacing, (images, 1, keypoints, 2)).copy()
    found = labeled + np.stack([error, np.zeros_like(error)], axis=-1)[:, None]
    return Comparison(
        tuple(f"k{number}" for number in range(keypoints)),
        labeled,
        found,
        np.full((images, 1, keypoints), 2.0) if logit is None else np.asarray(logit, dtype=float)[:, None],
        np.broadcast_to(np.eye(2), (images, 1, keypoints, 2, 2)).copy(),
        np.zeros((images, 1, keypoints), dtype=bool),
        np.arange(images),
        tuple(groups),
    )


def test_metrics_are_what_they_are_defined_as() -> None:
    rng = np.random.default_rng(0)
    error = rng.exponential(3, (40, 3))
    told = evaluate(comparison(error), EvaluationSettings(pixels=(2.0, 5.0), shares=(0.05,), resamples=50))
    overall = told["overall"]
    assert overall["rmse"]["value"] == pytest.approx(np.sqrt((error**2).mean()))
    assert overall["median"]["value"] == pytest.approx(np.median(error))
    assert overall["pck"]["5 px"]["value"] == pytest.approx((error < 5).mean())
    length = 80 * np.sqrt(2)
    assert told["body_length"] == pytest.approx(length)
    assert overall["pck"]["5 % of the body"]["value"] == pytest.approx((error < 0.05 * length).mean())
    for number, name in enumerate(("k0", "k1", "k2")):
        assert told["keypoints"][name]["rmse"]["value"] == pytest.approx(np.sqrt((error[:, number] ** 2).mean()))
    assert (told["images"], told["labels"], told["found"]) == (40, 120, 1.0)
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_mean_precision_is_that_of_coco() -> None:
    # Similarity of one keypoint that is off, of two: (1 + exp(-d^2 / (2 area (2 sigma)^2))) / 2.
    settings = EvaluationSettings(resamples=0)
    assert evaluate(comparison(np.zeros((5, 2))), settings)["overall"]["oks_map"]["value"] == pytest.approx(1.0)
    near = np.sqrt(-2 * 1600 * 0.04 * np.log(0.53))  # similarity 0.765: found at 6 of 10 thresholds
    one = evaluate(comparison([[0, near]]), settings)["overall"]["oks_map"]["value"]
    assert one == pytest.approx(0.6)
    # one image of two is right; it does not matter where it is sure, but where the wrong one is surer
    for first, expected in ((3.0, 51 / 101), (1.0, 51 / 101 / 2)):
        logit = [[first, first], [2.0, 2.0]]
        value = evaluate(comparison([[0, 0], [900, 900]], logit=logit), settings)["overall"]["oks_map"]["value"]
        assert value == pytest.approx(expected)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    settings = EvaluationSettings(pixels=(), shares=(), resamples=200)
    inside = 0
    for _ in range(100):
        told = evaluate(comparison(rng.rayleigh(2, (50, 2))), settings)["overall"]["rmse"]
        inside += told["low"] < 2 * np.sqrt(2) < told["high"]
    assert 85 <= inside <= 100


def test_videos_that_err_together_give_wider_intervals() -> None:
    rng = np.random.default_rng(2)
    error = np.repeat(rng.exponential(3, (10, 1)), 10, axis=0) + rng.uniform(0, 0.1, (100, 2))
    groups = [f"video{number // 10}" for number in range(100)]
    alone, together = (evaluate(comparison(error, groups=names)) for names in ((), groups))
    width = [told["overall"]["rmse"]["high"] - told["overall"]["rmse"]["low"] for told in (alone, together)]
    assert width[1] > 2 * width[0]
    assert (alone["drawn"], alone["count"]) == ("images", 100)
    assert (together["drawn"], together["count"]) == ("groups", 10)


def test_what_is_not_labeled_does_not_count_and_what_is_not_found_is_wrong() -> None:
    made = comparison([[1.0, 1.0], [1.0, 1.0]])
    made.labeled[0, 0, 0] = np.nan
    made.found[1, 0, 1] = np.nan
    told = evaluate(made, EvaluationSettings(pixels=(5.0,), shares=(), resamples=0))
    assert told["labels"] == 3
    assert told["found"] == pytest.approx(2 / 3)
    assert told["overall"]["rmse"]["value"] == pytest.approx(1.0)
    assert told["overall"]["pck"]["5 px"]["value"] == pytest.approx(2 / 3)
    nothing = comparison(np.full((2, 2), np.nan))
    nothing.labeled[:] = np.nan
    empty = evaluate(nothing)
    assert empty["overall"]["rmse"] == {"value": None, "low": None, "high": None}
    assert (empty["found"], empty["body_length"]) == (None, None)


def test_the_body_is_measured_between_two_keypoints_or_by_its_box() -> None:
    made = comparison(np.zeros((3, 3)))
    assert body_lengths(made, ("k0", "k1"))[0, 0] == pytest.approx(40 * np.sqrt(2))
    made.labeled[0, 0, 1:] = np.nan  # one keypoint alone has no box: as long as the others
    assert body_lengths(made)[0, 0] == pytest.approx(80 * np.sqrt(2))
    with pytest.raises(InvalidValueError, match="got nose"):
        body_lengths(made, ("k0", "nose"))
    with pytest.raises(InvalidValueError, match="two names of keypoints"):
        EvaluationSettings(reference=("nose",))


def test_folds_are_judged_together() -> None:
    one, other = comparison(np.ones((3, 2)), groups=["a"] * 3), comparison(np.full((2, 2), 3.0), groups=["b"] * 2)
    whole = joined_comparisons([one, other])
    assert evaluate(whole)["overall"]["rmse"]["value"] == pytest.approx(np.sqrt((6 * 1 + 4 * 9) / 10))
    assert whole.groups == ("a", "a", "a", "b", "b")


def test_medians_of_draws_are_those_of_repeated_values() -> None:
    rng = np.random.default_rng(3)
    for count in (1, 2, 5, 8):
        values, weights = rng.normal(size=count), rng.integers(0, 4, (20, count)).astype(float)
        found = weighted_median(values, weights)
        for row, weight in enumerate(weights):
            repeated = np.repeat(values, weight.astype(int))
            assert found[row] == pytest.approx(np.median(repeated) if len(repeated) else np.nan, nan_ok=True)
    assert np.isnan(weighted_median(np.empty(0), np.ones((3, 0)))).all()


def test_draws_take_whole_groups() -> None:
    weights = Draws(np.array([0, 0, 1, 2, 2]), 100, 0).weights
    assert (weights[0] == 1).all()
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 3] == weights[:, 4]).all()
    assert (weights[:, [0, 2, 3]].sum(axis=1) == 3).all()


def test_training_and_evaluation_measure_the_same(dots, network) -> None:
    """The nearest of several candidates counts for every individual."""

    def maps(images):  # type: ignore[no-untyped-def]
        heatmap = np.full((len(images), 16, 16, 2), -5.0, dtype=np.float32)
        heatmap[:, 3, 4], heatmap[:, 10, 11] = 5.0, 4.0
        return heatmap, np.zeros((len(images), 16, 16, 4), np.float32), np.zeros_like(heatmap)

    chosen = np.arange(4)
    found = compare(maps, dots, chosen, network, groups=["a"] * 24)
    assert found.groups == ("a",) * 4
    np.testing.assert_allclose(found.found[:, 0, 0], [[17.5, 13.5]] * 4)
    expected = np.linalg.norm(dots.points[:4, :, :, :2] - [17.5, 13.5], axis=-1)
    np.testing.assert_allclose(found.distance, expected, rtol=1e-5)
    np.testing.assert_array_equal(held_out_errors(maps, dots, chosen, network), found.distance)
    np.testing.assert_allclose(found.logit, 5.0, atol=0.5)


# Pictures of several animals: what is white in channel k at the center of a cell of 4 pixels is a peak of keypoint k.


def white_cells(images):  # type: ignore[no-untyped-def]
    heatmap = images[:, 1::4, 1::4, :2].astype(np.float32) / 255 * 12 - 8
    return heatmap, np.zeros((*heatmap.shape[:3], 4), np.float32), np.zeros_like(heatmap)


def several(peaks, points) -> TrainingData:  # type: ignore[no-untyped-def]
    """Pictures with peaks (picture -> (column, row, height 0 to 255)) of the first keypoint, and its labels.

    Args:
        peaks: of every picture.
        points: (picture, individual) of (column, row) or a code of no position.
    """
    images = np.zeros((len(peaks), 64, 64, 3), np.uint8)
    labels = np.zeros((len(peaks), len(points[0]), 2, 3), np.float32)
    labels[:, :, 1, 2] = ABSENT
    for picture, (given, animals) in enumerate(zip(peaks, points, strict=True)):
        for column, row, height in given:
            images[picture, 4 * row + 1, 4 * column + 1, 0] = height
        for animal, place in enumerate(animals):
            code = (*(4 * np.array(place) + 1.5), VISIBLE) if isinstance(place, tuple) else (0, 0, place)
            labels[picture, animal, 0] = code
    return TrainingData(images.__getitem__, labels, ((64, 64),) * len(peaks), ("red", "green"))


HERE, THERE, FALSE = (2, 3), (9, 4), (13, 13)


def test_every_candidate_is_of_one_animal_only_and_the_rest_is_surplus(network) -> None:  # type: ignore[no-untyped-def]
    data = several(
        [
            [(*HERE, 250), (*THERE, 230), (*FALSE, 150)],
            [(*HERE, 250), (*FALSE, 150)],  # one is not found: the other's peak is not its own
            [(*HERE, 250), (*FALSE, 150)],  # one is not in the picture
            [(*HERE, 250), (*FALSE, 150)],  # of one it is not known whether it is
            [],
        ],
        [(THERE, HERE), (THERE, HERE), (ABSENT, HERE), (UNKNOWN, HERE), (THERE, HERE)],
    )
    found = compare(white_cells, data, np.arange(5), network)
    distance = found.distance[:, :, 0]
    np.testing.assert_allclose(distance[0], 0, atol=0.1)
    assert distance[1, 0] == pytest.approx(4 * np.hypot(4, 9), abs=0.5)
    assert distance[1:4, 1] == pytest.approx([0, 0, 0], abs=0.1)
    assert np.isnan(distance[2:4, 0]).all()
    assert np.isinf(distance[4]).all()
    left = [found.surplus[picture, :, 0][np.isfinite(found.surplus[picture, :, 0])] for picture in range(5)]
    assert [len(each) for each in left] == [1, 0, 1, 0, 0]
    assert np.concatenate(left) == pytest.approx([150 / 255 * 12 - 8] * 2, abs=0.3)
    assert not np.isfinite(found.logit[2:4, 0, 0]).any()
    assert not np.isfinite(found.surplus[:, :, 1]).any()
    whole = joined_comparisons([found, found])
    np.testing.assert_array_equal(whole.surplus[5:], found.surplus)


def test_false_peaks_make_confidence_smaller(network) -> None:  # type: ignore[no-untyped-def]
    """A false peak in every picture that is as high as those of the animals: two of three are right."""
    rng = np.random.default_rng(0)
    heights = rng.integers(200, 250, (40, 3))
    peaks = [[(*HERE, a), (*THERE, b), (*FALSE, c)] for a, b, c in heights.tolist()]
    data = several(peaks, [(HERE, THERE)] * 40)
    found = compare(white_cells, data, np.arange(40), network)
    calibration = fit_confidence(found, 3.0)
    assert calibration is not None
    assert calibration.count == 80
    assert calibration.probability(found.logit[:, :, 0]).mean() == pytest.approx(2 / 3, abs=0.08)
    blind = replace(found, surplus=np.empty((0, 0, 0)))
    assert fit_confidence(blind, 3.0).probability(found.logit[:, :, 0]).mean() > 0.9


@pytest.mark.slow
def test_a_network_learns_pictures_of_two_animals(backbones, network) -> None:  # type: ignore[no-untyped-def]
    """Both are found in what was not seen in training, and what is left over is not believed."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:64, :64]
    images, points = [], np.zeros((60, 2, 2, 3), dtype=np.float32)
    for index in range(60):
        image = rng.integers(0, 40, (64, 64, 3))
        for animal, channel in np.ndindex(2, 2):
            center = np.add(rng.uniform((4, 8), (28, 56)), (32 * animal, 0))
            image[(x - center[0]) ** 2 + (y - center[1]) ** 2 < 16, channel] = 255
            points[index, animal, channel] = (*center, VISIBLE)
        images.append(image.astype(np.uint8))
    data = TrainingData(images.__getitem__, points, ((64, 64),) * 60, ("red", "green"))
    settings = TrainingSettings(
        steps=400, batch_size=8, crop=(64, 64), evaluate_every=100, learning_rate=5e-3, average=0.9
    )
    trained = train(data, np.arange(40), np.arange(40, 60), network, settings, backbones=backbones)
    found = compare(keras_maps(trained.model), data, np.arange(40, 60), network)
    assert (found.distance < 3).mean() > 0.95
    calibration = fit_confidence(found, 3.0)
    assert calibration is not None
    surplus = found.surplus[np.isfinite(found.surplus)]
    if len(surplus):
        assert calibration.probability(surplus).mean() < 0.5
    assert np.median(calibration.probability(found.logit)) > 0.8
