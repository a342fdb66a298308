"""A small scene that the tests of pictures share: two animals, three cameras, close enough to see paws."""

from __future__ import annotations

import pytest

from pose3d.synthetic import Scene, SimulationSettings, simulate

SMALL = SimulationSettings(
    individuals=2,
    paths="shared",
    duration=0.4,
    frame_rate=50.0,
    cameras=3,
    size=(320, 240),
    focal_length=500.0,
    distance=800.0,
    seed=3,
)


@pytest.fixture(scope="session")
def scene() -> Scene:
    return simulate(SMALL)
