"""Reprojection overlay: what was detected and what the 3D pose projects to, on the frames of a video."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.errors import MismatchError
from calibration.rig import Rig
from calibration.schema import check
from calibration.video import Video, VideoWriter, open_video
from pose3d.datasets import POSES2D, POSES3D
from pose3d.reconstruction import camera_frames
from pose3d.skeleton import Skeleton
from pose3d.visualization._overlay_parts import (
    BLACK,
    DEFAULT_FRAME_RATE,
    WHITE,
    check_scale,
    common_frames,
    draw_names,
    grouped,
    name_colors,
    shifted_to_scale,
    stroke_of,
)
from pose3d.visualization.coloring import ColorBy, Coloring, choose_coloring
from pose3d.visualization.drawing import (
    Color,
    Image,
    Lettering,
    draw_crosses,
    draw_dots,
    draw_lines,
    scaled,
)
from pose3d.visualization.evidence import match_poses2d

__all__ = ["OverlaySettings", "overlay_frames", "overlay_video"]

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]

_RESIDUAL: Color = (255, 236, 120)
_REJECTED: Color = (255, 80, 80)


@dataclass(frozen=True)
class OverlaySettings:
    """How an overlay looks.

    Attributes:
        color_by: "side" of the body, "individual", or "auto": by individual where there are several.
        scale: size of the output relative to the video.
        detections: draw the 2D positions: circles, crosses where the camera was not used for the 3D position.
        residuals: draw a line from each detection to the reprojected keypoint.

    Raises:
        InvalidValueError: the scale is not positive.
    """

    color_by: ColorBy = "auto"
    scale: float = 1.0
    detections: bool = True
    residuals: bool = True

    def __post_init__(self) -> None:
        check_scale(self.scale)


def overlay_video(
    video: str | os.PathLike[str],
    poses2d: xr.Dataset | None,
    poses3d: xr.Dataset,
    rig: Rig,
    camera: str,
    path: str | os.PathLike[str],
    *,
    skeleton: Skeleton | None = None,
    frames: Sequence[int] | None = None,
    frame_rate: float | None = None,
    settings: OverlaySettings | None = None,
    on_progress: Progress | None = None,
) -> None:
    """Write the video of one camera with the poses drawn on it.

    Detected keypoints are circles, and crosses where the camera was not used; the 3D pose is drawn where this camera
    should see it; yellow lines join the two. Frames are matched by the coordinate `frame`: number 0 is the first frame
    of the video. Where the poses were brought to the frames of another camera, the clocks of both match them.

    Args:
        video: the video file of this camera.
        poses2d: Poses2D Dataset with this camera, or None to draw the 3D pose only.
        poses3d: Poses3D Dataset.
        rig: the cameras.
        camera: name of the camera in the rig and in `poses2d`.
        path: the file to write (.mp4).
        skeleton: what to join with lines; None draws the keypoints only.
        frames: frame numbers to draw; by default all that `poses3d` has.
        frame_rate: pictures per second of the output; that of the video by default.
        settings: how it looks.
        on_progress: called with the number of pictures that are done and of all.

    Raises:
        FileFormatError: the video cannot be read.
        MismatchError: the camera is unknown, the video's size is not the calibrated one, or no frame is in both.
        InvalidValueError: a Dataset breaks its schema.
        OutputError: the output cannot be written.
    """
    chosen = settings or OverlaySettings()
    with open_video(video) as source:
        scene = _Scene.of(source, poses2d, poses3d, rig, camera, skeleton, frames, chosen)
        with VideoWriter(path, frame_rate or source.frame_rate or DEFAULT_FRAME_RATE) as writer:
            for done, picture in enumerate(_draw_all(source, scene, chosen), start=1):
                writer.write(picture)
                if on_progress is not None:
                    on_progress(done, len(scene.frames))


def overlay_frames(
    video: str | os.PathLike[str],
    poses2d: xr.Dataset | None,
    poses3d: xr.Dataset,
    rig: Rig,
    camera: str,
    *,
    skeleton: Skeleton | None = None,
    frames: Sequence[int] | None = None,
    settings: OverlaySettings | None = None,
) -> Iterator[Image]:
    """The pictures of `overlay_video`, one by one: (height, width, 3) RGB, uint8. Arguments and errors are the same."""
    chosen = settings or OverlaySettings()
    with open_video(video) as source:
        scene = _Scene.of(source, poses2d, poses3d, rig, camera, skeleton, frames, chosen)
        yield from _draw_all(source, scene, chosen)


@dataclass(frozen=True, eq=False)
class _Scene:
    """What is drawn on each frame, in pixels of the video."""

    camera: str
    frames: list[int]
    reprojected: Array  # (frame, individual, keypoint, 2)
    detected: Array  # the same
    used: NDArray[np.bool_]  # (frame, individual, keypoint)
    coloring: Coloring
    individuals: tuple[str, ...]

    @classmethod
    def of(
        cls,
        video: Video,
        poses2d: xr.Dataset | None,
        poses3d: xr.Dataset,
        rig: Rig,
        camera: str,
        skeleton: Skeleton | None,
        frames: Sequence[int] | None,
        settings: OverlaySettings,
    ) -> _Scene:
        check(poses3d, POSES3D, values=False)
        lens = rig[camera]
        _check_size(video, lens)
        own = _own_frames(video, poses2d, poses3d, camera)
        wanted = None if frames is None else own[np.isin(poses3d["frame"].values, frames)].tolist()
        known, places = np.unique(own, return_index=True)
        chosen = common_frames(video, known[known >= 0], wanted)
        rows = poses3d.isel(time=places[np.searchsorted(known, chosen)])
        points = rows["position"].transpose("time", "individual", "keypoint", "space").values
        reprojected = lens.project(points)
        keypoints, individuals = ([str(name) for name in rows[dim].values] for dim in ("keypoint", "individual"))
        detected = np.full(reprojected.shape, np.nan)
        if poses2d is not None:
            detected = _detections(poses2d, camera, rows["frame"].values, individuals, keypoints)
        used = np.isfinite(detected[..., 0]) & np.isfinite(reprojected[..., 0])
        if "inlier" in rows and camera in rows["camera"].values:
            inlier = rows["inlier"].sel(camera=camera).transpose("time", "individual", "keypoint").values
            used &= inlier.astype(bool)
        return cls(
            camera=camera,
            frames=chosen.tolist(),
            reprojected=reprojected,
            detected=detected,
            used=used,
            coloring=choose_coloring(skeleton, keypoints, individuals, settings.color_by),
            individuals=tuple(individuals),
        )


def _own_frames(video: Video, poses2d: xr.Dataset | None, poses3d: xr.Dataset, camera: str) -> NDArray[np.int64]:
    """(time,) number of the frame in this video that was taken with each 3D pose; -1 where there is none."""
    numbers = poses3d["frame"].values.astype(np.int64)
    if poses2d is None or "synchronization" not in poses2d.attrs:
        return np.where(numbers < len(video), numbers, -1)
    given = poses2d["frame"].values.astype(np.int64)
    own = camera_frames(poses2d, camera, video.times)
    place = np.searchsorted(given, numbers).clip(0, len(given) - 1)
    return np.where(given[place] == numbers, own[place], -1)


def _check_size(video: Video, camera: Camera) -> None:
    if video.size != camera.size:
        raise MismatchError(
            f"{video.path}, camera '{camera.name}'",
            expected=f"images of the calibrated size {camera.size[0]} x {camera.size[1]}",
            got=f"{video.size[0]} x {video.size[1]}",
            remedy="Check that this is the video of this camera, neither cropped nor scaled after the calibration.",
        )


def _detections(
    poses2d: xr.Dataset, camera: str, frames: NDArray[np.int64], individuals: list[str], keypoints: list[str]
) -> Array:
    """(frame, individual, keypoint, 2) positions by name and frame number; NaN where `poses2d` has none."""
    check(poses2d, POSES2D, values=False)
    cameras = [str(name) for name in poses2d["camera"].values]
    if camera not in cameras:
        raise MismatchError(
            "Poses2D",
            expected=f"poses of the camera '{camera}'",
            got=f"poses of {', '.join(cameras)}",
            remedy="Name a camera that the poses have.",
        )
    return match_poses2d(poses2d, frames, [camera], individuals, keypoints)[:, 0]


def _draw_all(video: Video, scene: _Scene, settings: OverlaySettings) -> Iterator[Image]:
    scale = settings.scale
    stroke = stroke_of(video, scale)
    letters, small = Lettering(max(11.0, 17 * stroke)), Lettering(max(10.0, 14 * stroke))
    artist = _Artist(scene, settings, stroke, letters, small)
    rows = {number: row for row, number in enumerate(scene.frames)}
    for frame in video.frames(scene.frames):
        picture = np.ascontiguousarray(scaled(frame.image, scale))
        artist.draw(picture, rows[frame.index], frame.time)
        yield picture


@dataclass(frozen=True, eq=False)
class _Artist:
    scene: _Scene
    settings: OverlaySettings
    stroke: float
    letters: Lettering
    small: Lettering

    def draw(self, picture: Image, row: int, time: float) -> None:
        scene, stroke = self.scene, self.stroke
        edges = np.array(scene.coloring.edges, dtype=np.int64).reshape(-1, 2)
        for individual, used in enumerate(scene.used[row]):
            projected, detected = (
                self._to_picture(pixels[row, individual]) for pixels in (scene.reprojected, scene.detected)
            )
            for color, members in grouped(scene.coloring.edge[individual]):
                draw_lines(picture, projected[edges[members]], color, 2.4 * stroke)
            for color, members in grouped(scene.coloring.keypoint[individual]):
                draw_dots(picture, projected[members], color, 2.6 * stroke)
            if self.settings.residuals:
                both = np.stack([projected, detected], axis=-2)
                draw_lines(picture, both[used], _RESIDUAL, 1.3 * stroke)
            if self.settings.detections:
                draw_dots(picture, detected[used], BLACK, 5.6 * stroke, thickness=1)
                draw_dots(picture, detected[used], WHITE, 4.8 * stroke, thickness=1.2 * stroke)
                draw_crosses(picture, detected[~used], BLACK, 7 * stroke, thickness=3 * stroke)
                draw_crosses(picture, detected[~used], _REJECTED, 7 * stroke, thickness=1.6 * stroke)
        self._name(picture, row)
        self._write(picture, row, time)

    def _name(self, picture: Image, row: int) -> None:
        """Who is who, of several: beside every animal, in the color that it has everywhere."""
        scene = self.scene
        if len(scene.individuals) < 2:
            return
        points = np.where(np.isfinite(scene.reprojected[row]), scene.reprojected[row], scene.detected[row])
        own = name_colors(scene.individuals)
        draw_names(picture, self.small, self._to_picture(points), scene.individuals, own, BLACK)

    def _write(self, picture: Image, row: int, time: float) -> None:
        scene = self.scene
        margin = 10 * self.stroke
        lines = [f"{scene.camera}   frame {scene.frames[row]}   {time:.3f} s"]
        used = scene.used[row]
        if self.settings.detections and used.any():
            error = np.linalg.norm(scene.detected[row] - scene.reprojected[row], axis=-1)[used]
            lines.append(f"median reprojection error {np.median(error):.1f} px of {used.sum()} keypoints")
            crossed = int((np.isfinite(scene.detected[row, ..., 0]) & ~used).sum())
            if crossed:
                lines[-1] += f", {crossed} not used"
        elif self.settings.detections:
            lines.append("no keypoint of this camera is used")
        for number, line in enumerate(lines):
            top = margin + number * 1.35 * self.letters.height
            self.letters.draw(picture, line, (margin, top), WHITE, halo=BLACK)

    def _to_picture(self, pixels: Array) -> Array:
        return shifted_to_scale(pixels, self.settings.scale)
