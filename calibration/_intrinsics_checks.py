"""What views of a board leave open about a lens, said in words, with the next step."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from calibration._intrinsics_models import ModelFit, focal_deviation
from calibration._intrinsics_views import Coverage
from calibration.lens import Lens

__all__ = ["given_lens_warnings", "quality_warnings"]

Array = NDArray[np.float64]

# Beyond the outermost corner the distortion is a guess; at 0.8 of the half diagonal only the corners of the image are.
_ENOUGH_RADIUS, _ENOUGH_SHARE = 0.75, 0.5
_FEW_VIEWS = 10
# Boards that lean less than this leave the focal length to the distortion: 15 degrees change the depth across a board
# by a quarter of its size.
_ENOUGH_TILT = float(np.deg2rad(15.0))
_MANY_AMBIGUOUS, _MANY_OUTLIERS, _MANY_REJECTED = 0.5, 0.1, 0.25
_LARGE_ERROR = 1.5  # px
_VAGUE = 0.01
# A given lens does not fit where the focal length is off by more than 1 %, or the error by more than a third.
_FOCAL_TOLERANCE, _ERROR_TOLERANCE = 0.01, 1.33


def quality_warnings(
    fit: ModelFit,
    *,
    coverage: Coverage,
    tilt: Array,
    ambiguous: float,
    outliers: float,
    rejected: int,
    undetermined: Mapping[str, str],
    everywhere: bool,
) -> tuple[str, ...]:
    """Warnings about a calibration, the gravest first.

    Args:
        fit: the chosen model.
        coverage: of the image by the corners in use.
        tilt: (view,) radians between the boards and the image.
        ambiguous: share of the views whose mirrored pose fits as well.
        outliers: share of the corners that were left out.
        rejected: number of views that were left out.
        undetermined: what the views do not determine, by models that would predict better.
        everywhere: whether the lens is one-to-one over the whole image.
    """
    found = []
    views = len(tilt)
    deviation = focal_deviation(fit)
    steepest = float(np.quantile(tilt, 0.9))
    if ambiguous > _MANY_AMBIGUOUS:
        found.append(
            f"in {ambiguous:.0%} of the views two mirrored poses of the board fit equally well: tilt the board by 20 to"
            " 45 degrees, and hold it closer"
        )
    if steepest < _ENOUGH_TILT:
        found.append(
            f"the board is nearly parallel to the image (9 of 10 views below {np.rad2deg(steepest):.0f} degrees): tilt"
            " it by 20 to 45 degrees in all directions"
        )
    if deviation > _VAGUE:
        found.append(f"the focal length is known to {deviation:.1%} only: add views with the board tilted and close by")
    found.extend(_undetermined_warnings(undetermined))
    found.extend(_coverage_warnings(coverage, everywhere=everywhere))
    if views < _FEW_VIEWS:
        found.append(f"only {views} views: record 20 or more")
    if outliers > _MANY_OUTLIERS:
        found.append(f"{outliers:.0%} of the corners were left out as wrong: look at the detections")
    if rejected > _MANY_REJECTED * (views + rejected):
        found.append(f"{rejected} of {views + rejected} views were left out: look at the reasons")
    error = float(np.sqrt(2)) * fit.noise
    if error > _LARGE_ERROR:
        found.append(
            f"the error of {error:.2g} px RMS is large: check that the board is flat, its description right and the"
            " pictures sharp, or try further lens models"
        )
    return tuple(found)


def _coverage_warnings(coverage: Coverage, *, everywhere: bool) -> list[str]:
    found = []
    if coverage.radius < _ENOUGH_RADIUS:
        found.append(
            f"no corners beyond {coverage.radius:.0%} of the way from the middle of the image to its corners: the"
            " distortion there is extrapolated; hold the board into the corners of the image"
        )
    if not everywhere:
        found.append(
            "the lens holds only in a part of the image; pixels outside get no ray: hold the board into the corners of"
            " the image"
        )
    if coverage.share < _ENOUGH_SHARE:
        found.append(f"corners in {coverage.share:.0%} of the image only: move the board through all of it")
    return found


def _undetermined_warnings(undetermined: Mapping[str, str]) -> list[str]:
    grouped: dict[str, list[str]] = {}
    for model, words in undetermined.items():
        grouped.setdefault(words, []).append(model)
    advice = {
        "the focal length": "tilt the board more",
        "the principal point": "tilt the board about both axes, and turn it or the camera by 90 degrees in some views",
        "the distortion": "hold the board into the corners of the image",
    }
    return [
        f"{', '.join(models)} would fit better, but the views do not determine {words}:"
        f" {advice.get(words.split(' and ')[0], 'add views')}"
        for words, models in grouped.items()
    ]


def given_lens_warnings(lens: Lens, size: tuple[int, int], error: float, free: ModelFit) -> tuple[str, ...]:
    """Whether a given lens fits what was seen.

    Args:
        lens: as given.
        size: of the images that were seen.
        error: px, noise of a coordinate with the given lens.
        free: the same views with a lens fitted to them.
    """
    found = []
    given, fitted = float(lens.camera_matrix[0, 0]), float(free.lens.camera_matrix[0, 0])
    ratio = fitted / given
    sure = 4 * focal_deviation(free)
    center, half_diagonal = (np.array(size) - 1) / 2, float(np.hypot(*size)) / 2
    offset = float(np.linalg.norm(lens.camera_matrix[:2, 2] - center)) / half_diagonal
    if abs(ratio - 1) > max(_FOCAL_TOLERANCE, sure):
        text = f"the given focal length of {given:.1f} px does not fit: the views say {fitted:.1f} px"
        scaled = float(np.linalg.norm(lens.camera_matrix[:2, 2] * ratio - center)) / half_diagonal
        if abs(np.log(ratio)) > 0.05 and scaled < 0.5 * offset:
            width, height = np.array(size) / ratio
            text += (
                f"; it seems to be of images of {width:.0f} x {height:.0f}, not {size[0]} x {size[1]}: scale it by"
                f" {ratio:.3g}"
            )
        else:
            text += "; calibrate the lens anew, or check zoom and focus"
        found.append(text)
    elif offset > 0.25:
        x, y = lens.camera_matrix[:2, 2]
        found.append(
            f"the given principal point ({x:.0f}, {y:.0f}) is far from the middle of images of {size[0]} x"
            f" {size[1]}: check that the lens belongs to this image size, not turned or cut"
        )
    root = float(np.sqrt(2))
    if error > _ERROR_TOLERANCE * free.noise:
        found.append(
            f"the given lens leaves an error of {root * error:.2g} px RMS, one fitted to the views"
            f" {root * free.noise:.2g} px: calibrate it anew"
        )
    return tuple(found)
