"""What is true in the pictures of the animals: where every keypoint is, and whether a camera can see it."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pose3d.datasets import poses2d
from pose3d.labeling.labels import Visibility
from pose3d.synthetic import _arena_kernels, _render_kernels
from pose3d.synthetic._arena import Arena, make_arena
from pose3d.synthetic._bodies import KEYPOINT_DEPTH, around_parts, body_geometry
from pose3d.synthetic._quadruped import PLAN_LENGTH
from pose3d.synthetic.rendering import PictureSettings
from pose3d.synthetic.scene import Scene

__all__ = ["arena_of", "poses_of", "true_poses2d", "true_visibility"]

# Frames whose bodies are in memory at once: 2 MB for each animal.
_CHUNK = 200


def poses_of(scene: Scene) -> NDArray[np.float64]:
    """(time, individual, keypoint, 3) the true positions in mm."""
    return scene.poses3d["position"].transpose("time", "individual", "keypoint", "space").to_numpy()


def arena_of(scene: Scene, settings: PictureSettings | None = None) -> Arena:
    """The place in which the animals of a scene walk; every camera sees the same."""
    clutter = (settings or PictureSettings()).clutter
    chosen = scene.settings
    return make_arena(poses_of(scene), body_length=chosen.body_length, clutter=int(clutter), seed=chosen.seed)


def true_poses2d(scene: Scene) -> xr.Dataset:
    """Poses2D of the exact projections, of hidden keypoints too; beyond the edge of the image they go on.

    NaN where a keypoint is behind the camera, or so far off its axis that the lens model does not reach it.
    """
    pixels = np.moveaxis(scene.rig.project(poses_of(scene)), 3, 1)
    return poses2d(
        pixels,
        cameras=scene.rig.names,
        individuals=scene.poses3d["individual"].to_numpy().tolist(),
        keypoints=scene.skeleton.keypoints,
        frame_rate=scene.settings.frame_rate,
        image_size=np.array([camera.size for camera in scene.rig]),
        source_software="pose3d simulate (truth)",
    )


def true_visibility(scene: Scene, settings: PictureSettings | None = None) -> xr.DataArray:
    """What each camera sees: (time, camera, individual, keypoint) int8, values of `Visibility`.

    VISIBLE: the first surface on the way from the camera to the keypoint is the skin above it. OCCLUDED: something is
    before it, another part of the animal, another animal, or a thing. ABSENT: it is outside the image.
    """
    pose, rig = poses_of(scene), scene.rig
    arena = arena_of(scene, settings)
    centers = np.array([camera.center for camera in rig])
    # deeper in larger animals; (individual, keypoint)
    depth = (
        np.array([KEYPOINT_DEPTH[name] for name in scene.skeleton.keypoints]) * scene.body_length[:, None] / PLAN_LENGTH
    )
    hidden = np.zeros((len(pose), len(rig), *pose.shape[1:3]), dtype=bool)
    for start in range(0, len(pose), _CHUNK):
        part = pose[start : start + _CHUNK]
        rows = body_geometry(part, body_length=scene.body_length)
        animal = np.repeat(np.arange(rows.shape[1]), rows.shape[2])
        rows = rows.reshape(len(part), -1, rows.shape[-1])
        spheres = around_parts(rows)
        for index, points in enumerate(part.reshape(len(part), -1, 3)):
            met = np.empty((len(rig), len(points)))
            _render_kernels.first_hit(centers, points, rows[index], spheres[index], animal, arena.unit, met)
            away = np.linalg.norm(points - centers[:, None], axis=-1)
            behind = np.empty(met.shape, dtype=bool)
            _arena_kernels.blocked(centers, points, arena.things, behind)
            by_body = met.reshape(hidden.shape[1:]) < away.reshape(hidden.shape[1:]) - depth
            hidden[start + index] = by_body | behind.reshape(hidden.shape[1:])
    truth = true_poses2d(scene)
    pixels, size = truth["position"].to_numpy(), truth["image_size"].to_numpy()[:, None, None]
    with np.errstate(invalid="ignore"):
        inside = ((pixels >= -0.5) & (pixels < size - 0.5)).all(axis=-1)
    codes = np.where(inside, np.where(hidden, Visibility.OCCLUDED, Visibility.VISIBLE), Visibility.ABSENT)
    return xr.DataArray(
        codes.astype(np.int8),
        dims=truth["confidence"].dims,
        coords=truth["confidence"].coords,
        name="visibility",
        attrs={"flag_values": [1, 2, 3], "flag_meanings": "visible occluded absent"},
    )
