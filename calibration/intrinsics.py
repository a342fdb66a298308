"""One camera's lens from its views of a board.

Starting values are found in closed form, views are chosen that cover the image and are tilted differently, corners and
views that disagree with the rest are left out, and of several lens models the simplest is taken that predicts views it
was not fitted to as well as the best does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration._intrinsics_checks import given_lens_warnings, quality_warnings
from calibration._intrinsics_models import (
    ModelFit,
    Views,
    choose_model,
    fit_model,
    fit_poses,
    focal_deviation,
    held_out_errors,
    hopeful_models,
    reaches_everywhere,
    residuals_of,
    rise_elsewhere,
    robust_noise,
    uncertain_parameters,
)
from calibration._intrinsics_preparation import Prepared, believed_corners, prepare
from calibration._intrinsics_settings import IntrinsicsSettings, require
from calibration._intrinsics_start import lens_for_model
from calibration._intrinsics_views import Coverage, image_coverage, image_reach, view_tilts
from calibration.errors import CalibrationError
from calibration.lens import Fisheye, Lens
from calibration.lens_models import LENS_MODELS, LensModel
from calibration.schema import as_floats
from calibration.transforms import RigidTransform

__all__ = ["Coverage", "IntrinsicsSettings", "LensCalibration", "calibrate_lens"]


# With a focal length this uncertain, a calibration says next to nothing about the depth of anything.
_VAGUEST = 0.1
# Of boards parallel to the image not even the uncertainty is right (a focal length four times too long came with 2 %).
# Where most are tilted less than this (radians) others are tried: these multiples of it. They must be five standard
# deviations away.
_DOUBTFUL_TILT, _CLEAR_RISE = float(np.deg2rad(15.0)), 25.0
_ELSEWHERE = (0.25, 0.5, 2.0, 4.0)
# So much larger may the squared held-out error of a model be that, unlike the chosen one, holds in the whole image.
_TOLERATED = 1.1


@dataclass(frozen=True, eq=False)
class LensCalibration:
    """The outcome of `calibrate_lens`.

    Attributes:
        name, size: of the camera.
        lens: the lens.
        model: which of its parameters were estimated; without free ones where the given lens was held.
        cam_from_board: (view,) poses of the board.
        views: (view,) frames that were used.
        rejected: why other frames were left out; frames that were not needed are not among them.
        residuals: (view, corner, 2) px, observed minus projected, of all corners seen; NaN elsewhere.
        used: (view, corner) True where the lens was fitted to the corner, False where it was left out as wrong.
        noise: px, standard deviation of a coordinate.
        rms, median, p95: px, distances of the corners in use from where the lens projects them.
        held_out: RMS distance in px by which each model misses views that it was not fitted to (the pose of the board
            is fitted to them), by name, the simplest first. Models that a first fit rules out are not among them, and
            none is where the lens was held.
        undetermined: what the views do not determine of a model, by name.
        standard_deviations: of every free parameter; px, and 1 for coefficients.
        covariance: (parameter, parameter) of the free parameters, in the order of `model.free`.
        coverage: where in the image the corners in use are.
        tilt: (view,) angle between board and image, radians.
        ambiguous: share of the views whose mirrored pose fits as well.
        warnings: what to know and to do, the gravest first.
    """

    name: str
    size: tuple[int, int]
    lens: Lens
    model: LensModel
    cam_from_board: RigidTransform
    views: NDArray[np.intp]
    rejected: Mapping[int, str]
    residuals: NDArray[np.float64]
    used: NDArray[np.bool_]
    noise: float
    rms: float
    median: float
    p95: float
    held_out: Mapping[str, float]
    undetermined: Mapping[str, str]
    standard_deviations: Mapping[str, float]
    covariance: NDArray[np.float64]
    coverage: Coverage
    tilt: NDArray[np.float64]
    ambiguous: float
    warnings: tuple[str, ...]


def calibrate_lens(
    name: str,
    size: tuple[int, int],
    position: ArrayLike,
    board_points: ArrayLike,
    *,
    models: Collection[str] | None = None,
    lens: Lens | None = None,
    fixed: bool = False,
    settings: IntrinsicsSettings | None = None,
) -> LensCalibration:
    """Calibrate the lens of one camera.

    What a model leaves out is 0, or the middle of the image.

    Args:
        name: of the camera, for messages.
        size: width and height of its images in pixels.
        position: (frame, corner, 2) pixels, NaN where a corner is not seen.
        board_points: (corner, 3) corners of the board, z is 0.
        models: names in `LENS_MODELS` that are tried; all of them by default.
        lens: where to start; found from the views by default.
        fixed: whether the given lens is held, and only measured.
        settings: thresholds.

    Raises:
        InvalidValueError: a shape or setting is wrong, or a model is not known.
        CalibrationError: the views do not determine a lens: too few, or all parallel.
    """
    settings = settings or IntrinsicsSettings()
    views, tried = _check(name, size, position, board_points, models, lens, fixed=fixed)
    if lens is not None and fixed:
        return _measure(views, lens, settings)
    prepared = prepare(views, lens, tried, settings)
    fits, errors, degrees = _compare(prepared, tried)
    undetermined = {
        model: " and ".join(words)
        for model, fit in fits.items()
        if (words := uncertain_parameters(fit, views.size, image_reach(views.size, prepared.views.position)))
    }
    determined = tuple(model for model in fits if model not in undetermined)
    if not determined:  # a vague focal length is told, a meaningless one is refused
        determined = tuple(model for model, fit in fits.items() if focal_deviation(fit) <= _VAGUEST)[:1]
    best = choose_model(errors, tuple(fits))
    if not determined or not _is_determined(prepared, fits[best]):
        raise _not_determined(prepared, fits)
    chosen = choose_model(errors, determined)
    if not reaches_everywhere(fits[chosen], views.size):
        chosen = _whole(fits, errors, determined, chosen, views.size)
    better = {model: words for model, words in undetermined.items() if model == best}
    prepared, fit = _once_more(prepared, fits[chosen], settings)
    return _result(
        prepared,
        fit,
        held_out={model: float(np.sqrt(2 * values.sum() / degrees)) for model, values in errors.items()},
        undetermined=undetermined,
        better=better,
    )


def _check(
    name: str,
    size: tuple[int, int],
    position: ArrayLike,
    board_points: ArrayLike,
    models: Collection[str] | None,
    lens: Lens | None,
    *,
    fixed: bool,
) -> tuple[Views, tuple[LensModel, ...]]:
    """The arguments as arrays and models, or an error."""
    points = as_floats(board_points, f"camera '{name}', board points", ends=(3,))
    pixels = as_floats(position, f"camera '{name}', position", ends=(2,))
    flat = points.ndim == 2 and len(points) >= 4 and bool((points[:, 2] == 0).all() and np.isfinite(points).all())
    require("board points", flat, "at least 4 corners (corner, 3) with z = 0", f"shape {points.shape}")
    fits = pixels.ndim == 3 and pixels.shape[1] == len(points)
    require(f"position of camera '{name}'", fits, f"shape (frame, {len(points)}, 2)", pixels.shape)
    require(f"position of camera '{name}'", not np.isinf(pixels).any(), "finite pixels, NaN where unseen", "infinity")
    whole = len(size) == 2 and all(float(side) == int(side) and side > 0 for side in size)
    require(f"size of camera '{name}'", whole, "width and height in pixels", size)
    require("fixed", lens is not None or not fixed, "a given lens to be held", "none")
    names = tuple(LENS_MODELS) if models is None else tuple(models)
    unknown = [model for model in names if model not in LENS_MODELS]
    require("models", bool(names) and not unknown, f"some of {', '.join(LENS_MODELS)}", ", ".join(unknown) or "none")
    tried = tuple(sorted((model for model in LENS_MODELS.values() if model.name in names), key=_complexity))
    return Views(name, (int(size[0]), int(size[1])), points, pixels), tried


def _complexity(model: LensModel) -> int:
    """Number of parameters; a fisheye has to beat the polynomials, but not the rational model."""
    return len(model.free) + (2 if model.fisheye else 0)


def _compare(
    prepared: Prepared, models: tuple[LensModel, ...]
) -> tuple[dict[str, ModelFit], dict[str, NDArray[np.float64]], float]:
    """Models fitted to the views, the simplest first, their squared held-out errors (view,), and degrees of freedom.

    The rational model is tried only where k3 helps: what its six radial coefficients fit otherwise is noise, along
    valleys in which the adjustment takes ten times as long.
    """
    views, first = prepared.views, prepared.fit
    reach = image_reach(views.size, views.position)
    fits: dict[str, ModelFit] = {}
    errors: dict[str, NDArray[np.float64]] = {}
    degrees = 0.0
    for model in hopeful_models(first, models, views.size):
        if model.name == "brown8" and {"brown4", "brown5"} <= set(fits) and not _helps(errors, "brown5", "brown4"):
            continue
        start = lens_for_model(first.lens, model, views.size, reach)
        fits[model.name] = fit = fit_model(views, model, start, first.cam_from_board)
        errors[model.name], freedom = held_out_errors(views, fit)
        degrees = float(freedom.sum())
    return fits, errors, degrees


def _helps(errors: Mapping[str, NDArray[np.float64]], larger: str, smaller: str) -> bool:
    return choose_model(errors, (smaller, larger)) == larger


def _whole(
    fits: Mapping[str, ModelFit],
    errors: Mapping[str, NDArray[np.float64]],
    determined: tuple[str, ...],
    chosen: str,
    size: tuple[int, int],
) -> str:
    """A model as good as the chosen one where there are corners that does not fold the image where there are none.

    It must be known up to the corners of the image: higher terms that only the middle determines end anywhere.
    """
    limit, corner = _TOLERATED * float(errors[chosen].sum()), float(np.hypot(*size)) / 2
    whole = tuple(
        model
        for model in determined
        if float(errors[model].sum()) < limit
        and not uncertain_parameters(fits[model], size, corner)
        and reaches_everywhere(fits[model], size)
    )
    return choose_model(errors, whole) if whole else chosen


def _is_determined(prepared: Prepared, fit: ModelFit) -> bool:
    """Whether the views tell the focal length from very different ones, by the model that predicts best.

    A simpler one may seem to determine it where it has to make up for the distortion that the model lacks.
    """
    tilt, _ = view_tilts(prepared.fit.cam_from_board)
    if np.quantile(tilt, 0.9) > _DOUBTFUL_TILT:
        return True
    return focal_deviation(fit) <= _VAGUEST and all(
        rise_elsewhere(prepared.views, fit, factor) > _CLEAR_RISE for factor in _ELSEWHERE
    )


def _not_determined(prepared: Prepared, fits: Mapping[str, ModelFit]) -> CalibrationError:
    tilt = np.rad2deg(view_tilts(prepared.fit.cam_from_board)[0])
    known = min(focal_deviation(fit) for fit in fits.values())
    vague = _VAGUEST < known < 1
    what = f"leave it open by {known:.0%}" if vague else "very different focal lengths fit equally well"
    return CalibrationError(
        f"camera '{prepared.views.name}', lens",
        expected="views of the board that determine at least the focal length",
        got=f"{len(tilt)} views tilted by {tilt.min():.0f} to {tilt.max():.0f} degrees, which {what}",
        remedy="Film the board tilted by 20 to 45 degrees, in different directions, close to the camera.",
    )


def _once_more(prepared: Prepared, fit: ModelFit, settings: IntrinsicsSettings) -> tuple[Prepared, ModelFit]:
    """Corners judged again by the chosen model; fitted again where that changed which are used."""
    views = prepared.views
    residual = residuals_of(fit.lens, fit.cam_from_board, views.points, prepared.raw)
    noise = robust_noise(np.hypot(*np.moveaxis(residual[np.isfinite(views.position[..., 0])], -1, 0)))
    position = believed_corners(prepared.raw, residual, max(noise, fit.noise), settings.outlier_threshold)
    same = np.isfinite(position[..., 0]) == np.isfinite(views.position[..., 0])
    enough = np.isfinite(position[..., 0]).sum(axis=-1) >= settings.minimum_corners
    if same.all() or not enough.all():
        return prepared, fit
    prepared = replace(prepared, views=replace(views, position=position))
    return prepared, fit_model(prepared.views, fit.model, fit.lens, fit.cam_from_board)


def _measure(views: Views, lens: Lens, settings: IntrinsicsSettings) -> LensCalibration:
    """How well a given lens fits."""
    prepared = prepare(views, lens, (), settings)
    prepared, fit = _once_more(prepared, fit_poses(prepared.views, lens, prepared.fit.cam_from_board), settings)
    free = _free_fit(views, isinstance(lens, Fisheye), settings)
    found = () if free is None else given_lens_warnings(lens, views.size, fit.noise, free)
    result = _result(prepared, fit, held_out={}, undetermined={}, better={})
    return replace(result, warnings=found + result.warnings)


def _free_fit(views: Views, fisheye: bool, settings: IntrinsicsSettings) -> ModelFit | None:
    """The views with a lens of their own; None where they do not determine one."""
    model = LENS_MODELS["fisheye" if fisheye else "brown4"]
    try:
        prepared = prepare(views, None, (model,), settings)
    except CalibrationError:
        return None
    start = lens_for_model(prepared.fit.lens, model, views.size, image_reach(views.size, views.position))
    fit = fit_model(prepared.views, model, start, prepared.fit.cam_from_board)
    return fit if np.isfinite(focal_deviation(fit)) else None


def _result(
    prepared: Prepared,
    fit: ModelFit,
    *,
    held_out: Mapping[str, float],
    undetermined: Mapping[str, str],
    better: Mapping[str, str],
) -> LensCalibration:
    views = prepared.views
    residuals = residuals_of(fit.lens, fit.cam_from_board, views.points, prepared.raw)
    used = np.isfinite(views.position[..., 0])
    error = np.hypot(*np.moveaxis(residuals[used], -1, 0))
    seen = np.isfinite(prepared.raw[..., 0])
    coverage = image_coverage(views.size, views.position)
    tilt, _ = view_tilts(fit.cam_from_board)
    ambiguous = float(prepared.ambiguous.mean())
    found = quality_warnings(
        fit,
        coverage=coverage,
        tilt=tilt,
        ambiguous=ambiguous,
        outliers=1 - float(used.sum() / seen.sum()),
        rejected=len(prepared.rejected),
        undetermined=better,
        everywhere=reaches_everywhere(fit, views.size),
    )
    if prepared.mirrored:
        found = (
            "the boards are seen as in a mirror: the pictures, or the description of the board, are flipped",
            *found,
        )
    return LensCalibration(
        name=views.name,
        size=views.size,
        lens=fit.lens,
        model=fit.model,
        cam_from_board=fit.cam_from_board,
        views=prepared.frames,
        rejected=prepared.rejected,
        residuals=residuals,
        used=used,
        noise=fit.noise,
        rms=float(np.sqrt(np.mean(error**2))),
        median=float(np.median(error)),
        p95=float(np.quantile(error, 0.95)),
        held_out=held_out,
        undetermined=undetermined,
        standard_deviations=fit.deviations,
        covariance=fit.covariance,
        coverage=coverage,
        tilt=tilt,
        ambiguous=ambiguous,
        warnings=found,
    )
