"""The tracks of legs and body that steps are found in, on the regular rhythm of the recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from calibration.nearest import nearest_name
from pose3d.kinematics._poses import check_poses, is_flat, keypoint_names
from pose3d.rhythm import rhythm_of, times_are_seconds
from pose3d.skeleton import Leg, Point, Skeleton

__all__ = [
    "LegTracks",
    "Timing",
    "Walker",
    "legs_of",
    "lost",
    "noise_of",
    "runs_of",
    "slope_noise",
    "timing_of",
    "walker_of",
]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Keypoints that stand for the body where nothing says what the body is.
_BODY_KEYPOINTS = 12
_ENOUGH_DIFFERENCES = 20_000


@dataclass(frozen=True, eq=False)
class Timing:
    """When the places of the regular rhythm are.

    Attributes:
        slot: (row,) place of every row of the poses.
        rate: places per second.
        time, frame: (row,) of the poses.
    """

    slot: NDArray[np.int64]
    rate: float
    time: Array
    frame: Array

    @property
    def places(self) -> int:
        """Number of places."""
        return int(self.slot[-1]) + 1 if len(self.slot) else 0

    def at(self, place: Array) -> tuple[Array, Array]:
        """Times in seconds and frame numbers, both (n,), of places (n,) and what is between them."""
        return np.interp(place, self.slot, self.time), np.interp(place, self.slot, self.frame)

    def place(self, time: Array) -> Array:
        """Places (n,) of times (n,) in seconds; what is outside the recording goes on at its rate."""
        inside = np.interp(time, self.time, self.slot)
        before, after = np.minimum(time - self.time[0], 0), np.maximum(time - self.time[-1], 0)
        return np.asarray(inside + (before + after) * self.rate)

    def spread(self, values: Array) -> Array:
        """(place, ...) of values (row, ...), NaN where no row is."""
        if self.places == len(values):
            return values
        result = np.full((self.places, *values.shape[1:]), np.nan)
        result[self.slot] = values
        return result


@dataclass(frozen=True, eq=False)
class LegTracks:
    """Where the parts of a leg are, (place, 3) each; short gaps are filled.

    Attributes:
        leg: its anatomy.
        foot, heel, toe: the last two are the foot where the leg has none.
        hip: what moves with the body; the body where the leg has none.
        valid: (place,) whether all of them are there, or were filled.
        filled: (place,) where they were filled.
        noise: standard deviation of a coordinate of the foot.
    """

    leg: Leg
    foot: Array
    heel: Array
    toe: Array
    hip: Array
    valid: Mask
    filled: Mask
    noise: float

    @property
    def rolls(self) -> bool:
        """Whether it has a toe that leaves the ground after the rest of the foot."""
        return self.leg.toe is not None and self.leg.toe != self.leg.heel


@dataclass(frozen=True, eq=False)
class Walker:
    """An individual: its legs, and the middle of its body (place, 3)."""

    name: str
    legs: tuple[LegTracks, ...]
    body: Array


def legs_of(poses: xr.Dataset, skeleton: Skeleton | None, legs: Sequence[str | Leg] | None) -> tuple[Leg, ...]:
    """The legs to look at: those of the skeleton, or named ones of it, or named feet.

    Raises:
        InvalidValueError: there are none, or a name is neither a leg nor a keypoint.
    """
    names = keypoint_names(poses)
    known = {} if skeleton is None else {leg.name: leg for leg in skeleton.anatomy.select(set(names)).legs}
    if legs is None:
        if not known:
            raise InvalidValueError(
                f"skeleton '{'' if skeleton is None else skeleton.name}', legs",
                expected="legs whose keypoints the poses have",
                got="none",
                remedy=f"Name the feet, as legs=['{names[-1]}'], or give the skeleton legs.",
            )
        return tuple(known.values())
    chosen = []
    for leg in legs:
        if isinstance(leg, Leg):
            chosen.append(leg)
        elif leg in known:
            chosen.append(known[leg])
        else:
            chosen.append(Leg(str(leg), str(leg)))
    for leg in chosen:
        for name in {name for point in leg.points for name in point} - set(names):
            raise InvalidValueError(
                f"legs, {leg.name}",
                expected="a leg of the skeleton, or a keypoint of the poses",
                got=name,
                remedy=nearest_name(name, [*known, *names]) or "Correct the name.",
            )
    if not chosen or len({leg.name for leg in chosen}) < len(chosen):
        raise InvalidValueError(
            "legs",
            expected="at least one name, each once",
            got=", ".join(leg.name for leg in chosen) or "none",
            remedy="Name every foot once.",
        )
    return tuple(chosen)


def timing_of(poses: xr.Dataset) -> Timing:
    """When the rows are, in seconds.

    Raises:
        InvalidValueError: the poses are not Poses3D, have no frame rate, or their times do not increase.
    """
    check_poses(poses)
    if is_flat(poses):
        raise InvalidValueError(
            "gait, poses", expected="Poses3D", got="Poses2D", remedy="Triangulate or reconstruct the poses first."
        )
    rhythm = rhythm_of(poses)
    if rhythm.unit != "s":
        raise InvalidValueError(
            "gait, frame rate",
            expected="poses with the attribute 'fps'",
            got="none",
            remedy="Give the frame rate when the poses are loaded, or set poses.attrs['fps'].",
        )
    time = poses["time"].values.astype(np.float64)
    if not times_are_seconds(poses):
        time = time / float(poses.attrs["fps"])
    return Timing(rhythm.slot, rhythm.rate, time, poses["frame"].values.astype(np.float64))


def walker_of(
    poses: xr.Dataset, individual: str, skeleton: Skeleton | None, legs: Sequence[Leg], timing: Timing, gap: float
) -> Walker:
    """The tracks of an individual; only the keypoints that are needed are loaded.

    Args:
        poses, legs, timing: as checked before.
        individual: its name.
        skeleton: says what the body is.
        gap: longest gap, in seconds, that is filled.
    """
    body = _body_points(poses, skeleton, legs)
    ends = [(name,) for leg in legs for name in (leg.foot, leg.heel or leg.foot, leg.toe or leg.foot)]
    points = [*ends, *(leg.hip for leg in legs), *body]
    wanted = sorted({name for point in points for name in point})
    chosen = poses["position"].sel(individual=individual, keypoint=wanted).transpose("time", "keypoint", "space")
    position = timing.spread(np.asarray(chosen.values, dtype=np.float64))
    places = {name: np.ascontiguousarray(position[:, index]) for index, name in enumerate(wanted)}
    noise = _told_noise(poses, individual, legs)
    longest = int(gap * timing.rate)
    middle, _ = _filled(np.mean(_seen([_point(places, point) for point in body]), axis=0), longest)
    tracks = tuple(_leg_tracks(leg, places, middle, longest, noise[leg.name]) for leg in legs)
    return Walker(individual, tracks, middle)


def _seen(tracks: list[Array]) -> list[Array]:
    """Those that are there at least half as often as the one that is there most."""
    shares = [float(np.isfinite(track).all(axis=-1).mean()) for track in tracks]
    return [track for track, share in zip(tracks, shares, strict=True) if share >= 0.5 * max(shares)]


def _leg_tracks(leg: Leg, places: dict[str, Array], body: Array, longest: int, told: float) -> LegTracks:
    points: list[Point] = [(leg.foot,), (leg.heel or leg.foot,), (leg.toe or leg.foot,), leg.hip]
    known: dict[Point, tuple[Array, Mask]] = {(): (body, np.zeros(len(body), dtype=bool))}
    for point in points:
        if point not in known:
            known[point] = _filled(_point(places, point), longest)
    if leg.hip and len(_seen([known[leg.hip][0], known[points[0]][0]])) < 2 and not lost(known[points[0]][0]).all():
        points[3] = ()  # a hip that is hardly ever seen is no reason to lose the leg
    foot, heel, toe, hip = (known[point][0] for point in points)
    used = [known[point] for point in dict.fromkeys(points)]
    valid = ~np.logical_or.reduce([lost(track) for track, _ in used])
    filled = np.logical_or.reduce([here for _, here in used]) & valid
    return LegTracks(leg, foot, heel, toe, hip, valid, filled, max(noise_of(places[leg.foot]), told))


def _body_points(poses: xr.Dataset, skeleton: Skeleton | None, legs: Sequence[Leg]) -> list[Point]:
    """What stands for the body: the ends of its axis, else the hips, else what is no foot, else the feet."""
    names = keypoint_names(poses)
    if skeleton is not None:
        anatomy = skeleton.anatomy.select(set(names))
        if anatomy.rear and anatomy.front:
            return [anatomy.rear, anatomy.front]
    if all(leg.hip for leg in legs):
        return [leg.hip for leg in legs]
    feet = {name for leg in legs for name in (leg.foot, leg.heel, leg.toe)}
    others = [name for name in names if name not in feet]
    used = others[:: -(-len(others) // _BODY_KEYPOINTS)] if others else [leg.foot for leg in legs]
    return [(name,) for name in used]


def _point(places: dict[str, Array], point: Point) -> Array:
    return np.asarray(np.mean([places[name] for name in point], axis=0)) if len(point) > 1 else places[point[0]]


def _told_noise(poses: xr.Dataset, individual: str, legs: Sequence[Leg]) -> dict[str, float]:
    """What the covariance says of a coordinate of each foot; 0 without one."""
    if "covariance" not in poses:
        return dict.fromkeys((leg.name for leg in legs), 0.0)
    covariance = poses["covariance"].sel(individual=individual, keypoint=[leg.foot for leg in legs])
    diagonal = np.stack([covariance.isel(space=axis, space_=axis).values for axis in range(3)])
    variance = diagonal.mean(axis=0)  # (time, leg)
    return {
        leg.name: float(np.sqrt(np.median(seen))) if len(seen := row[np.isfinite(row)]) else 0.0
        for leg, row in zip(legs, variance.T, strict=True)
    }


def noise_of(track: Array) -> float:
    """Standard deviation of the noise of a coordinate of a track (place, 3); 0 where it is too short to say.

    That of third differences, in which slow motion has no share; most of the time a foot stands, and their median
    looks away from the rest. So many of them are enough, spread over the recording.
    """
    if len(track) < 4:
        return 0.0
    start = np.unique(np.linspace(0, len(track) - 4, _ENOUGH_DIFFERENCES).astype(np.int64))
    third = track[start + 3] - 3 * track[start + 2] + 3 * track[start + 1] - track[start]
    third = third[~lost(third)]
    if len(third) < 4:
        return 0.0
    # of their lengths, so that the world may be turned; 1.538 is the median of the length of three normal numbers
    return float(np.median(np.linalg.norm(third, axis=-1)) / 1.538 / np.sqrt(20))


def slope_noise(noise: float, window: int) -> float:
    """Standard deviation of the slope, per place, of a parabola fitted to a window of values with this noise."""
    return noise * float(np.sqrt(12 / (window * (window**2 - 1))))


def lost(track: Array) -> Mask:
    """(place,) where a coordinate of a track (place, 3) is missing."""
    return np.asarray(np.isnan(track[:, 0] + track[:, 1] + track[:, 2]))


def runs_of(valid: Mask) -> list[tuple[int, int]]:
    """First places, and those after the last, of stretches that are valid."""
    edges = np.diff(np.concatenate([[0], valid.astype(np.int8), [0]]))
    return list(zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True))


def _filled(track: Array, longest: int) -> tuple[Array, Mask]:
    """The track with gaps of no more than `longest` places interpolated, and where that was done."""
    missing = lost(track)
    here = np.zeros(len(track), dtype=bool)
    for start, stop in runs_of(missing):
        if start > 0 and stop < len(track) and stop - start <= longest:
            here[start:stop] = True
    if not here.any():
        return track, here
    known, result = np.flatnonzero(~missing), track.copy()
    for axis in range(track.shape[1]):
        result[here, axis] = np.interp(np.flatnonzero(here), known, track[known, axis])
    return result, here
