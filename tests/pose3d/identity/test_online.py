"""Animals told apart as the frames come."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import xarray as xr

from calibration.errors import MismatchError
from calibration.rig import Rig
from calibration.schema import check
from pose3d.datasets import IDENTITY
from pose3d.identity.linking import identify
from pose3d.identity.models import IdentityModel, learn_identity
from pose3d.identity.online import OnlineIdentity
from pose3d.identity.settings import IdentitySettings
from pose3d.synthetic.crowds import Crowd
from tests.pose3d.identity.identity_scenes import animals_of, apart, crowd, labels, made, numbered, stage

# Frames in which an animal that appears has no name yet.
_PATIENCE = 5


MODELS: dict[int, tuple[xr.Dataset, IdentityModel]] = {}


def model_of(found: xr.Dataset, rig: Rig) -> IdentityModel:
    """What is learned of some instances, once."""
    if id(found) not in MODELS:
        MODELS[id(found)] = found, learn_identity(found, rig)
    return MODELS[id(found)][1]


def told(found: xr.Dataset, rig: Rig, sizes: list[int], **settings: Any) -> list[xr.Dataset]:
    """What is said of frames that come so many at once."""
    online = OnlineIdentity(model_of(found, rig), rig, settings=IdentitySettings(**settings), frame_rate=30.0)
    ends = np.cumsum(sizes)
    return [online.follow(found.isel(time=slice(end - size, end))) for size, end in zip(sizes, ends, strict=True)]


def joined(parts: list[xr.Dataset]) -> xr.Dataset:
    """(time, camera, individual) of all frames, -1 before a name was given."""
    names = parts[-1]["individual"].values
    return xr.concat([part[["instance"]].reindex(individual=names, fill_value=-1) for part in parts], "time")


@pytest.fixture(scope="module")
def easy() -> Crowd:
    return crowd(frames=200, seed=11)


def test_easy_scenes_are_as_with_the_whole_recording(easy: Crowd) -> None:
    count = easy.instances.sizes["instance"]
    online = labels(joined(told(easy.instances, easy.rig, [200])), count)
    whole = labels(identify(easy.instances, easy.rig), count)
    assert (online[:4] == -1).all()  # nobody has a name before it has lasted
    assert np.array_equal(numbered(online[_PATIENCE:]), numbered(whole[_PATIENCE:]))


def test_it_does_not_matter_how_many_frames_come_at_once() -> None:
    """Also with one that is lost and comes back, within one call and between two."""
    hidden = np.zeros((240, 1, 3), bool)
    hidden[60:120, :, 1] = True
    found, whose = made(apart(240, 3), hidden=hidden)
    whole = joined(told(found, stage(), [240]))
    for sizes in ([1] * 240, [7, 100, 1, 132]):
        assert np.array_equal(joined(told(found, stage(), sizes))["instance"], whole["instance"])
    assert sorted(map(sorted, animals_of(whole, whose))) == [[0], [1], [2]]


def test_what_was_said_is_never_changed(easy: Crowd) -> None:
    """Names are only added, and what is said of a frame does not depend on later ones."""
    parts = told(easy.instances, easy.rig, [20] * 10)
    for part in parts:
        check(part, IDENTITY)
    known = [part["individual"].values.tolist() for part in parts]
    assert all(later[: len(earlier)] == earlier for earlier, later in itertools.pairwise(known))
    short = OnlineIdentity(model_of(easy.instances, easy.rig), easy.rig, frame_rate=30.0)
    xr.testing.assert_identical(short.follow(easy.instances.isel(time=slice(0, 20))), parts[0])


def test_before_anybody_has_a_name_there_is_nobody(easy: Crowd) -> None:
    first = told(easy.instances, easy.rig, [2])[0]
    assert first.sizes["individual"] == 0
    assert (first["unassigned"] == 4).all()


def test_faulty_scenes_are_followed() -> None:
    scene = crowd("issue", frames=600, seed=1)
    result = joined(told(scene.instances, scene.rig, [600], individuals=4))
    assert sorted(map(sorted, animals_of(result, scene.truth["individual"].values))) == [[0], [1], [2], [3]]


def test_there_are_no_more_names_than_declared() -> None:
    found, _ = made(apart(60, 4))
    assert told(found, stage(), [60], individuals=2)[0].sizes["individual"] == 2


def test_one_that_comes_back_where_it_was_lost_keeps_its_name() -> None:
    hidden = np.zeros((200, 1, 2), bool)
    hidden[60:110, :, 1] = True
    found, whose = made(apart(200, 2), hidden=hidden)
    assert sorted(map(sorted, animals_of(joined(told(found, stage(), [200])), whose))) == [[0], [1]]


def test_one_camera_alone_is_followed() -> None:
    found, whose = made(apart(100, 3))
    found = found.isel(camera=[0])
    online = OnlineIdentity(learn_identity(found), frame_rate=30.0)
    result = online.follow(found)
    assert sorted(map(sorted, animals_of(result, whose[:, :1]))) == [[0], [1], [2]]


def test_other_keypoints_than_learned_are_refused(easy: Crowd) -> None:
    online = OnlineIdentity(model_of(easy.instances, easy.rig), easy.rig)
    with pytest.raises(MismatchError, match="Learn a model of this recording"):
        online.follow(easy.instances.isel(keypoint=slice(3)))
