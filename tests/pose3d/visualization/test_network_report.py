"""The page about a trained network: it says how good it is, or that this is not known."""

import re
from pathlib import Path

import numpy as np
import pytest

from pose3d.networks.confidence import fit_confidence
from pose3d.networks.evaluation import Comparison, EvaluationSettings, evaluate
from pose3d.networks.run_files import Run, Split
from pose3d.networks.settings import NetworkSettings, TrainingSettings
from pose3d.visualization.network_error_figures import confidence_error_figure, error_map_figure
from pose3d.visualization.network_figures import (
    LabeledExample,
    Scoremap,
    error_figure,
    example_figure,
    history_figure,
    keypoint_error_figure,
    reliability_figure,
    scoremap_figure,
)
from pose3d.visualization.network_report import NetworkReport, write_network_report

KEYPOINTS = ("snout", "tail <base>")
HISTORY = ({"step": 3.0, "loss": 0.5, "rmse": 4.0, "median": 3.0, "mean": 3.5}, {"step": 6.0, "loss": 0.2, "mean": 2.5})


@pytest.fixture
def comparison() -> Comparison:
    rng = np.random.default_rng(0)
    shape = (20, 1, 2)
    labeled = rng.uniform(20, 80, (*shape, 2))
    labeled[3, 0, 1] = np.nan
    covariance = np.broadcast_to(np.eye(2), (*shape, 2, 2))
    found = labeled + rng.normal(0, 2, labeled.shape)
    logit = rng.normal(2, 2, shape)
    return Comparison(KEYPOINTS, labeled, found, logit, covariance, np.zeros(shape, bool), np.arange(20))


def run(comparison: Comparison | None) -> Run:
    return Run(
        Path("models/first"),
        NetworkSettings(KEYPOINTS),
        TrainingSettings(),
        (),
        ((640, 480),),
        (384, 384),
        Split(("a.png",), ("b.png",), "session"),
        HISTORY,
        {} if comparison is None else {"decided_when_to_stop": True},
        None if comparison is None else fit_confidence(comparison, 4.0),
    )


def test_the_page_says_how_good_the_network_is(comparison: Comparison, tmp_path: Path) -> None:
    image = np.full((60, 80, 3), 90, dtype=np.uint8)
    metrics = evaluate(comparison, EvaluationSettings(resamples=30))
    example = LabeledExample(image, "day1/000003: snout 7.0 px", comparison.labeled[0], comparison.found[0])
    scores = Scoremap(image, "snout", np.random.default_rng(1).random((8, 10)), 8.0, comparison.labeled[0, :, 0])
    human = {"pairs": 3, "overall": {"rmse": 1.5, "median": 1.25}}
    sizes = [(100, 100)] * 20
    report = NetworkReport(run(comparison), comparison, metrics, [example] * 4, [scores] * 5, human, sizes)
    path = tmp_path / "report.html"
    write_network_report(path, report)
    text = path.read_text(encoding="utf-8")
    for name in ("Summary", "Errors", "Confidence", "Worst images", "Score maps", "Training"):
        assert f"<h2>{name}</h2>" in text
    rmse = metrics["overall"]["rmse"]
    assert f"RMSE {rmse['value']:.2f} px, with 95 % certainty between {rmse['low']:.2f}" in text
    assert "The same images decided which weights were kept" in text
    assert "two people, RMSE" in text
    assert "tail &lt;base&gt;" in text
    assert "<base>" not in text
    assert len(re.findall(r"<svg class=\"plot\"", text)) == 8
    assert "://" not in text.replace("http://www.w3.org/", "")  # needs no network


def test_a_network_that_was_not_measured_says_so(tmp_path: Path) -> None:
    write_network_report(tmp_path / "report.html", NetworkReport(run(None)))
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "it is not known how good this network is" in text
    assert "<h2>Errors</h2>" not in text


def test_figures_show_what_they_are_given(comparison: Comparison) -> None:
    left, right = history_figure(HISTORY, 6.0).axes
    assert left.lines[0].get_ydata().tolist() == [0.5, 0.2]
    assert [line.get_label() for line in right.lines] == ["RMSE", "median", "kept"]
    metrics = evaluate(comparison, EvaluationSettings(resamples=30))
    rows = [label.get_text() for label in keypoint_error_figure(metrics).axes[0].get_yticklabels()]
    worst = max(KEYPOINTS, key=lambda name: metrics["keypoints"][name]["rmse"]["value"])
    assert rows[0] == "all keypoints (39)"
    assert rows[1].startswith(worst)
    left, right = error_figure(comparison.distance, KEYPOINTS, 1.0).axes
    assert sum(patch.get_height() for patch in left.patches) == 39
    line = next(line for line in right.lines if line.get_label() == "all")
    assert line.get_ydata()[-1] == pytest.approx(100)


def test_figures_of_next_to_nothing_can_be_drawn(comparison: Comparison) -> None:
    empty = np.full((1, 1, 2), np.nan)
    assert error_figure(empty, KEYPOINTS) is not None
    assert reliability_figure(np.empty((0, 3)), np.empty((0, 3)), 5.0) is not None
    missing = LabeledExample(np.zeros((4, 4, 3), np.uint8), "x", np.full((1, 2, 2), np.nan), np.full((1, 2, 2), np.nan))
    assert len(example_figure([missing], KEYPOINTS).axes) == 1
    maps = [Scoremap(np.zeros((4, 4, 3), np.uint8), "x", np.zeros((1, 1)), 4.0, np.full((1, 2), np.nan))]
    assert len(scoremap_figure(maps).axes) == 2  # and the bar of probabilities
    assert len(error_map_figure(empty[..., None].repeat(2, -1), empty[..., None].repeat(2, -1), [(9, 9)]).axes) == 3
    assert len(confidence_error_figure(empty, empty, KEYPOINTS, 5.0).axes) == 1
    assert "no image was held out" in history_figure([{"step": 1.0, "loss": 1.0}], 1.0).axes[1].texts[0].get_text()


def test_the_map_of_errors_shows_every_label_at_its_place_and_the_shift_they_share() -> None:
    labeled = np.random.default_rng(0).uniform(10, 90, (30, 1, 2, 2))
    found = labeled + np.array([3.0, -4.0])
    found[5, 0, 1] = np.nan
    # the second half of the images is twice as large
    labeled[15:] *= 2
    found[15:] = labeled[15:] + np.array([3.0, -4.0])
    axes, right, _ = error_map_figure(labeled, found, [(100, 80)] * 15 + [(200, 160)] * 15).axes
    (dots,) = axes.collections
    assert len(dots.get_offsets()) == 59
    np.testing.assert_allclose(np.asarray(dots.get_array()), 5)
    assert np.asarray(dots.get_offsets()).max() <= 90
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 100), (80, 0))
    assert right.texts[0].get_text() == "median +3.0, -4.0 px"


def test_error_against_confidence_shows_a_line_that_falls_where_confidence_is_honest() -> None:
    confidence = np.linspace(0, 1, 400).reshape(200, 1, 2)
    distance = 10 * (1.05 - confidence)
    distance[0, 0, 0], distance[1, 0, 0] = np.nan, np.inf
    (axes,) = confidence_error_figure(confidence, distance, KEYPOINTS, 2.5).axes
    lines = {line.get_label(): line for line in axes.lines}
    assert len(lines["snout"].get_xdata()) == 198
    assert (np.diff(lines["median"].get_ydata()) < 0).all()
    assert lines["small: 2.5 px"].get_ydata()[0] == 2.5
