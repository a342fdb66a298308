"""What a bundle adjustment works on: which numbers are free, the camera table, the observations as flat lists."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibration._bundle_kernels import (
    CAMERA_COLUMNS,
    FISHEYE,
    LENS,
    MODEL,
    POSE,
    SKEW,
    TILT,
    TILT_X,
    TILT_Y,
    TILTED,
)
from calibration.camera import Camera
from calibration.errors import InvalidValueError, MismatchError
from calibration.lens import BrownConrady, Fisheye, Lens
from calibration.lens_models import LensModel, lens_from_vector, lens_vector
from calibration.rig import Rig
from calibration.transforms import RigidTransform

__all__ = [
    "POSE_NAMES",
    "Layout",
    "State",
    "Views",
    "camera_table",
    "make_layout",
    "move_cameras",
    "move_poses",
    "pack_views",
    "rig_of",
    "rows_of",
]

POSE_NAMES = ("rx", "ry", "rz", "tx", "ty", "tz")

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Layout:
    """Which numbers of the cameras are free, and their place among all free parameters.

    Attributes:
        columns: (camera, 24) place of each parameter (6 of the pose, 18 of the lens) among those of its camera, or -1.
        places: (camera, 18) row of each lens parameter in the derivatives of a view, from 6 on, or -1.
        sizes: (camera,) rows of the derivatives: 6 and the free lens parameters.
        offset: (camera,) 6 where the pose is fixed, else 0.
        first: (camera,) place of the first free parameter of the camera, -1 where it has none.
        labels: (camera, parameter) of every free parameter.
    """

    columns: Integers
    places: Integers
    sizes: Integers
    offset: Integers
    first: Integers
    labels: tuple[tuple[str, str], ...]

    @property
    def width(self) -> int:
        """Rows of the derivatives of the camera that has most."""
        return int(self.sizes.max())


@dataclass(frozen=True, eq=False)
class State:
    """The numbers that are adjusted.

    Attributes:
        table: (camera, CAMERA_COLUMNS) see the kernels.
        poses: (frame, 12) rotation and translation of world_from_board.
        shape: (corner, 3) the board.
        points: (point, 3) in the world.
        lengths: (length,) of rigid parts.
    """

    table: Floats
    poses: Floats
    shape: Floats
    points: Floats
    lengths: Floats


@dataclass(frozen=True, eq=False)
class Views:
    """Boards seen by cameras, ordered by frame, then camera; the observations are in the order of the views.

    Attributes:
        camera, frame: (view,).
        start: (view + 1,) where the observations of each begin.
        frame_start: (frame + 1,) where the views of each frame begin.
        corner: (observation,); pixels: (observation, 2).
        n_cameras, n_frames, n_corners: sizes of the full array.
    """

    camera: Integers
    frame: Integers
    start: Integers
    frame_start: Integers
    corner: Integers
    pixels: Floats
    n_cameras: int
    n_frames: int
    n_corners: int

    def observation_camera(self) -> Integers:
        """(observation,) camera of each."""
        return np.repeat(self.camera, np.diff(self.start))

    def observation_frame(self) -> Integers:
        """(observation,) frame of each."""
        return np.repeat(self.frame, np.diff(self.start))

    def board_parameters(self) -> Floats:
        """(camera,) parameters of the poses, each frame's six shared among the cameras by how many corners they see."""
        counts = np.diff(self.start)
        of_frame = np.bincount(self.frame, weights=counts, minlength=self.n_frames)
        share = 6.0 * counts / of_frame[self.frame]
        return np.asarray(np.bincount(self.camera, weights=share, minlength=self.n_cameras), dtype=np.float64)

    def spread(self, values: Floats, fill: float = np.nan) -> Floats:
        """(camera, frame, corner, ...) of values (observation, ...)."""
        result = np.full((self.n_cameras, self.n_frames, self.n_corners, *values.shape[1:]), fill)
        counts = np.diff(self.start)
        result[np.repeat(self.camera, counts), np.repeat(self.frame, counts), self.corner] = values
        return result


def make_layout(rig: Rig, models: Mapping[str, LensModel] | None, fixed_poses: Collection[str]) -> Layout:
    """The free parameters of a rig.

    Raises:
        MismatchError: a name is not in the rig, or a model is of another kind than the lens.
    """
    models = models or {}
    for name in (*models, *fixed_poses):
        rig[name]  # raises where there is none
    n = len(rig)
    columns, places = np.full((n, 24), -1, dtype=np.int64), np.full((n, 18), -1, dtype=np.int64)
    sizes, offset, first = np.full(n, 6, dtype=np.int64), np.zeros(n, dtype=np.int64), np.full(n, -1, dtype=np.int64)
    labels: list[tuple[str, str]] = []
    for index, camera in enumerate(rig):
        names: tuple[str, ...] = ()
        if camera.name in fixed_poses:
            offset[index] = 6
        else:
            names = POSE_NAMES
            columns[index, :6] = np.arange(6)
        model = models.get(camera.name)
        if model is not None:
            _check_model(camera, model)
            numbers = model.columns
            places[index, : len(numbers)] = np.where(numbers >= 0, numbers + 6, -1)
            columns[index, 6 : 6 + len(numbers)] = np.where(numbers >= 0, numbers + len(names), -1)
            sizes[index] += len(model.free)
            names += model.free
        if names:
            first[index] = len(labels)
            labels.extend((camera.name, name) for name in names)
    return Layout(columns, places, sizes, offset, first, tuple(labels))


def _check_model(camera: Camera, model: LensModel) -> None:
    if model.fisheye != isinstance(camera.lens, Fisheye):
        raise MismatchError(
            f"bundle adjustment, camera '{camera.name}'",
            expected=f"a model of a {camera.lens.model} lens",
            got=f"'{model.name}'",
            remedy="Choose a model of that kind, or start from a lens of the kind of the model.",
        )
    missing = sorted(set(range(len(model.free))) - set(model.columns.tolist()))
    if missing:
        raise InvalidValueError(
            f"bundle adjustment, model '{model.name}'",
            expected="names of lens parameters, 'f' or 'fx' and 'fy'",
            got=", ".join(model.free[place] for place in missing),
            remedy="Correct the free parameters of the model.",
        )


def camera_table(rig: Rig, layout: Layout) -> Floats:
    """(camera, CAMERA_COLUMNS) as the kernels know it."""
    table = np.zeros((len(rig), CAMERA_COLUMNS))
    for row, camera, columns in zip(table, rig, layout.columns, strict=True):
        lens = camera.lens
        vector = lens_vector(lens)
        row[SKEW] = lens.camera_matrix[0, 1]
        row[POSE : POSE + 9] = camera.cam_from_world.rotation.ravel()
        row[POSE + 9 : POSE + 12] = camera.cam_from_world.translation
        row[LENS : LENS + len(vector)] = vector
        tied = columns[6] >= 0 and columns[6] == columns[7]
        if tied:  # one focal length
            row[LENS : LENS + 2] = vector[:2].mean()
        if isinstance(lens, Fisheye):
            row[MODEL] = FISHEYE
        elif vector[16:].any() or (columns[22:] >= 0).any():
            row[MODEL] = TILTED
            _fill_tilt(row)
    return table


def move_cameras(table: Floats, layout: Layout, step: Floats) -> Floats:
    """Camera table after a step (parameter,) of all free parameters."""
    padded = np.append(step, 0.0)
    place = np.where(layout.columns >= 0, layout.first[:, None] + layout.columns, len(step))
    change = padded[place]
    moved = table.copy()
    free = layout.columns[:, 0] >= 0
    if free.any():
        turn = _rotations(change[:, :3])
        pose = table[:, POSE : POSE + 12]
        rotation = np.einsum("cij,cjk->cik", turn, pose[:, :9].reshape(-1, 3, 3)).reshape(-1, 9)
        translation = np.einsum("cij,cj->ci", turn, pose[:, 9:]) + change[:, 3:6]
        moved[free, POSE : POSE + 12] = np.concatenate([rotation, translation], axis=1)[free]
    moved[:, LENS : LENS + 18] += change[:, 6:]
    for index in np.flatnonzero(moved[:, MODEL] == TILTED):
        _fill_tilt(moved[index])
    return moved


def _rotations(vector: Floats) -> Floats:
    """Rotation matrices (n, 3, 3) of rotation vectors (n, 3); Rodrigues' formula, for steps of every size."""
    x, y, z = vector.T
    angle = np.maximum(np.sqrt(x * x + y * y + z * z), 1e-100)  # of which the sine is itself
    sine, half = np.sin(angle) / angle, np.sin(0.5 * angle) / (0.5 * angle)
    result = np.einsum("n,ni,nj->nij", 0.5 * half * half, vector, vector)
    result[:, (0, 1, 2), (0, 1, 2)] += np.cos(angle)[:, None]
    for row, column, value in ((1, 2, x), (2, 0, y), (0, 1, z)):
        result[:, column, row] += sine * value
        result[:, row, column] -= sine * value
    return result


def move_poses(poses: Floats, step: Floats) -> Floats:
    """World_from_board (frame, 12) after a step (frame, 6) on the right."""
    if not len(poses):
        return poses
    rotation = poses[:, :9].reshape(-1, 3, 3)
    turned = np.einsum("fij,fjk->fik", rotation, _rotations(step[:, :3]))
    shifted = poses[:, 9:] + np.einsum("fij,fj->fi", rotation, step[:, 3:])
    return np.concatenate([turned.reshape(-1, 9), shifted], axis=1)


def _fill_tilt(row: Floats) -> None:
    """Fill the homography of the tilted sensor, and its derivatives, into a row of the camera table.

    See `BrownConrady.tilt`.
    """
    (sx, sy), (cx, cy) = np.sin(row[LENS + 16 : LENS + 18]), np.cos(row[LENS + 16 : LENS + 18])
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, cx, sx], [0.0, -sx, cx]])
    about_y = np.array([[cy, 0.0, -sy], [0.0, 1.0, 0.0], [sy, 0.0, cy]])
    by_x = np.array([[0.0, 0.0, 0.0], [0.0, -sx, cx], [0.0, -cx, -sx]])
    by_y = np.array([[-sy, 0.0, -cy], [0.0, 0.0, 0.0], [cy, 0.0, -sy]])
    r, dx, dy = about_y @ about_x, about_y @ by_x, by_y @ about_x
    for place, first, second in ((TILT, r, r), (TILT_X, r, dx), (TILT_Y, r, dy)):
        # (r22 I - r_:2 e_z^T) R, and its derivative by the product rule
        result = _to_sensor(first) @ second
        if second is not first:
            result += _to_sensor(second, last=0.0) @ first
        row[place : place + 9] = result.ravel()


def _to_sensor(rotation: Floats, last: float = 1.0) -> Floats:
    depth = rotation[2, 2]
    return np.array([[depth, 0.0, -rotation[0, 2]], [0.0, depth, -rotation[1, 2]], [0.0, 0.0, last]])


def rig_of(rig: Rig, table: Floats, layout: Layout, models: Mapping[str, LensModel] | None) -> Rig:
    """The rig with what the table says of its cameras; what was fixed is kept bit by bit.

    Raises:
        InvalidValueError: the numbers make no lens.
    """
    cameras = []
    for row, camera, columns in zip(table, rig, layout.columns, strict=True):
        lens, pose = camera.lens, camera.cam_from_world
        if (columns[:6] >= 0).any():
            pose = RigidTransform(row[POSE : POSE + 9].reshape(3, 3), row[POSE + 9 : POSE + 12])
        if (columns[6:] >= 0).any():
            lens = _lens_of(row, lens, (models or {})[camera.name])
        cameras.append(replace(camera, lens=lens, cam_from_world=pose))
    return Rig(tuple(cameras), unit=rig.unit, metadata=rig.metadata)


def _lens_of(row: Floats, lens: Lens, model: LensModel) -> Lens:
    fisheye = isinstance(lens, Fisheye)
    count = 4
    if isinstance(lens, BrownConrady):
        count = max(len(lens.coefficients), model.coefficient_count)
    return lens_from_vector(row[LENS : LENS + 18], fisheye=fisheye, count=count, skew=float(row[SKEW]))


def rows_of(poses: RigidTransform) -> Floats:
    """(frame, 12) of transforms (frame,)."""
    rotation = poses.rotation.reshape(-1, 9)
    return np.ascontiguousarray(np.concatenate([rotation, poses.translation.reshape(-1, 3)], axis=1))


def pack_views(position: Floats) -> Views:
    """Flat lists of positions (camera, frame, corner, 2), NaN where unseen."""
    by_frame = position.swapaxes(0, 1)
    seen = np.isfinite(by_frame[..., 0]) & np.isfinite(by_frame[..., 1])
    counts = seen.sum(axis=-1)
    frame, camera = np.nonzero(counts)
    n_frames, n_cameras, n_corners = seen.shape
    return Views(
        camera=camera.astype(np.int64),
        frame=frame.astype(np.int64),
        start=np.concatenate([[0], np.cumsum(counts[frame, camera])]).astype(np.int64),
        frame_start=np.searchsorted(frame, np.arange(n_frames + 1)).astype(np.int64),
        corner=np.nonzero(seen)[2].astype(np.int64),
        pixels=np.ascontiguousarray(by_frame[seen], dtype=np.float64),
        n_cameras=n_cameras,
        n_frames=n_frames,
        n_corners=n_corners,
    )
