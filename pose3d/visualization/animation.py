"""Video of 3D skeletons in perspective, over a ground grid."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from calibration.plots import Ground, View, choose_view, frustum, ground_grid, up_direction
from calibration.rig import Rig
from calibration.schema import check
from calibration.video import VideoWriter
from pose3d.datasets import POSES3D
from pose3d.skeleton import Skeleton
from pose3d.visualization._overlay_parts import draw_names
from pose3d.visualization.coloring import COLOR_BY, ColorBy, Coloring, choose_coloring, individual_colors
from pose3d.visualization.drawing import Color, Image, Lettering, blend, draw_dots, draw_lines, rgb
from pose3d.visualization.framing import roams, smooth_path

__all__ = ["SkeletonVideoSettings", "skeleton_frames", "skeleton_video"]

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]

_DEFAULT_FRAME_RATE = 30.0
_FADE = 0.55  # how much of its color the farthest line loses
_SHADES = 8  # steps of that fading


@dataclass(frozen=True)
class _Theme:
    background: Color
    grid: Color
    shadow: Color
    ink: Color
    brighten: float  # share of white in the colors of the body


_THEMES = {
    "light": _Theme(rgb("#f7f8fa"), rgb("#dde2e8"), rgb("#d3d9e0"), rgb("#1d2733"), 0.0),
    "dark": _Theme(rgb("#14181d"), rgb("#2a323b"), rgb("#0a0d10"), rgb("#e8ecf1"), 0.3),
}


@dataclass(frozen=True)
class SkeletonVideoSettings:
    """How a skeleton video looks.

    Attributes:
        color_by: "side" of the body, "individual", or "auto": by individual where there are several.
        trail: keypoint whose past path is drawn, if any.
        trail_seconds: length of the trail in seconds (of the recording).
        orbit: speed of the eye around the scene in radians per second of the video; 0 stands still.
        follow: whether the eye moves with the animals; by default where they roam an area much larger than themselves.
        theme: "light" or "dark".
        shadow: draw the skeletons' shadows on the ground, which show how high a foot is.
        cameras: draw the cameras of the rig, if given, as far as they are in view.

    Raises:
        InvalidValueError: a choice is unknown or a number is not finite.
    """

    color_by: ColorBy = "auto"
    trail: str | None = None
    trail_seconds: float = 1.0
    orbit: float = 0.0
    follow: bool | None = None
    theme: Literal["light", "dark"] = "light"
    shadow: bool = True
    cameras: bool = False

    def __post_init__(self) -> None:
        for name, value, choices in (("color_by", self.color_by, COLOR_BY), ("theme", self.theme, tuple(_THEMES))):
            if value not in choices:
                raise InvalidValueError(
                    name, expected=", ".join(choices), got=repr(value), remedy="Choose one of these."
                )
        if not (np.isfinite(self.orbit) and np.isfinite(self.trail_seconds) and self.trail_seconds > 0):
            raise InvalidValueError(
                "orbit and trail_seconds",
                expected="finite numbers, the trail longer than 0 s",
                got=f"{self.orbit} and {self.trail_seconds}",
                remedy="Change the setting.",
            )


def skeleton_video(
    poses3d: xr.Dataset,
    skeleton: Skeleton | None,
    path: str | os.PathLike[str],
    *,
    rig: Rig | None = None,
    view: View | None = None,
    size: tuple[int, int] = (960, 720),
    frame_rate: float | None = None,
    settings: SkeletonVideoSettings | None = None,
    on_progress: Progress | None = None,
) -> None:
    """Write a video of the 3D skeletons, one picture per row of `poses3d`. Missing keypoints are not drawn.

    Args:
        poses3d: a Poses3D Dataset with at least one frame.
        skeleton: what to join with lines; None draws the keypoints only.
        path: the video file (.mp4).
        rig: tells which way is up and from which side to look.
        view: from where to look; chosen from the data by default.
        size: width and height in pixels.
        frame_rate: pictures per second of the video; by default that of the recording, 30 where it is unknown.
        settings: how it looks.
        on_progress: called with the number of pictures that are done and of all.

    Raises:
        InvalidValueError: the Dataset breaks its schema or is empty, or a setting names an unknown keypoint.
        OutputError: the file cannot be written.
    """
    rate = frame_rate or float(poses3d.attrs.get("fps", _DEFAULT_FRAME_RATE))
    pictures = skeleton_frames(poses3d, skeleton, rig=rig, view=view, size=size, frame_rate=rate, settings=settings)
    count = poses3d.sizes.get("time", 0)
    with VideoWriter(path, rate) as writer:
        for done, picture in enumerate(pictures, start=1):
            writer.write(picture)
            if on_progress is not None:
                on_progress(done, count)


def skeleton_frames(
    poses3d: xr.Dataset,
    skeleton: Skeleton | None,
    *,
    rig: Rig | None = None,
    view: View | None = None,
    size: tuple[int, int] = (960, 720),
    frame_rate: float = _DEFAULT_FRAME_RATE,
    settings: SkeletonVideoSettings | None = None,
) -> Iterator[Image]:
    """The pictures of `skeleton_video`, (height, width, 3) RGB uint8, one by one. Arguments and errors are the same."""
    check(poses3d, POSES3D, values=False)
    chosen = settings or SkeletonVideoSettings()
    _check(poses3d, chosen, size)
    scene = _Scene.of(poses3d, skeleton, rig, view, size, frame_rate, chosen)
    artist = _Artist(scene, size, chosen)
    return (artist.draw(row) for row in range(poses3d.sizes["time"]))


def _check(poses3d: xr.Dataset, settings: SkeletonVideoSettings, size: tuple[int, int]) -> None:
    if not poses3d.sizes["time"]:
        raise InvalidValueError(
            "Poses3D", expected="at least one frame", got="none", remedy="Check the range of frames that was asked for."
        )
    if min(size) < 16:
        raise InvalidValueError(
            "size", expected="width and height of at least 16 pixels", got=str(size), remedy="Try (960, 720)."
        )
    keypoints = [str(name) for name in poses3d["keypoint"].values]
    if settings.trail is not None and settings.trail not in keypoints:
        raise InvalidValueError(
            "trail",
            expected=f"one of the keypoints {', '.join(keypoints)}",
            got=f"'{settings.trail}'",
            remedy="Correct it.",
        )


@dataclass(frozen=True, eq=False)
class _Scene:
    """All that is to be drawn, in the world."""

    points: Array  # (time, individual, keypoint, 3)
    captions: list[str]
    individuals: tuple[str, ...]
    coloring: Coloring
    ground: Ground
    views: list[View]
    frusta: Array  # (n, 2, 3)
    trail: Array | None  # (time, individual, 3)
    trail_length: int
    unit: str
    moving: bool

    @classmethod
    def of(
        cls,
        poses3d: xr.Dataset,
        skeleton: Skeleton | None,
        rig: Rig | None,
        view: View | None,
        size: tuple[int, int],
        frame_rate: float,
        settings: SkeletonVideoSettings,
    ) -> _Scene:
        points = poses3d["position"].transpose("time", "individual", "keypoint", "space").values.astype(np.float64)
        keypoints = [str(name) for name in poses3d["keypoint"].values]
        individuals = [str(name) for name in poses3d["individual"].values]
        up = up_direction(rig) if view is None else view.up
        views = _views(points, up, rig, view, size, frame_rate, settings)
        fps = float(poses3d.attrs.get("fps", frame_rate))
        ground = ground_grid(points.reshape(len(points), -1, 3), up)
        depth = 0.15 * views[0].distance
        shown = rig if settings.cameras and rig is not None else ()
        return cls(
            points=points,
            captions=_captions(poses3d),
            individuals=tuple(individuals),
            coloring=choose_coloring(skeleton, keypoints, individuals, settings.color_by),
            ground=ground,
            views=views,
            frusta=np.concatenate([np.zeros((0, 2, 3)), *(frustum(camera, depth) for camera in shown)]),
            trail=None if settings.trail is None else points[:, :, keypoints.index(settings.trail)],
            trail_length=max(2, round(settings.trail_seconds * fps)),
            unit=str(poses3d["position"].attrs.get("units", "")),
            moving=any(one is not views[0] for one in views[1:2]),
        )


def _captions(poses3d: xr.Dataset) -> list[str]:
    frames, times = poses3d["frame"].values, poses3d["time"].values
    if poses3d["time"].attrs.get("units") == "s" or poses3d.attrs.get("time_unit") == "seconds":
        return [f"frame {frame}   {time:.3f} s" for frame, time in zip(frames, times, strict=True)]
    return [f"frame {frame}" for frame in frames]


def _views(
    points: Array,
    up: Array,
    rig: Rig | None,
    view: View | None,
    size: tuple[int, int],
    frame_rate: float,
    settings: SkeletonVideoSettings,
) -> list[View]:
    """The view of every picture; the same object where the eye stands still."""
    aspect, orbits = size[0] / size[1], settings.orbit != 0
    path = smooth_path(points, frame_rate)
    relative = points - path[:, None, None]
    follow = settings.follow if settings.follow is not None else view is None and roams(points)
    first = view or choose_view(points, up=up, rig=rig, aspect=aspect, whole_orbit=orbits)
    if follow and view is None:
        first = choose_view(relative, up=up, azimuth=first.azimuth, aspect=aspect, whole_orbit=orbits)
    if not follow and not orbits:
        return [first] * len(points)
    turn = settings.orbit / frame_rate
    centers = path + (first.center if view is None else 0.0) if follow else np.broadcast_to(first.center, path.shape)
    return [replace(first, center=center, azimuth=first.azimuth + turn * row) for row, center in enumerate(centers)]


class _Artist:
    """Draws the pictures of a scene."""

    def __init__(self, scene: _Scene, size: tuple[int, int], settings: SkeletonVideoSettings) -> None:
        self.scene, self.size = scene, size
        self.theme = _THEMES[settings.theme]
        self.shadow = settings.shadow and len(scene.ground.segments) > 0
        self.scale = size[1] / 720
        self.letters = Lettering(max(11.0, 19 * self.scale))
        self.small = Lettering(max(10.0, 15 * self.scale))
        self.edges = np.array(scene.coloring.edges, dtype=np.int64).reshape(-1, 2)
        self.flat = self._flattening()
        self.blank: Image = np.full((size[1], size[0], 3), self.theme.background, np.uint8)
        self.backdrop: Image | None = None if scene.moving else self._background(scene.views[0])

    def _flattening(self) -> tuple[Array, Array]:
        """Matrix and offset that drop a point on the ground."""
        up = self.scene.views[0].up
        level = self.scene.ground.segments[0, 0] @ up if self.shadow else 0.0
        return np.eye(3) - np.outer(up, up), level * up

    def draw(self, row: int) -> Image:
        scene = self.scene
        view = scene.views[row]
        image = self.backdrop.copy() if self.backdrop is not None else self._background(view)
        poses = scene.points[row]
        if self.shadow:
            dropped, _ = view.project(poses @ self.flat[0] + self.flat[1], self.size)
            for pose in dropped:
                draw_lines(image, pose[self.edges], self.theme.shadow, 3 * self.scale)
        self._draw_trails(image, view, row)
        for index, pose in enumerate(poses):
            self._draw_pose(image, view, pose, index)
        self._draw_names(image, view, poses)
        margin = 18 * self.scale
        self.letters.draw(image, scene.captions[row], (margin, margin), self.theme.ink)
        return image

    def _draw_names(self, image: Image, view: View, poses: Array) -> None:
        """Who is who, of several: beside every animal, in the color that it has everywhere."""
        individuals = self.scene.individuals
        if len(individuals) < 2:
            return
        pixels, _ = view.project(poses, self.size)
        own = individual_colors(individuals)
        colors = [self._bright(own[name]) for name in individuals]
        draw_names(image, self.small, pixels, individuals, colors, self.theme.background)

    def _draw_pose(self, image: Image, view: View, pose: Array, individual: int) -> None:
        """Far parts first; farther ones are paler and thinner."""
        pixels, depth = view.project(pose, self.size)
        coloring = self.scene.coloring
        line_depth = depth[self.edges].mean(axis=-1)
        order = np.argsort(-np.concatenate([line_depth, depth - 1e-6]))
        known = np.isfinite(depth)
        low, high = (depth[known].min(), depth[known].max()) if known.any() else (0.0, 1.0)
        for item in order:
            is_line = item < len(self.edges)
            at = line_depth[item] if is_line else depth[item - len(self.edges)]
            if not np.isfinite(at):
                continue
            share = round((at - low) / max(high - low, 1e-9) * _SHADES) / _SHADES * _FADE
            width = self.scale / at
            if is_line:
                color = blend(self._bright(coloring.edge[individual][item]), self.theme.background, share)
                draw_lines(image, pixels[self.edges[item]][None], color, 4.5 * width)
            else:
                point = int(item) - len(self.edges)
                color = blend(self._bright(coloring.keypoint[individual][point]), self.theme.background, share)
                draw_dots(image, pixels[point][None], color, 4.2 * width)

    def _bright(self, color: str) -> Color:
        return blend(rgb(color), (255, 255, 255), self.theme.brighten)

    def _draw_trails(self, image: Image, view: View, row: int) -> None:
        if self.scene.trail is None:
            return
        past = self.scene.trail[max(0, row - self.scene.trail_length) : row + 1]
        for path in np.moveaxis(past, 1, 0):
            pixels, _ = view.project(path, self.size)
            segments = np.stack([pixels[:-1], pixels[1:]], axis=1)
            for age, part in enumerate(np.array_split(segments, min(_SHADES, max(1, len(segments))))):
                fade = 1 - (age + 1) / _SHADES
                draw_lines(image, part, blend(self.theme.ink, self.theme.background, 0.3 + 0.6 * fade), 2 * self.scale)

    def _background(self, view: View) -> Image:
        image = self.blank.copy()
        lines, _ = view.project(view.clip(self.scene.ground.segments), self.size)
        draw_lines(image, lines, self.theme.grid, 1.2 * self.scale)
        cameras, _ = view.project(view.clip(self.scene.frusta), self.size)
        draw_lines(image, cameras, blend(self.theme.ink, self.theme.background, 0.55), 1.5 * self.scale)
        self._write_legend(image)
        return image

    def _write_legend(self, image: Image) -> None:
        margin = 18 * self.scale
        quiet = blend(self.theme.ink, self.theme.background, 0.4)
        bottom = self.size[1] - margin - self.small.height * 1.3
        if len(self.scene.ground.segments):
            self.small.draw(
                image, f"grid {self.scene.ground.step:g} {self.scene.unit}".rstrip(), (margin, bottom), quiet
            )
        x = self.size[0] - margin
        for name, color in reversed(self.scene.coloring.legend):
            x -= self.small.width(name)
            self.small.draw(image, name, (x, bottom), quiet)
            x -= 12 * self.scale
            draw_dots(image, [[x, bottom + 0.72 * self.small.height]], self._bright(color), 5 * self.scale)
            x -= 20 * self.scale
