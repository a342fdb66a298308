"""Pictures of a board as a camera takes them: exact in geometry, with the faults that real pictures have.

The ray of every pixel center comes from the lens of the camera and is cut with the sheet of the board, flat or bent.
Between pixel centers the places on the board are interpolated, several samples per pixel are taken from a texture of
matching resolution, and their mean is the light that falls on the pixel. So the corners are where the camera model says
(see `tests/calibration/synthetic/test_rendering.py` for how closely); blur, noise and occlusion come on top.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.boards.geometry import Board
from calibration.camera import Camera
from calibration.errors import InvalidValueError
from calibration.synthetic._rooms import make_room
from calibration.synthetic._sheets import PAPER, Hand, make_sheet
from calibration.transforms import RigidTransform

# `make_room` is what `pose3d.synthetic` puts behind its animals.
__all__ = ["BoardRenderer", "RenderSettings", "make_room"]

# Share of the light that comes back from skin, and its color.
_SKIN = 0.5
_SKIN_TINT = np.array([1.2, 0.95, 0.8], dtype=np.float32)
# Where rays are that miss the plane of the sheet, in sizes of the sheet.
_NOWHERE = 1e3


@dataclass(frozen=True)
class RenderSettings:
    """How a camera takes pictures.

    Attributes:
        defocus: standard deviation of the blur in pixels; lenses in focus have about 0.5.
        noise: standard deviation in gray levels at medium gray; it grows with the root of the light, as shot noise.
        brightness: gray level of white paper that faces the light, as a share of white; above 1 it is overexposed.
        vignetting: share of the light that the corners of the image lose.
        shading: share of the light that a board loses that is turned from the light by 90 degrees.
        color: RGB pictures, else gray.
        clutter: whether the background is a room with things in it, else plain gray.

    Raises:
        InvalidValueError: a setting is out of its range.
    """

    defocus: float = 0.6
    noise: float = 2.0
    brightness: float = 0.75
    vignetting: float = 0.2
    shading: float = 0.4
    color: bool = False
    clutter: bool = True

    def __post_init__(self) -> None:
        for name, most in (
            ("defocus", 50.0),
            ("noise", 255.0),
            ("brightness", 10.0),
            ("vignetting", 1.0),
            ("shading", 1.0),
        ):
            value = getattr(self, name)
            if not 0 <= value <= most:
                raise InvalidValueError(
                    name, expected=f"a number from 0 to {most:g}", got=str(value), remedy="Change the setting."
                )


class BoardRenderer:
    """Takes pictures of one board with one camera; what does not change from picture to picture is computed once.

    Args:
        camera: the camera.
        board: the board, in the unit of the camera's world.
        settings: how the camera takes pictures.
        bend: the middle of the board stands out by so much, as in `make_board_scene`.
        light: (3,) direction in the world that the light comes from.
        seed: of the room behind the board, and of the noise.
    """

    def __init__(
        self,
        camera: Camera,
        board: Board,
        *,
        settings: RenderSettings | None = None,
        bend: float = 0.0,
        light: tuple[float, float, float] = (0.3, 0.2, 0.93),
        seed: int | tuple[int, ...] = 0,
    ) -> None:
        self.camera = camera
        self.sheet = make_sheet(board, bend=bend)
        self.settings = RenderSettings() if settings is None else settings
        self._seed = (seed,) if isinstance(seed, int) else seed
        self._light = np.array(light) / np.linalg.norm(light)
        width, height = camera.size
        x, y = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
        self._normalized = np.moveaxis(camera.lens.undistort(np.stack([x, y], axis=-1)), -1, 0).copy()
        room = make_room(camera.size, seed=self._seed, color=self.settings.color, plain=not self.settings.clutter)
        self._room = self._blurred(room)
        radius = np.hypot(x - (width - 1) / 2, y - (height - 1) / 2) / np.hypot(width / 2, height / 2)
        gain = 255 * self.settings.brightness / PAPER * (1 - self.settings.vignetting * radius**2)
        gain[~np.isfinite(self._normalized[0])] = 0.0  # beyond the lens
        self._gain = gain.astype(np.float32)[..., None]

    def render(
        self, world_from_board: RigidTransform, *, hand: Hand | None = None, number: int = 0
    ) -> NDArray[np.uint8]:
        """The picture of a board.

        Args:
            world_from_board: () the pose, or (k,) poses during the exposure, evenly spaced in time.
            hand: what lies on the board.
            number: of the picture; every number has noise of its own.

        Returns:
            (height, width) gray, or (height, width, 3) RGB.
        """
        poses = self.camera.cam_from_world @ world_from_board
        rotation, translation = poses.rotation.reshape(-1, 3, 3), poses.translation.reshape(-1, 3)
        each = [RigidTransform(*pose) for pose in zip(rotation, translation, strict=True)]
        image = self._room.copy()
        region = self._region(each, self.sheet.outline())
        if region is not None:
            layer = np.zeros((*image[region].shape[:2], 2), dtype=np.float32)
            for pose in each:
                layer += self._layer(pose, region)
            layer /= np.float32(len(each))
            layer = self._blurred(layer)
            _lay(layer[..., :1], layer[..., 1:], image[region])
        if hand is not None:
            self._lay_hand(hand, each[len(each) // 2], image)
        image *= self._gain
        return self._developed(image, number)

    def _region(self, poses: list[RigidTransform], outline: NDArray[np.float64]) -> tuple[slice, slice] | None:
        """Rows and columns that may show an outline (n, 3) of the board, with blur; None where none of them does."""
        seen = np.concatenate([pose(outline) for pose in poses])
        width, height = self.camera.size
        ahead = seen[:, 2] > 0
        if not ahead.any():
            return None
        pixels = self.camera.lens.distort(seen[ahead, :2] / seen[ahead, 2:])
        low, high = np.zeros(2), np.array([width, height])
        # The outline of a board that reaches behind the camera, or beyond the lens, says nothing: look everywhere.
        if ahead.all() and bool(np.isfinite(pixels).all()):
            blur = 3 + int(np.ceil(4 * self.settings.defocus))
            low = np.maximum(np.floor(pixels.min(axis=0)) - blur, low)
            high = np.minimum(np.ceil(pixels.max(axis=0)) + blur + 1, high)
        if (low >= high).any():
            return None
        (left, top), (right, bottom) = low.astype(int), high.astype(int)
        return slice(top, bottom), slice(left, right)

    def _layer(self, cam_from_board: RigidTransform, region: tuple[slice, slice]) -> NDArray[np.float32]:
        """(h, w, 2) light from the board, and the share of each pixel that it covers."""
        place = self._places(cam_from_board, region)
        cover = self.sheet.cover(place)
        light = cover * self._shade(cam_from_board)
        box = _box(cover > 0)
        if cam_from_board.inverse().translation[2] > 0:
            light *= self.sheet.back
        elif box is not None:
            light[box] *= self.sheet.sample(place[box], _pixel_size(place[box]))
        return np.stack([light, cover], axis=-1)

    def _shade(self, cam_from_board: RigidTransform) -> np.float32:
        """The share of the light that the side of the board gets that the camera sees."""
        front = cam_from_board.inverse().translation[2] < 0
        normal = cam_from_board.rotation @ [0.0, 0.0, -1.0 if front else 1.0]
        facing = max(float(self._light @ self.camera.cam_from_world.rotation.T @ normal), 0.0)
        return np.float32(1 - self.settings.shading * (1 - facing))

    def _places(self, cam_from_board: RigidTransform, region: tuple[slice, slice]) -> NDArray[np.float64]:
        """(h, w, 2) where the ray of every pixel center meets the sheet, in the frame of the board."""
        x, y = self._normalized[:, *region]
        rotation, sheet = cam_from_board.rotation, self.sheet
        start = cam_from_board.inverse().translation
        along_x, along_y, along_z = (
            x * rotation[0, axis] + y * rotation[1, axis] + rotation[2, axis] for axis in range(3)
        )
        with np.errstate(all="ignore"):
            if sheet.bend:
                # The parabola gives a t^2 + b t + c = 0; c / q is the root that stays as the bend goes to 0.
                offset, slope = (start[0] - sheet.bend_middle) / sheet.bend_half, along_x / sheet.bend_half
                a, c = -sheet.bend * slope**2, start[2] + sheet.bend * (1 - offset**2)
                b = along_z - 2 * sheet.bend * offset * slope
                depth = c / (-0.5 * (b + np.copysign(np.sqrt(b**2 - 4 * a * c), b)))
            else:
                depth = -start[2] / along_z
            place = np.stack([start[0] + depth * along_x, start[1] + depth * along_y], axis=-1)
            lost = ~((depth > 0) & np.isfinite(depth))
        place[lost] = sheet.corner + _NOWHERE * sheet.size
        return place

    def _lay_hand(self, hand: Hand, cam_from_board: RigidTransform, image: NDArray[np.float32]) -> None:
        """Lay a hand over the picture, its outline a pixel wide; fingers are darker at their outlines."""
        region = self._region([cam_from_board], hand.outline())
        if region is None:
            return
        distance = hand.distance(self._places(cam_from_board, region))
        box = _box(distance < 0.2 * hand.radius.max())
        if box is None:
            return
        inside = -distance[box]
        pixel = np.maximum(np.hypot(*np.gradient(inside)), np.float32(1e-9))
        cover = np.clip(np.float32(0.5) + inside / pixel, 0, 1)[..., None]
        tone = _SKIN * (0.6 + 0.4 * np.clip(inside / hand.radius.min(), 0, 1))[..., None]
        tint = _SKIN_TINT if self.settings.color else np.ones(1, dtype=np.float32)
        layer = self._blurred(np.concatenate([cover * tone * tint, cover], axis=-1).astype(np.float32))
        _lay(layer[..., :-1], layer[..., -1:], image[region][box])

    def _blurred(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        deviation = self.settings.defocus
        if not deviation:
            return image
        blurred = cv2.GaussianBlur(image, (0, 0), deviation, borderType=cv2.BORDER_REPLICATE)
        return np.asarray(blurred, dtype=np.float32).reshape(image.shape)

    def _developed(self, light: NDArray[np.float32], number: int) -> NDArray[np.uint8]:
        """Gray levels of the light, with the noise of the sensor."""
        if self.settings.noise:
            rng = np.random.default_rng([*self._seed, number])
            noise = rng.standard_normal(light.shape, dtype=np.float32)
            # A fifth of the variance at medium gray is there in the dark too.
            noise *= np.float32(self.settings.noise) * np.sqrt(0.2 + light * np.float32(0.8 / 128))
            light = light + noise
        image = np.clip(np.rint(light), 0, 255).astype(np.uint8)
        return image if self.settings.color else image[..., 0]


def _lay(light: NDArray[np.float32], cover: NDArray[np.float32], picture: NDArray[np.float32]) -> None:
    """Lay something over a part of a picture; the light is that of the share that is covered."""
    picture *= 1 - cover
    picture += light


def _box(mask: NDArray[np.bool_]) -> tuple[slice, slice] | None:
    """Rows and columns about what is true, two pixels at least each way; None if nothing is."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    return (
        slice(max(0, int(rows[0]) - 1), int(rows[-1]) + 2),
        slice(max(0, int(columns[0]) - 1), int(columns[-1]) + 2),
    )


def _pixel_size(place: NDArray[np.float64]) -> float:
    """What a pixel covers of the board, in its unit: the root of the area, in the middle of the picture of it."""
    row, column = (min(max(length // 2, 1), length - 1) for length in place.shape[:2])
    down, right = place[row, column] - place[[row - 1, row], [column, column - 1]]
    return float(np.sqrt(max(abs(right[0] * down[1] - right[1] * down[0]), 1e-12)))
