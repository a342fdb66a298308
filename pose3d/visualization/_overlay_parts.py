"""What the overlays of 2D and of 3D poses share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from calibration.errors import InvalidValueError, MismatchError
from calibration.video import Video
from pose3d.visualization.coloring import individual_colors
from pose3d.visualization.drawing import Color, Image, Lettering, blend, rgb

__all__ = [
    "BLACK",
    "DEFAULT_FRAME_RATE",
    "WHITE",
    "check_scale",
    "common_frames",
    "draw_names",
    "grouped",
    "name_colors",
    "shifted_to_scale",
    "stroke_of",
]

Array = NDArray[np.float64]

DEFAULT_FRAME_RATE = 30.0
WHITE: Color = (255, 255, 255)
BLACK: Color = (0, 0, 0)
_NAME_LIFT = 0.35  # of the height of a line: between an animal and its name
_NAME_BRIGHTEN = 0.45  # letters are thinner than bodies
_BODY = 3.0  # typical distances from the middle: what is farther is none of the body
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


def name_colors(individuals: Sequence[str]) -> list[Color]:
    """The color of the name of every individual on a picture: that which it has everywhere, a little brightened."""
    own = individual_colors(individuals)
    return [blend(rgb(own[name]), WHITE, _NAME_BRIGHTEN) for name in individuals]


def draw_names(
    picture: Image, letters: Lettering, points: Array, names: Sequence[str], colors: Sequence[Color], halo: Color
) -> None:
    """Write the name of every individual above it; names that would cover each other move up.

    Args:
        picture: drawn on in place.
        letters: how large.
        points: (individual, keypoint, 2) pixels of the picture, NaN where missing; who has none in it gets no name.
        names, colors: of the individuals.
        halo: color around the letters.
    """
    height, (rows, columns) = 1.3 * letters.height, picture.shape[:2]
    taken: list[tuple[float, float, float]] = []  # left, right and top
    for own, name, color in zip(points, names, colors, strict=True):
        with np.errstate(invalid="ignore"):
            inside = ((own >= 0) & (own <= (columns, rows))).all(axis=-1)
        if not inside.any():
            continue
        middle = np.median(own[inside], axis=0)
        off = np.linalg.norm(own[inside] - middle, axis=-1)
        # A keypoint that is far off is an outlier, and must not carry the name away.
        body = own[inside][off <= max(_BODY * float(np.median(off)), 1.0)]
        x, y = float(middle[0]), float(body[:, 1].min())
        width = letters.width(name)
        left = float(np.clip(x - width / 2, 0, max(0, columns - width)))
        top = y - height - _NAME_LIFT * letters.height
        for _ in range(len(taken)):
            covered = [
                each for each in taken if left < each[1] and each[0] < left + width and abs(top - each[2]) < height
            ]
            if not covered:
                break
            top = min(each[2] for each in covered) - height
        top = max(0.0, top)
        taken.append((left, left + width, top))
        letters.draw(picture, name, (left, top), color, halo=halo)
