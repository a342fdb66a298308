"""Lens models once more, with all cameras at once: what single views leave open, the cameras together may tell.

Alone, a lens that is a little too simple hides in the poses of the boards, and predicts views as well as a right one.
Cameras that see the same boards do not let it: a principal point held in the middle of the image, or two focal lengths
taken for one, move their rays against each other. On simulated rigs of lenses that stray from the plan by 0.1 % (focal
lengths) and 5e-4 (tangential distortion), the models that single views choose make errors in the volume that are three
to six times those of the model that is true.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from calibration._intrinsics_models import ModelFit, reaches_everywhere, uncertain_parameters
from calibration.bundle import BundleAdjustment, BundleStatus
from calibration.errors import InvalidValueError
from calibration.intrinsics import LensCalibration
from calibration.lens_models import LENS_MODELS, LensModel, lens_from_vector, lens_vector, parameter_names

__all__ = ["choose_jointly", "richer_models"]

# What the richest polynomial is that every camera is tried with; the rational model is left to the single views, which
# tell whether it is needed.
_RICHEST = LENS_MODELS["brown5"]
# A parameter counts where it lowers the squared error, in units of the noise, by more than it adds to that of new
# boards on average (Akaike 1974).
_WORTH = 2.0


def richer_models(models: Mapping[str, LensModel], growing: Collection[str]) -> dict[str, LensModel]:
    """What is tried with all cameras at once: for those that may grow, the richest model above that of single views."""
    return {
        name: _RICHEST if name in growing and _contains(_RICHEST, model) else model for name, model in models.items()
    }


def choose_jointly(
    rich: BundleAdjustment,
    tried: Mapping[str, LensModel],
    models: Mapping[str, LensModel],
    lenses: Mapping[str, LensCalibration],
) -> dict[str, LensModel]:
    """Of each camera, the model from that of its single views up to the one tried, that is worth its parameters.

    Args:
        rich: the adjustment with the models tried.
        tried: its models.
        models: those that single views chose.
        lenses: what is known of each lens by itself.
    """
    chosen = dict(models)
    if rich.covariance is None or rich.status != BundleStatus.CONVERGED:
        return chosen
    for name, model in models.items():
        if tried[name] == model:
            continue
        places = [rich.labels.index((name, parameter)) for parameter in tried[name].free]
        lens = lenses[name]
        fit = ModelFit(
            model=tried[name],
            lens=rich.rig[name].lens,
            cam_from_board=lens.cam_from_board,
            noise=lens.noise,
            residuals=lens.residuals,
            covariance=rich.covariance[np.ix_(places, places)],
            lost=0,
            status=rich.status,
        )
        chosen[name] = _choose(fit, model, lens.size, lens.coverage.radius * float(np.hypot(*lens.size)) / 2)
    return chosen


def _choose(fit: ModelFit, smallest: LensModel, size: tuple[int, int], reach: float) -> LensModel:
    """The model with the best score of those that are determined."""
    scored = []
    for model in LENS_MODELS.values():
        if _contains(fit.model, model) and _contains(model, smallest):
            rise, restricted = _restrict(fit, model, size)
            scored.append((rise + _WORTH * len(model.free), model, restricted))
    for _, model, restricted in sorted(scored, key=lambda each: each[0]):
        determined = restricted is not None and not uncertain_parameters(restricted, size, reach)
        if restricted is not None and determined and reaches_everywhere(restricted, size):
            return model
    return smallest


def _contains(larger: LensModel, smaller: LensModel) -> bool:
    """Whether all that is free in one model is free in the other, too."""
    if larger.fisheye != smaller.fisheye:
        return False
    inside, outside = (set(model.free) | ({"f"} if "fx" in model.free else set()) for model in (smaller, larger))
    return inside <= outside


def _restrict(fit: ModelFit, model: LensModel, size: tuple[int, int]) -> tuple[float, ModelFit | None]:
    """By how much the squared error, in units of the noise, rises with what a simpler model holds (Wald's statistic).

    And the fit that is to be expected then; None where its numbers make no lens.
    """
    names = fit.model.free
    place = {name: index for index, name in enumerate(parameter_names(fisheye=False))}
    vector = lens_vector(fit.lens)
    default = dict(zip(("cx", "cy"), ((np.array(size) - 1) / 2).tolist(), strict=True))
    held = [name for name in names if name not in model.free and name not in ("fx", "fy")]
    rows = [[float(name == one) for name in names] for one in held]
    offset = [vector[place[one]] - default.get(one, 0.0) for one in held]
    if "f" in model.free and "fx" in names:
        rows.append([float(name == "fx") - float(name == "fy") for name in names])
        offset.append(vector[place["fx"]] - vector[place["fy"]])
    if not rows:
        return 0.0, fit
    design, off = np.array(rows), np.array(offset)
    across = fit.covariance @ design.T
    solved = np.linalg.solve(design @ across, np.column_stack([off, across.T]))
    vector[[place[name] for name in names]] -= across @ solved[:, 0]
    try:
        lens = lens_from_vector(vector, fisheye=False, count=len(fit.lens.coefficients))
    except InvalidValueError:
        return float(off @ solved[:, 0]), None
    return float(off @ solved[:, 0]), replace(fit, lens=lens, covariance=fit.covariance - across @ solved[:, 1:])
