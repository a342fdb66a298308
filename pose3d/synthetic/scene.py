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
from pose3d.datasets import instances, poses2d, poses3d
from pose3d.skeleton import Skeleton
from pose3d.synthetic._crossing import make_crossers
from pose3d.synthetic._false_instances import FalseInstances, mix_up
from pose3d.synthetic._motion import gait_events, make_followers, wiggle
from pose3d.synthetic._observation import Detections, detect
from pose3d.synthetic._quadruped import QUADRUPED, REACH, Capsules, pose_quadruped, trunk_capsules
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
        body_length: (individual,) nose to tail base in mm.
        poses2d: what the detector reports (Poses2D), every animal under its name.
        instances: the same as a detector gives it that does not know the animals (Instances): in random order, with
            false ones among them.
        instance_truth: `individual` (time, camera, instance): index of the animal; -1 for false ones and empty places.
        poses3d: the true positions (Poses3D).
        labels2d: what is true of every reported position, over (time, camera, individual, keypoint): `visible` (in the
            image), `occluded` (behind a body), `outlier`, `swapped` (left for right).
        gait: the steps (dimension step: `step_individual`, `step_limb`, `contact` and `lift_off` in seconds, NaN where
            outside the recording, `footprint` in mm) and `stance` (time, limb, individual), true where the foot is on
            the ground; the attributes name the stride length (mm; that of larger animals is longer), the duty factor
            and the gait.
    """

    settings: SimulationSettings
    rig: Rig
    skeleton: Skeleton
    body_length: Array
    poses2d: xr.Dataset
    instances: xr.Dataset
    instance_truth: xr.Dataset
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
    if chosen.chosen_paths == "shared":
        walkers, radius = make_followers(chosen, rng)
        extent = 1.2 * radius + max(REACH) * chosen.body_length
    else:
        walkers, extent = make_crossers(chosen, rng)
    length = np.array([walker.build.body_length for walker in walkers])
    time = np.arange(chosen.frame_count) / chosen.frame_rate
    pose = np.stack(
        [
            pose_quadruped(each.circuit, each.gait, each.course.distance(time), wiggle(time, rng), each.build)
            for each in walkers
        ],
        axis=1,
    )  # (time, individual, keypoint, 3)
    rig = make_rig(
        chosen.cameras,
        distance=_viewing_distance(chosen, extent) if chosen.distance is None else chosen.distance,
        size=chosen.size,
        focal_length=chosen.focal_length,
        lens=chosen.lens,
        seed=chosen.seed,
    )
    detections = _detect_in_chunks(chosen, rig, pose, length, on_progress)
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
    found, whose = _instances(chosen, rig, pose, observed)
    events = gait_events(chosen, walkers, time, names)
    return Scene(chosen, rig, QUADRUPED, length, observed, found, whose, truth, labels, events)


def _viewing_distance(settings: SimulationSettings, extent: float) -> float:
    half_angle = np.arctan(min(settings.size) / 2 / settings.focal_length)
    # 0.75: lens, principal point, distance and roll of the cameras stray.
    return float(extent / (0.75 * np.sin(half_angle)))


def _detect_in_chunks(
    settings: SimulationSettings, rig: Rig, pose: Array, length: Array, on_progress: Callable[[int, int], None] | None
) -> Detections:
    capsules = trunk_capsules(pose, body_length=length)
    # (time, individual, capsule) -> (time, individual x capsule): every body hides every keypoint
    start, end = (ends.reshape(len(pose), -1, 3) for ends in (capsules.start, capsules.end))
    radius = capsules.radius.ravel()
    parts = []
    for index, first in enumerate(range(0, len(pose), _CHUNK)):
        rows = slice(first, first + _CHUNK)
        bodies = Capsules(start[rows], end[rows], radius)
        seed = int(np.random.SeedSequence([settings.seed, index]).generate_state(1, np.uint64)[0])
        parts.append(detect(rig, pose[rows], bodies, QUADRUPED, settings, seed=seed))
        if on_progress is not None:
            on_progress(min(first + _CHUNK, len(pose)), len(pose))
    detections = Detections(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in dataclasses.fields(Detections))
    )
    missed = np.random.default_rng([settings.seed, 51]).random(detections.pixels.shape[:3]) < settings.missed_rate
    detections.pixels[missed], detections.confidence[missed], detections.outlier[missed] = np.nan, 0.0, False
    return detections


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


def _instances(
    settings: SimulationSettings, rig: Rig, pose: Array, observed: xr.Dataset
) -> tuple[xr.Dataset, xr.Dataset]:
    rng = np.random.default_rng([settings.seed, 52])
    pixels, confidence = observed["position"].to_numpy(), observed["confidence"].to_numpy()
    false = FalseInstances(settings.false_rate, settings.noise, settings.dropout_rate)
    mixed = mix_up(rig, pose, pixels, confidence, QUADRUPED, false, rng)
    found = instances(
        mixed.pixels,
        mixed.confidence,
        cameras=rig.names,
        keypoints=QUADRUPED.keypoints,
        frame_rate=settings.frame_rate,
        image_size=observed["image_size"],
    )
    found.attrs["simulation"] = observed.attrs["simulation"]
    dims = found["confidence"].dims[:3]
    whose = xr.Dataset(
        {"individual": (dims, mixed.individual, {"units": "1"})},
        coords={name: found[name] for name in ("time", "frame", "camera", "instance")},
    )
    return found, whose
