"""Which instances are one animal, frame by frame: laws, and the best of all divisions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.alignment import move_rig, scale_rig
from calibration.camera import Camera
from calibration.lens import Fisheye
from calibration.rig import Rig
from calibration.transforms import RigidTransform
from pose3d.identity import _identity_kernels as kernels
from pose3d.identity import association
from pose3d.identity.association import associate
from pose3d.identity.models import learn_identity
from pose3d.identity.settings import IdentitySettings
from pose3d.metrics.identity_association import score_association
from tests.pose3d.identity.identity_scenes import apart, crowd, made, numbered_by_frame, shuffled, stage

Parts = tuple[tuple[int, ...], ...]
CLEAN = [(2, 3), (4, 2), (4, 6), (7, 3), (10, 8)]


def groups(found: xr.Dataset, rig: Rig) -> np.ndarray:
    return numbered_by_frame(associate(found, rig)["group"].values)


# what is right


@pytest.mark.parametrize(("animals", "cameras"), CLEAN)
def test_clean_scenes_are_grouped_without_any_fault(animals: int, cameras: int) -> None:
    scene = crowd(individuals=animals, cameras=cameras, frames=50, seed=animals)
    score = score_association(associate(scene.instances, scene.rig)["group"].values, scene.truth["individual"].values)
    assert (score.f1, score.pcp) == (1.0, 1.0)


def test_faults_cost_little() -> None:
    scene = crowd("hard", frames=300)
    score = score_association(associate(scene.instances, scene.rig)["group"].values, scene.truth["individual"].values)
    assert score.f1 > 0.93


def test_two_cameras_do_not_say_to_be_sure_of_what_is_wrong() -> None:
    """Many animals in a small place, at noise: where the wrong two are put together, that is said."""
    scene = crowd(individuals=8, cameras=2, keypoints=4, arena=120.0, noise=4.0, missed_rate=0.3, frames=400)
    result, truth = associate(scene.instances, scene.rig), scene.truth["individual"].values
    group, confidence = result["group"].values, result["group_confidence"].values
    time, first, second = np.nonzero(group[:, 0, :, None] == group[:, 1, None, :])
    there = group[time, 0, first] >= 0
    time, first, second = time[there], first[there], second[there]
    right = truth[time, 0, first] == truth[time, 1, second]
    sure = (confidence[time, 0, first] > 0.9) & (confidence[time, 1, second] > 0.9)
    wrong = ~right
    assert wrong.sum() > 10  # it is hard indeed
    assert (wrong & sure).sum() <= 0.02 * sure.sum()
    assert np.nanmedian(confidence[:, 0][time, first][wrong]) < 0.8


def test_what_is_alone_has_no_confidence() -> None:
    found, _ = made(apart(20, 1))
    found["position"][:, 1:] = np.nan
    found["confidence"][:, 1:] = 0.0
    result = associate(found, stage(), settings=IdentitySettings(noise=1.0))
    assert (result["group"].values[:, 0, 0] == 0).all()
    assert (result["group"].values[:, 1:] == -1).all()
    assert result["group_confidence"].isnull().all()


def test_a_fisheye_lens_is_a_lens() -> None:
    lens = Fisheye(np.array([[500.0, 0, 640], [0, 500, 512], [0, 0, 1]]), np.array([0.03, -0.01, 0.0, 0.0]))
    wide = Rig(tuple(Camera(one.name, one.size, lens, one.cam_from_world) for one in stage()))
    found, whose = made(apart(40, 5), rig=wide)
    score = score_association(associate(found, wide)["group"].values, whose)
    assert (score.f1, score.pcp) == (1.0, 1.0)


@pytest.mark.parametrize("keypoints", [1, 2, 3])
def test_few_keypoints_are_enough_where_animals_are_apart(keypoints: int) -> None:
    found, whose = made(apart(60, 3))
    found = found.isel(keypoint=slice(keypoints))
    score = score_association(associate(found, stage())["group"].values, whose)
    assert score.f1 > (0.97 if keypoints == 1 else 0.999)


# laws


def test_the_order_of_instances_does_not_matter() -> None:
    scene = crowd("issue", frames=80)
    other, order = shuffled(scene.instances)
    given_, asked = groups(scene.instances, scene.rig), groups(other, scene.rig)
    assert np.array_equal(numbered_by_frame(np.take_along_axis(given_, order, 2)), asked)


def test_the_order_of_cameras_does_not_matter() -> None:
    scene = crowd("issue", frames=80)
    names = list(reversed(scene.rig.names))
    straight = associate(scene.instances, scene.rig)
    # a rig in another order, and instances in another than the rig's
    for found, rig in ((scene.instances, scene.rig.select(names)), (scene.instances.sel(camera=names), scene.rig)):
        result = associate(found, rig).sel(camera=list(scene.rig.names))
        same = numbered_by_frame(result["group"].values) == numbered_by_frame(straight["group"].values)
        # ties apart
        assert same.all(axis=(1, 2)).mean() > 0.98


@pytest.mark.parametrize("factor", [1e-3, 25.4])
def test_the_unit_of_the_world_does_not_matter(factor: float) -> None:
    scene = crowd("issue", frames=80)
    assert np.array_equal(groups(scene.instances, scene.rig), groups(scene.instances, scale_rig(scene.rig, factor)))


def test_where_the_world_begins_does_not_matter() -> None:
    scene = crowd("issue", frames=80)
    move = RigidTransform.from_rotation_vector([0.4, -1.1, 2.0], [300.0, -4000.0, 90.0])
    assert np.array_equal(groups(scene.instances, scene.rig), groups(scene.instances, move_rig(scene.rig, move)))


def test_frames_are_independent(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = crowd("issue", frames=80)
    model = learn_identity(scene.instances, scene.rig)
    whole = associate(scene.instances, scene.rig, model=model)
    monkeypatch.setattr(association, "_AT_ONCE", 7)
    xr.testing.assert_identical(whole, associate(scene.instances, scene.rig, model=model))
    one = associate(scene.instances.isel(time=[33]), scene.rig, model=model)
    xr.testing.assert_identical(whole.isel(time=[33]), one)


# the best of all divisions


def weight_of(ray_a: np.ndarray, ray_b: np.ndarray, angle: np.ndarray, base: np.ndarray, extent: float) -> float:
    """What speaks for two instances being one animal, as the documentation says; all keypoints seen, noise of 1 px."""
    total = 0.0
    for a, b, (u, v) in zip(ray_a, ray_b, angle.T, strict=True):
        n, m = np.cross(a, base), np.cross(b, base)
        off = n @ b
        spread = u**2 * (m @ m - off**2 + 1e-6) + v**2 * (n @ n - off**2 + 1e-6)
        wide = extent * (m @ m + n @ n) + spread
        value = 0.5 * np.log(wide / spread) - 0.5 * off**2 / spread
        behind = (a @ base) * np.linalg.norm(m) - (b @ base) * np.linalg.norm(n) < -3 * np.hypot(u, v)
        if behind or (n @ m < 0 and (n @ n) * (m @ m) > 1e-6):
            value = -np.inf
        total += max(value, -3.4)
    return total


def divisions(cameras: list[int], start: int = 0, parts: Parts = ()) -> Iterator[Parts]:
    """All divisions of nodes into parts with at most one node of each camera."""
    if start == len(cameras):
        yield parts
        return
    for place, part in enumerate(parts):
        if all(cameras[node] != cameras[start] for node in part):
            yield from divisions(cameras, start + 1, (*parts[:place], (*part, start), *parts[place + 1 :]))
    yield from divisions(cameras, start + 1, (*parts, (start,)))


def worth(parts: tuple[tuple[int, ...], ...], pair: np.ndarray) -> float:
    return sum(pair[a, b] for part in parts for place, a in enumerate(part) for b in part[place + 1 :])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 3), st.integers(2, 3))
def test_groups_are_the_best_of_all_divisions(seed: int, cameras: int, animals: int) -> None:
    """Rays that are noisier than said, so that it is no clear matter; local search misses the best one now and then."""
    rng = np.random.default_rng(seed)
    center = np.array([[0.0, 0, 0], [800, 0, 0], [400, 600, 0]])[:cameras]
    points = np.array([400.0, 200, 900]) + 40 * rng.standard_normal((animals, 3, 3))
    ray = points[None] - center[:, None, None]
    ray = ray / np.linalg.norm(ray, axis=-1, keepdims=True) + 4e-3 * rng.standard_normal(ray.shape)
    ray = (ray / np.linalg.norm(ray, axis=-1, keepdims=True))[None]
    conf, angle = np.ones(ray.shape[:-1]), np.full(ray.shape[:-1], 1e-3)
    between = center[None] - center[:, None]
    base = between / np.maximum(np.linalg.norm(between, axis=-1, keepdims=True), 1e-9)
    extent, p = np.full(cameras, 0.004), np.zeros(kernels.PARAMETERS)
    p[kernels.NOISE], p[kernels.BOUND], p[kernels.ALIKE] = 1.0, 3.4, 0.0
    group, odds = np.empty(conf.shape[:3], np.int64), np.empty(conf.shape[:3])
    kernels.group_frames(ray, conf, angle, base, extent, p, group, odds)

    nodes = [(camera, animal) for camera in range(cameras) for animal in range(animals)]
    pair = np.zeros((len(nodes), len(nodes)))
    for x, (c, i) in enumerate(nodes):
        for y, (d, j) in enumerate(nodes):
            if c < d:
                both = np.stack([angle[0, c, i], angle[0, d, j]])
                pair[x, y] = pair[y, x] = weight_of(ray[0, c, i], ray[0, d, j], both, base[c, d], 0.004)
    found = tuple(
        tuple(x for x, node in enumerate(nodes) if group[0][node] == number) for number in np.unique(group[0])
    )
    assert all(len({nodes[x][0] for x in part}) == len(part) for part in found)
    best = max(worth(parts, pair) for parts in divisions([camera for camera, _ in nodes]))
    value = worth(found, pair)
    assert value <= best + 1e-9
    assert value > best - 0.02 * abs(best) - 1.5  # of sums of some 20 to 100
