"""The report of a training: pictures of the worst images, error maps, and score maps from the network itself."""

import re

import pytest

from pose3d.pipeline import network_report
from pose3d.pipeline.network_report import write_run_report
from pose3d.pipeline.training import train_project

pytest.importorskip("keras")


def test_the_report_has_maps_of_three_images_with_label_and_prediction(
    labeled_project, options, backbones, monkeypatch
) -> None:
    told = []
    monkeypatch.setattr(network_report, "write_network_report", lambda _path, report: told.append(report))
    run, comparison = train_project(labeled_project, "first", options, backbones=backbones)
    write_run_report(labeled_project, run, comparison, backbones=backbones)
    (report,) = told
    assert len(report.examples) == 5  # of five images held out
    assert report.sizes == [(64, 64)] * 5
    titles = [one.title for one in report.maps]
    assert len(titles) == 6  # three images, two keypoints
    assert [re.sub(r"^\d{6}: (\w+) [\d.]+ px$", r"\1", title) for title in titles] == ["red", "green"] * 3
    errors = [float(title.split()[-2]) for title in titles]
    assert max(errors[:2]) >= max(errors[2:4]) >= max(errors[4:])
    for one in report.maps:
        assert one.found.shape == one.labeled.shape == (1, 2)
        assert one.probability.shape == (16, 16)
        assert 0 <= one.probability.min() <= one.probability.max() <= 1
