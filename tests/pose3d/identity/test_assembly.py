"""Candidates of one view become animals: each exactly once, in the best division, whatever their order or scale."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from calibration.errors import InvalidValueError, MismatchError
from calibration.schema import check
from pose3d.datasets import INSTANCES, detections
from pose3d.identity._assembly_kernels import divide, match
from pose3d.identity._assembly_shape import learn_shape
from pose3d.identity._assembly_shape_kernels import predict
from pose3d.identity.assembly import AssemblyPlan, AssemblySettings, assemble, assemble_pieces, learn_assembly
from tests.pose3d.identity.assembly_scenes import KEYPOINTS, SKELETON, grouped, scene

Scene = tuple[xr.Dataset, np.ndarray]
SEEDS = st.integers(0, 10_000)


@pytest.fixture(scope="module")
def easy() -> Scene:
    return scene(frames=200, animals=3, seed=1, missing=0.0, outliers=0.0, false=0.0, apart=True)


@pytest.fixture(scope="module")
def hard() -> Scene:
    return scene(frames=250, animals=4, seed=2)


@pytest.fixture(scope="module")
def plan(hard: Scene) -> AssemblyPlan:
    return learn_assembly(hard[0], SKELETON)


def piece(plan: AssemblyPlan, found: xr.Dataset) -> xr.Dataset:
    return next(assemble_pieces(plan, found))


def groups(result: xr.Dataset) -> list[set[frozenset[tuple[int, float, float]]]]:
    """Of every frame and camera the instances, each as its keypoints with their places."""
    points = result["position"].values
    return [
        {
            frozenset((k, *np.round(one[k], 6)) for k in np.flatnonzero(np.isfinite(one[:, 0])))
            for one in points[row, camera]
            if np.isfinite(one).any()
        }
        for row in range(points.shape[0])
        for camera in range(points.shape[1])
    ]


# the division


@given(SEEDS, st.integers(1, 6), st.integers(0, 4))
def test_matching_is_optimal(seed: int, rows: int, more: int) -> None:
    value = np.random.default_rng(seed).normal(size=(rows, rows + more))
    chosen = match(value)
    assert len(set(chosen)) == rows
    best = linear_sum_assignment(value, maximize=True)
    assert value[np.arange(rows), chosen].sum() == pytest.approx(value[best].sum())


def sum_within(score: np.ndarray, part: np.ndarray) -> float:
    same = part[:, None] == part
    return float(score[same & ~np.eye(len(part), dtype=bool)].sum() / 2)


def best_sum(score: np.ndarray, kind: np.ndarray) -> float:
    """By trying all divisions."""

    def tried(node: int, parts: list[list[int]], total: float) -> float:
        if node == len(kind):
            return total
        result = tried(node + 1, [*parts, [node]], total)
        for number, members in enumerate(parts):
            if kind[node] not in kind[members]:
                grown = [*parts[:number], [*members, node], *parts[number + 1 :]]
                result = max(result, tried(node + 1, grown, total + score[node, members].sum()))
        return result

    return tried(0, [], 0.0)


def test_divisions_are_the_best_of_all() -> None:
    """Random scores are harder than animals: there the best one is missed in 1 of 12, by little."""
    rng = np.random.default_rng(0)
    optimal, lost = [], []
    for _ in range(150):
        kind = np.sort(rng.integers(0, 4, 8))
        score = rng.normal(0, 2, (8, 8))
        score = score + score.T
        score[kind[:, None] == kind] = -1e9
        part = divide(score, kind, 4)
        assert all(len(set(kind[part == each])) == (part == each).sum() for each in part)
        found, best = sum_within(score, part), best_sum(score, kind)
        assert found <= best + 1e-9
        optimal.append(found > best - 1e-9)
        lost.append((best - found) / best)
    assert np.mean(optimal) > 0.9
    assert np.mean(lost) < 0.01


def test_divisions_of_animals_are_the_best_of_all() -> None:
    """Scores as of animals: pairs of one animal attract, others do not, with noise."""
    rng = np.random.default_rng(1)
    optimal = 0
    for _ in range(100):
        kind, owner = np.repeat(np.arange(4), 2), np.tile(np.arange(2), 4)
        score = np.where(owner[:, None] == owner, 2.0, -2.0) + rng.normal(0, 1.5, (8, 8))
        score = score + score.T
        score[kind[:, None] == kind] = -1e9
        optimal += sum_within(score, divide(score, kind, 4)) > best_sum(score, kind) - 1e-9
    assert optimal == 100


# shapes


def test_predictions_are_those_of_a_normal_distribution() -> None:
    """Against the textbook's conditional distribution, keypoint by keypoint, with the place of the animal unknown."""
    rng = np.random.default_rng(3)
    root = rng.normal(size=(10, 10))
    covariance = root @ root.T / 10 + 100.0 * np.tile(np.eye(2), (5, 5))
    mean, noise = rng.normal(size=10), 0.01
    place, there = rng.normal(size=(5, 2)) + 7, np.array([True, True, False, True, True])
    middle, spread = np.zeros((5, 2)), np.zeros((5, 2, 2))
    predict(place, there, mean, covariance, noise, middle, spread)
    center = place[there].mean(0)
    for keypoint in range(5):
        known = np.repeat(there & (np.arange(5) != keypoint), 2)
        own = np.repeat(np.arange(5) == keypoint, 2)
        inverse = np.linalg.inv(covariance[np.ix_(known, known)] + noise * np.eye(known.sum()))
        gain = covariance[np.ix_(own, known)] @ inverse
        wanted = mean[own] + gain @ ((place - center).ravel() - mean)[known] + center
        left = covariance[np.ix_(own, own)] - gain @ covariance[np.ix_(known, own)] + noise * np.eye(2)
        np.testing.assert_allclose(middle[keypoint], wanted, atol=1e-3)
        np.testing.assert_allclose(spread[keypoint], left, atol=1e-3)


def test_a_shape_knows_left_from_right_in_any_direction() -> None:
    rng = np.random.default_rng(4)
    body = np.array([[0, 0], [2, 0], [1, 0.5], [1, -0.5]]) * 20
    turn = rng.uniform(0, 2 * np.pi, 400)
    turned = np.stack([np.cos(turn), -np.sin(turn), np.sin(turn), np.cos(turn)], -1).reshape(-1, 2, 2)
    points = np.einsum("nij,kj->nki", turned, body) + rng.uniform(0, 500, (400, 1, 2)) + rng.normal(0, 0.5, (400, 4, 2))
    label = np.zeros((400, 1, 1, 4), np.int32)
    label[::3, 0, 0, 2] = -1  # some are missing
    shape = learn_shape(points[:, None, None], label, np.array([20.0]))
    middle, spread = np.zeros((4, 2)), np.zeros((4, 2, 2))
    there = np.array([True, True, True, False])
    for one in points[:20]:
        predict(one / 20, there, shape.mean[0], shape.covariance[0], shape.noise[0], middle, spread)
        assert np.linalg.norm(middle[3] * 20 - one[3]) < 3.0  # the other side would be 20 px away


# laws


def test_clean_animals_are_put_together_without_a_mistake(easy: Scene) -> None:
    found, truth = easy
    result = assemble(found)
    assert grouped(found, truth, result) == 1.0
    assert result.sizes["instance"] == 3
    assert not result["fragment"].values.any()
    assert float(result["assembly_confidence"].min()) > 0.9


def test_the_result_is_instances_that_keep_what_was_given(hard: Scene) -> None:
    found, _ = hard
    result = assemble(found, SKELETON, individuals=4)
    check(result, INSTANCES)
    assert all("units" in result[name].attrs for name in result.data_vars)
    for name in ("time", "frame", "camera", "keypoint", "image_size"):
        xr.testing.assert_identical(result[name], found[name])
    assert result.attrs["fps"] == found.attrs["fps"]
    assert json.loads(result.attrs["assembly"])["individuals"] == 4


@given(SEEDS)
@settings(max_examples=15)
def test_every_candidate_is_in_exactly_one_instance(plan: AssemblyPlan, seed: int) -> None:
    """Whatever there is: noise without any animal, too."""
    rng = np.random.default_rng(seed)
    shape = (3, 2, int(rng.integers(1, 8)), len(KEYPOINTS))
    position, confidence = rng.uniform(0, rng.choice([50, 1000]), (*shape, 2)), rng.uniform(0, 1, shape)
    confidence[rng.random(shape) < 0.3] = 0
    found = detections(position, confidence, cameras=plan.cameras, keypoints=KEYPOINTS)
    result = piece(plan, found)
    there = confidence >= 0.05
    assert np.isfinite(result["position"].values[..., 0]).sum() == there.sum()
    points, scores = result["position"].values, result["confidence"].values
    for row, camera, candidate, keypoint in zip(*np.nonzero(there), strict=True):
        same = (points[row, camera, :, keypoint] == position[row, camera, candidate, keypoint]).all(1)
        assert same.sum() == 1
        assert scores[row, camera, same, keypoint] == confidence[row, camera, candidate, keypoint]
    assert result.attrs["below_threshold"] == ((confidence > 0) & (confidence < 0.05)).sum()


@given(SEEDS)
@settings(max_examples=10)
def test_the_order_of_candidates_means_nothing(hard: Scene, plan: AssemblyPlan, seed: int) -> None:
    found = hard[0].isel(time=slice(0, 10))
    order = np.random.default_rng(seed).permuted(
        np.broadcast_to(np.arange(found.sizes["candidate"])[:, None], found["confidence"].shape), axis=2
    )
    mixed = found.copy()
    mixed["position"] = found["position"].dims, np.take_along_axis(found["position"].values, order[..., None], 2)
    mixed["confidence"] = found["confidence"].dims, np.take_along_axis(found["confidence"].values, order, 2)
    assert groups(piece(plan, mixed)) == groups(piece(plan, found))


def test_cameras_have_nothing_to_do_with_each_other(hard: Scene) -> None:
    found = hard[0]
    turned = assemble(found.isel(camera=[1, 0]))
    whole = assemble(found)
    assert groups(turned.isel(camera=[1, 0])) == groups(whole)
    assert groups(assemble(found.isel(camera=[0]))) == groups(whole.isel(camera=[0]))


@given(SEEDS)
@settings(max_examples=10)
def test_a_far_false_candidate_changes_nothing_else(hard: Scene, plan: AssemblyPlan, seed: int) -> None:
    rng = np.random.default_rng(seed)
    found = hard[0].isel(time=slice(0, 5)).load()
    more = found.isel(candidate=[0]).copy(deep=True)
    more["position"][:], more["confidence"][:] = np.nan, 0.0
    keypoint = int(rng.integers(len(KEYPOINTS)))
    more["position"][:, :, 0, keypoint] = rng.uniform(20_000, 30_000, 2)
    more["confidence"][:, :, 0, keypoint] = 1.0
    both = xr.concat([found, more], "candidate", data_vars="minimal").assign_coords(
        candidate=np.arange(found.sizes["candidate"] + 1)
    )
    before, after = groups(piece(plan, found)), groups(piece(plan, both))
    for one, two in zip(before, after, strict=True):
        assert one < two
        assert len(two - one) == 1
        assert len(next(iter(two - one))) == 1


@pytest.mark.parametrize("scale", [0.25, 8.0])
def test_the_scale_of_the_images_changes_nothing(hard: Scene, scale: float) -> None:
    found = hard[0].isel(time=slice(0, 150))
    larger = found.copy()
    for name in ("position", "image_size"):
        larger[name] = found[name] * scale
        larger[name].attrs = found[name].attrs
    back = assemble(larger)
    back["position"] = back["position"] / scale
    same = [one == two for one, two in zip(groups(back), groups(assemble(found)), strict=True)]
    assert np.mean(same) == 1.0


# known truth


@pytest.mark.parametrize(("animals", "least"), [(2, 0.995), (4, 0.985), (6, 0.97)])
def test_animals_that_cross_are_told_apart(animals: int, least: float) -> None:
    """20 % of the keypoints missing, 5 % outliers, false candidates; without knowing the skeleton."""
    found, truth = scene(frames=250, animals=animals, seed=animals)
    assert grouped(found, truth, assemble(found, individuals=animals)) > least


def test_a_missing_keypoint_does_not_cut_an_animal_in_two(easy: Scene) -> None:
    found, truth = easy
    middle = found.copy(deep=True)
    middle["position"][100:, :, :, KEYPOINTS.index("spine2")] = np.nan
    middle["confidence"][100:, :, :, KEYPOINTS.index("spine2")] = 0
    result = assemble(middle, SKELETON)
    assert result.sizes["instance"] == 3
    assert grouped(middle, truth, result) == 1.0


def test_affinities_decide_where_geometry_cannot() -> None:
    found, truth = scene(frames=150, animals=4, seed=5, crowd=4.0, affinities=True)
    without = grouped(found, truth, assemble(found.drop_vars(["affinity", "edge_keypoint"])))
    assert grouped(found, truth, assemble(found)) > max(without, 0.99)
    alone = assemble(found, settings=AssemblySettings(geometry=False))
    assert grouped(found, truth, alone) > 0.75  # few edges, and a missing keypoint cuts them


def test_confidence_of_the_assembly_says_how_many_keypoints_are_right() -> None:
    found, truth = scene(frames=250, animals=4, seed=6, crowd=6.0)
    result = assemble(found, individuals=4)
    sure = result["assembly_confidence"].values
    low, high = sure < np.nanquantile(sure, 0.2), sure > np.nanquantile(sure, 0.8)
    assert grouped(found, truth, result, low) < grouped(found, truth, result, high)


def test_animals_come_first_and_no_more_than_there_are(hard: Scene) -> None:
    result = assemble(hard[0], individuals=2)
    size = np.isfinite(result["position"].values[..., 0]).sum(-1)
    fragment = result["fragment"].values.astype(bool)
    assert ((size > 0) & ~fragment).sum(-1).max() == 2
    assert not fragment[..., :2][size[..., :2] > 1].any()
    assert np.isnan(result["assembly_confidence"].values[fragment]).all()


def test_two_halves_are_joined_where_there_is_one_animal_only(easy: Scene) -> None:
    """Nothing is known that could join them, but their number."""
    found = easy[0].isel(time=[0], candidate=[0]).copy(deep=True)
    nothing = AssemblySettings(geometry=False, tolerance=1.0)
    edge = np.array([["nose", "neck"], ["tail1", "tail2"]])
    found["affinity"] = ("time", "camera", "edge", "candidate", "candidate_"), np.full((1, 2, 2, 1, 1), 0.99)
    found["edge_keypoint"] = ("edge", "end"), edge

    def largest(individuals: int) -> list[int]:
        points = assemble(found, individuals=individuals, settings=nothing)["position"].values[0, 0]
        return sorted(np.isfinite(points[..., 0]).sum(-1), reverse=True)[:2]

    assert largest(0) == [2, 2]
    assert largest(1) == [4, 1]


def test_two_candidates_at_one_place_stay_two(easy: Scene) -> None:
    found = easy[0].isel(time=slice(0, 100)).copy(deep=True)
    twice = xr.concat([found, found.isel(candidate=[0])], "candidate", data_vars="minimal")
    twice = twice.assign_coords(candidate=np.arange(4))
    result = assemble(twice, individuals=3)
    assert np.isfinite(result["position"].values[..., 0]).sum() == np.isfinite(twice["position"].values[..., 0]).sum()


def test_unique_keypoints_are_an_instance_of_their_own(hard: Scene) -> None:
    found = hard[0].isel(time=slice(0, 100))
    result = assemble(found, unique=["tail2", "nose"])
    assert list(result["track_name"].values) == ["single"]
    chosen = result["track"].values == 0
    unique = [KEYPOINTS.index(name) for name in ("nose", "tail2")]
    others = [k for k in range(len(KEYPOINTS)) if k not in unique]
    assert (chosen.sum(-1) <= 1).all()
    single = np.where(chosen[..., None, None], result["position"].values, np.nan)
    assert np.isnan(single[..., others, :]).all()
    confidence = np.where(chosen[..., None], result["confidence"].values, 0).max(axis=2)
    for k in unique:
        np.testing.assert_array_equal(confidence[..., k], found["confidence"].values[..., k].max(axis=2))
        held = np.isfinite(result["position"].values[..., k, 0])
        there = np.isfinite(found["position"].values[..., k, 0]) & (found["confidence"].values[..., k] >= 0.05)
        assert (held.sum(-1) == there.sum(-1)).all()
        size = np.isfinite(result["position"].values[..., 0]).sum(-1)
        assert (result["fragment"].values[held & ~chosen] == 1).all()
        assert (size[held & ~chosen] == 1).all()


def test_appearance_and_covariance_go_with_the_candidates(easy: Scene) -> None:
    found, truth = easy
    found = found.isel(time=slice(0, 60)).copy()
    shape = found["confidence"].shape
    owner = np.where(truth[:60] >= 0, truth[:60], 0).astype(float)
    found["appearance"] = (*found["confidence"].dims, "feature"), owner[..., None] + [0.0, 10.0], {"units": "1"}
    found["covariance"] = (
        (*found["position"].dims, "space_"),
        np.broadcast_to(owner[..., None, None] + 1, (*shape, 2, 2)),
        {"units": "px^2"},
    )
    result = assemble(found)
    who = result["appearance"].values[..., 0]
    np.testing.assert_allclose(np.sort(who, axis=-1), np.broadcast_to([0.0, 1.0, 2.0], who.shape))
    np.testing.assert_allclose(result["covariance"].values[..., 0, 0, 0], who + 1)


# recordings longer than memory


def test_pieces_of_a_file_are_the_whole(hard: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = hard
    path = tmp_path / "detections.nc"
    found.to_netcdf(path)
    whole = assemble(found, individuals=4)
    monkeypatch.setattr("pose3d.identity.assembly._PIECE", 40 * 2 * found.sizes["candidate"] * len(KEYPOINTS))
    seen: list[int] = []
    with xr.open_dataset(path) as lazy:
        planned = learn_assembly(lazy, individuals=4)
        pieces = list(assemble_pieces(planned, lazy, progress=seen.append))
    assert seen == [40, 40, 40, 40, 40, 40, 10]
    assert [each for one in pieces for each in groups(one)] == groups(whole)
    xr.testing.assert_identical(assemble(found, individuals=4), whole)


def test_blocks_of_a_long_recording_are_learned_from(hard: Scene) -> None:
    found, truth = hard
    result = assemble(found, settings=AssemblySettings(pilot_frames=100))
    assert grouped(found, truth, result) > 0.97


# bad input


def test_without_candidates_there_are_no_instances(hard: Scene) -> None:
    found = hard[0].isel(time=slice(0, 4))
    assert assemble(found.isel(candidate=slice(0, 0))).sizes["instance"] == 0
    assert assemble(found.isel(time=slice(0, 0))).sizes["time"] == 0
    none = found.copy(deep=True)
    none["position"][:], none["confidence"][:] = np.nan, 0
    assert assemble(none).sizes["instance"] == 0


def test_a_frame_that_was_not_decoded_stays_so(hard: Scene) -> None:
    found = hard[0].isel(time=slice(0, 30)).copy(deep=True)
    found["position"][7, 1], found["confidence"][7, 1] = np.nan, np.nan
    result = assemble(found)
    assert np.isnan(result["confidence"].values[7, 1]).all()
    assert not np.isnan(result["confidence"].values[8]).any()


def test_one_frame_and_one_keypoint_are_enough() -> None:
    found = detections(np.ones((1, 1, 2, 1, 2)), np.ones((1, 1, 2, 1)), cameras=["a"], keypoints=["nose"])
    assert np.isfinite(assemble(found)["position"].values).all()


def test_what_is_wrong_is_told(hard: Scene) -> None:
    found = hard[0].isel(time=slice(0, 3))
    with pytest.raises(InvalidValueError, match=r"unique.*'snout'"):
        assemble(found, unique=["snout"])
    with pytest.raises(InvalidValueError, match="unique: expected each keypoint once"):
        assemble(found, unique=["nose", "nose"])
    with pytest.raises(InvalidValueError, match="individuals"):
        assemble(found, individuals=-1)
    with pytest.raises(InvalidValueError, match="each name once"):
        assemble(found.assign_coords(keypoint=["nose"] * len(KEYPOINTS)))
    with pytest.raises(InvalidValueError, match=r"dimensions|variable"):
        assemble(found.rename(candidate="individual"))
    with pytest.raises(InvalidValueError, match="tolerance"):
        AssemblySettings(tolerance=-1.0)
    with pytest.raises(MismatchError, match="learned"):
        next(assemble_pieces(learn_assembly(found), found.isel(camera=[0])))


def test_edges_of_affinities_must_be_known(hard: Scene) -> None:
    found = hard[0].isel(time=slice(0, 3))
    candidates = found.sizes["candidate"]
    affinity = ("time", "camera", "edge", "candidate", "candidate_"), np.full((3, 2, 1, candidates, candidates), 0.5)
    with pytest.raises(InvalidValueError, match="edge_keypoint"):
        assemble(found.assign(affinity=affinity))
    for pair, message in ((["nose", "snout"], "'snout'"), (["nose", "nose"], "to itself")):
        with pytest.raises(InvalidValueError, match=message):
            assemble(found.assign(affinity=affinity, edge_keypoint=(("edge", "end"), np.array([pair]))))
