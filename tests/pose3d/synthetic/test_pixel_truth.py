"""What is true in the pictures: exact positions, and what a camera can see."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.errors import SuiteWarning
from calibration.schema import check
from pose3d.datasets import POSES2D
from pose3d.labeling.labels import Visibility
from pose3d.reconstruction import triangulate
from pose3d.synthetic import Scene, SimulationSettings, simulate
from pose3d.synthetic import _render_kernels as kernels
from pose3d.synthetic._arena_kernels import THING, blocked
from pose3d.synthetic._bodies import around_parts, body_geometry
from pose3d.synthetic.pixel_truth import poses_of, true_poses2d, true_visibility
from pose3d.synthetic.rendering import PictureSettings

PLAIN = PictureSettings(clutter=0)


def test_the_true_positions_are_exact_projections_and_triangulate_to_the_truth(scene: Scene) -> None:
    truth = check(true_poses2d(scene), POSES2D)
    with pytest.warns(SuiteWarning, match="less than 0.001 px"):
        found = triangulate(truth, scene.rig)
    np.testing.assert_allclose(found["position"], scene.poses3d["position"], atol=1e-6)


def test_absent_is_what_is_outside_the_image() -> None:
    near = simulate(
        SimulationSettings(
            duration=4.0, frame_rate=10.0, cameras=2, size=(160, 120), focal_length=250.0, distance=500.0
        )
    )
    seen, pixels = true_visibility(near, PLAIN), true_poses2d(near)["position"].to_numpy()
    outside = ((pixels < -0.5) | (pixels >= np.array([159.5, 119.5]))).any(axis=-1)
    assert 0.05 < outside.mean() < 0.95
    np.testing.assert_array_equal(seen.to_numpy() == Visibility.ABSENT, outside)
    assert seen.dtype == np.int8
    assert seen.dims == true_poses2d(near)["confidence"].dims


def test_the_side_that_is_turned_away_is_hidden(scene: Scene) -> None:
    """A camera on the left of an animal sees its left shoulder and knee, and not the right ones."""
    pose, seen = poses_of(scene), true_visibility(scene, PLAIN)
    number = scene.skeleton.keypoints.index
    checked = 0
    for camera, each in zip(scene.rig, scene.rig.names, strict=True):
        for animal in range(2):
            left = pose[:, animal, number("left_shoulder")] - pose[:, animal, number("right_shoulder")]
            left /= np.linalg.norm(left, axis=-1, keepdims=True)
            toward = camera.center - pose[:, animal, number("spine")]
            side = (left * toward).sum(axis=-1) / np.linalg.norm(toward, axis=-1)
            for frame in np.flatnonzero(np.abs(side) > 0.7):
                near, far = ("left", "right") if side[frame] > 0 else ("right", "left")
                what = seen.isel(time=frame, individual=animal).sel(camera=each)
                for joint in ("shoulder", "hip"):
                    assert what.sel(keypoint=f"{near}_{joint}") == Visibility.VISIBLE
                    assert what.sel(keypoint=f"{far}_{joint}") == Visibility.OCCLUDED
                    checked += 1
    assert checked > 20


def test_an_animal_in_front_hides_one_behind(scene: Scene) -> None:
    pose = poses_of(scene)[5, 0]
    camera = scene.rig[scene.rig.names[0]]
    toward = camera.center - pose.mean(axis=0)
    nearer = pose + 60 * toward / np.linalg.norm(toward)
    rows = body_geometry(np.stack([pose, nearer]), body_length=80.0)
    animal = np.repeat([0, 1], rows.shape[1])
    distance = np.empty((1, len(pose)))
    both = rows.reshape(-1, rows.shape[-1])
    kernels.first_hit(camera.center[None], pose, both, around_parts(both), animal, 1.0, distance)
    away = np.linalg.norm(pose - camera.center, axis=-1)
    spine = scene.skeleton.keypoints.index("spine")
    assert distance[0, spine] < away[spine] - 40
    alone = rows[0]
    kernels.first_hit(camera.center[None], pose, alone, around_parts(alone), animal[: len(alone)], 1.0, distance)
    assert distance[0, spine] == pytest.approx(away[spine], abs=4.0)


def test_a_thing_in_the_way_hides_what_is_behind_it() -> None:
    box = np.zeros((2, THING))
    box[0, [1, 3, 5, 6, 7]] = (100.0, 1.0, 10.0, 10.0, 30.0)
    box[1, [0, 1, 3, 5, 7]] = (1.0, -100.0, 1.0, 10.0, 30.0)  # a cylinder on the other side
    centers = np.array([[300.0, 0.0, 20.0], [-300.0, 0.0, 20.0], [0.0, 300.0, 20.0], [300.0, 0.0, 200.0]])
    result = np.empty((4, 1), dtype=bool)
    blocked(centers, np.array([[0.0, 0.0, 10.0]]), box, result)
    assert result[:, 0].tolist() == [True, True, False, False]
    blocked(centers, np.array([[200.0, 0.0, 10.0]]), box, result)
    assert result[:, 0].tolist() == [False, True, False, False]


def test_what_is_visible_is_on_the_body_in_the_picture(scene: Scene) -> None:
    """At a keypoint that is visible the first thing on the ray is its animal, or an edge of it is within 1.5 px."""
    from pose3d.synthetic.pixel_truth import arena_of
    from pose3d.synthetic.rendering import AnimalRenderer

    seen, pixels = true_visibility(scene).to_numpy(), true_poses2d(scene)["position"].to_numpy()
    camera, arena = scene.rig[scene.rig.names[1]], arena_of(scene)
    made = AnimalRenderer(camera, arena, individuals=2, body_length=80.0, seed=3, index=1)
    total = lost = 0
    for frame in range(0, 20, 4):
        rows = np.repeat(body_geometry(poses_of(scene)[frame][None], body_length=80.0), 5, axis=0)
        whole = (slice(0, 240), slice(0, 320))
        flat = rows.reshape(5, -1, rows.shape[-1])
        patches = []
        for tone in (0.0, 1.0):
            patch = np.full((240, 320, 3), tone, dtype=np.float32)
            made._draw(patch, whole, rows, made._tiles(flat))
            patches.append(patch)
        cover = 1 - (patches[1] - patches[0])[..., 0]
        for animal in range(2):
            for keypoint in np.flatnonzero(seen[frame, 1, animal] == Visibility.VISIBLE):
                x, y = np.rint(pixels[frame, 1, animal, keypoint]).astype(int)
                total += 1
                lost += cover[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].max() == 0
    assert total > 50
    assert lost == 0
