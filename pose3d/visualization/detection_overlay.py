"""Overlay of 2D positions alone: what a network found, on the frames of the video, before anything is in 3D."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError, MismatchError, SuiteWarning
from calibration.video import Video, VideoWriter, open_video
from pose3d.skeleton import Skeleton
from pose3d.visualization._overlay_parts import (
    BLACK,
    DEFAULT_FRAME_RATE,
    WHITE,
    check_scale,
    common_frames,
    draw_names,
    name_colors,
    shifted_to_scale,
    stroke_of,
)
from pose3d.visualization._tracks import Tracks, tracks_of
from pose3d.visualization.coloring import choose_coloring, individual_colors, keypoint_colors
from pose3d.visualization.drawing import Color, Image, Lettering, blend, draw_dots, draw_lines, lay_over, rgb, scaled

__all__ = ["MINIMUM_CONFIDENCE", "DetectionOverlaySettings", "check_video", "detection_frames", "detection_video"]

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]
DetectionColors = Literal["auto", "keypoint", "confidence", "individual"]

# Confidence is the probability of a small error, so networks that are not exact say 0.3 of what is roughly right. What
# is wrong has less than this.
MINIMUM_CONFIDENCE = 0.1
_COLORS: tuple[str, ...] = ("auto", "keypoint", "confidence", "individual")
# Of Okabe and Ito: unsure, so-so, sure.
_UNSURE, _SO_SO, _SURE = rgb("#d55e00"), rgb("#f0e442"), rgb("#00b383")
_BONE: Color = (235, 238, 242)
_BRIGHTEN = 0.15
_TRAIL = 0.65  # how much a trail covers
_LEGEND = 0.6  # share of the height of a picture that a legend may take


@dataclass(frozen=True)
class DetectionOverlaySettings:
    """How an overlay of 2D positions looks.

    Attributes:
        color_by: "keypoint", "confidence", "individual", or "auto": by individual where there are several.
        minimum_confidence: what has less is not drawn.
        trail: frames before, of which the way of every keypoint is drawn.
        candidates: draw less probable places as small dots.
        scale: size of the output relative to the video.

    Raises:
        InvalidValueError: a setting is out of its range.
    """

    color_by: DetectionColors = "auto"
    minimum_confidence: float = MINIMUM_CONFIDENCE
    trail: int = 10
    candidates: bool = True
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_scale(self.scale)
        rules = {
            "color_by": (f"one of: {', '.join(_COLORS)}", self.color_by in _COLORS),
            "minimum_confidence": ("a number from 0 to 1", 0 <= self.minimum_confidence <= 1),
            "trail": ("0 frames or more", self.trail >= 0),
        }
        for name, (expected, fine) in rules.items():
            if not fine:
                raise InvalidValueError(
                    f"overlay, {name}", expected=expected, got=repr(getattr(self, name)), remedy="Correct the setting."
                )


def detection_video(
    video: str | os.PathLike[str],
    found: xr.Dataset,
    camera: str,
    path: str | os.PathLike[str],
    *,
    skeleton: Skeleton | None = None,
    frames: Sequence[int] | None = None,
    frame_rate: float | None = None,
    settings: DetectionOverlaySettings | None = None,
    on_progress: Progress | None = None,
) -> None:
    """Write the video of one camera with what was found in it: a dot per keypoint, its trail, bones.

    Frames are matched by the coordinate `frame`: number 0 is the first frame of the video.

    Args:
        video: the video file of this camera.
        found: Detections or Poses2D Dataset.
        camera: name of the camera in it.
        path: the file to write (.mp4).
        skeleton: what to join with lines; None draws the keypoints only.
        frames: frame numbers to draw; by default all.
        frame_rate: pictures per second of the output; that of the video by default.
        settings: how it looks.
        on_progress: called with the number of pictures that are done and of all.

    Raises:
        FileFormatError: the video cannot be read.
        MismatchError: the camera is unknown, the video has another size than the one that was looked at, or no frame
            is in both.
        InvalidValueError: the Dataset breaks its schema.
        OutputError: the output cannot be written.

    Warns:
        SuiteWarning: the video has another number of frames than the one that was looked at.
    """
    chosen = settings or DetectionOverlaySettings()
    tracks = tracks_of(found, camera)
    with open_video(video) as source:
        check_video(source, tracks)
        numbers = common_frames(source, tracks.frames, frames)
        with VideoWriter(path, frame_rate or source.frame_rate or DEFAULT_FRAME_RATE) as writer:
            for done, picture in enumerate(_draw_all(source, tracks, numbers, skeleton, chosen), start=1):
                writer.write(picture)
                if on_progress is not None:
                    on_progress(done, len(numbers))


def detection_frames(
    video: str | os.PathLike[str],
    found: xr.Dataset,
    camera: str,
    *,
    skeleton: Skeleton | None = None,
    frames: Sequence[int] | None = None,
    settings: DetectionOverlaySettings | None = None,
) -> Iterator[Image]:
    """The pictures of `detection_video`: (height, width, 3) RGB, uint8. Arguments, errors and warnings are the same."""
    tracks = tracks_of(found, camera)
    with open_video(video) as source:
        check_video(source, tracks)
        numbers = common_frames(source, tracks.frames, frames)
        yield from _draw_all(source, tracks, numbers, skeleton, settings or DetectionOverlaySettings())


def check_video(video: Video, tracks: Tracks) -> None:
    """Whether the positions can be of this video.

    Raises:
        MismatchError: it has another size.

    Warns:
        SuiteWarning: it has another number of frames.
    """
    if tracks.image_size is not None and video.size != tracks.image_size:
        raise MismatchError(
            f"{video.path}, camera '{tracks.camera}'",
            expected=f"the video in which the keypoints were found, {tracks.image_size[0]} x {tracks.image_size[1]}",
            got=f"a video of {video.size[0]} x {video.size[1]}",
            remedy="Give the video that was given to `pose3d predict`, neither cropped nor scaled.",
        )
    if tracks.end and len(video) != tracks.end:
        warnings.warn(
            f"{video.path} has {len(video)} frames, the video of camera {tracks.camera} in which keypoints were found "
            f"had {tracks.end}; is it another recording? Frames are matched by number",
            SuiteWarning,
            stacklevel=3,
        )


def _draw_all(
    video: Video,
    tracks: Tracks,
    numbers: NDArray[np.int64],
    skeleton: Skeleton | None,
    settings: DetectionOverlaySettings,
) -> Iterator[Image]:
    stroke = stroke_of(video, settings.scale)
    artist = _Artist(tracks, settings, skeleton, stroke)
    for frame in video.frames(numbers.tolist()):
        picture = np.ascontiguousarray(scaled(frame.image, settings.scale))
        artist.draw(picture, frame.index, frame.time)
        yield picture


class _Artist:
    def __init__(
        self, tracks: Tracks, settings: DetectionOverlaySettings, skeleton: Skeleton | None, stroke: float
    ) -> None:
        self._tracks, self._settings, self._stroke = tracks, settings, stroke
        self._shown = shifted_to_scale(tracks.shown(settings.minimum_confidence), settings.scale)
        with np.errstate(invalid="ignore"):
            sure = tracks.others_confidence >= settings.minimum_confidence
        self._others = shifted_to_scale(tracks.others, settings.scale)
        self._others_sure = sure
        edges = choose_coloring(skeleton, tracks.keypoints, tracks.individuals).edges
        self._edges = np.array(edges, dtype=np.int64).reshape(-1, 2)
        self._letters = Lettering(max(11.0, 17 * stroke))
        self._small = Lettering(max(10.0, 14 * stroke))
        several = len(tracks.individuals) > 1
        by = settings.color_by
        self._by = ("individual" if several else "keypoint") if by == "auto" else by
        names = tracks.individuals if self._by == "individual" else tracks.keypoints
        colors = individual_colors(names) if self._by == "individual" else keypoint_colors(names)
        self._colors = {name: blend(rgb(color), WHITE, _BRIGHTEN) for name, color in colors.items()}
        own = individual_colors(tracks.individuals)
        self._names = [blend(rgb(own[name]), WHITE, _BRIGHTEN) for name in tracks.individuals] if several else []

    def draw(self, picture: Image, number: int, time: float) -> None:
        row = int(np.searchsorted(self._tracks.frames, number))
        self._draw_trails(picture, row)
        stroke = self._stroke
        if self._settings.candidates and self._others.shape[1]:
            for keypoint, name in enumerate(self._tracks.keypoints):
                places = self._others[row, self._others_sure[row, :, keypoint], keypoint]
                color = self._colors.get(name, WHITE)
                draw_dots(picture, places, BLACK, 2.6 * stroke)
                draw_dots(picture, places, color, 1.8 * stroke)
        for individual in range(len(self._tracks.individuals)):
            points = self._shown[row, individual]
            draw_lines(picture, points[self._edges], BLACK, 2.4 * stroke)
            bone = self._names[individual] if self._by == "individual" and self._names else _BONE
            draw_lines(picture, points[self._edges], bone, 1.2 * stroke)
            for keypoint in range(len(points)):
                draw_dots(picture, points[keypoint], BLACK, 4.4 * stroke)
                draw_dots(picture, points[keypoint], self._color(row, individual, keypoint), 3.5 * stroke)
        if self._names:
            draw_names(
                picture,
                self._small,
                self._shown[row],
                self._tracks.individuals,
                name_colors(self._tracks.individuals),
                BLACK,
            )
        self._write(picture, row, time)

    def _draw_trails(self, picture: Image, row: int) -> None:
        frames = self._tracks.frames
        first = int(np.searchsorted(frames, frames[row] - self._settings.trail))
        if first >= row:
            return
        layer = picture.copy()
        for individual in range(len(self._tracks.individuals)):
            for keypoint in range(len(self._tracks.keypoints)):
                way = self._shown[first : row + 1, individual, keypoint]
                steps = np.stack([way[:-1], way[1:]], axis=1)
                # a frame that is left out leaves a gap
                steps[np.diff(frames[first : row + 1]) > 1] = np.nan
                draw_lines(layer, steps, self._color(row, individual, keypoint), 1.6 * self._stroke)
        lay_over(picture, layer, _TRAIL)

    def _color(self, row: int, individual: int, keypoint: int) -> Color:
        if self._by == "confidence":
            return _confidence_color(float(self._tracks.confidence[row, individual, keypoint]))
        names = self._tracks.individuals if self._by == "individual" else self._tracks.keypoints
        return self._colors[names[individual if self._by == "individual" else keypoint]]

    def _write(self, picture: Image, row: int, time: float) -> None:
        tracks, margin = self._tracks, 10 * self._stroke
        shown = int(np.isfinite(self._shown[row, ..., 0]).sum())
        total = len(tracks.individuals) * len(tracks.keypoints)
        lines = [f"{tracks.camera}   frame {tracks.frames[row]}   {time:.3f} s"]
        lines.append(f"{shown} of {total} keypoints, confidence {self._settings.minimum_confidence:g} or more")
        for number, line in enumerate(lines):
            letters = self._letters if number == 0 else self._small
            top = margin + number * 1.35 * self._letters.height
            letters.draw(picture, line, (margin, top), WHITE, halo=BLACK)
        self._write_legend(picture, margin)

    def _write_legend(self, picture: Image, margin: float) -> None:
        """What the colors mean, in the lower left corner; left out where it would cover the picture."""
        entries = list(self._colors.items())
        if self._by == "confidence":
            entries = [(f"{value:g}", _confidence_color(value)) for value in (1.0, 0.5, 0.0)]
        height = 1.3 * self._small.height
        if len(entries) * height > _LEGEND * picture.shape[0] or len(entries) < 2:
            return
        for number, (name, color) in enumerate(entries):
            top = picture.shape[0] - margin - (len(entries) - number) * height
            middle = (margin + 4 * self._stroke, top + 0.62 * self._small.height)
            draw_dots(picture, middle, BLACK, 5.0 * self._stroke)
            draw_dots(picture, middle, color, 4.0 * self._stroke)
            self._small.draw(picture, name, (margin + 13 * self._stroke, top), WHITE, halo=BLACK)


def _confidence_color(value: float) -> Color:
    if np.isnan(value):
        return _UNSURE
    return blend(_UNSURE, _SO_SO, 2 * value) if value < 0.5 else blend(_SO_SO, _SURE, 2 * value - 1)
