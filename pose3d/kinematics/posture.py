"""Principal components of posture: the few directions in which the poses of a body differ most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from calibration.nearest import nearest_name
from pose3d.kinematics._combinations import Floats, framewise, labeled, unit_of
from pose3d.kinematics._poses import keypoint_names
from pose3d.kinematics.body_axes import Origin, body_centered
from pose3d.skeleton import Point, Skeleton

__all__ = ["PostureSettings", "posture_components", "postures"]


@dataclass(frozen=True)
class PostureSettings:
    """How components of posture are found.

    Attributes:
        components: how many.
        keypoints: which count; all by default. One that is often missing costs all frames without it.
        origin, orientation: of the coordinates of the body, see `body_centered`.
        most_frames: components are fitted to at most so many poses, evenly spaced; scores are those of all frames.
            A variance of a hundred thousand independent values is good to half a percent.
    """

    components: int = 5
    keypoints: tuple[str, ...] = ()
    origin: Origin | Point = "axis"
    orientation: str = "heading"
    most_frames: int = 100_000


def posture_components(poses: xr.Dataset, skeleton: Skeleton, settings: PostureSettings | None = None) -> xr.Dataset:
    """Principal components of the poses in the coordinates of the body, of all individuals together.

    Coordinates are neither scaled nor whitened: a component is a direction in space, and its scores are lengths. The
    sign of a component is the one with which its largest coordinate is positive, so that it is the same in every run.
    Frames in which a keypoint is missing count for nothing and have no score. Bodies of different size differ by their
    size first of all.

    Args:
        poses: Poses3D; those of `body_centered` are taken as they are.
        skeleton: its anatomy says where front and rear are.
        settings: see there.

    Returns:
        `posture_score`, `posture_score_std` (time, component, individual) in the unit of the poses;
        `posture_component` (component, space, keypoint), of length 1; `posture_mean` (space, keypoint); `posture_sd`
        (component), the standard deviation of the scores; `explained_variance_ratio` (component). `posture_score` has
        the number of poses that were fitted in its attributes.

    Raises:
        InvalidValueError: see `body_centered`; a keypoint is unknown; there are fewer complete poses or coordinates
            than components, or all poses are the same.
    """
    settings = settings or PostureSettings()
    centered = poses
    if poses.attrs.get("coordinates") != "body":
        centered = body_centered(poses, skeleton, origin=settings.origin, orientation=settings.orientation)
    chosen = _chosen(centered, settings)
    sample = _sample(chosen, settings)
    mean, vectors, variance, total = _fit(sample, settings)
    shape = (3, chosen.sizes["keypoint"])
    directions, middle = vectors.reshape(-1, *shape), mean.reshape(shape)
    unit = unit_of(poses)
    told = {"posture_score": (unit, "how far a pose is from the mean one along a component")}
    result = labeled(poses, _scores(chosen, directions, middle), told)
    result["posture_score"].attrs["fitted_poses"] = len(sample)
    return result.assign(
        posture_component=_variable(("component", "space", "keypoint"), directions, "1", "direction of a component"),
        posture_mean=_variable(("space", "keypoint"), middle, unit, "mean pose in the coordinates of the body"),
        posture_sd=_variable(("component",), np.sqrt(variance), unit, "standard deviation of the scores"),
        explained_variance_ratio=_variable(("component",), variance / total, "1", "share of the variance"),
    ).assign_coords(
        component=np.arange(1, len(vectors) + 1), space=chosen["space"].values, keypoint=chosen["keypoint"].values
    )


def _scores(chosen: xr.Dataset, directions: Floats, middle: Floats) -> dict[str, xr.DataArray]:
    """`posture_score` and, with covariance, `posture_score_std`, of components (component, space, keypoint)."""

    def compute(position: Floats, covariance: Floats | None) -> tuple[NDArray[np.generic], ...]:
        scores = np.einsum("...ak,nak->...n", position - middle, directions, optimize=True)
        if covariance is None:
            return (scores,)
        spread = np.einsum("nak,...abk,nbk->...n", directions, covariance, directions, optimize=True)
        return scores, np.sqrt(spread)

    names = ["posture_score", *(["posture_score_std"] if "covariance" in chosen else [])]
    return framewise(chosen, compute, dict.fromkeys(names, ("component",)), {"component": len(directions)})


def postures(components: xr.Dataset, amounts: Sequence[float] = (-2.0, 2.0)) -> xr.DataArray:
    """Components as poses: the mean one, changed along each component.

    Args:
        components: as `posture_components` gives them.
        amounts: by how many standard deviations.

    Returns:
        (component, amount, space, keypoint) in the coordinates of the body.
    """
    steps = xr.DataArray(np.asarray(amounts, dtype=np.float64), dims="amount", coords={"amount": list(amounts)})
    changed = components["posture_component"] * components["posture_sd"] * steps + components["posture_mean"]
    attributes = dict(components["posture_mean"].attrs) | {"long_name": "pose that differs from the mean one"}
    ordered = changed.transpose("component", "amount", "space", "keypoint")
    return ordered.rename("posture").assign_attrs(attributes)


def _variable(dims: tuple[str, ...], values: Floats, unit: str, name: str) -> xr.Variable:
    return xr.Variable(dims, values, {"units": unit, "long_name": name})


def _chosen(centered: xr.Dataset, settings: PostureSettings) -> xr.Dataset:
    """The poses of the keypoints that count."""
    names = keypoint_names(centered)
    unknown = [name for name in settings.keypoints if name not in names]
    if unknown:
        raise InvalidValueError(
            "posture settings, keypoints",
            expected="keypoints of the poses",
            got=unknown[0],
            remedy=nearest_name(unknown[0], names) or f"Choose out of {', '.join(names[:12])}.",
        )
    kept = [name for name in ("position", "covariance") if name in centered]
    return centered[kept].sel(keypoint=list(settings.keypoints or names))


def _sample(chosen: xr.Dataset, settings: PostureSettings) -> Floats:
    """(pose, coordinate) complete poses, at most so many."""
    position = chosen["position"]
    every = max(1, -(-position.sizes["time"] * position.sizes["individual"] // max(settings.most_frames, 1)))
    some = position.isel(time=slice(None, None, every)).transpose("time", "individual", "space", "keypoint")
    poses = np.asarray(some.values, dtype=np.float64)
    rows = poses.reshape(-1, poses.shape[2] * poses.shape[3])
    complete = rows[np.isfinite(rows).all(axis=1)]
    least = min(settings.components + 1, rows.shape[1])
    if len(complete) < max(least, 2) or not 1 <= settings.components <= rows.shape[1]:
        missing = np.isnan(poses).any(axis=2).mean(axis=(0, 1)) if poses.size else np.ones(poses.shape[3])
        worst = str(chosen["keypoint"].values[int(np.argmax(missing))])
        raise InvalidValueError(
            "posture",
            expected=f"more complete poses and coordinates than the {settings.components} components, one at least",
            got=f"{len(complete)} complete of {len(rows)} poses; {worst} is missing in {missing.max():.0%}",
            remedy="Fill gaps, or leave out the keypoints that are often missing: keypoints=(...).",
        )
    return complete


def _fit(sample: Floats, settings: PostureSettings) -> tuple[Floats, Floats, Floats, float]:
    """Mean pose, components, their variance, and the variance of all coordinates together."""
    from sklearn.decomposition import PCA

    total = float(sample.var(axis=0, ddof=1).sum())
    if not total > 1e-20 * float(np.abs(sample).max()) ** 2:
        raise InvalidValueError(
            "posture",
            expected="poses that differ",
            got="poses that are all the same",
            remedy="Components of posture need movement; check the recording.",
        )
    # The full decomposition has no random start, so that the same poses give the same components.
    fitted = PCA(n_components=settings.components, svd_solver="full").fit(sample)
    vectors = np.asarray(fitted.components_)
    largest = np.abs(vectors).argmax(axis=1)
    signs = np.sign(vectors[np.arange(len(vectors)), largest])
    return np.asarray(fitted.mean_), vectors * signs[:, None], np.asarray(fitted.explained_variance_), total
