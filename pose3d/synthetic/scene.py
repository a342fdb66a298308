"""The scene: animals, cameras and a detector put together, with the truth about everything."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.rig import Rig
from calibration.synthetic import make_rig
from pose3d.datasets import poses2d, poses3d
from pose3d.skeleton import Skeleton
from pose3d.synthetic._motion import circuit_radius, gait_events, make_walks, wiggle
from pose3d.synthetic._observation import Detections, detect
from pose3d.synthetic._quadruped import (
    GAITS,
    QUADRUPED,
    REACH,
    Capsules,
    Gait,
    make_circuit,
    pose_quadruped,
    trunk_capsules,
)
from pose3d.synthetic.settings import SimulationSettings

__all__ = ["Scene", "simulate"]

Array = NDArray[np.float64]

# Frames are observed in chunks, so that the memory of the occlusion test does not grow with the recording. The number
# is part of what a seed means: every chunk has a random generator of its own.
_CHUNK = 2000


@dataclass(frozen=True, eq=False)
class Scene:
    """A simulated recording and the truth about it.

    Attributes:
        settings: what was asked for.
        rig: the cameras, calibrated without error.
        skeleton: of the animals.
        poses2d: what the detector reports (Poses2D).
        poses3d: the true positions (Poses3D).
        labels2d: what is true of every reported position, over (time, camera, individual, keypoint): `visible` (in the
            image), `occluded` (behind a body), `outlier`, `swapped` (left for right).
        gait: the steps (dimension step: `step_individual`, `step_limb`, `contact` and `lift_off` in seconds, NaN where
            outside the recording, `footprint` in mm) and `stance` (time, limb, individual), true where the foot is on
            the ground; the attributes name the stride length (mm), the duty factor and the gait.
    """

    settings: SimulationSettings
    rig: Rig
    skeleton: Skeleton
    poses2d: xr.Dataset
    poses3d: xr.Dataset
    labels2d: xr.Dataset
    gait: xr.Dataset


def simulate(
    settings: SimulationSettings | None = None, *, on_progress: Callable[[int, int], None] | None = None
) -> Scene:
    """Simulate a recording.

    Everything is a function of the settings: on one machine the same settings give the same bytes.

    Args:
        settings: what to simulate; the defaults of `SimulationSettings` where None.
        on_progress: called with the number of frames done and of all frames.

    Raises:
        InvalidValueError: the stride is too long for the legs.
    """
    chosen = SimulationSettings() if settings is None else settings
    rng = np.random.default_rng(chosen.seed)
    radius = circuit_radius(chosen)
    circuit = make_circuit(radius, rng)
    gait = Gait(chosen.stride_length, chosen.duty_factor, GAITS[chosen.gait])
    walks = make_walks(chosen, circuit, rng)
    time = np.arange(chosen.frame_count) / chosen.frame_rate
    pose = np.stack(
        [
            pose_quadruped(circuit, gait, walk.distance(time), wiggle(time, rng), body_length=chosen.body_length)
            for walk in walks
        ],
        axis=1,
    )  # (time, individual, keypoint, 3)
    rig = make_rig(
        chosen.cameras,
        distance=_viewing_distance(chosen, radius) if chosen.distance is None else chosen.distance,
        size=chosen.size,
        focal_length=chosen.focal_length,
        lens=chosen.lens,
        seed=chosen.seed,
    )
    detections = _detect_in_chunks(chosen, rig, pose, on_progress)
    names = [f"animal_{index + 1}" for index in range(chosen.individuals)]
    observed, labels = _datasets_2d(chosen, rig, names, detections)
    truth = poses3d(
        np.moveaxis(pose, (1, 3), (3, 1)),
        individuals=names,
        keypoints=QUADRUPED.keypoints,
        frame_rate=chosen.frame_rate,
        unit=rig.unit,
    )
    truth.attrs["simulation"] = observed.attrs["simulation"]
    events = gait_events(chosen, gait, circuit, walks, time, names)
    return Scene(chosen, rig, QUADRUPED, observed, truth, labels, events)


def _viewing_distance(settings: SimulationSettings, radius: float) -> float:
    extent = 1.2 * radius + max(REACH) * settings.body_length
    half_angle = np.arctan(min(settings.size) / 2 / settings.focal_length)
    # 0.75: lens, principal point, distance and roll of the cameras stray.
    return float(extent / (0.75 * np.sin(half_angle)))


def _detect_in_chunks(
    settings: SimulationSettings, rig: Rig, pose: Array, on_progress: Callable[[int, int], None] | None
) -> Detections:
    capsules = trunk_capsules(pose, body_length=settings.body_length)
    # (time, individual, capsule) -> (time, individual x capsule): every body hides every keypoint
    start, end = (ends.reshape(len(pose), -1, 3) for ends in (capsules.start, capsules.end))
    radius = np.tile(capsules.radius, settings.individuals)
    parts = []
    for index, first in enumerate(range(0, len(pose), _CHUNK)):
        rows = slice(first, first + _CHUNK)
        bodies = Capsules(start[rows], end[rows], radius)
        seed = int(np.random.SeedSequence([settings.seed, index]).generate_state(1, np.uint64)[0])
        parts.append(detect(rig, pose[rows], bodies, QUADRUPED, settings, seed=seed))
        if on_progress is not None:
            on_progress(min(first + _CHUNK, len(pose)), len(pose))
    return Detections(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in dataclasses.fields(Detections))
    )


def _datasets_2d(
    settings: SimulationSettings, rig: Rig, names: list[str], detections: Detections
) -> tuple[xr.Dataset, xr.Dataset]:
    observed = poses2d(
        detections.pixels,
        detections.confidence,
        cameras=rig.names,
        individuals=names,
        keypoints=QUADRUPED.keypoints,
        frame_rate=settings.frame_rate,
        image_size=np.array([camera.size for camera in rig]),
    )
    observed.attrs["simulation"] = json.dumps(dataclasses.asdict(settings))
    labels = xr.Dataset(
        {
            name: (observed["confidence"].dims, getattr(detections, name))
            for name in ("visible", "occluded", "outlier", "swapped")
        },
        coords=observed["confidence"].coords,
    )
    return observed, labels
