"""Frames that are not there, and what a careful user found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from calibration.errors import InvalidValueError, SuiteWarning
from calibration.rig import Rig
from pose3d.identity import Anchor, IdentitySettings, correct_identity, identify
from pose3d.metrics import score_association
from pose3d.synthetic.crowds import CROWDS, Crowd, make_crowd

FOUR = IdentitySettings(individuals=4)


@pytest.fixture(scope="module")
def crowd() -> Crowd:
    return make_crowd(replace(CROWDS["issue"], frames=200, seed=11))


def _who(crowd: Crowd, identity: xr.Dataset, row: int) -> list[int]:
    """The animal that most cameras have under each name in a row; -1 for none."""
    instance = identity["instance"].values[row].astype(int)
    truth = np.take_along_axis(crowd.truth["individual"].values[row], np.maximum(instance, 0), axis=1)
    found = []
    for column in range(instance.shape[1]):
        known = truth[(instance[:, column] >= 0) & (truth[:, column] >= 0), column]
        found.append(int(np.bincount(known).argmax()) if len(known) else -1)
    return found


@pytest.mark.parametrize("missing", [30, 75])
def test_names_across_frames_that_the_file_lacks_are_as_doubtful_as_the_time_is_long(
    crowd: Crowd, missing: int
) -> None:
    """Rows of the file follow each other, frames do not: what happened in between, nobody saw."""
    rows = np.r_[0:100, 100 + missing : 200]
    kept = crowd.instances.isel(time=rows)
    identity = identify(kept, crowd.rig, skeleton=crowd.skeleton, settings=FOUR)
    cut = replace(crowd, truth=crowd.truth.isel(time=rows), instances=kept)
    before, after = _who(cut, identity, 99), _who(cut, identity, 105)
    changed = {str(identity["individual"].values[k]) for k in range(4) if before[k] != after[k]}
    told = identity["risk_probability"].values
    if missing == 75:
        assert len(told) > 0
        assert set(identity["risk_reason"].values) == {"unseen"}
    listed = set(identity["risk_individual"].values) | set(identity["risk_other"].values)
    assert changed <= listed
    # those of one time: the sure ones stay sure
    assert score_association(identity, cut.truth["individual"].values).pcp > 0.95


def test_frames_have_to_increase(crowd: Crowd) -> None:
    turned = crowd.instances.isel(time=slice(None, None, -1))
    with pytest.raises(InvalidValueError, match="Sort the rows by frame"):
        identify(turned, crowd.rig, settings=FOUR)


def test_an_infinite_position_is_told_by_camera_and_frame(crowd: Crowd) -> None:
    odd = crowd.instances.copy(deep=True)
    odd["position"].values[7, 2, 0, 3, 0] = np.inf
    with pytest.raises(InvalidValueError, match=f"camera '{crowd.rig.names[2]}', frame 7"):
        identify(odd, crowd.rig, settings=FOUR)


def test_a_point_on_nobody_names_nobody(crowd: Crowd) -> None:
    lost = Anchor(10, "ada", camera=crowd.rig.names[0], x=-500.0, y=-300.0)
    with pytest.raises(InvalidValueError, match="px from the nearest"):
        identify(crowd.instances, crowd.rig, settings=FOUR, anchors=[lost])


def test_cameras_that_are_exchanged_are_told(crowd: Crowd) -> None:
    """The views of two cameras under each other's names meet nowhere."""
    names = list(crowd.rig.names)
    other = crowd.instances.assign_coords(camera=[names[1], names[0], *names[2:]])
    with pytest.warns(SuiteWarning, match="named alike"):
        identify(other, crowd.rig, settings=FOUR)


def test_what_was_seen_for_a_moment_is_no_animal(crowd: Crowd) -> None:
    with pytest.warns(SuiteWarning, match="4 of 6 animals were seen"):
        identity = identify(crowd.instances, crowd.rig, settings=IdentitySettings(individuals=6))
    assert identity.sizes["individual"] == 4


def test_new_names_after_a_doubtful_moment_leave_it_doubtful() -> None:
    """Of two that are hidden together for long, names given later say nothing about who they were."""
    crowd = make_crowd(replace(CROWDS["easy"], individuals=2, frames=240, size_spread=0.0, seed=4))
    hidden = crowd.instances.copy(deep=True)
    hidden["position"].values[90:150] = np.nan
    hidden["confidence"].values[90:150] = 0.0
    rig: Rig = crowd.rig
    identity = identify(hidden, rig, settings=IdentitySettings(individuals=2))
    assert identity.sizes["risk"] == 1
    names = [str(name) for name in identity["individual"].values]
    later = [Anchor(200, "ada", called=names[0]), Anchor(200, "bob", called=names[1])]
    named, changed = correct_identity(identity, later)
    assert changed == []
    assert set(named["individual"].values) == {"ada", "bob"}
    np.testing.assert_allclose(named["risk_probability"], identity["risk_probability"], atol=2e-3)
    earlier = [Anchor(20, "ada", called=names[1]), Anchor(20, "bob", called=names[0])]
    exchanged, changed = correct_identity(identity, [*earlier, *later])
    assert exchanged.sizes["risk"] == 0
    assert len(changed) == 1
