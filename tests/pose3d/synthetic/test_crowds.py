"""Crowds: what is true of animals and reports that are made fast, and in pieces."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pytest

from calibration.errors import InvalidValueError
from calibration.schema import check
from pose3d.datasets import INSTANCES, POSES3D
from pose3d.synthetic.crowds import CROWDS, Crowd, CrowdSettings, crowd_pieces, make_crowd


@cache
def crowd(name: str = "easy", **changes: object) -> Crowd:
    return make_crowd(dataclasses.replace(CROWDS[name], **{"frames": 3000, **changes}))


def poses(made: Crowd) -> np.ndarray:
    """(time, individual, keypoint, 3)"""
    return made.poses3d["position"].transpose("time", "individual", "keypoint", "space").values


def errors(made: Crowd) -> tuple[np.ndarray, np.ndarray]:
    """(instance, keypoint, 2) reported minus true pixels of the instances of animals; (instance, keypoint) outliers."""
    whose, found = made.truth["individual"].values, made.instances["position"].values
    time, camera, slot = np.nonzero(whose >= 0)
    truth = np.moveaxis(made.rig.project(poses(made)), 3, 1)[time, camera, whose[time, camera, slot]]
    swapped = made.truth["swapped"].values[time, camera, slot]
    order = np.arange(len(made.skeleton.keypoints))
    for pair in made.skeleton.mirrored_pairs:
        left, right = map(made.skeleton.keypoints.index, pair)
        order[left], order[right] = right, left
    truth[swapped] = truth[swapped][:, order]
    return found[time, camera, slot] - truth, made.truth["outlier"].values[time, camera, slot]


def near(share: float, rate: float, count: int) -> bool:
    return abs(share - rate) < 5 * np.sqrt(rate * (1 - rate) / count) + 1e-9


@pytest.mark.parametrize("name", CROWDS)
def test_datasets_follow_their_schemas(name: str) -> None:
    check(crowd(name).instances, INSTANCES)
    check(crowd(name).poses3d, POSES3D)
    assert crowd(name).instances["image_size"].values.tolist() == [[1280, 1024]] * 6


@pytest.mark.parametrize("name", CROWDS)
def test_every_instance_is_where_its_animal_is(name: str) -> None:
    error, outlier = errors(crowd(name, swap_rate=0.1))
    good = np.isfinite(error).all(-1) & ~outlier
    noise = CROWDS[name].noise
    assert np.sqrt((error[good] ** 2).mean()) == pytest.approx(noise, rel=0.01)
    assert abs(error[good]).max() < 7 * noise
    if outlier.any():
        assert np.median(np.linalg.norm(error[outlier], axis=-1)) > 50.0


def test_an_easy_crowd_is_all_seen() -> None:
    made = crowd("easy")
    assert np.isfinite(made.instances["position"].values).all()
    whose = np.sort(made.truth["individual"].values, axis=2)
    np.testing.assert_array_equal(whose, np.broadcast_to(np.arange(4), whose.shape))


@pytest.mark.parametrize("name", ["issue", "hard"])
def test_rates_are_as_asked(name: str) -> None:
    made, asked = crowd(name), CROWDS[name]
    whose = made.truth["individual"].values
    there = np.isfinite(made.instances["position"].values[..., 0]).any(-1)
    animals = 3000 * 6 * 4
    assert near((whose >= 0).sum() / animals, 1 - asked.missed_rate, animals)
    # few more than the expected number of false ones have a place
    assert abs((there & (whose < 0)).sum() / animals - asked.false_rate) < 0.005
    reported = np.isfinite(made.instances["position"].values[whose >= 0][..., 0])
    assert near(reported.mean(), 1 - asked.missing_rate, reported.size)
    outlier = made.truth["outlier"].values[whose >= 0][reported]
    assert near(outlier.mean(), asked.outlier_rate, reported.size)


def test_misses_last_as_long_as_asked() -> None:
    made = crowd(missed_rate=0.2, missed_time=1.0, frames=20_000, cameras=2)
    whose = made.truth["individual"].values
    seen = np.stack([(whose == animal).any(axis=2) for animal in range(4)], axis=-1)
    assert seen.mean() == pytest.approx(0.8, abs=0.03)
    starts = (seen[:-1] & ~seen[1:]).sum()
    assert (~seen).sum() / starts == pytest.approx(30.0, rel=0.15)


def test_animals_come_close_and_huddle_but_bodies_push_each_other_away() -> None:
    first, second = np.triu_indices(4, 1)

    def gaps(made: Crowd) -> np.ndarray:
        spine = poses(made)[:, :, :4, :2]
        return np.linalg.norm(spine[:, first, :, None] - spine[:, second, None], axis=-1).min(axis=(2, 3))

    apart, together = gaps(crowd("easy")), gaps(crowd("easy", huddles=0.5))
    assert 0.02 < (apart < 60.0).mean() < (together < 60.0).mean()
    assert (apart < 5.0).mean() < 0.02
    assert (together < 5.0).mean() < 0.05


def test_animals_walk_at_the_asked_speed_and_stop_now_and_then() -> None:
    head = poses(crowd("easy", frames=20_000, cameras=1))[:, :, 0, :2]
    speed = np.linalg.norm(np.diff(head, axis=0), axis=-1) * 30.0
    assert (speed < 15.0).mean() == pytest.approx(0.15, abs=0.06)
    assert np.median(speed[speed > 50.0]) == pytest.approx(150.0, rel=0.1)
    assert speed.max() < 5 * 150.0
    assert np.linalg.norm(head, axis=-1).max() <= CROWDS["easy"].radius * (1 + 1e-9)


def test_bones_keep_their_length_and_tell_animals_apart() -> None:
    made = crowd("easy", individuals=10, cameras=1)
    pose, index = poses(made), made.skeleton.keypoints.index
    for a, b in made.skeleton.bones:
        length = np.linalg.norm(pose[:, :, index(a)] - pose[:, :, index(b)], axis=-1)
        if a.startswith("spine") and b.startswith("spine"):
            np.testing.assert_allclose(length, np.broadcast_to(length[0], length.shape), rtol=1e-9)
            assert 0.02 < length[0].std() / length[0].mean() < 0.2
    same = poses(crowd("easy", size_spread=0.0, cameras=1))
    spine = np.linalg.norm(same[0, :, 0] - same[0, :, 1], axis=-1)
    np.testing.assert_allclose(spine, spine[0])


def test_animals_leave_come_back_and_hide() -> None:
    made = crowd("open", frames=60_000, cameras=2, keypoints=3)
    away, hidden = made.truth["away"].values, made.truth["hidden"].values
    assert away.mean() == pytest.approx(0.2, abs=0.1)
    assert hidden.mean() == pytest.approx(0.05, abs=0.02)
    assert (np.diff(away.astype(int), axis=0) == 1).sum() > 5
    np.testing.assert_array_equal(np.isnan(poses(made)).all(axis=(2, 3)), away)
    whose = made.truth["individual"].values
    for animal in range(4):
        unseen = away[:, animal] | hidden[:, animal]
        assert not (whose[unseen] == animal).any()
    # they come and go at the wall
    radius = np.linalg.norm(poses(made)[:, :, 0, :2], axis=-1)
    for animal in range(4):
        back = np.flatnonzero(away[:-1, animal] & ~away[1:, animal]) + 1
        assert (radius[back, animal] > 0.9 * made.settings.radius).all()


def test_appearance_is_alike_for_the_same_animal() -> None:
    made = crowd("hard", features=8, appearance_noise=0.3, frames=1000)
    whose, looks = made.truth["individual"].values, made.instances["appearance"].values
    means = np.stack([looks[whose == animal].mean(axis=0) for animal in range(4)])
    nearest = np.linalg.norm(looks[whose >= 0][:, None] - means, axis=-1).argmin(axis=1)
    assert (nearest == whose[whose >= 0]).mean() > 0.95
    empty = np.isnan(made.instances["position"].values).all(axis=(-1, -2))
    assert np.isnan(looks[empty]).all()
    assert np.isfinite(looks[~empty]).all()


@pytest.mark.parametrize("length", [1, 700, 1000, 2500, 5000])
def test_pieces_are_the_same_bytes_as_all_at_once(length: int) -> None:
    settings = dataclasses.replace(CROWDS["open"], frames=2500 if length > 1 else 3, cameras=2, features=2)
    whole, pieces = make_crowd(settings), list(crowd_pieces(settings, length))
    assert [piece.instances.sizes["time"] for piece in pieces][:-1] == [length] * (len(pieces) - 1)
    for part in ("instances", "poses3d", "truth"):
        for name, variable in getattr(whole, part).variables.items():
            if "time" in variable.dims:
                together = np.concatenate([getattr(piece, part)[name].values for piece in pieces])
                assert together.tobytes() == variable.values.tobytes(), name


def test_another_seed_is_another_crowd() -> None:
    first, same, other = (crowd("hard", frames=100, seed=seed) for seed in (0, 0, 1))
    assert first.instances.equals(same.instances)
    assert not first.instances.equals(other.instances)
    assert first.rig != other.rig


@pytest.mark.parametrize("individuals", [1, 2, 10])
@pytest.mark.parametrize("keypoints", [1, 2, 4, 5, 20])
def test_any_number_of_animals_and_keypoints_can_be_made(individuals: int, keypoints: int) -> None:
    made = crowd("open", individuals=individuals, keypoints=keypoints, frames=50, cameras=2)
    assert len(made.skeleton.keypoints) == keypoints
    assert poses(made).shape == (50, individuals, keypoints, 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"individuals": 0},
        {"keypoints": 1.5},
        {"frames": 0},
        {"frame_rate": 0.0},
        {"noise": -1.0},
        {"stops": 1.0},
        {"missed_rate": 0.99},
        {"false_rate": 1.5},
        {"arena": 0.0},
        {"size": (100,)},
        {"features": -1},
        {"seed": "one"},
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidValueError, match=next(iter(changes))):
        CrowdSettings(**changes)


def test_a_piece_without_frames_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="frames_per_piece"):
        crowd_pieces(CrowdSettings(), 0)
