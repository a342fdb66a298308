"""Fitting lens models to chosen views, their held-out errors, and which of them the views determine.

The held-out error of a view is that of the lens fitted to all other views, with only the pose of the board fitted to
the view itself. Near the optimum every view costs E_v(x) = E_v + g_v x + x H_v x / 2 in the lens parameters, its pose
eliminated; so the lens without view v is off by (sum H - H_v)^-1 g_v, and no fit need be repeated: leave-one-out by one
Newton step (the infinitesimal jackknife; exact where the model is linear).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from calibration._bundle_boards import BoardTerm, Scale
from calibration._bundle_problem import State, camera_table, make_layout, pack_views, rows_of
from calibration._bundle_workers import Workers
from calibration._planar_pose import planar_poses
from calibration.bundle import LOSS, BundleSettings, BundleStatus, adjust_boards
from calibration.camera import Camera
from calibration.errors import InvalidValueError, SuiteWarning
from calibration.lens import Fisheye, Lens
from calibration.lens_models import LensModel, lens_from_vector, lens_vector, parameter_names
from calibration.rig import Rig
from calibration.transforms import RigidTransform

__all__ = [
    "ModelFit",
    "Views",
    "choose_model",
    "fit_model",
    "fit_poses",
    "focal_deviation",
    "held_out_errors",
    "hopeful_models",
    "reaches_everywhere",
    "residuals_of",
    "rise_elsewhere",
    "robust_noise",
    "uncertain_parameters",
]

Array = NDArray[np.float64]

# Standard deviations beyond which a parameter counts as not determined, as a share of the focal length and of half the
# image diagonal. Good recordings have 0.0005 and 0.001; at 3 % a person of 1.8 m is 5 cm too tall or too small.
_LARGEST_DEVIATION = 0.03
# The same for what one coefficient does to the outermost corner, as a share of its distance from the middle. Terms that
# cannot be told apart, as those of the rational model over a narrow view, have 1 and more.
_LARGEST_EFFECT = 0.3
# Rise of the squared error, in units of the noise, by which a model is ruled out: it has to win by ten standard errors
# over a hundred views to come back.
_HOPELESS = 1000.0
# px; keeps data without noise, made by a computer, from determining everything
_SMALLEST_NOISE = 0.02


@dataclass(frozen=True, eq=False)
class Views:
    """What is known of one camera.

    Attributes:
        name, size: of the camera.
        points: (corner, 3) the board.
        position: (view, corner, 2) pixels, NaN where not seen or not believed.
    """

    name: str
    size: tuple[int, int]
    points: Array
    position: Array

    def rig(self, lens: Lens) -> Rig:
        """A rig of this camera alone, which is the world."""
        return Rig((Camera(self.name, self.size, lens, RigidTransform.identity()),))


@dataclass(frozen=True, eq=False)
class ModelFit:
    """A lens model fitted to views.

    Attributes:
        model: what was free.
        lens: the lens.
        cam_from_board: (view,) poses of the board.
        noise: px per coordinate, by least squares with its degrees of freedom.
        residuals: (view, corner, 2) px, observed minus projected, NaN where not seen.
        covariance: of the free parameters, in their order; NaN where they are not determined.
        lost: number of corners that the lens does not reach.
        status: how the adjustment ended.
    """

    model: LensModel
    lens: Lens
    cam_from_board: RigidTransform
    noise: float
    residuals: Array
    covariance: Array
    lost: int
    status: BundleStatus

    @property
    def deviations(self) -> dict[str, float]:
        """Standard deviation of every free parameter."""
        with np.errstate(invalid="ignore"):
            values = np.sqrt(np.diag(self.covariance))
        return dict(zip(self.model.free, values.tolist(), strict=True))


def fit_model(
    views: Views,
    model: LensModel,
    lens: Lens,
    poses: RigidTransform,
    *,
    loss: Literal["none", "cauchy"] = "none",
) -> ModelFit:
    """Fit a lens model and the poses (view,) of the board, from a lens of its kind and poses near the truth.

    Args:
        views: what was seen.
        model: what is free.
        lens, poses: starting values.
        loss: of the corners, see `BundleSettings`.
    """
    with warnings.catch_warnings():
        # Corners that the lens does not reach are found again among the residuals, as NaN.
        warnings.simplefilter("ignore", SuiteWarning)
        try:
            found = adjust_boards(
                views.rig(lens),
                views.points,
                poses,
                views.position[None],
                models={views.name: model},
                fixed_poses=(views.name,),
                settings=BundleSettings(loss=loss, maximum_iterations=50),
            )
        except InvalidValueError:  # numbers that make no lens: nothing held them
            return _failed(views, model, lens, poses)
    count = len(model.free)
    return ModelFit(
        model=model,
        lens=found.rig.cameras[0].lens,
        cam_from_board=found.world_from_board,
        noise=float(found.noise[0]),
        residuals=found.residuals[0],
        covariance=np.full((count, count), np.nan) if found.covariance is None else found.covariance,
        lost=int((np.isfinite(views.position[..., 0]) & ~np.isfinite(found.residuals[0, ..., 0])).sum()),
        status=found.status,
    )


def _failed(views: Views, model: LensModel, lens: Lens, poses: RigidTransform) -> ModelFit:
    count = len(model.free)
    residuals = residuals_of(lens, poses, views.points, views.position)
    return ModelFit(
        model=model,
        lens=lens,
        cam_from_board=poses,
        noise=robust_noise(np.hypot(*np.moveaxis(residuals[np.isfinite(residuals[..., 0])], -1, 0))),
        residuals=residuals,
        covariance=np.full((count, count), np.nan),
        lost=0,
        status=BundleStatus.SINGULAR,
    )


def fit_poses(views: Views, lens: Lens, poses: RigidTransform, *, loss: Literal["none", "cauchy"] = "none") -> ModelFit:
    """The same with a lens that is held: only the poses are fitted."""
    return fit_model(views, LensModel("given", (), fisheye=isinstance(lens, Fisheye)), lens, poses, loss=loss)


def residuals_of(lens: Lens, cam_from_board: RigidTransform, points: Array, position: Array) -> Array:
    """(view, corner, 2) px, observed minus projected; NaN where not seen or where the lens does not reach."""
    moved = points @ cam_from_board.rotation.swapaxes(-1, -2) + cam_from_board.translation[:, None]
    with np.errstate(all="ignore"):
        depth = np.where(moved[..., 2] > 0, moved[..., 2], np.nan)
        return np.asarray(position - lens.distort(moved[..., :2] / depth[..., None]))


def robust_noise(error: Array) -> float:
    """Standard deviation of a coordinate from the median of distances (n,), which outliers hardly move."""
    return max(float(np.median(error)) / float(np.sqrt(2 * np.log(2))), 1e-6)


def hopeful_models(fit: ModelFit, models: tuple[LensModel, ...], size: tuple[int, int]) -> tuple[LensModel, ...]:
    """The models that a first fit does not rule out; all where it rules out each of them.

    What a model holds at its default is tested together with Wald's statistic. It estimates by how much the squared
    error, in units of the noise, would rise.
    """
    if not np.isfinite(fit.covariance).all():
        return models
    names = fit.model.free
    vector = dict(zip(parameter_names(fisheye=fit.model.fisheye), lens_vector(fit.lens), strict=True))
    default = {"cx": (size[0] - 1) / 2, "cy": (size[1] - 1) / 2}
    hopeful = []
    for model in models:
        if model.fisheye != fit.model.fisheye:  # polynomials of one or two terms do not reach a fisheye, nor back
            fine = model.fisheye or "k2" in model.free
        else:
            held = [place for place, name in enumerate(names) if name[0] in "ck" and name not in model.free]
            offset = np.array([vector[names[place]] - default.get(names[place], 0.0) for place in held])
            rise = float(offset @ np.linalg.solve(fit.covariance[np.ix_(held, held)], offset)) if held else 0.0
            fine = rise < _HOPELESS
        if fine:
            hopeful.append(model)
    return tuple(hopeful) or models


def held_out_errors(views: Views, fit: ModelFit) -> tuple[Array, Array]:
    """Squared error (view,) of each view by the lens fitted to all others, px^2 over both coordinates; degrees (view,).

    Divided by its degrees of freedom (two for every corner, less six for the pose), the error of a perfect lens is the
    squared noise of a coordinate.
    """
    rig = views.rig(fit.lens)
    layout = make_layout(rig, {views.name: fit.model}, (views.name,))
    packed = pack_views(views.position[None])
    use = np.ones(len(packed.corner), dtype=np.bool_)
    term = BoardTerm(packed, layout, Workers(1), -1, use)
    state = State(camera_table(rig, layout), rows_of(fit.cam_from_board), views.points, np.empty((0, 3)), np.empty(0))
    part = term.linearize(state, Scale(LOSS["none"][0], 1.0, np.ones((1, 1))))
    size = 6 + len(fit.model.free)
    upper = np.triu(part.matrix[:, :size, :size])
    matrix = upper + np.triu(upper, 1).swapaxes(1, 2)
    vector = part.vector[:, :size]
    pose, mixed, lens = matrix[:, :6, :6], matrix[:, :6, 6:], matrix[:, 6:, 6:]
    solved = np.linalg.solve(pose, np.concatenate([mixed, vector[:, :6, None]], axis=-1))
    curvature = lens - mixed.swapaxes(1, 2) @ solved[..., :-1]
    slope = vector[:, 6:] - (mixed.swapaxes(1, 2) @ solved[..., -1:])[..., 0]
    at_optimum = np.bincount(
        np.repeat(np.arange(len(packed.camera)), np.diff(packed.start)),
        weights=np.where(np.isfinite(part.r2), part.r2, 0.0),
        minlength=len(packed.camera),
    ) - (vector[:, :6] * solved[..., -1]).sum(axis=-1)
    others = curvature.sum(axis=0) - curvature
    scale = 1 / np.sqrt(np.maximum(np.diagonal(curvature.sum(axis=0)), 1e-300))
    scaled = others * scale[:, None] * scale
    step = scale * np.linalg.solve(scaled + 1e-12 * np.eye(len(scale)), (slope * scale)[..., None])[..., 0]
    moved = (step[:, None] @ curvature @ step[..., None])[:, 0, 0]
    degrees = 2.0 * np.diff(packed.start) - 6
    return at_optimum + 2 * (slope * step).sum(axis=-1) + moved, degrees


def focal_deviation(fit: ModelFit) -> float:
    """Standard deviation of the focal length as a share of it; infinite where it is not determined."""
    deviations = fit.deviations
    values = [
        deviations[name] / float(fit.lens.camera_matrix[0, 0]) for name in ("f", "fx", "fy") if name in deviations
    ]
    largest = max(values, default=0.0) * max(1.0, _SMALLEST_NOISE / fit.noise)
    return largest if np.isfinite(largest) else float("inf")


def uncertain_parameters(fit: ModelFit, size: tuple[int, int], reach: float) -> tuple[str, ...]:
    """What the views do not determine, in words; empty where all is fine.

    Args:
        fit: the model.
        size: width and height of the image.
        reach: distance of the outermost corner from the middle of the image in px.
    """
    half_diagonal = float(np.hypot(*size)) / 2
    deviations = fit.deviations
    scale = max(1.0, _SMALLEST_NOISE / fit.noise)
    found = [] if focal_deviation(fit) <= _LARGEST_DEVIATION else ["the focal length"]
    values = [deviations[name] * scale / half_diagonal for name in ("cx", "cy") if name in deviations]
    if values and not max(values) <= _LARGEST_DEVIATION:  # NaN too
        found.append("the principal point")
    edge = min(reach / float(fit.lens.camera_matrix[0, 0]), 1.5)  # angles grow no further than that
    powers = {"k1": 2, "k2": 4, "k3": 6}
    powers |= {"k4": 8} if fit.model.fisheye else {"k4": 2, "k5": 4, "k6": 6}
    effects = [deviations[name] * scale * edge**power for name, power in powers.items() if name in deviations]
    if fit.lost or (effects and not max(effects) <= _LARGEST_EFFECT):
        found.append("the distortion")
    return tuple(found)


def rise_elsewhere(views: Views, fit: ModelFit, factor: float) -> float:
    """By how much the squared error, in units of the noise, rises with another focal length and all else fitted again.

    Standard deviations are those of a linear model; of boards parallel to the image, whose tilt is noise, they are
    far too small. This looks `factor` away, with the poses begun anew.
    """
    vector = lens_vector(fit.lens)
    vector[:2] *= factor
    # the distortion stays what it is in pixels
    powers = (2, 4, 6, 8) if fit.model.fisheye else (2, 4, 1, 1, 6)
    vector[4 : 4 + len(powers)] *= float(factor) ** np.array(powers)
    try:
        lens = lens_from_vector(vector, fisheye=fit.model.fisheye, count=len(fit.lens.coefficients))
    except InvalidValueError:  # coefficients beyond all bounds: nothing holds them
        return 0.0
    normalized = lens.undistort(views.position)
    poses = planar_poses(views.points, normalized, steps=4)
    if not np.isfinite(poses.error[:, 0]).all():
        return float("inf")
    free = tuple(name for name in fit.model.free if name not in ("f", "fx", "fy"))
    other = fit_model(views, LensModel("held", free, fisheye=fit.model.fisheye), lens, poses.best)
    if other.lost:
        return float("inf")
    return float((np.nansum(other.residuals**2) - np.nansum(fit.residuals**2)) / max(fit.noise, _SMALLEST_NOISE) ** 2)


def reaches_everywhere(fit: ModelFit, size: tuple[int, int]) -> bool:
    """Whether the lens is one-to-one over the whole image."""
    (width, height) = size
    x, y = (np.linspace(-0.5, side - 0.5, 9) for side in (width, height))
    edge = [np.stack([x, np.full(9, end)], axis=-1) for end in (y[0], y[-1])]
    edge += [np.stack([np.full(9, end), y], axis=-1) for end in (x[0], x[-1])]
    return bool(np.isfinite(fit.lens.undistort(np.concatenate(edge))).all())


def choose_model(errors: Mapping[str, Array], candidates: tuple[str, ...]) -> str:
    """The simplest model (first of the candidates) whose held-out error is within one standard error of the best.

    The standard error is that of the difference to the best model over the views, which have most of their error in
    common (Breiman et al. 1984, with pairs).

    Args:
        errors: (view,) squared held-out errors of every model.
        candidates: names, the simplest first.
    """
    total = {name: float(errors[name].sum()) for name in candidates}
    best = min(candidates, key=total.__getitem__)
    for name in candidates:
        difference = errors[name] - errors[best]
        spread = float(np.sqrt(len(difference)) * difference.std())
        if float(difference.sum()) <= spread:
            return name
    return best
