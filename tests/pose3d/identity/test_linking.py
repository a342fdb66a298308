"""Who is who over a recording: laws, and scenes whose truth is known."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from calibration.alignment import move_rig, scale_rig
from calibration.errors import SuiteWarning
from calibration.schema import check
from calibration.transforms import RigidTransform
from pose3d.datasets import IDENTITY, POSES2D, instances
from pose3d.identity import _following as following
from pose3d.identity._identities import NOT_SEEN, ONE_CAMERA, SEEN, TWO_CAMERAS, poses2d_of_instances
from pose3d.identity.linking import identify
from pose3d.identity.models import learn_identity
from pose3d.identity.settings import IdentitySettings
from pose3d.metrics.identity import score_identity
from pose3d.metrics.identity_association import score_association
from pose3d.metrics.identity_truth import projected_truth
from pose3d.synthetic.crowds import Crowd
from tests.pose3d.identity.identity_scenes import (
    KEYPOINTS,
    animals_of,
    apart,
    crowd,
    labels,
    made,
    numbered,
    owners,
    shuffled,
    stage,
)


def identity_of(scene: Crowd, **settings: Any) -> xr.Dataset:
    return identify(scene.instances, scene.rig, settings=IdentitySettings(**settings))


def truth_of(scene: Crowd) -> np.ndarray:
    return scene.truth["individual"].values


def assert_right(identity: xr.Dataset, whose: np.ndarray, animals: int) -> None:
    """Every animal has one name, and its own."""
    assert sorted(map(sorted, animals_of(identity, whose))) == [[animal] for animal in range(animals)]


# scenes that are seen well


@pytest.mark.parametrize(("animals", "cameras"), [(1, 2), (2, 2), (3, 3), (4, 6), (7, 4), (10, 8)])
def test_clean_scenes_have_no_fault(animals: int, cameras: int) -> None:
    scene = crowd(individuals=animals, cameras=cameras, frames=60, seed=animals)
    result = identity_of(scene)
    check(result, IDENTITY)
    score = score_association(result, truth_of(scene))
    assert (score.f1, score.pcp) == (1.0, 1.0)
    assert_right(result, truth_of(scene), animals)
    assert int(result["unassigned"].sum()) == 0
    assert (result["identity_status"] == 0).all()


@pytest.mark.parametrize("name", ["easy", "issue"])
@pytest.mark.parametrize("seed", [0, 1])
def test_nobody_is_exchanged_over_3000_frames(name: str, seed: int) -> None:
    scene = crowd(name, frames=3000, seed=seed)
    result = identity_of(scene, individuals=4)
    scores = score_identity(
        poses2d_of_instances(scene.instances, result), projected_truth(scene.poses3d, scene.rig)
    ).overall
    assert scores.switches == 0
    assert scores.idp > 0.999
    assert scores.idf1 > (0.9999 if name == "easy" else 0.97)  # cameras miss 5 % of the animals


@pytest.mark.parametrize(("keypoints", "cameras"), [(1, 3), (1, 4), (2, 3), (2, 4), (3, 2), (3, 3), (4, 2), (4, 3)])
def test_animals_of_few_keypoints_are_found(keypoints: int, cameras: int) -> None:
    """Of one keypoint it takes three cameras: single rays of two meet by chance."""
    found, whose = made(apart(120, 2))
    found = found.isel(keypoint=[0, 7, 5, 3][:keypoints], camera=slice(cameras))
    result = identify(found, stage())
    assert_right(result, whose[:, :cameras], 2)
    assert (result["instance"] >= 0).mean() > 0.9


def test_two_keypoints_in_two_cameras_are_believed_where_less_is_asked() -> None:
    found, whose = made(apart(120, 2))
    result = identify(found.isel(keypoint=[0, 7], camera=[0, 1]), stage(), settings=IdentitySettings(sure=0.7))
    assert_right(result, whose[:, :2], 2)
    assert (result["instance"] >= 0).mean() > 0.9


def test_two_cameras_leave_open_what_they_do_not_tell() -> None:
    """Where two cameras give an animal to a name, it is hardly ever the wrong one, in a crowd at that."""
    scene = crowd(individuals=5, cameras=2, keypoints=5, arena=120.0, noise=4.0, missed_rate=0.25, frames=400)
    result = identity_of(scene, individuals=5)
    every = owners(result, truth_of(scene))
    both = (every >= 0).all(1)
    wrong = both & (every[:, 0] != every[:, 1])
    assert wrong.sum() <= 0.02 * both.sum()
    assert set(np.unique(result["identity_status"])) <= {SEEN, NOT_SEEN, ONE_CAMERA, TWO_CAMERAS}
    open_ = result["identity_status"].values == TWO_CAMERAS
    assert open_.any()
    assert ((result["instance"].values >= 0).sum(1)[open_] < 2).all()


def test_one_animal_of_one_keypoint_is_found_by_two_cameras() -> None:
    found, whose = made(apart(120, 1))
    result = identify(found.isel(keypoint=[0], camera=[0, 1]), stage())
    assert_right(result, whose[:, :2], 1)
    assert (result["instance"] >= 0).mean() > 0.9


def test_a_keypoint_that_is_nowhere_does_not_matter() -> None:
    found, whose = made(apart(60, 3))
    found["position"][..., 2, :] = np.nan
    found["confidence"][..., 2] = 0.0
    assert_right(identify(found, stage()), whose, 3)


def test_a_confidence_that_is_not_known_counts_as_not_seen() -> None:
    found, whose = made(apart(60, 3))
    found["confidence"][..., 1] = np.nan
    found["confidence"][20:25, 1, 0] = np.nan
    result = identify(found, stage())
    assert_right(result, whose, 3)


# laws


@pytest.fixture(scope="module")
def busy() -> Crowd:
    return crowd("issue", frames=300, seed=7)


@pytest.fixture(scope="module")
def plain(busy: Crowd) -> xr.Dataset:
    return identity_of(busy)


def same_people(one: np.ndarray, other: np.ndarray) -> bool:
    return np.array_equal(numbered(one), numbered(other))


def count(scene: Crowd) -> int:
    return scene.instances.sizes["instance"]


def test_the_order_of_instances_does_not_matter(busy: Crowd, plain: xr.Dataset) -> None:
    other, order = shuffled(busy.instances)
    result = labels(identify(other, busy.rig), count(busy))
    assert same_people(np.take_along_axis(labels(plain, count(busy)), order, 2), result)


def test_the_order_of_cameras_does_not_matter(busy: Crowd, plain: xr.Dataset) -> None:
    names = list(reversed(busy.rig.names))
    result = identify(busy.instances.sel(camera=names), busy.rig)
    assert same_people(labels(plain, count(busy)), labels(result, count(busy)))  # in the order of the rig
    turned = identify(busy.instances, busy.rig.select(names)).sel(camera=list(busy.rig.names))
    one, two = labels(plain, count(busy)), labels(turned, count(busy))
    assert (one == two).mean() > 0.999  # faulty instances may be of one or another
    again = poses2d_of_instances(busy.instances.sel(camera=names), plain)
    xr.testing.assert_identical(again, poses2d_of_instances(busy.instances, plain))


def test_a_camera_that_is_not_in_the_rig_is_left_out(busy: Crowd) -> None:
    rig = busy.rig.select(busy.rig.names[1:5])
    result = identify(busy.instances, rig)
    assert tuple(result["camera"].values) == rig.names
    poses = poses2d_of_instances(busy.instances, result)
    assert tuple(poses["camera"].values) == rig.names
    check(poses, POSES2D)


@pytest.mark.parametrize("factor", [1e-3, 25.4])
def test_the_unit_of_the_world_does_not_matter(busy: Crowd, plain: xr.Dataset, factor: float) -> None:
    result = identify(busy.instances, scale_rig(busy.rig, factor))
    assert same_people(labels(plain, count(busy)), labels(result, count(busy)))
    np.testing.assert_allclose(result["identity_confidence"], plain["identity_confidence"], atol=1e-3)


def test_where_the_world_begins_does_not_matter(busy: Crowd, plain: xr.Dataset) -> None:
    move = RigidTransform.from_rotation_vector([0.4, -1.1, 2.0], [300.0, -4000.0, 90.0])
    result = identify(busy.instances, move_rig(busy.rig, move))
    assert same_people(labels(plain, count(busy)), labels(result, count(busy)))


def test_numbers_of_frames_do_not_matter(busy: Crowd, plain: xr.Dataset) -> None:
    later = busy.instances.assign_coords(frame=busy.instances["frame"] + 100_000)
    result = identify(later, busy.rig)
    xr.testing.assert_identical(result["instance"].drop_vars("frame"), plain["instance"].drop_vars("frame"))


def test_frames_that_were_left_out_count_as_time() -> None:
    """After a pause everybody is elsewhere, and not exchanged, as the numbers of frames tell of the pause."""
    scene = crowd(frames=400, seed=2)
    keep = np.r_[0:150, 165:400]
    result = identify(scene.instances.isel(time=keep), scene.rig)
    assert_right(result, truth_of(scene)[keep], 4)
    assert np.array_equal(result["frame"], scene.instances["frame"][keep])


def test_pieces_do_not_matter(busy: Crowd, plain: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_AT_ONCE", 37)
    xr.testing.assert_identical(identity_of(busy), plain)


def test_files_that_are_opened_and_not_loaded_do(busy: Crowd, plain: xr.Dataset, tmp_path: Path) -> None:
    busy.instances.to_netcdf(tmp_path / "instances.nc")
    with xr.open_dataset(tmp_path / "instances.nc") as opened:
        result = identify(opened, busy.rig)
        assert opened["position"].variable._in_memory is False
    assert np.array_equal(result["instance"], plain["instance"])
    assert np.array_equal(result["individual"], plain["individual"])


def test_the_same_input_gives_the_same_result(busy: Crowd, plain: xr.Dataset) -> None:
    xr.testing.assert_identical(identity_of(busy), plain)


def test_a_model_can_be_learned_before(busy: Crowd, plain: xr.Dataset) -> None:
    model = learn_identity(busy.instances, busy.rig)
    assert model.noise == pytest.approx(1.0, abs=0.15)
    xr.testing.assert_identical(identify(busy.instances, busy.rig, model=model), plain)


# views


def test_an_animal_in_half_of_the_cameras_is_one() -> None:
    hidden = np.zeros((120, 4, 3), bool)
    hidden[:, :2, 0], hidden[:, 2:, 1] = True, True
    found, whose = made(apart(120, 3), hidden=hidden)
    result = identify(found, stage())
    assert_right(result, whose, 3)
    assert int(result["unassigned"].sum()) == 0


def test_an_animal_that_goes_from_some_cameras_to_others_is_one() -> None:
    hidden = np.zeros((200, 4, 2), bool)
    hidden[:90, 2:, 0], hidden[110:, :2, 0] = True, True
    found, whose = made(apart(200, 2), hidden=hidden)
    assert_right(identify(found, stage()), whose, 2)


def test_what_one_camera_sees_stays_with_its_animal() -> None:
    hidden = np.zeros((160, 4, 2), bool)
    hidden[60:100, 1:, 1] = True
    found, whose = made(apart(160, 2), hidden=hidden)
    result = identify(found, stage())
    assert_right(result, whose, 2)
    who = animals_of(result, whose).index({1})
    assert (result["identity_status"].values[62:100, who] == ONE_CAMERA).mean() > 0.95
    poses = poses2d_of_instances(found, result)
    alone = poses["position"].isel(individual=who, time=slice(62, 100))
    assert np.isfinite(alone.isel(camera=0)).all("space").mean() > 0.95
    assert alone.isel(camera=[1, 2, 3]).isnull().all()


def test_two_parts_of_an_animal_are_one() -> None:
    """A camera has the front of an animal and its back as two instances."""
    found, whose = made(apart(80, 2))
    position = found["position"].values.copy()
    rows = np.arange(80)
    place = (whose[:, 2] == 0).argmax(1)
    more = np.full((80, 4, 1, len(KEYPOINTS), 2), np.nan)
    more[:, 2, 0, 5:] = position[rows, 2, place, 5:]
    position[rows, 2, place, 5:] = np.nan
    split = instances(np.concatenate([position, more], 2), cameras=stage().names, keypoints=KEYPOINTS, frame_rate=30.0)
    result = identify(split, stage())
    assert int(result["unassigned"][3:].sum()) == 0
    poses = poses2d_of_instances(split, result)
    assert np.isfinite(poses["position"].isel(camera=2, time=slice(3, None))).all()


# hard times


def test_a_long_absence_of_one_is_bridged() -> None:
    hidden = np.zeros((600, 1, 3), bool)
    hidden[150:450, :, 1] = True
    found, whose = made(apart(600, 3), hidden=hidden)
    result = identify(found, stage(), settings=IdentitySettings(individuals=3))
    assert_right(result, whose, 3)


def test_a_long_absence_of_two_at_once_is_bridged() -> None:
    hidden = np.zeros((400, 1, 3), bool)
    hidden[150:230, :, 1] = True
    hidden[170:240, :, 2] = True
    found, whose = made(apart(400, 3), hidden=hidden)
    result = identify(found, stage(), settings=IdentitySettings(individuals=3))
    assert_right(result, whose, 3)


def test_entrances_and_exits() -> None:
    """One is there all the time, one comes late, one goes early, one comes twice."""
    hidden = np.zeros((500, 1, 4), bool)
    hidden[:200, :, 1], hidden[250:, :, 2], hidden[150:300, :, 3] = True, True, True
    found, whose = made(apart(500, 4), hidden=hidden)
    result = identify(found, stage(), settings=IdentitySettings(individuals=4))
    assert_right(result, whose, 4)
    assert (owners(result, whose) >= 0).sum() >= 0.99 * (whose >= 0).sum()


def test_more_animals_than_declared_are_told_and_those_seen_most_are_kept() -> None:
    hidden = np.zeros((200, 1, 3), bool)
    hidden[120:, :, 1] = True
    found, whose = made(apart(200, 3), hidden=hidden)
    with pytest.warns(SuiteWarning, match="2 animals were declared; one more is seen"):
        result = identify(found, stage(), settings=IdentitySettings(individuals=2))
    assert sorted(map(sorted, animals_of(result, whose))) == [[0], [2]]


def test_fewer_animals_than_declared_are_told() -> None:
    found, whose = made(apart(100, 2))
    with pytest.warns(SuiteWarning, match="2 of 5 animals were seen"):
        result = identify(found, stage(), settings=IdentitySettings(individuals=5))
    assert_right(result, whose, 2)


def test_as_many_as_declared_are_told_nothing() -> None:
    scene = crowd("issue", frames=600)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        identity_of(scene, individuals=4)


def test_very_many_animals_may_be_declared() -> None:
    """Every two tracks may be cut in one frame, for which there must be room."""
    found, whose = made(apart(30, 2))
    with pytest.warns(SuiteWarning, match="2 of 64"):
        result = identify(found, stage(), settings=IdentitySettings(individuals=64))
    assert_right(result, whose, 2)


def test_one_of_several_is_followed_where_one_is_declared() -> None:
    hidden = np.zeros((200, 4, 3), bool)
    hidden[:, 1:, 1] = True
    hidden[100:, :, 2] = True
    found, whose = made(apart(200, 3), hidden=hidden)
    with pytest.warns(SuiteWarning, match="1 animals were declared"):
        result = identify(found, stage(), settings=IdentitySettings(individuals=1))
    assert animals_of(result, whose) == [{0}]


def test_a_sudden_start_is_no_exchange_with_one_that_is_far_away() -> None:
    """What fits badly is not therefore another, and a track that is new finds out how fast it is."""
    paths = apart(300, 3)
    run = np.clip(np.arange(300) - 150, 0, 30) * 8.0
    paths[:, 0, 0] += run
    paths[:, 0, 0] -= 120.0
    paths[:, 1, 0] -= 200.0
    paths[:, 1, 1] += 100.0
    found, whose = made(paths)
    result = identify(found, stage(), settings=IdentitySettings(individuals=3))
    assert_right(result, whose, 3)
    assert (owners(result, whose) >= 0).mean() > 0.99
