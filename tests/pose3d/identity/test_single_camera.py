"""One camera alone, without a calibration: its animals are followed in its image."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from pose3d.identity.anchors import Anchor
from pose3d.identity.linking import identify
from pose3d.identity.settings import IdentitySettings
from tests.pose3d.identity.identity_scenes import animals_of, apart, crowd, labels, made, numbered, shuffled


def right(identity: xr.Dataset, whose: np.ndarray, animals: int) -> bool:
    return sorted(map(sorted, animals_of(identity, whose))) == [[animal] for animal in range(animals)]


@pytest.mark.parametrize("animals", [1, 2, 5])
@pytest.mark.parametrize("keypoints", [1, 2, 8])
def test_animals_that_are_apart_are_followed(animals: int, keypoints: int) -> None:
    found, whose = made(apart(120, animals))
    result = identify(found.isel(camera=[0], keypoint=slice(keypoints)))
    assert right(result, whose[:, :1], animals)
    assert (result["identity_status"] == 0).mean() > 0.98


def test_walking_animals_are_followed() -> None:
    scene = crowd(individuals=3, frames=300, seed=4)
    found, whose = scene.instances.isel(camera=[0]), scene.truth["individual"].values[:, :1]
    result = identify(found, settings=IdentitySettings(individuals=3))
    assert right(result, whose, 3) or result.sizes["risk"] > 0


def test_an_absence_is_bridged() -> None:
    hidden = np.zeros((200, 1, 3), bool)
    hidden[80:130, :, 2] = True
    found, whose = made(apart(200, 3), hidden=hidden)
    assert right(identify(found.isel(camera=[0]), settings=IdentitySettings(individuals=3)), whose[:, :1], 3)


def test_anchors_name_them() -> None:
    found, whose = made(apart(60, 2))
    found = found.isel(camera=[0])
    x, y = found["position"].values[30, 0, int(np.flatnonzero(whose[30, 0] == 1)[0]), 5]
    result = identify(found, anchors=[Anchor(30, "Max", camera=str(found["camera"].values[0]), x=float(x), y=float(y))])
    place = result["individual"].values.tolist().index("Max")
    assert animals_of(result, whose[:, :1])[place] == {1}


def test_the_order_of_instances_does_not_matter() -> None:
    scene = crowd(individuals=3, frames=200, seed=4)
    found = scene.instances.isel(camera=[0])
    other, order = shuffled(found)
    one, two = (labels(identify(each), found.sizes["instance"]) for each in (found, other))
    assert np.array_equal(numbered(np.take_along_axis(one, order, 2)), numbered(two))


@pytest.mark.parametrize("factor", [0.25, 3.0])
def test_the_size_of_images_does_not_matter(factor: float) -> None:
    found, whose = made(apart(100, 3), noise=2.0)
    small = found.isel(camera=[0])
    small = small.assign(position=small["position"] * factor)
    assert right(identify(small), whose[:, :1], 3)
