"""What cannot be told apart is said, with its cause."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from calibration.camera import Camera
from calibration.errors import InvalidValueError, MismatchError
from calibration.rig import Rig
from calibration.synthetic import make_rig
from pose3d.identity.anchors import Anchor
from pose3d.identity.association import associate
from pose3d.identity.linking import identify
from pose3d.identity.models import learn_identity
from pose3d.identity.settings import IdentitySettings
from tests.pose3d.identity.identity_scenes import apart, made, stage


@pytest.fixture(scope="module")
def found() -> xr.Dataset:
    return made(apart(40, 2))[0]


@pytest.mark.parametrize("dim", ["time", "instance", "keypoint", "camera"])
def test_nothing_is_refused(found: xr.Dataset, dim: str) -> None:
    with pytest.raises(InvalidValueError, match=f"no {'frame' if dim == 'time' else dim}"):
        identify(found.isel({dim: slice(0)}), stage())


def test_nobody_anywhere_is_said(found: xr.Dataset) -> None:
    empty = found.copy(deep=True)
    empty["position"][:], empty["confidence"][:] = np.nan, 0.0
    with pytest.raises(InvalidValueError, match="keypoints with a position and a confidence"):
        identify(empty, stage())
    with pytest.raises(InvalidValueError, match="keypoints with a position and a confidence"):
        identify(empty.isel(camera=[0]))
    assert (associate(empty, stage())["group"] == -1).all()


def test_confidence_that_is_too_low_everywhere_is_nobody(found: xr.Dataset) -> None:
    faint = found.assign(confidence=found["confidence"] * 0.01)
    with pytest.raises(InvalidValueError, match="got none"):
        identify(faint, stage())


def test_an_animal_that_only_one_of_several_cameras_sees_is_not_guessed(found: xr.Dataset) -> None:
    alone = found.copy(deep=True)
    alone["position"][:, 1:], alone["confidence"][:, 1:] = np.nan, 0.0
    with pytest.raises(InvalidValueError, match="by two cameras"):
        identify(alone, stage())


def test_several_cameras_need_a_rig(found: xr.Dataset) -> None:
    with pytest.raises(MismatchError, match="a rig, as there are several cameras"):
        identify(found)


def test_cameras_of_another_rig_are_refused(found: xr.Dataset) -> None:
    with pytest.raises(MismatchError, match="two of the rig's cameras"):
        identify(found.assign_coords(camera=["a", "b", "c", "cam_1"]), stage())


def test_a_model_of_other_cameras_is_refused(found: xr.Dataset) -> None:
    model = learn_identity(found, stage())
    with pytest.raises(MismatchError, match="Learn a model of this recording"):
        identify(found.isel(camera=[0, 1]), stage(), model=model)


def test_of_rubbish_nothing_is_made() -> None:
    found, _ = made(apart(60, 3))
    anywhere = np.random.default_rng(0).uniform(0, 1000, found["position"].shape)
    with pytest.raises(InvalidValueError, match="got none"):
        identify(found.assign(position=found["position"].copy(data=anywhere)), stage())


def test_points_at_the_same_place_are_no_crash() -> None:
    found, _ = made(np.zeros((40, 2, 2)), noise=0.0)
    result = identify(found, stage())
    assert result.sizes["individual"] in (1, 2)


def test_cameras_at_the_same_place_are_no_crash() -> None:
    rig = make_rig(2, distance=1200.0, seed=1)
    twin = Camera("cam_2", rig.cameras[0].size, rig.cameras[0].lens, rig.cameras[0].cam_from_world)
    both = Rig((rig.cameras[0], twin))
    found, _ = made(apart(30, 1), rig=both)
    with pytest.raises(InvalidValueError, match="got none"):
        identify(found, both)


@pytest.mark.parametrize(
    "setting",
    [
        {"individuals": -1},
        {"individuals": 65},
        {"noise": 0.0},
        {"minimum_confidence": 1.5},
        {"longest_absence": 0.0},
        {"trust_tracks": -1.0},
        {"sure": 0.4},
        {"pilot_frames": 10},
        {"trust_tracks": float("nan")},
    ],
)
def test_settings_out_of_their_range_are_refused(setting: dict[str, Any]) -> None:
    (name,) = setting
    with pytest.raises(InvalidValueError, match=f"IdentitySettings, {name}"):
        IdentitySettings(**setting)


@pytest.mark.parametrize(
    ("anchor", "problem"),
    [
        (Anchor(400, "Max", camera="cam_1", x=1.0, y=1.0), "frame 400"),
        (Anchor(4, "Max", camera="cam_9", x=1.0, y=1.0), "camera 'cam_9'"),
        (Anchor(4, "Max", called="individual_7"), "'individual_7', which is none of individual_0, individual_1"),
    ],
)
def test_anchors_on_nothing_are_refused(found: xr.Dataset, anchor: Anchor, problem: str) -> None:
    with pytest.raises(InvalidValueError, match=problem):
        identify(found, stage(), anchors=[anchor])


@pytest.mark.parametrize(
    "values",
    [
        {"called": "a", "camera": "cam_1", "x": 1.0, "y": 1.0},
        {"camera": "cam_1", "x": 1.0},
        {},
        {"called": " "},
        {"camera": "cam_1", "x": float("nan"), "y": 1.0},
    ],
)
def test_anchors_that_are_incomplete_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InvalidValueError, match="anchor of 'Max' in frame 3"):
        Anchor(3, "Max", **values)


def test_an_anchor_needs_a_frame_and_a_name() -> None:
    with pytest.raises(InvalidValueError, match="frame"):
        Anchor(-1, "Max", called="a")
    with pytest.raises(InvalidValueError, match="individual"):
        Anchor(1, "", called="a")


def test_two_animals_of_one_name_in_a_frame_are_refused(found: xr.Dataset) -> None:
    points = found["position"].values[5, 0, :, 5]
    anchors = [Anchor(5, "Max", camera="cam_1", x=float(x), y=float(y)) for x, y in points]
    with pytest.raises(InvalidValueError, match="contradicts"):
        identify(found, stage(), anchors=anchors)


def test_more_names_than_animals_are_refused(found: xr.Dataset) -> None:
    x, y = found["position"].values[5, 0, 0, 5].tolist()
    anchors = [Anchor(5, "Max", camera="cam_1", x=x, y=y)]
    for row, name in ((10, "Moritz"), (20, "Witwe")):
        x, y = found["position"].values[row, 0, 0, 5].tolist()
        anchors.append(Anchor(row, name, camera="cam_1", x=x, y=y))
    with pytest.raises(InvalidValueError, match="at most 2 individuals"):
        identify(found, stage(), anchors=anchors)
