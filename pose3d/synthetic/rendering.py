"""Pictures of the simulated animals as a camera takes them: exact in geometry, with the faults that real pictures have.

The ray of every pixel comes from the lens of the camera and is followed to the first surface: of a body, of the floor,
or of a thing on it. Bodies stand around the true keypoints, so a keypoint is in the picture where the camera model
says. Edges are sampled several times, each sample at its own time of the exposure: they are smooth, and what moves is
blurred about its place at the time of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.errors import InvalidValueError
from calibration.synthetic.rendering import make_room
from pose3d.synthetic import _arena_kernels, _picture_kernels, _render_kernels
from pose3d.synthetic._arena import Arena
from pose3d.synthetic._bodies import body_geometry, body_look, part_names
from pose3d.synthetic._coats import coat_of
from pose3d.synthetic._render_kernels import ARRIVED, TILE

__all__ = ["AnimalRenderer", "PictureSettings"]

Array = NDArray[np.float64]
# What `tile_lists` gives.
_Tiles = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Array]

_LIGHT = np.array([0.3, 0.2, 0.93]) / np.linalg.norm([0.3, 0.2, 0.93])
# Samples of a pixel, on a turned grid so that level and upright edges have four steps; and when in the exposure each is
# taken, in an order that does not run along with the place.
_OFFSETS = np.array([(-0.125, -0.375), (0.375, -0.125), (-0.375, 0.125), (0.125, 0.375)])
_MOMENTS = np.array([-0.375, 0.375, 0.125, -0.125, 0.0])  # the last for the pixel center
# Cells of the shadow map, in mm of the plan, and how far around a body the floor is darkened.
_SHADOW_CELL, _SHADOW_REACH, _MOST_CELLS = 2.5, 14.0, 300
_NOISE_LENGTH = 1 << 20


@dataclass(frozen=True)
class PictureSettings:
    """How the cameras take pictures of the animals.

    Attributes:
        exposure: seconds that a picture is exposed, about its time: the motion blur.
        defocus: standard deviation of the blur in pixels; lenses in focus have about 0.5.
        noise: standard deviation in gray levels at medium gray; it grows with the root of the light, as shot noise.
        brightness: gray level of a white surface that faces the light, as a share of white; above 1 it is overexposed.
        vignetting: share of the light that the corners of the image lose.
        color: RGB pictures, else gray.
        clutter: number of things on the floor.

    Raises:
        InvalidValueError: a setting is out of its range.
    """

    exposure: float = 0.004
    defocus: float = 0.6
    noise: float = 2.0
    brightness: float = 0.85
    vignetting: float = 0.2
    color: bool = True
    clutter: int = 6

    def __post_init__(self) -> None:
        for name, most in (
            ("exposure", 1.0),
            ("defocus", 50.0),
            ("noise", 255.0),
            ("brightness", 10.0),
            ("vignetting", 1.0),
            ("clutter", 100),
        ):
            value = getattr(self, name)
            if not 0 <= value <= most or (name == "clutter" and value != int(value)):
                raise InvalidValueError(
                    name, expected=f"a number from 0 to {most:g}", got=str(value), remedy="Change the setting."
                )


class AnimalRenderer:
    """Takes pictures of animals with one camera; what does not change from picture to picture is computed once.

    Args:
        camera: the camera; the floor is z = 0 in its world.
        arena: what stands still.
        individuals: number of animals.
        body_length: nose to tail base in mm, of all or (individual,).
        settings: how the camera takes pictures.
        seed: of coats, room and noise.
        index: of the camera: each has a view of the room and noise of its own.
    """

    def __init__(
        self,
        camera: Camera,
        arena: Arena,
        *,
        individuals: int,
        body_length: float | Array,
        settings: PictureSettings | None = None,
        seed: int = 0,
        index: int = 0,
    ) -> None:
        self.camera = camera
        self.settings = PictureSettings() if settings is None else settings
        self._arena, self._body_length, self._seed = arena, body_length, (seed, index)
        look = body_look([coat_of(i, seed) for i in range(individuals)], body_length=body_length, seed=seed)
        self._look = look.reshape(-1, look.shape[-1])
        # Toes, eyes and ears cast no shadow of their own.
        self._thick = np.array(
            [not name.endswith(("eye", "ear", "nose")) and "toe" not in name for name in part_names()]
        )
        self._animal = np.repeat(np.arange(individuals), look.shape[1])
        width, height = camera.size
        x, y = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
        self._rays = camera.lens.undistort(np.stack([x, y], axis=-1))
        self._pixel = 1.0 / float(camera.lens.camera_matrix[0, 0])
        self._rotation = camera.cam_from_world.rotation.T.copy()
        self._center = camera.center
        self._sharp = np.zeros((height, width, 3), dtype=np.float32)
        self._distance = np.zeros((height, width, len(_OFFSETS)), dtype=np.float32)
        self._floor = np.zeros((height, width, 2), dtype=np.float32)
        self._see_arena()
        self._blurred = self._blur(self._sharp)
        radius = np.hypot(x - (width - 1) / 2, y - (height - 1) / 2) / np.hypot(width / 2, height / 2)
        self._gain = (255 * self.settings.brightness * (1 - self.settings.vignetting * radius**2)).astype(np.float32)
        rng = np.random.default_rng([*self._seed, 31])
        self._noise = rng.standard_normal(_NOISE_LENGTH + 3 * width, dtype=np.float32)

    def render(self, pose: Array, velocity: Array | None = None, *, number: int = 0) -> NDArray[np.uint8]:
        """The picture of animals.

        Args:
            pose: (individual, keypoint, 3) in mm at the middle of the exposure.
            velocity: the same in mm/s; nothing moves where None.
            number: of the picture; every number has noise of its own.

        Returns:
            (height, width, 3) RGB, or (height, width) gray.
        """
        poses = np.repeat(pose[None], len(_MOMENTS), axis=0)
        if velocity is not None:
            poses += self.settings.exposure * _MOMENTS[:, None, None, None] * velocity
        rows = body_geometry(poses, body_length=self._body_length)
        picture = self._blurred.copy()
        tiles = self._tiles(rows.reshape(len(rows), -1, rows.shape[-1]))
        shadows = [self._shadow(body[self._thick]) for body in rows[-1]]
        region = self._region(tiles[0], [shadow.box for shadow in shadows if shadow is not None])
        if region is not None:
            margin = 2 + int(np.ceil(4 * self.settings.defocus))
            outer = _grown(region, margin, self.camera.size)
            patch = self._sharp[outer].copy()
            for shadow in shadows:
                if shadow is not None:
                    self._darken(patch, outer, shadow)
            self._draw(patch, outer, rows, tiles)
            picture[outer] = self._blur(patch)
        return self._developed(picture, number)

    def _draw(self, patch: NDArray[np.float32], outer: tuple[slice, slice], rows: Array, tiles: _Tiles) -> None:
        rows = rows.reshape(len(rows), -1, rows.shape[-1])
        depth = np.full(patch.shape[:2], np.inf, dtype=np.float32)
        whose = np.full(patch.shape[:2], -1, dtype=np.int16)
        left, top = outer[1].start, outer[0].start
        arena = self._arena
        _render_kernels.find_bodies(
            depth, whose, left, top, self._rays, self._center, self._rotation, self._distance, rows[-1], self._animal,
            ARRIVED / arena.unit, self._pixel, *tiles,
        )  # fmt: skip
        _render_kernels.render(
            patch, depth, whose, left, top, self._rays, _OFFSETS, self._center, self._rotation, self._distance, rows,
            self._look, self._animal, arena.unit, _LIGHT, self._pixel, *tiles,
        )  # fmt: skip

    def _see_arena(self) -> None:
        room = make_room(self.camera.size, seed=(*self._seed, 32), color=True) * np.float32(0.8)
        arena = self._arena
        _arena_kernels.still_life(
            self._rays, _OFFSETS, self._center, self._rotation, room, arena.things, arena.unit, arena.radius,
            arena.table, arena.draw, _LIGHT, self._sharp, self._distance, self._floor,
        )  # fmt: skip
        self._sharp[~np.isfinite(self._rays).all(axis=-1)] = 0.0  # beyond the lens

    def _tiles(self, rows: Array) -> _Tiles:
        """Which parts may be seen in which tiles of the picture; rows are (moment, part, GEOMETRY)."""
        middle = rows[-1]
        ends = rows[..., :3] + np.where(middle[:, 11:12] > 0, 0.0, rows[..., 3:6])
        moved = np.maximum(*(np.linalg.norm(each - each[-1], axis=-1).max(axis=0) for each in (rows[..., :3], ends)))
        # Of the blend this much: beyond, the seam is less than a fiftieth of it high.
        thick = np.maximum(middle[:, 7], middle[:, 7] + middle[:, 8]) + 0.7 * middle[:, 9] + moved
        tips = np.stack([middle[:, :3], ends[-1]], axis=1)
        away = np.linalg.norm(tips - self._center, axis=-1)
        half = np.linalg.norm(tips[:, 1] - tips[:, 0], axis=-1) / 2
        distances = np.stack([away.min(axis=1) - thick - half, away.max(axis=1) + thick, moved], axis=1)
        # The picture of a sphere is within the box of the pictures of these points, even where it is stretched.
        cross = np.array([(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0)]) @ self.camera.cam_from_world.rotation
        pixels = self.camera.project(tips[:, :, None] + 1.15 * thick[:, None, None, None] * cross)
        pixels = pixels.reshape(len(middle), -1, 2)
        seen = np.isfinite(pixels).all(axis=(1, 2)) & (distances[:, 0] > 0)
        pixels[~seen] = -1e6
        size = np.array(self.camera.size)
        low, high = pixels.min(axis=1) - 1.0, pixels.max(axis=1) + 1.0
        seen &= ((high >= 0) & (low < size)).all(axis=1)
        first = np.floor(np.clip(low, 0, size - 1) / TILE)
        last = np.floor(np.clip(high, 0, size - 1) / TILE)
        boxes = np.stack([first[:, 0], last[:, 0], first[:, 1], last[:, 1]], axis=1).astype(np.int64)
        boxes[~seen] = (0, -1, 0, -1)
        columns, lines = -(-size // TILE)
        lists: _Tiles = _picture_kernels.tile_lists(boxes, distances, int(columns), int(lines), TILE)
        return lists

    def _shadow(self, rows: Array) -> _Shadow | None:
        """What a body leaves of the light on the floor about it, and where in the picture that is."""
        ends = np.concatenate([rows[:, :3], rows[rows[:, 11] == 0, :3] + rows[rows[:, 11] == 0, 3:6]])
        cast = ends[:, :2] - ends[:, 2:] / _LIGHT[2] * _LIGHT[:2]
        around = np.concatenate([ends[:, :2], cast])
        reach = _SHADOW_REACH / self._arena.unit
        low, high = around.min(axis=0) - reach, around.max(axis=0) + reach
        # Coarser for a body so high above the floor that its shadow is long, and very soft.
        cell = max(_SHADOW_CELL / self._arena.unit, float((high - low).max()) / _MOST_CELLS)
        x, y = (np.arange(low[axis], high[axis] + cell, cell) for axis in (0, 1))
        edge = np.linspace(0, 1, 9)[:, None]
        corners = [low, (high[0], low[1]), high, (low[0], high[1])]
        outline = np.concatenate([np.array(a) + edge * (np.array(b) - a) for a, b in zip(
            corners, [*corners[1:], corners[0]], strict=True)])  # fmt: skip
        pixels = self.camera.project(np.concatenate([outline, np.zeros((len(outline), 1))], axis=1))
        size = np.array(self.camera.size)
        first, last = np.zeros(2), size.astype(float)
        if np.isfinite(pixels).all():
            first, last = np.maximum(pixels.min(axis=0) - 1, 0), np.minimum(pixels.max(axis=0) + 2, size)
        if (first >= last).any():
            return None
        share = np.ones((len(y), len(x)), dtype=np.float32)
        _picture_kernels.floor_light(x, y, rows, self._arena.unit, _LIGHT, share)
        (left, top), (right, bottom) = first.astype(int), last.astype(int)
        return _Shadow((slice(int(top), int(bottom)), slice(int(left), int(right))), low, cell, share)

    def _darken(self, patch: NDArray[np.float32], outer: tuple[slice, slice], shadow: _Shadow) -> None:
        place = (self._floor[shadow.box] - shadow.low.astype(np.float32)) / np.float32(shadow.cell)
        place[np.isnan(place)] = -10.0
        share = cv2.remap(
            shadow.share, place[..., 0], place[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT,
            borderValue=(1.0,),
        )  # fmt: skip
        rows, columns = shadow.box
        inner = (
            slice(rows.start - outer[0].start, rows.stop - outer[0].start),
            slice(columns.start - outer[1].start, columns.stop - outer[1].start),
        )
        patch[inner] *= share[..., None]

    def _region(self, tiles: NDArray[np.int64], boxes: list[tuple[slice, slice]]) -> tuple[slice, slice] | None:
        """Rows and columns that differ from the empty arena."""
        width, height = self.camera.size
        spans = [(rows.start, rows.stop, columns.start, columns.stop) for rows, columns in boxes]
        if len(tiles):
            first, last = tiles.min(axis=0), tiles.max(axis=0) + TILE
            spans.append((int(first[1]), min(int(last[1]), height), int(first[0]), min(int(last[0]), width)))
        if not spans:
            return None
        low, high = np.min(spans, axis=0), np.max(spans, axis=0)
        return slice(int(low[0]), int(high[1])), slice(int(low[2]), int(high[3]))

    def _blur(self, light: NDArray[np.float32]) -> NDArray[np.float32]:
        if not self.settings.defocus:
            return light
        blurred = cv2.GaussianBlur(light, (0, 0), self.settings.defocus, borderType=cv2.BORDER_REPLICATE)
        return np.asarray(blurred, dtype=np.float32)

    def _developed(self, light: NDArray[np.float32], number: int) -> NDArray[np.uint8]:
        if not self.settings.color:
            light = light @ np.array([[0.299], [0.587], [0.114]], dtype=np.float32)
        image = np.empty(light.shape, dtype=np.uint8)
        starts = np.random.default_rng([*self._seed, 33, number]).integers(0, _NOISE_LENGTH, len(image))
        _picture_kernels.develop(light, self._gain, self._noise, starts, np.float32(self.settings.noise), image)
        return image if self.settings.color else image[..., 0]


@dataclass(frozen=True, eq=False)
class _Shadow:
    """`box` rows and columns of the picture; `share` (y, x) of the light that is left, from `low` (2,) in `cell`s."""

    box: tuple[slice, slice]
    low: Array
    cell: float
    share: NDArray[np.float32]


def _grown(region: tuple[slice, slice], margin: int, size: tuple[int, int]) -> tuple[slice, slice]:
    rows, columns = region
    return (
        slice(max(0, rows.start - margin), min(size[1], rows.stop + margin)),
        slice(max(0, columns.start - margin), min(size[0], columns.stop + margin)),
    )
