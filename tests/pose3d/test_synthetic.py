"""Simulated animals: bodies that hold together, feet that do not slide, and observations with known errors."""

from __future__ import annotations

import dataclasses
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import xarray as xr

from calibration.errors import InvalidValueError
from calibration.schema import check
from pose3d.datasets import POSES2D, POSES3D
from pose3d.synthetic import QUADRUPED, Scene, SimulationSettings, simulate
from pose3d.synthetic._observation import occluded_by
from pose3d.synthetic._quadruped import Capsules, trunk_capsules

SMALL = SimulationSettings(duration=6.0, frame_rate=50.0, cameras=4)


@cache
def scene(**changes: object) -> Scene:
    return simulate(dataclasses.replace(SMALL, **changes))


def keypoint(poses: xr.Dataset, name: str) -> np.ndarray:
    """(time, individual, 3)"""
    return poses["position"].sel(keypoint=name).transpose("time", "individual", "space").values


def true_pixels(result: Scene) -> np.ndarray:
    """(time, camera, individual, keypoint, 2)"""
    points = result.poses3d["position"].transpose("time", "individual", "keypoint", "space").values
    return np.moveaxis(result.rig.project(points), 3, 1)


def within_binomial(count: int, total: int, rate: float) -> bool:
    return abs(count - total * rate) <= 5 * np.sqrt(total * rate * (1 - rate)) + 1e-9


SCENES = [
    {},
    {"individuals": 3, "paths": "shared"},
    {"gait": "trot", "duty_factor": 0.45, "speed": 300.0},
    {"body_length": 200.0, "seed": 3},
]
# Crossing animals differ in size, and stop: some laws are for those that do not.
CROSSING = [{"individuals": 3, "seed": 1}, {"individuals": 4, "gait": "trot", "duty_factor": 0.45, "duration": 20.0}]


class TestBody:
    @pytest.mark.parametrize("changes", [*SCENES, *CROSSING])
    def test_bones_have_constant_length(self, changes: dict[str, object]) -> None:
        truth = scene(**changes).poses3d
        assert QUADRUPED.bones == QUADRUPED.edges
        for a, b in QUADRUPED.bones:
            length = np.linalg.norm(keypoint(truth, a) - keypoint(truth, b), axis=-1)
            np.testing.assert_allclose(length, np.broadcast_to(length[0], length.shape), rtol=0, atol=1e-9)

    @pytest.mark.parametrize("changes", [*SCENES, *CROSSING])
    def test_both_sides_are_mirror_images(self, changes: dict[str, object]) -> None:
        truth = scene(**changes).poses3d
        mirrored = dict(QUADRUPED.mirrored_pairs) | {b: a for a, b in QUADRUPED.mirrored_pairs}
        for a, b in QUADRUPED.edges:
            other = (mirrored.get(a, a), mirrored.get(b, b))
            assert np.linalg.norm((keypoint(truth, a) - keypoint(truth, b))[0, 0]) == pytest.approx(
                np.linalg.norm((keypoint(truth, other[0]) - keypoint(truth, other[1]))[0, 0]), abs=1e-9
            )

    @pytest.mark.parametrize("changes", SCENES)
    def test_the_body_has_the_asked_length_and_stands_above_the_floor(self, changes: dict[str, object]) -> None:
        result = scene(**changes)
        names = ("nose", "neck", "spine", "tail_base")
        chain = [keypoint(result.poses3d, name) for name in names]
        length = sum(np.linalg.norm(b - a, axis=-1) for a, b in pairwise(chain))
        np.testing.assert_allclose(length, result.settings.body_length, rtol=1e-9)
        assert float(result.poses3d["position"].sel(space="z").min()) >= 0.0

    @pytest.mark.parametrize("changes", [*SCENES, *CROSSING])
    def test_no_keypoint_is_inside_the_body(self, changes: dict[str, object]) -> None:
        # A camera at the keypoint sees it exactly if it is outside all capsules.
        result = scene(**changes)
        pose = result.poses3d["position"].transpose("time", "individual", "keypoint", "space").values[::7, :1]
        bodies = trunk_capsules(pose[:, 0], body_length=float(result.body_length[0]))
        for index in range(len(QUADRUPED.keypoints)):
            for row in range(len(pose)):
                at = pose[row, 0, index]
                body = Capsules(bodies.start[row : row + 1], bodies.end[row : row + 1], bodies.radius)
                assert not occluded_by(body, at, at[None, None, None]).any(), QUADRUPED.keypoints[index]


class TestGait:
    @pytest.mark.parametrize("changes", [*SCENES, *CROSSING])
    def test_feet_stand_still_on_their_footprint_from_contact_to_lift_off(self, changes: dict[str, object]) -> None:
        result = scene(**changes)
        gait, time = result.gait, result.poses3d["time"].values
        on_ground = xr.zeros_like(gait["stance"])
        for step in range(gait.sizes["step"]):
            one = gait.isel(step=step)
            limb, individual = str(one["step_limb"].values), str(one["step_individual"].values)
            start = np.nan_to_num(float(one["contact"]), nan=-np.inf)
            end = np.nan_to_num(float(one["lift_off"]), nan=np.inf)
            standing = (time >= start) & (time < end)
            paw = result.poses3d["position"].sel(keypoint=limb, individual=individual).values[standing]
            np.testing.assert_allclose(paw, np.broadcast_to(one["footprint"].values, paw.shape), rtol=0, atol=1e-9)
            on_ground.loc[{"limb": limb, "individual": individual}] |= standing
        # A frame within rounding of an event may fall on either side of it.
        assert float((on_ground != gait["stance"]).mean()) < 1e-3

    @pytest.mark.parametrize("changes", [*SCENES, *CROSSING])
    def test_feet_leave_the_ground_in_swing_and_only_there(self, changes: dict[str, object]) -> None:
        result = scene(**changes)
        for limb in result.gait["limb"].values:
            height = keypoint(result.poses3d, limb)[..., 2]
            stance = result.gait["stance"].sel(limb=limb).values
            assert (height[stance] == 0).all()
            assert (height[~stance] >= 0).all()
            assert height.max() > 0.03 * result.settings.body_length

    @pytest.mark.parametrize("changes", SCENES)
    def test_stride_length_and_duty_factor_are_as_asked(self, changes: dict[str, object]) -> None:
        result = scene(**changes)
        settings = result.settings
        assert result.gait.attrs["stride_length"] == pytest.approx(settings.stride * settings.body_length)
        assert float(result.gait["stance"].mean()) == pytest.approx(settings.duty_factor, abs=0.04)
        walked = np.linalg.norm(np.diff(keypoint(result.poses3d, "spine")[..., :2], axis=0), axis=-1).sum(axis=0)
        contacts = np.isfinite(result.gait["contact"]).groupby(result.gait["step_individual"]).sum() / 4
        np.testing.assert_allclose(walked / contacts.values, result.gait.attrs["stride_length"], rtol=0.1)
        np.testing.assert_allclose(walked, settings.speed * settings.duration, rtol=0.1)

    @pytest.mark.parametrize("changes", [*SCENES, *CROSSING])
    def test_contact_comes_before_lift_off_and_both_inside_the_recording(self, changes: dict[str, object]) -> None:
        result = scene(**changes)
        contact, lift_off = result.gait["contact"].values, result.gait["lift_off"].values
        assert not (lift_off <= contact).any()
        last = float(result.poses3d["time"][-1])
        for times in (contact, lift_off):
            known = times[np.isfinite(times)]
            assert ((known >= 0) & (known <= last)).all()


def test_gait_phases_are_those_of_a_walk_and_of_a_trot() -> None:
    for gait, lag in (("walk", 0.25), ("trot", 0.5)):
        events = scene(gait=gait, duration=3.0, speed=150.0).gait
        contact = {limb: events["contact"].values[events["step_limb"].values == limb] for limb in events["limb"].values}
        hind = contact["left_hind_paw"][np.isfinite(contact["left_hind_paw"])]
        fore = contact["left_fore_paw"]
        period = np.diff(hind)
        after = np.array([fore[fore > time].min() for time in hind[:-1]]) - hind[:-1]
        np.testing.assert_allclose(after / period, lag, atol=0.06)  # the speed changes within a stride


def test_animals_on_a_shared_path_keep_apart() -> None:
    result = scene(individuals=4, duration=20.0, frame_rate=20.0, paths="shared")
    position = result.poses3d["position"].transpose("individual", "time", "keypoint", "space").values
    for first in range(4):
        for second in range(first):
            gap = np.linalg.norm(position[first][:, :, None] - position[second][:, None], axis=-1)
            assert gap.min() > 0.1 * result.settings.body_length


@pytest.mark.parametrize("changes", [*SCENES, *CROSSING, {"cameras": 3, "size": (640, 640), "focal_length": 900.0}])
def test_every_camera_has_the_whole_scene_in_its_image(changes: dict[str, object]) -> None:
    assert bool(scene(**changes).labels2d["visible"].all())


def test_datasets_follow_their_schemas() -> None:
    result = scene(individuals=2)
    check(result.poses2d, POSES2D)
    check(result.poses3d, POSES3D)
    assert result.poses2d["position"].dims == (*result.labels2d["outlier"].dims, "space")
    np.testing.assert_allclose(result.poses2d["time"], np.arange(300) / 50.0)
    assert result.poses3d["position"].attrs["units"] == result.rig.unit == "mm"


def test_without_errors_the_detector_reports_the_projection_of_the_truth() -> None:
    result = scene(noise=0.0, outlier_rate=0.0, dropout_rate=0.0, occlusion="none", individuals=2)
    np.testing.assert_array_equal(result.poses2d["position"].values, true_pixels(result))


def test_rates_are_as_asked() -> None:
    result = scene(outlier_rate=0.1, dropout_rate=0.2, occlusion="none", swap_rate=0.05)
    labels = result.labels2d
    reported = np.isfinite(result.poses2d["position"].values).all(-1)
    visible = int(labels["visible"].sum())
    assert within_binomial(int(reported.sum()), visible, 0.8)
    assert within_binomial(int(labels["outlier"].sum()), int(reported.sum()), 0.1)
    swapped = labels["swapped"].sel(keypoint=[left for left, _ in QUADRUPED.mirrored_pairs])
    assert within_binomial(int(swapped.sum()), swapped.size, 0.05)


def test_noise_is_as_asked_and_six_times_that_behind_a_body() -> None:
    result = scene(noise=0.5, outlier_rate=0.0)
    error = result.poses2d["position"].values - true_pixels(result)
    occluded = result.labels2d["occluded"].values
    assert np.sqrt(np.nanmean(error[~occluded] ** 2)) == pytest.approx(0.5, rel=0.03)
    assert np.sqrt(np.nanmean(error[occluded] ** 2)) == pytest.approx(3.0, rel=0.05)


def test_what_is_behind_a_body_is_dropped_if_asked() -> None:
    result = scene(occlusion="drop", dropout_rate=0.0)
    reported = np.isfinite(result.poses2d["position"].values).all(-1)
    np.testing.assert_array_equal(reported, ~result.labels2d["occluded"].values)
    assert not (result.labels2d["outlier"] & result.labels2d["occluded"]).any()
    share = result.labels2d["occluded"].mean(("time", "camera", "individual"))
    assert float(share.sel(keypoint="spine")) == 0.0
    assert 0.1 < float(share.sel(keypoint="left_knee")) < 0.6


def test_a_swapped_keypoint_is_reported_where_its_mirror_image_is() -> None:
    result = scene(noise=0.0, outlier_rate=0.0, dropout_rate=0.0, occlusion="none", swap_rate=0.3)
    index = {name: position for position, name in enumerate(QUADRUPED.keypoints)}
    truth, reported = true_pixels(result), result.poses2d["position"].values
    swapped = result.labels2d["swapped"].values
    for left, right in QUADRUPED.mirrored_pairs:
        where = swapped[..., index[left]]
        np.testing.assert_array_equal(where, swapped[..., index[right]])
        np.testing.assert_array_equal(reported[..., index[left], :][where], truth[..., index[right], :][where])
        np.testing.assert_array_equal(reported[..., index[right], :][where], truth[..., index[left], :][where])
    assert not swapped[..., index["spine"]].any()


def test_confidence_tells_something_about_the_error_but_not_all() -> None:
    result = scene(outlier_rate=0.1)
    error = np.linalg.norm(result.poses2d["position"].values - true_pixels(result), axis=-1)
    confidence, outlier = result.poses2d["confidence"].values, result.labels2d["outlier"].values
    reported = np.isfinite(error)
    good, bad = confidence[reported & ~outlier], confidence[outlier]
    assert good.mean() > bad.mean() + 0.2
    assert np.quantile(bad, 0.9) > np.quantile(good, 0.1)
    ranks = [np.argsort(np.argsort(values[reported & ~outlier])) for values in (confidence, error)]
    assert -0.8 < np.corrcoef(*ranks)[0, 1] < -0.1
    assert (confidence[~reported] == 0).all()


class TestOcclusion:
    BALL_BEAM = Capsules(np.array([[[-10.0, 0, 0]]]), np.array([[[10.0, 0, 0]]]), np.array([2.0]))

    @pytest.mark.parametrize(
        ("point", "hidden"),
        [
            ((0, 5, 0), True),  # behind
            ((0, -5, 0), False),  # in front
            ((0, 5, 10), False),  # the sight line passes above
            ((30, 5, 0), False),  # ... and beside
            ((12.5, 5.0, 0.0), True),  # behind the round end
        ],
    )
    def test_a_point_behind_a_capsule_is_hidden(self, point: tuple[float, ...], hidden: bool) -> None:
        camera = np.array([0.0, -100.0, 0.0])
        assert bool(occluded_by(self.BALL_BEAM, camera, np.array(point).reshape(1, 1, 1, 3))[0, 0, 0]) is hidden

    @pytest.mark.parametrize("camera", [(3.0, -60.0, 15.0), (-40.0, -20.0, 5.0), (70.0, 1.0, 1.0)])
    def test_it_agrees_with_sampling_the_sight_line(self, camera: tuple[float, float, float]) -> None:
        points = np.random.default_rng(0).uniform(-20, 20, (1000, 1, 1, 3))
        samples = camera + np.linspace(0, 1, 2001)[:, None, None] * (points[:, 0, 0] - camera)
        along = np.clip(samples[..., :1], -10, 10) * np.array([1.0, 0, 0])
        nearest = np.linalg.norm(samples - along, axis=-1).min(axis=0)
        start, end = (np.repeat(ends, 1000, 0) for ends in (self.BALL_BEAM.start, self.BALL_BEAM.end))
        hidden = occluded_by(Capsules(start, end, np.array([6.0])), np.array(camera), points)[:, 0, 0]
        clear = abs(nearest - 6.0) > 0.01
        assert hidden[clear].any()
        np.testing.assert_array_equal(hidden[clear], nearest[clear] < 6.0)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_scene() -> None:
    def content(result: Scene) -> bytes:
        datasets = (
            *(result.poses2d, result.poses3d, result.labels2d, result.gait, result.rig.to_dataset()),
            *(result.instances, result.instance_truth),
        )
        return b"".join(data[name].values.tobytes() for data in datasets for name in sorted(data.data_vars))

    settings = dataclasses.replace(SMALL, duration=1.0)
    first = content(simulate(settings))
    assert first == content(simulate(settings))
    assert first != content(simulate(dataclasses.replace(settings, seed=1)))


def test_progress_is_reported_and_chunks_fit_together() -> None:
    reported: list[tuple[int, int]] = []
    settings = dataclasses.replace(SMALL, duration=45.0, frame_rate=100.0, cameras=2, noise=0.0, occlusion="none")
    result = simulate(settings, on_progress=lambda done, total: reported.append((done, total)))
    assert reported == [(2000, 4500), (4000, 4500), (4500, 4500)]
    error = result.poses2d["position"].values - true_pixels(result)
    assert np.nanmax(abs(error[~result.labels2d["outlier"].values])) == 0.0


@pytest.mark.parametrize(
    "changes",
    [
        {"individuals": 0},
        {"individuals": 1.5},
        {"cameras": 0},
        {"duration": 0.0},
        {"duration": 0.001},
        {"frame_rate": np.inf},
        {"body_length": -1.0},
        {"speed": 0.0},
        {"duty_factor": 1.0},
        {"gait": "gallop"},
        {"lens": "pin"},
        {"occlusion": "maybe"},
        {"noise": -0.1},
        {"outlier_rate": 1.5},
        {"swap_rate": np.nan},
        {"distance": 0.0},
        {"size": (0, 10)},
        {"size": (100,)},
        {"paths": "straight"},
        {"huddles": 0.9},
        {"huddles": 0.1},  # of one animal, whose path is shared
        {"size_spread": 0.5},
        {"missed_rate": 1.1},
        {"false_rate": "many"},
        {"seed": -1},
        {"seed": "one"},
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidValueError, match=next(iter(changes))):
        SimulationSettings(**changes)


def test_a_stride_too_long_for_the_legs_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="Shorten the stride"):
        simulate(dataclasses.replace(SMALL, stride=1.2))
