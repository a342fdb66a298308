"""How the animals move about: distance walked by the time, motion of head and tail, and the steps that follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pose3d.datasets import time_coordinates
from pose3d.synthetic._quadruped import GAITS, LIMBS, REACH, Build, Circuit, Gait, footprint, make_circuit
from pose3d.synthetic.settings import SimulationSettings

__all__ = ["Course", "Walk", "Walker", "gait_events", "gait_of", "make_followers", "wiggle"]

Array = NDArray[np.float64]

# Speed swings by this share, with a period in this range of seconds.
_SPEED_VARIATION = 0.25
_SPEED_PERIODS = (2.0, 4.0)
# The narrowest circuit, in body lengths: the legs reach the floor on both sides of its curves.
_NARROWEST_CIRCUIT = 1.8
# Room between the tail tip of one animal and the nose of the next, in body lengths, along the circuit.
_CLEARANCE = 0.5


class Course(Protocol):
    """How far an animal has walked by the time."""

    def distance(self, time: Array) -> Array:
        """Distance along the circuit in mm at times (...) in s."""

    def time(self, distance: Array) -> Array:
        """When a distance (...) in mm is reached, in s."""


@dataclass(frozen=True, eq=False)
class Walker:
    """An animal: how it is built, and where, when and how it walks."""

    build: Build
    circuit: Circuit
    course: Course
    gait: Gait


@dataclass(frozen=True)
class Walk:
    """Distance walked by the time: `start + speed t + swing sin(frequency t + phase)`, in mm and seconds."""

    start: float
    speed: float
    swing: float
    frequency: float
    phase: float

    def distance(self, time: Array) -> Array:
        """Distance along the circuit in mm at times (...) in s."""
        return self.start + self.speed * time + self.swing * np.sin(self.frequency * time + self.phase)

    def time(self, distance: Array) -> Array:
        """When a distance (...) in mm is reached, in s."""
        result = (distance - self.start) / self.speed
        # As speed swings by a quarter, every step divides the error by 4 or more.
        for _ in range(30):
            result = result - (self.distance(result) - distance) / self.speed
        return np.asarray(result)


def _circuit_radius(settings: SimulationSettings) -> float:
    """Mean radius in mm of a circuit on which the animals have room, also when one is slow and the next one fast."""
    swing = _SPEED_VARIATION * settings.speed * _SPEED_PERIODS[1] / (2 * np.pi)
    room = (sum(REACH) + _CLEARANCE) * settings.body_length + 2 * swing
    return max(_NARROWEST_CIRCUIT * settings.body_length, settings.individuals * room / (2 * np.pi))


def gait_of(settings: SimulationSettings, build: Build) -> Gait:
    """How an animal of this build walks."""
    return Gait(settings.stride * build.body_length, settings.duty_factor, GAITS[settings.gait])


def make_followers(settings: SimulationSettings, rng: np.random.Generator) -> tuple[list[Walker], float]:
    """Equal animals that start at equal distances along one circuit, and its mean radius in mm."""
    radius = _circuit_radius(settings)
    circuit, build = make_circuit(radius, rng), Build(settings.body_length)
    walkers = []
    for index in range(settings.individuals):
        frequency = 2 * np.pi / float(rng.uniform(*_SPEED_PERIODS))
        walk = Walk(
            start=circuit.length * index / settings.individuals,
            speed=settings.speed,
            swing=_SPEED_VARIATION * settings.speed / frequency,
            frequency=frequency,
            phase=float(rng.uniform(0, 2 * np.pi)),
        )
        walkers.append(Walker(build, circuit, walk, gait_of(settings, build)))
    return walkers, radius


def wiggle(time: Array, rng: np.random.Generator) -> Array:
    """(time, 4) yaw and pitch of the head, yaw of the tail's base and of its tip, in radians.

    The head scans, a wave runs down the tail.
    """

    def wave(frequency: float, phase: float) -> Array:
        return np.sin(2 * np.pi * frequency * time + phase)

    phases = rng.uniform(0, 2 * np.pi, 4)
    pace = rng.uniform(0.85, 1.15, 4)
    return np.stack(
        [
            0.35 * wave(0.5 * pace[0], phases[0]) + 0.15 * wave(1.3 * pace[1], phases[1]),
            0.15 * wave(0.8 * pace[2], phases[2]),
            0.35 * wave(0.7 * pace[3], phases[3]),
            0.60 * wave(0.7 * pace[3], phases[3] - 1.2),
        ],
        axis=-1,
    )


def gait_events(
    settings: SimulationSettings, walkers: Sequence[Walker], time: Array, names: Sequence[str]
) -> xr.Dataset:
    """The steps of every limb and animal, and which feet are on the ground in every frame (see `Scene.gait`)."""
    stance = np.zeros((len(time), len(LIMBS), len(walkers)), dtype=bool)
    individuals, limbs, contacts, lift_offs, footprints = [], [], [], [], []
    for row, walker in enumerate(walkers):
        gait, course = walker.gait, walker.course
        walked = course.distance(time)
        for column, limb in enumerate(LIMBS):
            number, phase = gait.step(limb, walked)
            stance[:, column, row] = phase < gait.duty_factor
            steps = np.arange(number[0], number[-1] + 1)
            touched = gait.contact_distance(limb, steps)
            lift_off = course.time(touched + gait.duty_factor * gait.stride_length)
            # The step under way at the first frame may be in its swing already.
            steps, touched, lift_off = (values[lift_off >= time[0]] for values in (steps, touched, lift_off))
            contact = course.time(touched)
            individuals += [names[row]] * len(steps)
            limbs += [limb] * len(steps)
            contacts.append(np.where(contact >= time[0], contact, np.nan))
            lift_offs.append(np.where(lift_off <= time[-1], lift_off, np.nan))
            footprints.append(footprint(walker.circuit, gait, limb, steps, walker.build))
    return xr.Dataset(
        {
            "step_individual": ("step", np.array(individuals, dtype=str)),
            "step_limb": ("step", np.array(limbs, dtype=str)),
            "contact": ("step", np.concatenate(contacts), {"units": "s"}),
            "lift_off": ("step", np.concatenate(lift_offs), {"units": "s"}),
            "footprint": (("step", "space"), np.concatenate(footprints), {"units": "mm"}),
            "stance": (("time", "limb", "individual"), stance),
        },
        coords={
            **time_coordinates(len(time), None, settings.frame_rate),
            "limb": list(LIMBS),
            "individual": list(names),
            "space": ["x", "y", "z"],
        },
        attrs={
            "stride_length": settings.stride_length,
            "duty_factor": settings.duty_factor,
            "gait": settings.gait,
        },
    )
