"""A walking quadruped of the size of a mouse, with exact truth: bones of constant length and feet that do not slide.

The animal follows a closed circuit on the floor z = 0. Its trunk is a chain of two stiff segments along the circuit.
Every foot stands still on a footprint beside the circuit from contact to lift-off and swings to the next one. The
joints between trunk and foot follow by inverse kinematics with fixed bone lengths. The gait is driven by the distance
walked, so it stays true when the animal changes its speed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from pose3d.skeleton import PRESETS, Skeleton

__all__ = [
    "GAITS",
    "LIMBS",
    "PLAN_LENGTH",
    "QUADRUPED",
    "REACH",
    "Build",
    "Capsules",
    "Circuit",
    "Gait",
    "footprint",
    "make_circuit",
    "pose_quadruped",
    "trunk_capsules",
]

Array = NDArray[np.float64]

_LEGS = {
    "fore": ("shoulder", "elbow", "wrist", "fore_paw"),
    "hind": ("hip", "knee", "ankle", "hind_paw"),
}
_CHAINS = tuple(tuple(f"{side}_{joint}" for joint in joints) for joints in _LEGS.values() for side in ("left", "right"))
_TRUNK_EDGES = (
    ("neck", "nose"),
    ("neck", "left_ear"),
    ("neck", "right_ear"),
    ("neck", "spine"),
    ("spine", "tail_base"),
    ("tail_base", "tail_mid"),
    ("tail_mid", "tail_tip"),
)

_EDGES = (
    *_TRUNK_EDGES,
    *((("neck" if "fore" in chain[-1] else "tail_base"), chain[0]) for chain in _CHAINS),
    *(bone for chain in _CHAINS for bone in pairwise(chain)),
)

QUADRUPED = Skeleton(
    name="quadruped",
    keypoints=(
        *("nose", "left_ear", "right_ear", "neck", "spine", "tail_base", "tail_mid", "tail_tip"),
        *(joint for chain in _CHAINS for joint in chain),
    ),
    edges=_EDGES,
    mirrored_pairs=(
        ("left_ear", "right_ear"),
        *((f"left_{joint}", f"right_{joint}") for joints in _LEGS.values() for joint in joints),
    ),
    bones=_EDGES,  # nothing of this animal is soft
    anatomy=PRESETS["mouse"].anatomy,  # its keypoints are those of the preset
)

LIMBS = tuple(chain[-1] for chain in _CHAINS)

# When in the stride each foot touches down (Hildebrand 1965): a walk's lateral sequence, a trot's diagonal pairs.
GAITS: Mapping[str, Mapping[str, float]] = {
    "walk": {"left_hind_paw": 0.0, "left_fore_paw": 0.25, "right_hind_paw": 0.5, "right_fore_paw": 0.75},
    "trot": {"left_hind_paw": 0.0, "right_fore_paw": 0.0, "right_hind_paw": 0.5, "left_fore_paw": 0.5},
}

# The body plan, in millimeters for a mouse of 80 mm from nose to tail base; other sizes are scaled from it. Forward,
# left, up, in the frame of the trunk segment they belong to.
PLAN_LENGTH = 80.0
_SPINE_HEIGHT = 30.0
_TRUNK = {"neck": 26.0, "tail_base": 28.0}
_TRUNK_PITCH = {"neck": -0.12, "tail_base": 0.2}
_HEAD = {"nose": (26.0, 0.0, 0.0), "left_ear": (9.0, 7.5, 6.5), "right_ear": (9.0, -7.5, 6.5)}
_TAIL = (38.0, 40.0)
_TAIL_PITCH = (-0.30, -0.05)
_PROXIMAL = {"fore": (-4.0, 11.0, -7.0), "hind": (8.0, 10.5, -3.0)}
_BONES = {"fore": (14.0, 14.5, 6.0), "hind": (15.0, 17.0, 13.0)}
_FOOT = {"fore": (25.0, 10.0), "hind": (-12.0, 12.0)}  # mid-stance, along the circuit from the spine, and to the left
_FOOT_PITCH = {"fore": (1.35, 0.35), "hind": (0.65, 0.30)}  # of the segment above the paw, mean and swing
_KNEE_FORWARD = {"fore": -1.0, "hind": 1.0}
_SWING_HEIGHT = {"fore": 4.0, "hind": 4.0}
_CAPSULE_RADIUS = {"trunk": 8.0, "head": 5.5}

# How far a body reaches from its spine keypoint, in body lengths: to the nose in front and the tail tip behind.
REACH = ((26.0 + 26.0) / PLAN_LENGTH, (28.0 + 38.0 + 40.0) / PLAN_LENGTH)


@dataclass(frozen=True)
class Gait:
    """How an animal walks.

    Attributes:
        stride_length: distance from one contact of a foot to its next, in mm.
        duty_factor: share of the stride in which a foot is on the ground.
        phases: when in the stride each limb touches down, from 0 to 1.
    """

    stride_length: float
    duty_factor: float
    phases: Mapping[str, float]

    def contact_distance(self, limb: str, step: NDArray[np.int64]) -> Array:
        """Distance walked when `limb` touches down for the step of this number, in mm."""
        return np.asarray((step + self.phases[limb]) * self.stride_length)

    def step(self, limb: str, distance: Array) -> tuple[NDArray[np.int64], Array]:
        """Number of the step of `limb` at a walked distance, and the phase since its contact, in [0, 1)."""
        strides = distance / self.stride_length - self.phases[limb]
        number = np.floor(strides)
        return number.astype(np.int64), strides - number


@dataclass(frozen=True)
class Build:
    """How an animal is built: its length, and its measures as shares of those that the plan has at this length.

    The length from nose to tail base is `body_length` where `fore`, `rear` and `head` are 1.

    Attributes:
        body_length: in mm.
        head: size of the head.
        fore, rear: length of the trunk before and behind the spine keypoint; feet stand accordingly.
        tail: its length.
        wide: distance of the legs from the middle of the body.
    """

    body_length: float
    head: float = 1.0
    fore: float = 1.0
    rear: float = 1.0
    tail: float = 1.0
    wide: float = 1.0

    @property
    def scale(self) -> float:
        """Millimeters per mm of the plan."""
        return self.body_length / PLAN_LENGTH

    def along(self, kind: str) -> float:
        """`fore` for what belongs to the fore legs, else `rear`."""
        return self.fore if kind in ("fore", "neck") else self.rear


@dataclass(frozen=True, eq=False)
class Circuit:
    """A smooth closed curve on the floor, by the distance along it.

    Attributes:
        length: in mm.
        polar_angle: periodic spline of the polar angle minus its mean growth, by distance.
        clockwise, turn, center: the curve runs counterclockwise around the origin; it is mirrored, turned (radians)
            and moved (mm) from there.
        radius: mean radius in mm.
        amplitudes, offsets: of the second and third harmonic of the radius.
    """

    length: float
    radius: float
    amplitudes: tuple[float, float]
    offsets: tuple[float, float]
    polar_angle: object
    clockwise: bool = False
    turn: float = 0.0
    center: tuple[float, float] = (0.0, 0.0)

    def at(self, distance: Array) -> tuple[Array, Array]:
        """Position and unit tangent, both (..., 3), at distances (...) in mm along the curve."""
        assert callable(self.polar_angle)
        wrapped = np.mod(distance, self.length)
        angle = 2 * np.pi * wrapped / self.length + self.polar_angle(wrapped)
        position, derivative = _lobed_curve(angle, self.radius, self.amplitudes, self.offsets)
        tangent = derivative / np.linalg.norm(derivative, axis=-1, keepdims=True)
        if (self.clockwise, self.turn, self.center) == (False, 0.0, (0.0, 0.0)):
            return position, tangent
        cos, sin, mirror = np.cos(self.turn), np.sin(self.turn), -1.0 if self.clockwise else 1.0
        turned = np.array([[cos, sin, 0.0], [-mirror * sin, mirror * cos, 0.0], [0.0, 0.0, 1.0]])
        return position @ turned + np.array([*self.center, 0.0]), tangent @ turned


@dataclass(frozen=True, eq=False)
class Capsules:
    """Cylinders with round ends, as a body model that hides what is behind it.

    Attributes:
        start, end: (..., capsule, 3) ends of the axes, in mm.
        radius: (capsule,) in mm; (individual, capsule) where every animal has its own.
    """

    start: Array
    end: Array
    radius: Array


def make_circuit(radius: float, rng: np.random.Generator) -> Circuit:
    """A lobed circuit, with curves to both sides, of this mean radius in mm."""
    from scipy.interpolate import CubicSpline

    # With these amplitudes the curve bends to both sides and stays within 0.8 to 1.2 radii.
    amplitudes = (float(rng.uniform(0.03, 0.06)), float(rng.uniform(0.11, 0.14)))
    offsets = (float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0, 2 * np.pi)))
    angle = np.linspace(0, 2 * np.pi, 4097)
    _, derivative = _lobed_curve(angle, radius, amplitudes, offsets)
    speed = np.linalg.norm(derivative, axis=-1)
    distance = np.concatenate([[0.0], np.cumsum((speed[1:] + speed[:-1]) / 2 * np.diff(angle))])
    length = float(distance[-1])
    residual = angle - 2 * np.pi * distance / length
    residual[-1] = residual[0]  # zero but for rounding; the periodic spline wants it exact
    return Circuit(length, radius, amplitudes, offsets, CubicSpline(distance, residual, bc_type="periodic"))


def pose_quadruped(circuit: Circuit, gait: Gait, distance: Array, wiggle: Array, build: Build) -> Array:
    """Keypoints (time, keypoint, 3) in mm of an animal that has walked `distance` (time,) mm.

    Args:
        circuit: where it walks.
        gait: how it walks.
        distance: of the spine keypoint along the circuit, never falling.
        wiggle: (time, 4) yaw and pitch of the head, yaw of the tail's base and of its tip, in radians.
        build: of the animal.

    Raises:
        InvalidValueError: the legs are too short for the stride.
    """
    joints = _trunk(circuit, gait, distance, wiggle, build)
    for chain in _CHAINS:
        joints.update(_leg(chain, circuit, gait, distance, joints, build))
    return np.stack([joints[name] for name in QUADRUPED.keypoints], axis=-2)


def trunk_capsules(pose: Array, *, body_length: float | Array) -> Capsules:
    """The body model of a pose (..., keypoint, 3): fore trunk, hind trunk and head.

    `body_length` is that of all, or (individual,) of a pose (..., individual, keypoint, 3).

    The axes lie a little more than one radius below the keypoints of the back, and no keypoint is inside: a camera on
    its side sees it.
    """
    scale = np.asarray(body_length, dtype=np.float64) / PLAN_LENGTH
    neck, spine, tail_base, nose = (
        pose[..., QUADRUPED.keypoints.index(name), :] for name in ("neck", "spine", "tail_base", "nose")
    )
    trunk, head = (np.asarray(_CAPSULE_RADIUS[name] * scale)[..., None] for name in ("trunk", "head"))
    below = np.array([0.0, 0.0, 1.0]) * 1.05
    # The head's axis ends short of the nose, so that the nose sticks out.
    head_end = neck + 0.65 * (nose - neck)
    start = np.stack([spine - trunk * below, spine - trunk * below, neck - head * below], axis=-2)
    end = np.stack([neck - trunk * below, tail_base - trunk * below, head_end - head * below / 2], axis=-2)
    return Capsules(start, end, np.concatenate([trunk, trunk, head], axis=-1))


def _lobed_curve(
    angle: Array, radius: float, amplitudes: tuple[float, float], offsets: tuple[float, float]
) -> tuple[Array, Array]:
    """Position and derivative by the angle, (..., 3), of r = R (1 + a2 cos(2 angle + o2) + a3 cos(3 angle + o3))."""
    r, slope = np.full_like(angle, radius), np.zeros_like(angle)
    for order, amplitude, offset in zip((2, 3), amplitudes, offsets, strict=True):
        r += radius * amplitude * np.cos(order * angle + offset)
        slope -= radius * amplitude * order * np.sin(order * angle + offset)
    cos, sin, zero = np.cos(angle), np.sin(angle), np.zeros_like(angle)
    position = np.stack([r * cos, r * sin, zero], axis=-1)
    return position, np.stack([slope * cos - r * sin, slope * sin + r * cos, zero], axis=-1)


def _trunk(circuit: Circuit, gait: Gait, distance: Array, wiggle: Array, build: Build) -> dict[str, Array]:
    """Spine, neck, tail base, head, tail, shoulders and hips."""
    scale = build.scale
    stride = 2 * np.pi * distance / gait.stride_length
    floor, _ = circuit.at(distance)
    # The trunk sinks and rises twice and rolls once per stride.
    spine = floor + _up(scale * (_SPINE_HEIGHT + 1.0 * np.cos(2 * stride)))
    joints = {"spine": spine}
    forward = {}
    for name, sign in (("neck", 1.0), ("tail_base", -1.0)):
        reach = sign * _TRUNK[name] * scale * build.along(name)
        other, _ = circuit.at(distance + reach)
        heading = np.arctan2(sign * (other - floor)[:, 1], sign * (other - floor)[:, 0])
        forward[name] = _frame(heading, np.full_like(heading, _TRUNK_PITCH[name]), 0.05 * np.sin(stride))
        joints[name] = spine + reach * forward[name][..., 0]
    head = forward["neck"] @ _frame(wiggle[:, 0], -0.35 + wiggle[:, 1], np.zeros_like(distance))
    for name, place in _HEAD.items():
        joints[name] = joints["neck"] + scale * build.head * (head @ np.array(place))
    previous = joints["tail_base"]
    heading = np.arctan2(forward["tail_base"][:, 1, 0], forward["tail_base"][:, 0, 0])
    for index, name in enumerate(("tail_mid", "tail_tip")):
        backward = -_frame(heading + wiggle[:, 2 + index], np.full_like(heading, -_TAIL_PITCH[index]), 0 * heading)[
            ..., 0
        ]
        previous = previous + scale * build.tail * _TAIL[index] * backward
        joints[name] = previous
    for kind, parent in (("fore", "neck"), ("hind", "tail_base")):
        x, y, z = _PROXIMAL[kind]
        for side, sign in (("left", 1.0), ("right", -1.0)):
            offset = scale * np.array([x, sign * y * build.wide, z])
            joints[f"{side}_{_LEGS[kind][0]}"] = joints[parent] + forward[parent] @ offset
    return joints


def _leg(
    chain: tuple[str, ...], circuit: Circuit, gait: Gait, distance: Array, joints: Mapping[str, Array], build: Build
) -> dict[str, Array]:
    """The three joints below the shoulder or hip, paw included."""
    kind = "fore" if "fore" in chain[-1] else "hind"
    upper, lower, foot = (length * build.scale for length in _BONES[kind])
    paw = paw_position(circuit, gait, chain[-1], distance, build)
    _, phase = gait.step(chain[-1], distance)
    duty = gait.duty_factor
    # The heel rises during stance and comes down again during swing.
    half_turn = np.where(phase < duty, phase / duty, 1 + (phase - duty) / (1 - duty))
    mean, swing = _FOOT_PITCH[kind]
    pitch = mean - swing * np.cos(np.pi * half_turn)
    _, tangent = circuit.at(distance + _FOOT[kind][0] * build.scale * build.along(kind))
    ankle = paw + foot * (_up(np.sin(pitch)) - np.cos(pitch)[:, None] * tangent)
    knee = _bend(joints[chain[0]], ankle, upper, lower, _KNEE_FORWARD[kind] * tangent)
    return {chain[1]: knee, chain[2]: ankle, chain[3]: paw}


def paw_position(circuit: Circuit, gait: Gait, limb: str, distance: Array, build: Build) -> Array:
    """Position (time, 3) of a paw: on its footprint in stance, on the way to the next one in swing."""
    step, phase = gait.step(limb, distance)
    swing = np.clip((phase - gait.duty_factor) / (1 - gait.duty_factor), 0.0, 1.0)
    here, there = (footprint(circuit, gait, limb, number, build) for number in (step, step + 1))
    # The minimum-jerk profile of Flash and Hogan (1985), at rest at both ends; the lift is at rest there too.
    along = swing**3 * (10 - 15 * swing + 6 * swing**2)
    lift = 16 * swing**2 * (1 - swing) ** 2 * _SWING_HEIGHT["fore" if "fore" in limb else "hind"] * build.scale
    return here + along[..., None] * (there - here) + _up(lift)


def footprint(circuit: Circuit, gait: Gait, limb: str, step: NDArray[np.int64], build: Build) -> Array:
    """Where on the floor, (..., 3) in mm, `limb` stands during the steps of these numbers."""
    kind = "fore" if "fore" in limb else "hind"
    along, aside = _FOOT[kind][0] * build.scale * build.along(kind), _FOOT[kind][1] * build.scale * build.wide
    middle = gait.contact_distance(limb, step) + gait.duty_factor * gait.stride_length / 2
    position, tangent = circuit.at(middle + along)
    left = np.stack([-tangent[..., 1], tangent[..., 0], np.zeros_like(tangent[..., 0])], axis=-1)
    return position + (aside if limb.startswith("left") else -aside) * left


def _bend(proximal: Array, distal: Array, upper: float, lower: float, toward: Array) -> Array:
    """The joint (time, 3) between two points, with bones of these lengths, on the side of `toward`."""
    axis = distal - proximal
    reach = np.linalg.norm(axis, axis=-1, keepdims=True)
    if bool((reach >= upper + lower).any()) or bool((reach <= abs(upper - lower)).any()):
        raise InvalidValueError(
            "stride",
            expected=f"a foot {abs(upper - lower):.1f} to {upper + lower:.1f} mm from the hip or shoulder",
            got=f"{reach.min():.1f} to {reach.max():.1f} mm",
            remedy="Shorten the stride, or lower the duty factor.",
        )
    axis = axis / reach
    along = (reach**2 + upper**2 - lower**2) / (2 * reach)
    aside = toward - np.sum(toward * axis, axis=-1, keepdims=True) * axis
    aside /= np.linalg.norm(aside, axis=-1, keepdims=True)
    return proximal + along * axis + np.sqrt(upper**2 - along**2) * aside


def _frame(yaw: Array, pitch: Array, roll: Array) -> Array:
    """Rotations (time, 3, 3) whose columns are forward, left and up; positive pitch raises the front."""
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    forward = np.stack([cy * cp, sy * cp, sp], axis=-1)
    level = np.stack([-sy, cy, np.zeros_like(cy)], axis=-1)
    above = np.cross(forward, level)
    left = cr[:, None] * level + sr[:, None] * above
    return np.stack([forward, left, np.cross(forward, left)], axis=-1)


def _up(height: Array) -> Array:
    return np.stack([np.zeros_like(height), np.zeros_like(height), height], axis=-1)
