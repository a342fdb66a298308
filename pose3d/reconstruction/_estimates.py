"""What was found of every individual, and the Poses3D Dataset made of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.triangulation import Status
from pose3d.datasets import POSES3D
from pose3d.reconstruction._correlation import with_lasting_noise
from pose3d.reconstruction._outcome import Outcome, as_dataset
from pose3d.reconstruction._recording import Part, Recording
from pose3d.reconstruction._repair import Repairs
from pose3d.reconstruction._systematic import Systematic
from pose3d.reconstruction._trajectory_model import TrajectoryModel
from pose3d.reconstruction._trajectory_problem import Frame
from pose3d.reconstruction.causal import CausalPose
from pose3d.skeleton import Skeleton

__all__ = ["NOT_DETERMINED", "Estimate", "Plan", "as_poses3d", "repaired_views"]

Array = NDArray[np.float64]

NOT_DETERMINED = 5  # status of a position that is too uncertain; the lower ones are those of `calibration.Status`
_REASONS = {int(status): status.meaning for status in Status} | {NOT_DETERMINED: "too uncertain"}
_USED = 0.5  # a camera was used where its view is more probably of the keypoint than lost


@dataclass(frozen=True, eq=False)
class Plan:
    """All that is known before a recording is reconstructed.

    Attributes:
        recording: 2D poses and cameras.
        skeleton: or None.
        model: what was learned.
        frame: what all windows have in common.
        margin: frames by which windows overlap on each side.
        systematic: what is uncertain of cameras and clocks, or None.
    """

    recording: Recording
    skeleton: Skeleton | None
    model: TrajectoryModel
    frame: Frame
    margin: int
    systematic: Systematic | None = None


@dataclass(frozen=True, eq=False)
class Estimate:
    """Where the keypoints of an individual are.

    Attributes:
        active: (time, keypoint) whether there is a position.
        places: (time, keypoint, 3).
        covariance: (time, keypoint, 3, 3).
        squared: (time, keypoint, camera) squared Mahalanobis distances of the views, NaN if not seen.
        spread: (time, keypoint, camera) root of the determinant of their covariance, see `Views.table`.
        repairs: of the 2D positions.
    """

    active: NDArray[np.bool_]
    places: Array
    covariance: Array
    squared: Array
    spread: Array
    repairs: Repairs

    @classmethod
    def of_poses(cls, poses: Sequence[CausalPose], planned: Plan, individual: int) -> Estimate:
        """Of poses of an individual that came one by one."""
        places = np.stack([pose.position for pose in poses])
        squared = np.stack([pose.squared for pose in poses])
        covariance = np.stack([pose.covariance for pose in poses])
        order = planned.frame.settings.order
        return cls(
            np.isfinite(places[..., 0]),
            places,
            with_lasting_noise(covariance, planned.model, individual, order),
            squared,
            np.stack([pose.spread for pose in poses]),
            Repairs.none(squared.shape),
        )


def as_poses3d(planned: Plan, part: Part, kept: slice, estimates: Sequence[Estimate]) -> xr.Dataset:
    """Poses3D of the frames of a part that are kept; one estimate per individual."""
    poses2d, rig = part.poses2d.isel(time=kept), planned.recording.rig
    shape = tuple(poses2d.sizes[dim] for dim in ("keypoint", "time", "individual", "camera"))
    outcome, probability = Outcome.empty(shape, covariance=True), np.full(shape, np.nan)
    assert outcome.covariance is not None
    kind, bridged, confidence = np.zeros(shape, dtype=np.int8), np.zeros(shape[:-1], dtype=bool), np.empty(shape)
    framewise = part.framewise["status"].isel(time=kept).transpose("individual", "time", "keypoint").values
    limit = (planned.frame.settings.largest_deviation * planned.frame.reach) ** 2
    for number, estimate in enumerate(estimates):
        covariance = estimate.covariance[kept]
        with np.errstate(invalid="ignore"):
            there = estimate.active[kept] & (np.trace(covariance, axis1=-2, axis2=-1) <= limit)
        core, tail, _ = planned.model.noise.shares(estimate.squared[kept], estimate.spread[kept])
        share = np.where(there[..., None], core + tail, np.nan)
        places = np.where(there[..., None], estimate.places[kept], np.nan)
        pixels, scores = repaired_views(part, number, kept, estimate.repairs)
        with np.errstate(invalid="ignore"):
            used = share > _USED
        lost = np.where(framewise[number] == Status.OK, NOT_DETERMINED, framewise[number])
        for target, values in (
            (outcome.points, places),
            (outcome.covariance, np.where(there[..., None, None], covariance, np.nan)),
            (outcome.inliers, used),
            (outcome.residuals, np.linalg.norm(rig.project(places) - pixels, axis=-1)),
            (outcome.n_cameras, used.sum(-1)),
            (outcome.status, np.where(there, 0, lost)),
            (probability, share),
            (kind, estimate.repairs.kind[kept]),
            (bridged, there & (used.sum(-1) < 2)),
            (confidence, scores),
        ):
            target[:, :, number] = np.moveaxis(values, 0, 1)
    for keypoint in range(shape[0]):
        outcome.summarize(keypoint, confidence[keypoint])
    dataset = as_dataset(poses2d, rig, outcome, _REASONS)
    by_camera, by_keypoint = POSES3D.variables["inlier"].dims, POSES3D.variables["status"].dims
    dataset["view_probability"] = (by_camera, np.transpose(probability, (1, 3, 0, 2)), {"units": "1"})
    flags = {
        "flag_values": np.array([0, 1, 2], dtype=np.int8),
        "flag_meanings": "none exchanged candidate",
        "units": "1",
    }
    dataset["repair"] = (by_camera, np.transpose(kind, (1, 3, 0, 2)), flags)
    dataset["bridged"] = (by_keypoint, np.swapaxes(bridged, 0, 1), {"units": "1"})
    return _with_model(dataset, planned)


def repaired_views(part: Part, number: int, kept: slice, repairs: Repairs) -> tuple[Array, Array]:
    """Pixels (time, keypoint, camera, 2) and confidence (time, keypoint, camera) after repairs."""
    views, source = part.views, repairs.source[kept]
    pixels = np.take_along_axis(views.pixels[number][kept], source[..., None], axis=1)
    confidence = np.take_along_axis(views.confidence[number][kept], source, axis=1)
    if part.candidates is not None:
        chosen = repairs.candidate[kept]
        for candidate in range(len(part.candidates.pixels)):
            here = chosen == candidate + 1
            pixels[here] = part.candidates.pixels[candidate][kept][here]
            confidence[here] = part.candidates.confidence[candidate][kept][here]
    return pixels, confidence


def _with_model(dataset: xr.Dataset, planned: Plan) -> xr.Dataset:
    """With what was learned."""
    model, unit, settings = planned.model, planned.recording.rig.unit, planned.frame.settings
    time = str(dataset["time"].attrs.get("units", "s"))
    dataset["noise"] = (
        ("keypoint", "camera"),
        model.noise.deviation,
        {"units": "px" if planned.recording.floor is None else "1"},
    )
    dataset["smoothness"] = (
        ("keypoint", "individual"), model.smoothness.T, {"units": f"{unit}/{time}^{settings.order}"}
    )  # fmt: skip
    bones = model.bones
    if bones is not None:
        names = [str(name) for name in dataset["keypoint"].values]
        dataset = dataset.assign_coords(bone=[f"{names[a]}-{names[b]}" for a, b in bones.pairs.tolist()])
        for name, values in (
            ("bone_length", bones.length),
            ("bone_deviation", bones.deviation),
            ("bone_length_std", bones.length_deviation),
        ):
            dataset[name] = (("bone", "individual"), values.T, {"units": unit})
    return dataset.assign_attrs(reconstruction=json.dumps(asdict(settings)))
