"""What the overlays of 2D and of 3D poses share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from calibration.errors import InvalidValueError, MismatchError
from calibration.video import Video
from pose3d.visualization.drawing import Color, blend, rgb

__all__ = [
    "BLACK",
    "DEFAULT_FRAME_RATE",
    "WHITE",
    "check_scale",
    "common_frames",
    "grouped",
    "shifted_to_scale",
    "stroke_of",
]

Array = NDArray[np.float64]

DEFAULT_FRAME_RATE = 30.0
WHITE: Color = (255, 255, 255)
BLACK: Color = (0, 0, 0)
_BRIGHTEN = 0.25  # share of white in the colors of the body, for dark recordings


def check_scale(scale: float) -> None:
    """Raise an InvalidValueError where the size of an overlay relative to the video is impossible."""
    if not 0 < scale <= 8:
        raise InvalidValueError(
            "scale", expected="a factor from 0 to 8", got=str(scale), remedy="1 keeps the size of the video."
        )


def common_frames(video: Video, known: NDArray[np.int64], frames: Sequence[int] | None) -> NDArray[np.int64]:
    """Numbers of the frames that the video and the poses have, and that are asked for.

    Args:
        video: to draw on.
        known: frames of the poses.
        frames: asked for; all by default.

    Raises:
        MismatchError: there are none.
    """
    wanted = known if frames is None else np.unique(np.asarray(frames, dtype=np.int64))
    common = np.intersect1d(known, wanted)
    common = common[common < len(video)]
    if not len(common):
        span = f"frames {known[0]} to {known[-1]}" if len(known) else "no frames"
        raise MismatchError(
            video.path,
            expected="frames that are in the video and in the poses" + ("" if frames is None else " as asked for"),
            got=f"a video of {len(video)} frames, poses of {span}",
            remedy="Check that video and poses are of the same recording and count frames from 0.",
        )
    return common


def stroke_of(video: Video, scale: float) -> float:
    """Pixels of the thinnest line: everything is drawn at one size relative to the picture, whatever the resolution."""
    return max(1.0, min(video.size) * scale / 700)


def shifted_to_scale(pixels: Array, scale: float) -> Array:
    """Pixels of the video as those of a picture of another size."""
    return pixels * scale + (scale - 1) / 2


def grouped(colors: Sequence[str]) -> list[tuple[Color, list[int]]]:
    """Positions by color, a little brightened, so that everything of one color is drawn in one call."""
    return [
        (blend(rgb(color), WHITE, _BRIGHTEN), [index for index, other in enumerate(colors) if other == color])
        for color in dict.fromkeys(colors)
    ]
