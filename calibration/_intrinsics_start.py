"""Starting values of a lens from pictures of a flat board, in closed form: distortion first, then the focal length.

1. A plane is seen through a homography once the distortion is undone, whatever the focal length. One number bends
   the picture here, the division model (Fitzgibbon 2001), x / (1 + kappa r^2), which fits ordinary and fisheye lenses;
   the number that makes the homographies fit best is taken.
2. The columns of a homography are two sides of a right angle of equal length: two equations per view for the focal
   length (Zhang 2000), the principal point taken in the middle of the image.

Corners that do not fit the homography of their view are left out by a search over minimal samples (least median of
squares, Rousseeuw 1984), so that wrong corners move neither.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration._planar_pose import homographies
from calibration.lens import Fisheye, Lens
from calibration.lens_models import LensModel, lens_from_vector, lens_vector, parameter_names

__all__ = ["Start", "StartingLens", "fitting_corners", "lens_for_model", "masked_median", "misfits", "starting_values"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Division models from pincushion to a fisheye of 180 degrees across the diagonal (-0.9); in half diagonals.
_BENDINGS = np.array([0.2, 0.0, -0.1, -0.25, -0.45, -0.65, -0.85])
_WEAKEST = -0.97
# The distortion must explain so much of the error to be believed: a board in the middle of the image shows none.
_NOTICEABLE = 0.98
_SCAN_VIEWS, _SCAN_CORNERS = 20, 24
# 4 of 5 corners right: the chance that none of 40 samples has four right ones is 1e-9; 3 of 5: 0.4 %.
_SAMPLES = 40
# In clean pictures the largest residual is at most about 3 medians.
_SUSPICIOUS, _CLEAR_OUTLIER = 3.5, 6.0
# Focal lengths that real cameras have, in half diagonals: 160 degrees (of a pinhole) to 3 degrees.
_FOCAL_RANGE = (0.18, 40.0)


@dataclass(frozen=True)
class StartingLens:
    """A focal length and a radial bending about the middle of the image.

    Attributes:
        size: width and height of the image.
        focal_length: px.
        bending: kappa of the division model, per squared half diagonal of the image.
    """

    size: tuple[int, int]
    focal_length: float
    bending: float

    @property
    def center(self) -> Array:
        """(2,) middle of the image."""
        return _center(self.size)

    def undistort(self, pixels: Array) -> Array:
        """Normalized coordinates (..., 2) of pixels."""
        radius = _half_diagonal(self.size)
        return _unbend((pixels - self.center) / radius, self.bending) * (radius / self.focal_length)

    def profile(self, radii: Array) -> Array:
        """Normalized radii (n,) of radii (n,) in px from the middle of the image."""
        share = radii / _half_diagonal(self.size)
        return np.asarray(radii / (1 + self.bending * share**2) / self.focal_length)


@dataclass(frozen=True, eq=False)
class Start:
    """What is known before the first adjustment.

    Attributes:
        lens: the lens.
        fitting: (view, corner) True where a corner was seen and fits the homography of its view.
        homography: (view, 3, 3) from the board to normalized coordinates; NaN where a view has none.
        misfit: (view,) median distance of the fitting corners from the homography, in normalized coordinates.
    """

    lens: StartingLens
    fitting: Mask
    homography: Array
    misfit: Array


def starting_values(size: tuple[int, int], board: Array, position: Array, *, seed: int = 0) -> Start:
    """The lens that explains views (view, corner, 2) of a flat board (corner, 3) best, but for details."""
    radius = _half_diagonal(size)
    image = (position - _center(size)) / radius
    few, points = _fewer_corners(board, image[_scan_views(image)])
    fitting, _ = fitting_corners(points, few, seed=seed)
    few = np.where(fitting[..., None], few, np.nan)
    bending = _find_bending(points, few)
    straight = _unbend(image, bending)
    fitting, homography = fitting_corners(board, straight, seed=seed)
    focal_length = _focal_length(homography, board)
    misfit = misfits(homography, board, straight, fitting) / focal_length
    homography[:, :2] /= focal_length
    return Start(StartingLens(size, focal_length * radius, bending), fitting, homography, misfit)


def misfits(homography: Array, board: Array, image: Array, fitting: Mask) -> Array:
    """(view,) median distance of the fitting corners (view, corner, 2) from their homographies."""
    return masked_median(_residuals(homography, board, image), fitting)


def fitting_corners(board: Array, image: Array, *, seed: int = 0) -> tuple[Mask, Array]:
    """(view, corner) True where a corner is seen and fits the homography of its view; the homographies (view, 3, 3).

    Args:
        board: (corner, 3) corners of the board, or (view, corner, 3).
        image: (view, corner, 2) image coordinates in any unit, distortion undone as far as it is known.
        seed: chooses the samples.
    """
    seen = np.isfinite(image[..., 0])
    homography = homographies(board, image, steps=0)
    residual = _residuals(homography, board, image)
    middle, largest = masked_median(residual, seen), np.where(seen, residual, 0.0).max(axis=-1, initial=0.0)
    extent = np.where(seen[..., None], image, -np.inf).max(axis=1) - np.where(seen[..., None], image, np.inf).min(
        axis=1
    )
    suspicious = (largest > _SUSPICIOUS * middle) | (middle > 0.02 * extent.max(axis=-1))
    chosen = np.flatnonzero(suspicious & (seen.sum(axis=-1) > 4))
    if not len(chosen):
        return seen, homography
    points = np.broadcast_to(board, (len(image), *board.shape[-2:]))[chosen]
    fits = _consensus(points, image[chosen], seen[chosen], np.random.default_rng(seed))
    for _ in range(2):  # the minimal sample is replaced by all that fit it
        clean = np.where(fits[..., None], image[chosen], np.nan)
        homography[chosen] = homographies(points, clean, steps=0)
        fits = _within(_residuals(homography[chosen], points, image[chosen]), fits, seen[chosen])
    result = seen.copy()
    result[chosen] = fits
    return result, homography


def lens_for_model(lens: Lens | StartingLens, model: LensModel, size: tuple[int, int], reach: float) -> Lens:
    """A lens of the model that bends like another one: least squares over the radii from 0 to `reach` px.

    Tangential and further terms are kept from a lens of the same kind as far as the model has them.
    """
    pixels = np.linspace(0.02, 1.0, 50) * reach
    if isinstance(lens, StartingLens):
        vector = np.concatenate([np.full(2, lens.focal_length), lens.center, np.zeros(14)])
        radii = lens.profile(pixels)
    else:
        vector = np.concatenate([lens_vector(lens), np.zeros(14)])[:18]
        if isinstance(lens, Fisheye) != model.fisheye:
            vector[4:] = 0
        steps = np.stack([pixels, np.zeros_like(pixels)], axis=-1) + lens.camera_matrix[:2, 2]
        radii = np.linalg.norm(lens.undistort(steps), axis=-1)
    names = parameter_names(fisheye=model.fisheye)
    free = [name in model.free or (name in ("fx", "fy") and "f" in model.free) for name in names]
    vector = vector[: len(names)].copy()
    focal_length = float(vector[:2].mean())
    if "f" in model.free:
        vector[:2] = focal_length
    defaults = np.concatenate([vector[:2], _center(size), np.zeros(len(names) - 4)])
    vector = np.where(free, vector, defaults)
    known = np.isfinite(radii)
    _fit_radial(vector, names, model, radii[known], pixels[known] / focal_length)
    return lens_from_vector(vector, fisheye=model.fisheye, count=model.coefficient_count)


def _fit_radial(vector: Array, names: tuple[str, ...], model: LensModel, radii: Array, bent: Array) -> None:
    """Set the radial coefficients of the lens vector so that `radii` (n,) are bent to `bent` (n,)."""
    base = np.arctan(radii) if model.fisheye else radii
    radial = ("k1", "k2", "k3", "k4") if model.fisheye else ("k1", "k2", "k3")
    powers = {name: 2 * power for power, name in enumerate(radial, start=1) if name in model.free}
    for name in ("k4", "k5", "k6"):  # the rational terms start at 0
        if not model.fisheye:
            vector[names.index(name)] = 0
    if not powers or len(radii) < len(powers):
        return
    design = np.stack([base**power for power in powers.values()], axis=-1) * base[:, None]
    scale = np.abs(design).max(axis=0)
    solution = np.linalg.lstsq(design / scale, bent - base, rcond=1e-6)[0] / scale
    for name, value in zip(powers, solution, strict=True):
        vector[names.index(name)] = value


def _center(size: tuple[int, int]) -> Array:
    return (np.array(size, dtype=np.float64) - 1) / 2


def _half_diagonal(size: tuple[int, int]) -> float:
    return float(np.hypot(*size)) / 2


def _unbend(image: Array, bending: float) -> Array:
    return image / (1 + bending * _square(image))[..., None]


def _square(image: Array) -> Array:
    return np.asarray(image[..., 0] ** 2 + image[..., 1] ** 2)  # a sum over two is ten times slower


def _scan_views(image: Array) -> NDArray[np.intp]:
    """The views that show the distortion best: many corners far from the middle, spread over much of the image."""
    seen = np.isfinite(image[..., 0])
    moment = np.nansum(image**4, axis=(1, 2))
    spread = np.nanvar(np.where(seen[..., None], image, 0.0), axis=1).sum(axis=-1)
    return np.sort(np.argsort(-moment * spread, kind="stable")[:_SCAN_VIEWS])


def _fewer_corners(board: Array, image: Array) -> tuple[Array, Array]:
    """At most 32 of the corners of each view, evenly spaced in their order, and their places on the board."""
    seen = np.isfinite(image[..., 0])
    order = np.argsort(~seen, axis=-1, kind="stable")
    count = seen.sum(axis=-1)
    kept = np.minimum(count, _SCAN_CORNERS)
    place = np.arange(_SCAN_CORNERS) * np.maximum(count - 1, 1)[:, None] // np.maximum(kept - 1, 1)[:, None]
    chosen = np.take_along_axis(order, np.minimum(place, order.shape[1] - 1), axis=1)
    values = np.take_along_axis(image, chosen[..., None], axis=1)
    values[np.arange(_SCAN_CORNERS) >= kept[:, None]] = np.nan
    return values, board[chosen]


def _find_bending(points: Array, image: Array) -> float:
    """The division model whose homographies fit best; 0 where none is noticeably better than no bending."""
    tried = {float(bending): _misfit(points, image, float(bending)) for bending in _BENDINGS}
    for _ in range(3):  # parabolas through the best and its neighbors
        order = sorted(tried)
        middle = min(max(order.index(min(tried, key=tried.__getitem__)), 1), len(order) - 2)
        around = order[middle - 1 : middle + 2]
        curve = np.polyfit(np.array(around), [tried[value] for value in around], 2)
        trial = float(np.clip(-curve[1] / (2 * curve[0]), around[0], around[2])) if curve[0] > 0 else around[1]
        if min(abs(trial - value) for value in around) < 1e-4:
            break
        tried[trial] = _misfit(points, image, trial)
    best = min(tried, key=tried.__getitem__)
    return best if tried[best] < _NOTICEABLE * tried[0.0] else 0.0


def _misfit(points: Array, image: Array, bending: float) -> float:
    """Mean distance of the corners from their homographies, on the scale of the distorted image."""
    if bending <= _WEAKEST:
        return np.inf
    straight = _unbend(image, bending)
    residual = _residuals(homographies(points, straight, steps=0), points, straight)
    square = bending * _square(image)
    with np.errstate(all="ignore"):
        stretch = np.sqrt(np.maximum(1 - square, 0.05) / np.maximum(1 + square, 0.02) ** 3)
        values = residual / stretch
    return float(np.nanmean(values))


def _focal_length(homography: Array, board: Array) -> float:
    """Focal length in half diagonals: the median of what the views say, each with the weight of its perspective."""
    # Columns scaled alike: derivatives per half extent of the board at its middle.
    reach = float(np.ptp(board[:, :2], axis=0).max()) / 2
    shift = np.diag([reach, reach, 1.0])
    shift[:2, 2] = board[:, :2].mean(axis=0)
    h = homography @ shift
    h = h[np.isfinite(h).all(axis=(1, 2))]
    h /= np.linalg.norm(h[:, :, :2], axis=(1, 2))[:, None, None]
    one, two = h[..., 0], h[..., 1]
    upper = np.stack([(one * two)[:, :2].sum(-1), ((one**2 - two**2)[:, :2].sum(-1)) / 2], axis=-1)
    lower = np.stack([one[:, 2] * two[:, 2], (one[:, 2] ** 2 - two[:, 2] ** 2) / 2], axis=-1)
    # upper + f^2 lower = 0
    weight = (lower**2).sum(axis=-1)
    known = weight > 0
    if not known.any():  # all boards are exactly parallel to the image
        return 1.0
    square = -(upper * lower).sum(axis=-1)[known] / weight[known]
    weight = np.minimum(weight[known], np.quantile(weight[known], 0.75))  # no view alone decides
    order = np.argsort(square)
    share = np.cumsum(weight[order]) / weight.sum()
    middle = square[order][min(int(np.searchsorted(share, 0.5)), len(order) - 1)]
    return float(np.sqrt(np.clip(middle, _FOCAL_RANGE[0] ** 2, _FOCAL_RANGE[1] ** 2)))


def _residuals(homography: Array, board: Array, image: Array) -> Array:
    """(view, corner) distances of the corners from where their homography puts them; infinite where it has none."""
    plane = np.concatenate([board[..., :2], np.ones((*board.shape[:-1], 1))], axis=-1)
    mapped = plane @ homography.swapaxes(-1, -2)
    with np.errstate(all="ignore"):
        residual = np.sqrt(_square(mapped[..., :2] / mapped[..., 2:] - image))
    return np.where(np.isnan(residual) & np.isfinite(image[..., 0]), np.inf, residual)


def _consensus(points: Array, image: Array, seen: Mask, rng: np.random.Generator) -> Mask:
    """Corners within the threshold of the minimal homography with the least median residual."""
    views, count = len(image), seen.sum(axis=-1)
    order = np.argsort(~seen, axis=-1, kind="stable")
    place = (rng.random((views, _SAMPLES * 4)) * count[:, None]).astype(np.intp)
    drawn = np.take_along_axis(order, place, axis=1)
    source = np.take_along_axis(points[..., :2], drawn[..., None], axis=1).reshape(views, _SAMPLES, 4, 2)
    target = np.take_along_axis(image, drawn[..., None], axis=1).reshape(views, _SAMPLES, 4, 2)
    with np.errstate(all="ignore"):
        minimal = _minimal_homographies(source, target)
        residual = _residuals(minimal, points[:, None], image[:, None])
    residual = np.where(seen[:, None] & np.isfinite(residual), residual, np.inf)
    ranked = np.sort(residual, axis=-1)
    middle = np.take_along_axis(ranked, (count // 2)[:, None, None], axis=-1)[..., 0]
    best = residual[np.arange(views), middle.argmin(axis=-1)]
    return _within(best, seen, seen)


def _within(residual: Array, among: Mask, seen: Mask) -> Mask:
    middle = masked_median(residual, among)
    return seen & (residual <= _CLEAR_OUTLIER * middle[:, None] + 1e-12)


def masked_median(values: Array, mask: Mask) -> Array:
    """(view,) median of the masked values of each row; 0 where there is none."""
    ranked = np.sort(np.where(mask, values, np.inf), axis=-1)
    count = mask.sum(axis=-1)
    middle = np.take_along_axis(ranked, np.maximum(count - 1, 0)[:, None] // 2, axis=-1)[:, 0]
    return np.where(count > 0, middle, 0.0)


def _minimal_homographies(source: Array, target: Array) -> Array:
    """(..., 3, 3) homographies of four points (..., 4, 2) to four others, by way of the projective basis."""
    matrices = []
    for four in (source, target):
        a, b, c, d = np.moveaxis(np.concatenate([four, np.ones((*four.shape[:-1], 1))], axis=-1), -2, 0)
        shares = [(np.cross(*pair) * d).sum(axis=-1, keepdims=True) for pair in ((b, c), (c, a), (a, b))]
        matrices.append([share * corner for share, corner in zip(shares, (a, b, c), strict=True)])
    p, q, r = matrices[0]
    inverse = np.stack([np.cross(q, r), np.cross(r, p), np.cross(p, q)], axis=-2)
    return np.asarray(np.stack(matrices[1], axis=-1) @ inverse)
