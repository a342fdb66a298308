"""Trajectories: the motion of a whole recording that best explains what all cameras saw, with its covariance.

Of the positions of all keypoints in all frames the most probable are found, given

- the 2D positions, whose noise has a core, a tail and a share that is lost (`NoiseModel`; a redescending loss);
- smoothness: a derivative of the motion is white noise, whose size is learned for every keypoint;
- bones, whose lengths are learned for every individual and held softly, and ranges of angles.

Newton's method solves it exactly, as a block-banded system (see `_trajectory_kernels`). The search starts at the robust
triangulation of every frame and its inliers: from anywhere else it can end in a wrong minimum. The covariance is the
inverse of the information at the end. A recording is worked through in windows that overlap by so much that where they
end does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError, MismatchError
from calibration.processors import available_processors
from calibration.rig import Rig
from calibration.rig_uncertainty import RigUncertainty
from calibration.schema import check
from pose3d.datasets import DETECTIONS, POSES2D
from pose3d.reconstruction._adaptation import local_strength
from pose3d.reconstruction._bodies import held_bones, with_curvature
from pose3d.reconstruction._correlation import correlation_of, with_lasting_noise
from pose3d.reconstruction._estimates import NOT_DETERMINED, Estimate, Plan, as_poses3d, repaired_views
from pose3d.reconstruction._recording import Part, Recording, links_of, mirrored_keypoints
from pose3d.reconstruction._repair import Repairs, repair_window
from pose3d.reconstruction._systematic import Systematic, clock_deviations, systematic_covariance
from pose3d.reconstruction._trajectory_learning import learn, start_model
from pose3d.reconstruction._trajectory_model import TrajectoryModel
from pose3d.reconstruction._trajectory_problem import Frame, Window, solve_window
from pose3d.reconstruction._trajectory_settings import Motion, TrajectorySettings
from pose3d.reconstruction.causal import CausalPose, FixedLag
from pose3d.reconstruction.framewise import estimate_noise, match_cameras
from pose3d.skeleton import Skeleton

__all__ = ["NOT_DETERMINED", "Plan", "plan", "reconstruct", "reconstruct_pieces"]

# Positions in a window: with 6 cameras about 300 MB while it is worked on.
_POINTS_AT_ONCE = 100_000
# Bytes of the factor of the normal matrix where bones join keypoints.
_FACTOR_BYTES = 256e6
_REPAIR_ROUNDS = 3
# The noise that the triangulation starts with is learned from so many points; a better one is learned later.
_START_POINTS = 6_000
_CAUSAL_FRAMES = 2_000  # in a piece
# The first brings nearly all; the last two matter where the motion is sudden.
_ADAPTATION_ROUNDS = 3


def reconstruct(
    poses2d: xr.Dataset,
    rig: Rig,
    *,
    skeleton: Skeleton | None = None,
    settings: TrajectorySettings | None = None,
    candidates: xr.Dataset | None = None,
    uncertainty: RigUncertainty | None = None,
    workers: int | None = None,
) -> xr.Dataset:
    """Trajectories of all keypoints: 3D poses that use the whole recording.

    Args:
        poses2d: Poses2D Dataset. Where it has `covariance`, that is used instead of the confidence.
        rig: the calibrated cameras, matched by name.
        skeleton: names bones, mirrored pairs and ranges of angles; without it, there is smoothness alone.
        settings: how to reconstruct.
        candidates: Detections of the same frames, which the poses are the most probable candidates of: where a camera
            disagrees, the others are tried.
        uncertainty: of the rig; it is added to the covariance, and with it that of the clocks of cameras that were
            synchronized. Without it both count as exact.
        workers: threads; as many as processors by default.

    Returns:
        A Poses3D Dataset as of `triangulate`, with covariance, and `view_probability` (time, camera, keypoint,
        individual) that a view is of the keypoint, `bridged` where fewer than two cameras were used, `repair` (0 none,
        1 left and right exchanged, 2 another candidate), what was learned (`noise`, `smoothness`, `bone_length`,
        `bone_deviation`, `bone_length_std`), and the settings as JSON in the attribute `reconstruction`.

    Raises:
        InvalidValueError: the Dataset does not follow the schema Poses2D or has no frame, or a lag is combined with
            what it cannot use.
        MismatchError: fewer than two cameras are common, an image size is not that of the rig's camera, candidates and
            poses are not of the same frames, cameras and keypoints, or the uncertainty is of another rig.
    """
    check(poses2d, POSES2D)
    planned = plan(poses2d, rig, skeleton=skeleton, settings=settings, candidates=candidates, uncertainty=uncertainty)
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
    candidates: xr.Dataset | None = None,
    uncertainty: RigUncertainty | None = None,
) -> Plan:
    """Learn noise, smoothness and bones from parts of a recording, which may be lazily loaded.

    Args:
        poses2d, rig, skeleton, settings, candidates, uncertainty: as for `reconstruct`.

    Raises:
        InvalidValueError, MismatchError: as for `reconstruct`.
    """
    check(poses2d, POSES2D, values=False)
    settings = settings or TrajectorySettings()
    if not poses2d.sizes["time"]:
        raise InvalidValueError(
            "2D poses", expected="at least one frame", got="none", remedy="Check how they were made or selected."
        )
    if settings.lag is not None and (uncertainty is not None or candidates is not None):
        raise InvalidValueError(
            "lag",
            expected="none, where candidates or the uncertainty of the rig are given",
            got=f"{settings.lag} frames",
            remedy="Leave out the lag: what is reconstructed as it comes uses neither.",
        )
    poses2d, rig = match_cameras(poses2d, rig)
    others = None if candidates is None else _other_candidates(candidates, poses2d)
    noise = estimate_noise(poses2d, rig, settings=settings.triangulation, points=_START_POINTS)
    recording = Recording.of(poses2d, rig, noise, settings, others)
    links, joints = links_of(skeleton, _keypoints(poses2d), settings)
    pilot = recording.pilot()
    windows = [part.windows for part in pilot]
    common, alone = recording.frame(pilot, joints), recording.alone(pilot)

    def learned(frame: Frame, from_windows: Sequence[Sequence[Window]]) -> TrajectoryModel:
        start = start_model(recording.deviation(), frame, recording.interval, recording.area(), alone)
        return learn(start, from_windows, frame, links)

    frames = [replace(common, settings=replace(settings, motion=motion)) for motion in _motions(settings, rig)]
    models = [learned(frame, windows) for frame in frames]
    best = int(np.argmax([model.score for model in models]))
    frame, model = frames[best], models[best]
    mirrored = mirrored_keypoints(skeleton if settings.repair_swaps else None, _keypoints(poses2d))
    repaired, changed = _repaired_pilot(windows, model, frame, mirrored)
    if changed:  # left for right looks like a motion that is sudden
        windows = repaired
        model = learned(frame, windows)
    if settings.lasting_noise:
        model = replace(model, correlation=correlation_of(windows, frame))
    systematic = None if uncertainty is None else Systematic.of(rig, uncertainty, clock_deviations(poses2d))
    margin = recording.margin(model, pilot, frame.settings.order)
    return Plan(recording, skeleton, model, frame, margin, systematic)


def _repaired_pilot(
    windows: Sequence[Sequence[Window]], model: TrajectoryModel, frame: Frame, mirrored: NDArray[np.int64]
) -> tuple[list[tuple[Window, ...]], bool]:
    """The windows with left and right put right, and whether anything was changed."""
    result, any_change = [], False
    for part in windows:
        done = []
        for number, window in enumerate(part):
            if len(mirrored):
                solution = solve_window(window, frame, model, number, bodies=False)
                repairs = Repairs.none(window.agreeing.shape)
                window, _, changed = repair_window(window, solution, model.noise, frame, mirrored, None, repairs)
                any_change |= changed
            done.append(window)
        result.append(tuple(done))
    return result, any_change


def _motions(settings: TrajectorySettings, rig: Rig) -> tuple[Motion, ...]:
    """The motions to try."""
    if settings.motion != "automatic":
        return (settings.motion,)
    if settings.smoothness is not None:
        return ("acceleration",)
    return ("velocity", "acceleration") if len(rig) > 2 else ("velocity",)


def _other_candidates(candidates: xr.Dataset, poses2d: xr.Dataset) -> xr.Dataset | None:
    """All but the most probable candidates, on the cameras of the poses; None where there are no others."""
    check(candidates, DETECTIONS, values=False)
    same = all(list(candidates[name].values) == list(poses2d[name].values) for name in ("frame", "keypoint"))
    if not same or poses2d.sizes["individual"] != 1 or "synchronization" in poses2d.attrs:
        raise MismatchError(
            "candidates",
            expected="detections of the same frames and keypoints as the 2D poses, of one individual, not synchronized",
            got=f"{candidates.sizes['time']} frames, keypoints {', '.join(_keypoints(candidates)[:5])}",
            remedy="Give the detections that the 2D poses were made of, or leave them out.",
        )
    chosen = candidates.sel(camera=poses2d["camera"].values).isel(candidate=slice(1, None))
    return chosen if chosen.sizes["candidate"] else None


def reconstruct_pieces(
    planned: Plan, *, workers: int | None = None, progress: Callable[[int], object] | None = None
) -> Iterator[tuple[xr.Dataset, xr.Dataset]]:
    """The 2D poses and the trajectories piece by piece along time, in memory that does not grow with the recording.

    Args:
        planned: see `plan`.
        workers: pieces that are worked on at once; as many as processors by default.
        progress: called with the number of frames of each piece.
    """
    pieces = _whole_pieces(planned, workers) if planned.frame.settings.lag is None else _causal_pieces(planned)
    for piece in pieces:
        if progress is not None:
            progress(piece[1].sizes["time"])
        yield piece


def _whole_pieces(planned: Plan, workers: int | None) -> Iterator[tuple[xr.Dataset, xr.Dataset]]:
    count = workers or available_processors()
    length = planned.recording.poses2d.sizes["time"]
    size = _piece_size(planned, count)
    waiting: list[Future[tuple[xr.Dataset, xr.Dataset]]] = []
    pool = ThreadPoolExecutor(count)
    try:
        for first in range(0, length, size):
            last = min(first + size, length)
            before, after = max(0, first - planned.margin), min(length, last + planned.margin)
            read = planned.recording.read(before, after)
            waiting.append(pool.submit(_solve_piece, planned, *read, slice(first - before, last - before)))
            if len(waiting) > count:
                yield waiting.pop(0).result()
        while waiting:
            yield waiting.pop(0).result()
    finally:  # what was not begun need not be done where the reader went away
        pool.shutdown(cancel_futures=True)


def _causal_pieces(planned: Plan) -> Iterator[tuple[xr.Dataset, xr.Dataset]]:
    recording, lag = planned.recording, planned.frame.settings.lag
    assert lag is not None
    length = recording.poses2d.sizes["time"]
    filters = [
        FixedLag(recording.rig, planned.model, planned.frame, lag=lag, individual=number)
        for number in range(recording.poses2d.sizes["individual"])
    ]
    poses: list[list[CausalPose]] = [[] for _ in filters]
    taken = 0
    for first in range(0, length, _CAUSAL_FRAMES):
        last = min(first + _CAUSAL_FRAMES, length)
        ahead = min(last + lag, length)
        _feed(filters, poses, recording.read(taken, ahead)[0])
        taken = ahead
        if ahead == length:
            for one, found in zip(filters, poses, strict=True):
                found += one.finish()
        part = recording.part(recording.read(first, last)[0])
        estimates = [Estimate.of_poses(found[: last - first], planned, number) for number, found in enumerate(poses)]
        poses = [found[last - first :] for found in poses]
        yield part.poses2d, as_poses3d(planned, part, slice(None), estimates)


def _feed(filters: list[FixedLag], poses: list[list[CausalPose]], poses2d: xr.Dataset) -> None:
    """Give frames to the filters, and add what comes out to the poses."""
    order = ("individual", "time", "keypoint", "camera")
    pixels = poses2d["position"].transpose(*order, "space").values
    confidence = poses2d["confidence"].transpose(*order).values
    for number, one in enumerate(filters):
        for at, time in enumerate(poses2d["time"].values):
            pose = one.update(float(time), pixels[number, at], confidence[number, at])
            if pose is not None:
                poses[number].append(pose)


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


def _solve_piece(
    planned: Plan, poses2d: xr.Dataset, candidates: xr.Dataset | None, kept: slice
) -> tuple[xr.Dataset, xr.Dataset]:
    part = planned.recording.part(poses2d, candidates)
    estimates = [_solve_individual(planned, part, number) for number in range(len(part.windows))]
    return poses2d.isel(time=kept), as_poses3d(planned, part, kept, estimates)


def _solve_individual(planned: Plan, part: Part, number: int) -> Estimate:
    """The trajectory of one individual, after repairs of its 2D positions."""
    window, model, frame = part.windows[number], planned.model, planned.frame
    repairs = Repairs.none(window.agreeing.shape)
    mirrored = mirrored_keypoints(planned.skeleton, _keypoints(part.poses2d))
    if not frame.settings.repair_swaps:
        mirrored = mirrored[:0]
    candidates = None if part.candidates is None else part.candidates.table
    wanted = len(mirrored) > 0 or candidates is not None
    bodies = (model.bones is not None and bool(len(model.bones.pairs))) or frame.joints is not None
    solution, strength = solve_window(window, frame, model, number, bodies=False), None
    for _ in range(_ADAPTATION_ROUNDS if frame.settings.adaptive and frame.settings.smoothness is None else 0):
        strength = local_strength(window, solution, frame, model, number)
        solution = solve_window(window, frame, model, number, solution=solution, strength=strength, bodies=False)
    for _ in range(_REPAIR_ROUNDS if wanted else 0):
        window, repairs, changed = repair_window(window, solution, model.noise, frame, mirrored, candidates, repairs)
        if not changed:
            break
        # left for right is easily seen without bones
        solution = solve_window(window, frame, model, number, solution=solution, strength=strength, bodies=False)
    solution = solve_window(window, frame, model, number, solution=solution, strength=strength, bodies=bodies)
    covariance = with_lasting_noise(solution.covariance, model, number, frame.settings.order)
    covariance = with_curvature(covariance, solution.places, held_bones(model, number)[0])
    if planned.systematic is not None:
        pixels, _ = repaired_views(part, number, slice(None), repairs)
        covariance = covariance + systematic_covariance(
            planned.systematic, planned.recording.rig, pixels, window, solution, frame, model, number
        )
    spread = window.table[..., 5]
    return Estimate(window.segment >= 0, solution.places, covariance, solution.squared, spread, repairs)


def _keypoints(poses: xr.Dataset) -> list[str]:
    return [str(name) for name in poses["keypoint"].values]
