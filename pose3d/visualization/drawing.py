"""Anti-aliased drawing on images: lines, dots, crosses and text at subpixel positions.

The only module of this package that touches OpenCV. Images are (height, width, 3) uint8 and are drawn on in place;
colors are three numbers from 0 to 255 in the channel order of the image.
"""

from __future__ import annotations

import warnings
from typing import Any

import cv2
import numpy as np
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Color",
    "Image",
    "Lettering",
    "blend",
    "draw_crosses",
    "draw_dots",
    "draw_lines",
    "lay_over",
    "rgb",
    "scaled",
]

Image = NDArray[np.uint8]
Color = tuple[float, float, float]

_SHIFT = 4  # fractional bits: sixteenths of a pixel
_MOST_TEXTS = 256  # kept by Lettering: frame numbers never come back
_FARTHEST = 50_000.0  # pixels; OpenCV's fixed-point coordinates overflow far beyond


def rgb(color: str) -> Color:
    """Red, green and blue (0 to 255) of "#rrggbb"."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def blend(first: Color, second: Color, share: float) -> Color:
    """A color between two: `share` 0 is the first, 1 the second."""
    keep = 1.0 - share
    return (
        keep * first[0] + share * second[0],
        keep * first[1] + share * second[1],
        keep * first[2] + share * second[2],
    )


def draw_lines(image: Image, segments: ArrayLike, color: Color, thickness: float) -> None:
    """Draw segments (n, 2, 2) in pixels; those with a missing end are left out."""
    ends = np.asarray(segments, dtype=np.float64).reshape(-1, 2, 2)
    for (x0, y0), (x1, y1) in _fixed_point(ends[_drawable(ends)]):
        cv2.line(image, (x0, y0), (x1, y1), color, max(1, round(thickness)), cv2.LINE_AA, _SHIFT)


def draw_dots(image: Image, centers: ArrayLike, color: Color, radius: float, *, thickness: float | None = None) -> None:
    """Draw discs, or circles of this thickness, around centers (n, 2) in pixels; missing ones are left out."""
    places = np.asarray(centers, dtype=np.float64).reshape(-1, 2)
    line = -1 if thickness is None else max(1, round(thickness))
    for x, y in _fixed_point(places[_drawable(places[:, None])]):
        cv2.circle(image, (x, y), max(1, round(radius * (1 << _SHIFT))), color, line, cv2.LINE_AA, _SHIFT)


def draw_crosses(image: Image, centers: ArrayLike, color: Color, radius: float, *, thickness: float) -> None:
    """Draw diagonal crosses at centers (n, 2) in pixels; missing ones are left out."""
    places = np.asarray(centers, dtype=np.float64).reshape(-1, 1, 2)
    for arm in (np.array([[-1, -1], [1, 1]]), np.array([[-1, 1], [1, -1]])):
        draw_lines(image, places + radius / np.sqrt(2) * arm, color, thickness)


def _drawable(ends: NDArray[np.float64]) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):
        return np.asarray((np.abs(ends) < _FARTHEST).all(axis=(-2, -1)))


def _fixed_point(pixels: NDArray[np.float64]) -> list[Any]:
    """Nested lists of whole numbers, as OpenCV wants them."""
    whole: list[Any] = np.round(pixels * (1 << _SHIFT)).astype(np.int32).tolist()
    return whole


class Lettering:
    """Text of one height; every string is rasterized once, in a font that knows most alphabets.

    Args:
        height: of a line, in pixels.
    """

    def __init__(self, height: float) -> None:
        self.height = height
        self._font = FT2Font(findfont(FontProperties(family="DejaVu Sans")))
        self._font.set_size(height * 0.8, 72)
        self._known: dict[str, NDArray[np.float32]] = {}

    def width(self, text: str) -> int:
        """Width of a text in pixels."""
        return int(self._mask(text).shape[1])

    def draw(
        self, image: Image, text: str, corner: tuple[float, float], color: Color, *, halo: Color | None = None
    ) -> None:
        """Write text with its top-left corner at (x, y) pixels; what sticks out of the image is cut off.

        A halo is a dark or light shadow around the letters that keeps them readable on any background.
        """
        mask = self._mask(text)
        if halo is not None:
            wide = max(1, round(self.height / 9))
            padded = np.pad(mask, wide)
            # The minimum and the sum keep the halo soft: a plain dilation looks like a box.
            shadow = np.minimum(cv2.GaussianBlur(padded, (0, 0), wide / 1.6) * 2.6, 1.0).astype(np.float32)
            _lay(image, shadow, round(corner[0]) - wide, round(corner[1]) - wide, halo)
        _lay(image, mask, round(corner[0]), round(corner[1]), color)

    def _mask(self, text: str) -> NDArray[np.float32]:
        if text not in self._known:
            if len(self._known) >= _MOST_TEXTS:
                self._known.clear()
            with warnings.catch_warnings():
                # Letters that the font lacks come out as boxes; the picture is made all the same.
                warnings.simplefilter("ignore", UserWarning)
                self._font.set_text(text, 0.0)
                self._font.draw_glyphs_to_bitmap(antialiased=True)
            letters = np.asarray(self._font.get_image(), dtype=np.float32) / 255
            # Lines of text stand on a common base line whatever letters they hold.
            line = np.zeros((max(round(self.height * 1.3), len(letters)), letters.shape[1]), np.float32)
            descent = round(self._font.get_descent() / 64)
            top = int(np.clip(round(self.height) - (len(letters) - descent), 0, len(line) - len(letters)))
            line[top : top + len(letters)] = letters
            self._known[text] = line
        return self._known[text]


def _lay(image: Image, mask: NDArray[np.float32], x: int, y: int, color: Color) -> None:
    """Blend a color into the image where the mask (height, width) in [0, 1] says so."""
    top, left = max(0, -y), max(0, -x)
    bottom, right = min(mask.shape[0], image.shape[0] - y), min(mask.shape[1], image.shape[1] - x)
    if bottom <= top or right <= left:
        return
    share = mask[top:bottom, left:right, None]
    patch = image[y + top : y + bottom, x + left : x + right]
    patch[:] = np.round(patch * (1 - share) + share * np.asarray(color, np.float32)).astype(np.uint8)


def lay_over(image: Image, layer: Image, share: float) -> None:
    """Blend a layer of the same size into the image: `share` 0 leaves the image, 1 the layer."""
    cv2.addWeighted(layer, share, image, 1.0 - share, 0.0, dst=image)


def scaled(image: Image, scale: float) -> Image:
    """The image at another scale, averaged where it shrinks. The pixel (x, y) moves to (s x + (s - 1) / 2, ...)."""
    if scale == 1.0:
        return image
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC).astype(np.uint8)
