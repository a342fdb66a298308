"""Trajectories: the motion of a whole recording that best explains what all cameras saw, with its covariance.

Of the positions of all keypoints in all frames the most probable are found, given

- the 2D positions, whose noise has a core, a tail and a share that is lost (`NoiseModel`; a redescending loss);
- smoothness: a derivative of the motion is white noise, whose size is learned for every keypoint;
- bones, whose lengths are learned for every individual and held softly, and ranges of angles.

Gauss-Newton solves it exactly, as a block-banded system (see `_trajectory_kernels`). The search starts at the robust
triangulation of every frame and its inliers: from anywhere else it can end in a wrong minimum. The covariance is the
inverse of the information at the end. A recording is worked through in windows that overlap by so much that where they
end does not matter.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.processors import available_processors
from calibration.rig import Rig
from calibration.schema import check
from calibration.triangulation import Status
from pose3d.datasets import POSES2D, POSES3D
from pose3d.reconstruction._outcome import Outcome, as_dataset
from pose3d.reconstruction._recording import Part, Recording, links_of, mirrored_keypoints
from pose3d.reconstruction._repair import Repairs, repair_window
from pose3d.reconstruction._trajectory_learning import learn, start_model
from pose3d.reconstruction._trajectory_model import TrajectoryModel
from pose3d.reconstruction._trajectory_problem import Frame, Solution, solve_window
from pose3d.reconstruction._trajectory_settings import TrajectorySettings
from pose3d.reconstruction.framewise import estimate_noise, match_cameras
from pose3d.skeleton import Skeleton

__all__ = ["NOT_DETERMINED", "Plan", "plan", "reconstruct", "reconstruct_pieces"]

Array = NDArray[np.float64]

NOT_DETERMINED = 5  # status of a position that is too uncertain; the lower ones are those of `calibration.Status`
_REASONS = {int(status): status.meaning for status in Status} | {NOT_DETERMINED: "too uncertain"}

# Positions in a window: with 6 cameras about 300 MB while it is worked on.
_POINTS_AT_ONCE = 100_000
# Bytes of the factor of the normal matrix where bones join keypoints.
_FACTOR_BYTES = 256e6
_REPAIR_ROUNDS = 3
# The noise that the triangulation starts with is learned from so many points; a better one is learned later.
_START_POINTS = 6_000
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
    """

    recording: Recording
    skeleton: Skeleton | None
    model: TrajectoryModel
    frame: Frame
    margin: int


def reconstruct(
    poses2d: xr.Dataset,
    rig: Rig,
    *,
    skeleton: Skeleton | None = None,
    settings: TrajectorySettings | None = None,
    workers: int | None = None,
) -> xr.Dataset:
    """Trajectories of all keypoints: 3D poses that use the whole recording.

    Args:
        poses2d: Poses2D Dataset. Where it has `covariance`, that is used instead of the confidence.
        rig: the calibrated cameras, matched by name.
        skeleton: names bones, mirrored pairs and ranges of angles; without it, there is smoothness alone.
        settings: how to reconstruct.
        workers: threads; as many as processors by default.

    Returns:
        A Poses3D Dataset as of `triangulate`, with covariance, and `view_probability` (time, camera, keypoint,
        individual) that a view is of the keypoint, `bridged` where fewer than two cameras were used, `repair` (0 none, 1
        left and right exchanged, 2 another candidate), what was learned (`noise`, `smoothness`, `bone_length`,
        `bone_deviation`, `bone_length_std`), and the settings as JSON in the attribute `reconstruction`.

    Raises:
        InvalidValueError: the Dataset does not follow the schema Poses2D.
        MismatchError: fewer than two cameras are common, or an image size is not that of the rig's camera.
    """
    check(poses2d, POSES2D)
    planned = plan(poses2d, rig, skeleton=skeleton, settings=settings)
    pieces = [solid for _, solid in reconstruct_pieces(planned, workers=workers)]
    return xr.concat(
        pieces, dim="time", data_vars="minimal", coords="minimal", compat="override", join="override",
        combine_attrs="override",
    )  # fmt: skip


def plan(
    poses2d: xr.Dataset,
    rig: Rig,
    *,
    skeleton: Skeleton | None = None,
    settings: TrajectorySettings | None = None,
) -> Plan:
    """Learn noise, smoothness and bones from parts of a recording, which may be lazily loaded.

    Raises:
        InvalidValueError, MismatchError: as for `reconstruct`.
    """
    check(poses2d, POSES2D, values=False)
    settings = settings or TrajectorySettings()
    poses2d, rig = match_cameras(poses2d, rig)
    noise = estimate_noise(poses2d, rig, settings=settings.triangulation, points=_START_POINTS)
    recording = Recording.of(poses2d, rig, noise, settings)
    keypoints = [str(name) for name in poses2d["keypoint"].values]
    links, joints = links_of(skeleton, keypoints, settings)
    pilot = recording.pilot()
    frame = recording.frame(pilot, joints)
    deviation = noise.sigma if recording.floor is None else np.ones(noise.sigma.shape)
    model = start_model(deviation, poses2d.sizes["individual"], frame, recording.interval, recording.area())
    model = learn(model, [part.windows for part in pilot], frame, links)
    return Plan(recording, skeleton, model, frame, recording.margin(model, pilot))


def reconstruct_pieces(
    planned: Plan, *, workers: int | None = None, progress: Callable[[int], object] | None = None
) -> Iterator[tuple[xr.Dataset, xr.Dataset]]:
    """The 2D poses and the trajectories piece by piece along time, in memory that does not grow with the recording.

    Args:
        planned: see `plan`.
        workers: pieces that are worked on at once; as many as processors by default.
        progress: called with the number of frames of each piece.
    """
    count = workers or available_processors()
    length = planned.recording.poses2d.sizes["time"]
    size = _piece_size(planned, count)
    waiting: list[Future[tuple[xr.Dataset, xr.Dataset]]] = []
    with ThreadPoolExecutor(count) as pool:
        for first in range(0, length, size):
            last = min(first + size, length)
            before, after = max(0, first - planned.margin), min(length, last + planned.margin)
            poses2d = planned.recording.read(before, after)
            waiting.append(pool.submit(_solve_piece, planned, poses2d, slice(first - before, last - before)))
            if len(waiting) > count:
                yield _done(waiting.pop(0), progress)
        while waiting:
            yield _done(waiting.pop(0), progress)


def _done(
    future: Future[tuple[xr.Dataset, xr.Dataset]], progress: Callable[[int], object] | None
) -> tuple[xr.Dataset, xr.Dataset]:
    piece = future.result()
    if progress is not None:
        progress(piece[1].sizes["time"])
    return piece


def _piece_size(planned: Plan, workers: int) -> int:
    """Frames of a piece: enough that margins do not count, few enough for the memory, and work for every worker."""
    sizes = planned.recording.poses2d.sizes
    most = max(1, _POINTS_AT_ONCE // (sizes["keypoint"] * sizes["individual"]))
    bones = planned.model.bones
    if (bones is not None and len(bones.pairs)) or planned.frame.joints is not None:
        unknowns = 3 * sizes["keypoint"]
        most = min(most, int(_FACTOR_BYTES / (8 * (planned.frame.settings.order + 4) * unknowns**2)))
    least = max(2 * planned.margin, 100)
    return max(min(most, -(-sizes["time"] // workers)), least)


def _solve_piece(planned: Plan, poses2d: xr.Dataset, kept: slice) -> tuple[xr.Dataset, xr.Dataset]:
    part = planned.recording.part(poses2d)
    solved = [_solve_individual(planned, part, number) for number in range(len(part.windows))]
    dataset = _dataset(planned, part, kept, [one[0] for one in solved], [one[1] for one in solved])
    return part.poses2d.isel(time=kept), dataset


def _solve_individual(planned: Plan, part: Part, number: int) -> tuple[Solution, Repairs]:
    """The trajectory of one individual, after repairs of its 2D positions."""
    window, model, frame = part.windows[number], planned.model, planned.frame
    repairs = Repairs.none(window.agreeing.shape)
    mirrored = mirrored_keypoints(planned.skeleton, _keypoints(part.poses2d))
    wanted = frame.settings.repair_swaps and len(mirrored) > 0
    bodies = (model.bones is not None and bool(len(model.bones.pairs))) or frame.joints is not None
    solution = solve_window(window, frame, model, number, bodies=bodies and not wanted)
    for rounds in range(_REPAIR_ROUNDS if wanted else 0):
        window, repairs, changed = repair_window(window, solution, model.noise, frame, mirrored, None, repairs)
        if not changed and not (bodies and rounds == 0):
            break
        solution = solve_window(window, frame, model, number, solution=solution, bodies=bodies)
        if not changed:
            break
    return solution, repairs


def _keypoints(poses: xr.Dataset) -> list[str]:
    return [str(name) for name in poses["keypoint"].values]


def _dataset(planned: Plan, part: Part, kept: slice, solutions: list[Solution], repairs: list[Repairs]) -> xr.Dataset:
    """Poses3D of the frames that are kept."""
    poses2d = part.poses2d.isel(time=kept)
    rig, frame, model = planned.recording.rig, planned.frame, planned.model
    shape = tuple(poses2d.sizes[dim] for dim in ("keypoint", "time", "individual", "camera"))
    outcome, probability = Outcome.empty(shape, covariance=True), np.full(shape, np.nan)
    kind, bridged = np.zeros(shape, dtype=np.int8), np.zeros(shape[:-1], dtype=bool)
    framewise = part.framewise["status"].isel(time=kept).transpose("individual", "time", "keypoint").values
    confidence = np.empty(shape)
    for number, (solution, repair) in enumerate(zip(solutions, repairs, strict=True)):
        active = part.windows[number].segment[kept] >= 0
        variance = np.trace(solution.covariance[kept], axis1=-2, axis2=-1)
        with np.errstate(invalid="ignore"):
            determined = variance <= (frame.settings.largest_deviation * frame.reach) ** 2
        there = active & determined
        core, tail, _ = model.noise.shares(solution.squared[kept])
        share = np.where(there[..., None], core + tail, np.nan)
        source = repair.source[kept]
        pixels = np.take_along_axis(part.views.pixels[number][kept], source[..., None], axis=1)
        places = np.where(there[..., None], solution.places[kept], np.nan)
        with np.errstate(invalid="ignore"):
            used = share > _USED
        lost = np.where(framewise[number] == Status.OK, NOT_DETERMINED, framewise[number])
        for target, values in (
            (outcome.points, places),
            (outcome.covariance, np.where(there[..., None, None], solution.covariance[kept], np.nan)),
            (outcome.inliers, used),
            (outcome.residuals, np.linalg.norm(rig.project(places) - pixels, axis=-1)),
            (outcome.n_cameras, used.sum(-1)),
            (outcome.status, np.where(there, 0, lost)),
            (probability, share),
            (kind, repair.kind[kept]),
            (bridged, there & (used.sum(-1) < 2)),
            (confidence, np.take_along_axis(part.views.confidence[number][kept], source, axis=1)),
        ):
            assert target is not None
            target[:, :, number] = np.moveaxis(values, 0, 1)
    for keypoint in range(shape[0]):
        outcome.summarize(keypoint, confidence[keypoint])
    dataset = as_dataset(poses2d, rig, outcome, _REASONS)
    by_camera, by_keypoint = POSES3D.variables["inlier"].dims, POSES3D.variables["status"].dims
    dataset["view_probability"] = (by_camera, np.transpose(probability, (1, 3, 0, 2)), {"units": "1"})
    dataset["repair"] = (
        by_camera,
        np.transpose(kind, (1, 3, 0, 2)),
        {"flag_values": np.array([0, 1, 2], dtype=np.int8), "flag_meanings": "none left_and_right_exchanged candidate"},
    )
    dataset["bridged"] = (by_keypoint, np.swapaxes(bridged, 0, 1), {"units": "1"})
    return _with_model(dataset, planned)


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
        names = _keypoints(dataset)
        dataset = dataset.assign_coords(bone=[f"{names[a]}-{names[b]}" for a, b in bones.pairs.tolist()])
        for name, values in (
            ("bone_length", bones.length),
            ("bone_deviation", bones.deviation),
            ("bone_length_std", bones.length_deviation),
        ):
            dataset[name] = (("bone", "individual"), values.T, {"units": unit})
    return dataset.assign_attrs(reconstruction=json.dumps(asdict(settings)))
