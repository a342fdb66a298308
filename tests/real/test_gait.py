"""Steps of people whose events others annotated; tests/benchmarks/accuracy_gait.py prints the figures.

The thresholds of feet that roll were chosen on these recordings: here they are kept from changing, not proven.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pose3d.kinematics.gait import gait_events
from pose3d.kinematics.gait_strides import strides
from tests.benchmarks.accuracy_gait import MARKERS, poses_of_file, real


@pytest.fixture(scope="module")
def figures(real_data: Path) -> dict[str, dict[str, float]]:
    pytest.importorskip("ezc3d")
    return real(real_data / "treadmill_gait")


def test_on_a_treadmill(figures: dict[str, dict[str, float]]) -> None:
    found = figures["treadmill_events.c3d, automatic"]
    assert found["events"] == 43
    assert found["f1"] >= 0.98
    assert found["median_abs_ms"] <= 10


def test_overground(figures: dict[str, dict[str, float]]) -> None:
    found = figures["test_small.c3d, automatic"]
    assert found["events"] == 13
    assert found["precision"] == 1
    assert found["recall"] >= 12 / 13
    assert found["median_abs_ms"] <= 10


@pytest.mark.parametrize("method", ["speed", "height_speed", "zeni", "high_pass"])
def test_every_method_finds_the_steps_of_the_treadmill(figures: dict[str, dict[str, float]], method: str) -> None:
    assert figures[f"treadmill_events.c3d, {method}"]["f1"] >= 0.98


def test_the_file_without_events_gives_the_same(real_data: Path) -> None:
    pytest.importorskip("ezc3d")
    markers = MARKERS["treadmill_events.c3d"]
    found = []
    for name in ("events", "no_events"):
        poses, legs, truth = poses_of_file(real_data / "treadmill_gait" / f"treadmill_{name}.c3d", *markers)
        assert sum(map(len, truth.values())) == (43 if name == "events" else 0)
        found.append(gait_events(poses, None, legs=legs))
    assert found[0]["event_leg"].values.tolist() == found[1]["event_leg"].values.tolist()
    assert np.abs(found[0]["event_time"].values - found[1]["event_time"].values).max() < 1e-3


def test_belt_and_strides_of_the_treadmill(real_data: Path) -> None:
    pytest.importorskip("ezc3d")
    poses, legs, _ = poses_of_file(
        real_data / "treadmill_gait" / "treadmill_events.c3d", *MARKERS["treadmill_events.c3d"]
    )
    events = gait_events(poses, None, legs=legs)
    belt = events["belt_speed"].item()
    assert 1050 < belt < 1150
    found = strides(poses, events, legs=legs)
    assert found.sizes["stride"] >= 18
    # whoever stays on the belt walks as fast as it runs
    assert abs(found["stride_speed"].mean().item() / belt - 1) < 0.02
    assert 0.6 < found["duty_factor"].mean().item() < 0.7
