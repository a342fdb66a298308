"""Crowds: many animals, made fast, to measure how well they are told apart.

Their bodies are simple and their steps no gait, for which `pose3d.synthetic.simulate` is there. What counts here is
true of crowds: animals walk, stop, meet, pass each other closely, huddle, leave and come back; cameras miss some, take
others for one, and see some that are not there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.rig import Rig
from calibration.synthetic import make_rig
from pose3d.datasets import instances, poses3d
from pose3d.skeleton import Skeleton
from pose3d.synthetic._checks import check_setting, is_whole
from pose3d.synthetic._crowd_motion import CrowdMotion, make_bodies, make_crowd_skeleton
from pose3d.synthetic._crowd_views import Ways, report

__all__ = ["CROWDS", "Crowd", "CrowdSettings", "crowd_pieces", "make_crowd"]

Mask = NDArray[np.bool_]
Arrays = dict[str, NDArray[np.generic]]

# Frames are made in blocks, each with a random generator of its own. The number is part of what a seed means.
_BLOCK = 1000


@dataclass(frozen=True)
class CrowdSettings:
    """What crowd to make; the defaults are mice, seen well.

    Attributes:
        individuals: number of animals, animal_1, animal_2, ...
        cameras: number of cameras, cam_1, cam_2, ...
        keypoints: number of keypoints of an animal.
        frames: number of frames.
        frame_rate: frames per second.
        body_length: along the spine, in mm.
        speed: mean walking speed in mm/s.
        arena: radius in mm; None: 2.5 body lengths for one animal, and as much floor for each other one.
        size_spread: standard deviation, as a share, of body length and of every measure between animals.
        stops: share of the time in which an animal stands.
        huddles: share of the time in which all gather at one place.
        away: share of the time in which an animal is outside the arena, 20 s on average.
        hidden: share of the time in which no camera sees an animal that is there, 3 s on average.
        missed_rate: share of the animals that a camera does not report, frame by frame.
        missed_time: mean time in s for which a camera misses an animal; 0: every frame is drawn by itself.
        missing_rate: share of the keypoints that are not reported.
        outlier_rate: share of the reported keypoints that are elsewhere, half of them on another animal.
        swap_rate: share of the instances whose left and right are exchanged.
        false_rate: false instances per camera and frame, as a share of the number of animals: half are poses at a wrong
            place, half are put together of two animals.
        noise: standard deviation per axis in pixels.
        features: length of the vectors that tell what instances look like; 0: none.
        appearance_noise: standard deviation of each feature between frames; between animals it is 1.
        size: width and height of the images in pixels.
        seed: of all random draws.

    Raises:
        InvalidValueError: a setting is out of its range.
    """

    individuals: int = 4
    cameras: int = 6
    keypoints: int = 12
    frames: int = 1000
    frame_rate: float = 30.0
    body_length: float = 80.0
    speed: float = 150.0
    arena: float | None = None
    size_spread: float = 0.06
    stops: float = 0.2
    huddles: float = 0.0
    away: float = 0.0
    hidden: float = 0.0
    missed_rate: float = 0.0
    missed_time: float = 0.0
    missing_rate: float = 0.0
    outlier_rate: float = 0.0
    swap_rate: float = 0.0
    false_rate: float = 0.0
    noise: float = 1.0
    features: int = 0
    appearance_noise: float = 1.0
    size: tuple[int, int] = (1280, 1024)
    seed: int = 0

    def __post_init__(self) -> None:
        rules: tuple[tuple[str, str, Callable[..., bool]], ...] = (
            ("individuals cameras keypoints frames", "a whole number from 1", is_whole),
            ("features seed", "a whole number from 0", lambda value: value == int(value) and value >= 0),
            ("frame_rate body_length speed", "a positive number", lambda value: 0 < value < np.inf),
            ("size_spread missed_time noise appearance_noise", "a number from 0", lambda value: 0 <= value < np.inf),
            ("stops huddles away hidden missed_rate", "a share from 0 to 0.95", lambda value: 0 <= value <= 0.95),
            ("missing_rate outlier_rate swap_rate false_rate", "a share from 0 to 1", lambda value: 0 <= value <= 1),
            ("arena", "a positive length", lambda value: value is None or 0 < value < np.inf),
            ("size", "two whole numbers of pixels", lambda value: len(value) == 2 and all(map(is_whole, value))),
        )
        for names, expected, fits in rules:
            for name in names.split():
                check_setting(name, getattr(self, name), expected, fits)

    @property
    def radius(self) -> float:
        """Radius of the arena in mm."""
        return 2.5 * self.body_length * float(np.sqrt(self.individuals)) if self.arena is None else self.arena


CROWDS: Mapping[str, CrowdSettings] = MappingProxyType(
    {
        "easy": CrowdSettings(),
        "issue": CrowdSettings(missing_rate=0.20, outlier_rate=0.05, false_rate=0.05, missed_rate=0.05, huddles=0.2),
        "hard": CrowdSettings(noise=5.0, missed_rate=0.25, missing_rate=0.30, false_rate=0.15),
        "open": CrowdSettings(missing_rate=0.20, outlier_rate=0.05, false_rate=0.05, away=0.2, hidden=0.05),
    }
)
"""Settings of crowds that are measured: seen well; with faults and huddles; with many faults; with animals that come
and go."""


@dataclass(frozen=True, eq=False)
class Crowd:
    """A crowd and the truth about it.

    Attributes:
        settings: what was asked for.
        rig: the cameras, calibrated without error.
        skeleton: of the animals.
        poses3d: the true positions (Poses3D); NaN where an animal is away.
        instances: what the cameras report (Instances).
        truth: `individual` (time, camera, instance) index of the animal, -1 for false and empty ones; `outlier` (time,
            camera, instance, keypoint); `swapped` (time, camera, instance); `away` and `hidden` (time, individual).
    """

    settings: CrowdSettings
    rig: Rig
    skeleton: Skeleton
    poses3d: xr.Dataset
    instances: xr.Dataset
    truth: xr.Dataset


def make_crowd(settings: CrowdSettings | None = None) -> Crowd:
    """A crowd; the same settings give the same bytes."""
    chosen = settings or CrowdSettings()
    return next(crowd_pieces(chosen, chosen.frames))


def crowd_pieces(settings: CrowdSettings, frames_per_piece: int = 10_000) -> Iterator[Crowd]:
    """The same crowd, piece after piece, in as much memory as a piece takes.

    Args:
        settings: what to make.
        frames_per_piece: frames of every piece but the last, which may be shorter. The bytes do not depend on it.

    Raises:
        InvalidValueError: there are no frames in a piece.
    """
    check_setting("frames_per_piece", frames_per_piece, "a whole number from 1", is_whole)
    return _pieces(settings, frames_per_piece)


def _pieces(settings: CrowdSettings, frames_per_piece: int) -> Iterator[Crowd]:
    skeleton = make_crowd_skeleton(settings.keypoints)
    rig = make_rig(
        settings.cameras, distance=_viewing_distance(settings), size=settings.size, seed=settings.seed, lens="brown5"
    )
    blocks = _blocks(settings, rig, skeleton)
    block, used = next(blocks), 0
    for first in range(0, settings.frames, frames_per_piece):
        length = min(frames_per_piece, settings.frames - first)
        piece = {name: np.empty((length, *array.shape[1:]), array.dtype) for name, array in block.items()}
        filled = 0
        while filled < length:
            if used == _BLOCK:
                block, used = next(blocks), 0
            count = min(length - filled, _BLOCK - used)
            for name, array in piece.items():
                array[filled : filled + count] = block[name][used : used + count]
            filled, used = filled + count, used + count
        yield _crowd(settings, rig, skeleton, piece, np.arange(first, first + length))


def _viewing_distance(settings: CrowdSettings) -> float:
    half_angle = np.arctan(min(settings.size) / 2 / 1400.0)
    return float((settings.radius + settings.body_length) / (0.75 * np.sin(half_angle)))


def _blocks(settings: CrowdSettings, rig: Rig, skeleton: Skeleton) -> Iterator[Arrays]:
    """All arrays of the crowd, `_BLOCK` frames at a time, without end."""
    start, animals = np.random.default_rng([settings.seed, 31]), settings.individuals
    bodies = make_bodies(
        animals, settings.keypoints, body_length=settings.body_length, size_spread=settings.size_spread, rng=start
    )
    plan = np.array(
        [
            *(1 / settings.frame_rate, settings.radius, settings.speed, settings.body_length),
            *(settings.stops, 1.5, settings.away, 20.0, settings.huddles),
        ]
    )
    motion = CrowdMotion(bodies, settings.keypoints, plan, start)
    hiding = _Spells(animals, settings.hidden, 3.0 * settings.frame_rate, start)
    missing = _Spells(len(rig) * animals, settings.missed_rate, settings.missed_time * settings.frame_rate, start)
    looks = start.standard_normal((animals + 1, settings.features))
    ways = Ways(
        settings.noise, settings.missing_rate, settings.outlier_rate, settings.swap_rate, settings.false_rate
    )  # fmt: skip
    number = 0
    while True:
        rng = np.random.default_rng([settings.seed, 32, number])
        points, away = motion.move(_BLOCK, rng)
        hidden = hiding.next(_BLOCK, rng) & ~away
        missed = missing.next(_BLOCK, rng).reshape(_BLOCK, len(rig), animals)
        seen = ~(missed | (away | hidden)[:, None])
        reports = report(rig, points, seen, skeleton, ways, rng)
        points[away] = np.nan
        arrays: Arrays = {"points": points, "away": away, "hidden": hidden}
        arrays |= {field.name: getattr(reports, field.name) for field in dataclasses.fields(reports)}
        if settings.features:
            # a false instance looks like nobody: only the noise is its own
            look = looks[arrays["individual"]]
            arrays["appearance"] = look + settings.appearance_noise * rng.standard_normal(look.shape)
            arrays["appearance"][np.isnan(reports.pixels).all(axis=(-1, -2))] = np.nan
        yield arrays
        number += 1


class _Spells:
    """Times in which something is so, a given share of the time, for some frames on end."""

    def __init__(self, count: int, share: float, frames: float, rng: np.random.Generator) -> None:
        self._off = 1 / max(frames, 1 / (1 - share))
        self._on = self._off * share / (1 - share)
        self._state = rng.random(count) < share

    def next(self, frames: int, rng: np.random.Generator) -> Mask:
        """(time, count) whether it is so in the next frames."""
        from pose3d.synthetic._crowd_kernels import switch

        result = np.empty((frames, len(self._state)), dtype=np.bool_)
        switch(self._state, self._on, self._off, rng.random(result.shape), result)
        return result


def _crowd(settings: CrowdSettings, rig: Rig, skeleton: Skeleton, arrays: Arrays, frames: NDArray[np.int64]) -> Crowd:
    names = [f"animal_{index + 1}" for index in range(settings.individuals)]
    truth3d = poses3d(
        np.moveaxis(arrays["points"], (1, 3), (3, 1)),
        individuals=names,
        keypoints=skeleton.keypoints,
        unit=rig.unit,
        frames=frames,
        frame_rate=settings.frame_rate,
    )
    found = instances(
        arrays["pixels"],
        arrays["confidence"],
        cameras=rig.names,
        keypoints=skeleton.keypoints,
        appearance=arrays.get("appearance"),
        frames=frames,
        frame_rate=settings.frame_rate,
        image_size=np.array([camera.size for camera in rig]),
    )
    dims = found["confidence"].dims
    truth = xr.Dataset(
        {
            "individual": (dims[:3], arrays["individual"], {"units": "1"}),
            "outlier": (dims, arrays["outlier"], {"units": "1"}),
            "swapped": (dims[:3], arrays["swapped"], {"units": "1"}),
            "away": (("time", "individual_"), arrays["away"], {"units": "1"}),
            "hidden": (("time", "individual_"), arrays["hidden"], {"units": "1"}),
        },
        coords={name: found[name] for name in ("time", "frame", "camera", "instance", "keypoint")}
        | {"individual_": np.array(names)},
    )
    return Crowd(settings, rig, skeleton, truth3d, found, truth)
