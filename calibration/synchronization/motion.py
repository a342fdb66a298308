"""From the motion of keypoints, or of the corners of a board, to the clocks of the cameras.

With a rig: at the right offset the rays to a moving point meet, at a wrong one they miss each other by its motion.
Without one, speeds are correlated, and the geometry of each pair is estimated with the offset (Caspi and Irani 2000;
Tresadern and Reid 2003): good to a tenth of a frame where many points move in all directions, but lens distortion
goes into the offset, and nothing independent verifies it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from calibration.errors import CalibrationError, InvalidValueError, MismatchError, SuiteWarning
from calibration.rig import Rig
from calibration.schema import as_floats
from calibration.synchronization._adjustment import Adjusted, adjust
from calibration.synchronization._network import Line, Network
from calibration.synchronization._search import best_shift, candidates, scan
from calibration.synchronization._steps import follow
from calibration.synchronization.clocks import Clock, Synchronization, Timing

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["MotionSettings", "Track", "network_of", "synchronize_motion", "tracks_of_corners"]

_FINE = np.arange(-3.0, 3.01, 0.25)  # frames around a candidate
_FINEST = np.arange(-0.6, 0.61, 0.1)
# The median residual of the second-best offset over that of the best. In simulated walks with 1 px of noise the true
# offset stands out by a factor of 3 and more; a strictly repeated motion comes to 1.0.
_LEAST_LEAD = 1.1
_CLEAR_LEAD = 1.3
_LARGEST_STD = 0.5  # frames; what is less certain than that is not found
_NOTABLE_QUALITY = 0.7
_PARTNERS = 3  # cameras a new one is compared with


@dataclass(frozen=True, eq=False)
class Track:
    """Moving points in one camera.

    Attributes:
        timing: when its frames were taken, by its own clock.
        position: (frame, point, 2) px, NaN where not seen; a point is the same in all cameras.
    """

    timing: Timing
    position: NDArray[np.float64]

    def __post_init__(self) -> None:
        position = as_floats(self.position, "track, position")
        if position.ndim != 3 or position.shape[0] != self.timing.count or position.shape[2] != 2:
            raise InvalidValueError(
                "track, position",
                expected=f"shape (frame, point, 2) of {self.timing.count} frames",
                got=f"shape {position.shape}",
                remedy="Give one row per frame of the file, NaN where nothing was found.",
            )
        object.__setattr__(self, "position", position)


@dataclass(frozen=True)
class MotionSettings:
    """How to look for the offset.

    Attributes:
        maximum_offset: seconds; larger offsets are not looked for.
        drift: whether to look for drift and dropped frames.
    """

    maximum_offset: float = 60.0
    drift: bool = True


def synchronize_motion(
    tracks: Mapping[str, Track],
    rig: Rig | None = None,
    *,
    reference: str | None = None,
    settings: MotionSettings | None = None,
) -> Synchronization:
    """The clocks of cameras that see the same moving points.

    One camera after the other is compared with those before it: over all whole frames, then between frames, then
    along the recording for drift and dropped frames. At last the offsets and rates of all cameras are adjusted
    together to the epipolar residuals of all pairs.

    Args:
        tracks: by camera.
        rig: the calibrated cameras; without it the result is less accurate, and a warning says so.
        reference: camera whose clock is to be the common one; the first by default.
        settings: how far to look.

    Raises:
        CalibrationError: nothing moves, recordings do not overlap, or the motion does not determine an offset.
        MismatchError: fewer than two cameras, the rig lacks one, or the numbers of points differ.
    """
    settings = settings or MotionSettings()
    network = network_of(tracks, rig)
    names = list(tracks)
    first = names[0] if reference is None else reference
    if first not in tracks:
        raise _mismatch("reference", f"one of {', '.join(names)}", first)
    _check_motion(network)
    if rig is None:
        warnings.warn(
            "synchronization by motion without a rig: the geometry of the cameras is estimated with the offset, which "
            "is less accurate and not verified; give the calibration with --rig",
            SuiteWarning,
            stacklevel=2,
        )
    lines = {first: Line()}
    for name in sorted((name for name in names if name != first), key=names.index):
        lines[name] = _join(network, name, list(lines)[:_PARTNERS], lines, settings)
    outcome = _adjust(network, lines, first)
    _check_certainty(network, outcome)
    _warn_of_disagreement(outcome)
    clocks = [
        Clock(
            name,
            network.timing[name],
            offset=outcome.lines[name].offset,
            rate=outcome.lines[name].rate,
            offset_std=outcome.offset_std.get(name, 0.0),
            rate_std=outcome.rate_std.get(name, 0.0),
            method="reference" if name == first else "motion",
            quality=outcome.quality[name],
        )
        for name in names
    ]
    return Synchronization(tuple(clocks), first)


def tracks_of_corners(corners: xr.Dataset, frame_rate: float) -> dict[str, Track]:
    """Tracks of the corners of a board, from a Corners Dataset whose frames were matched by number or wrongly.

    Rows are put where the camera's own video has them (`source_frame`).

    Args:
        corners: Corners Dataset.
        frame_rate: frames per second of the videos.
    """
    tracks = {}
    for index, name in enumerate(corners["camera"].values):
        source = corners["source_frame"].values[index]
        rows = np.flatnonzero(np.isfinite(source))
        if not len(rows):
            continue
        numbers = source[rows].astype(np.intp)
        position = np.full((int(numbers.max()) + 1, corners.sizes["corner"], 2), np.nan)
        position[numbers] = corners["position"].values[index, rows]
        tracks[str(name)] = Track(Timing(frame_rate, len(position)), position)
    return tracks


def network_of(tracks: Mapping[str, Track], rig: Rig | None) -> Network:
    """The tracks as a network; see `synchronize_motion` for what it raises."""
    if len(tracks) < 2:
        raise _mismatch("cameras", "at least two with 2D positions", ", ".join(tracks) or "none")
    counts = {name: track.position.shape[1] for name, track in tracks.items()}
    if len(set(counts.values())) > 1:
        raise _mismatch("points", "the same points in all cameras", str(counts))
    lacking = [name for name in tracks if rig is not None and name not in rig.names]
    if rig is not None and lacking:
        raise _mismatch("rig", f"cameras of the rig: {', '.join(rig.names)}", ", ".join(lacking))
    timing = {name: track.timing for name, track in tracks.items()}
    return Network.build(rig, timing, {name: track.position for name, track in tracks.items()})


def _join(network: Network, name: str, others: Sequence[str], lines: dict[str, Line], settings: MotionSettings) -> Line:
    """The line of one more camera."""
    interval = network.tracks[name].interval
    tried = []
    for shift in candidates(network, name, others, lines, settings.maximum_offset):
        grid = shift + _FINE * interval
        place, cost, contrast = best_shift(grid, scan(network, name, others, lines, grid, relearn=True))
        tried.append((cost, place, contrast))
    tried = [one for one in sorted(tried) if np.isfinite(one[0])]
    if not tried:
        raise CalibrationError(
            f"synchronization of camera '{name}' by motion",
            expected=f"positions at the same time as in {', '.join(others)}",
            got=f"no offset up to {settings.maximum_offset:g} s at which 20 % of them overlap",
            remedy="Check that these are of one recording, and enlarge the largest offset if they start far apart.",
        )
    cost, start, _ = tried[0]
    near = [one for one in tried[1:] if abs(one[1] - start) > 2 * interval and one[0] < _LEAST_LEAD * cost]
    rivals = [one for one in near if not _differ(network, name, others, lines, (start, one[1]))]
    if rivals:
        raise CalibrationError(
            f"synchronization of camera '{name}' by motion",
            expected="one offset that fits better than all others",
            got=f"{start:.4f} s ({cost:.3f} px of median residual) and {rivals[0][1]:.4f} s ({rivals[0][0]:.3f} px)",
            remedy="The motion repeats itself, or is too small: record one that does not, or use a sound or a light.",
        )
    grid = start + _FINEST * interval
    finest, _, _ = best_shift(grid, scan(network, name, others, lines, grid, relearn=True))
    _learn(network, name, others, {**lines, name: Line(finest)})
    return follow(network, name, others, lines, finest) if settings.drift else Line(finest)


def _differ(
    network: Network, name: str, others: Sequence[str], lines: dict[str, Line], offsets: tuple[float, float]
) -> bool:
    """Whether one of two offsets is better in some third of the recording.

    Two offsets that fit equally well everywhere are a motion that repeats itself; where frames were dropped, one fits
    before and the other behind.
    """
    count = len(network.tracks[name].times)
    edges = np.linspace(0, count, 4).astype(int)
    for first, last in pairwise(edges):
        costs = scan(network, name, others, lines, np.array(offsets), slice(int(first), int(last)), relearn=True)
        if np.isfinite(costs).all() and max(costs) > _CLEAR_LEAD * min(costs):
            return True
    return False


def _learn(network: Network, name: str, others: Sequence[str], lines: dict[str, Line]) -> None:
    for other in others:
        network.estimate((name, other), network.samples(name, most=20_000), (lines[name], lines[other]))


def _adjust(network: Network, lines: dict[str, Line], reference: str) -> Adjusted:
    """Adjust; without a rig the geometry of all pairs is learned anew in between."""
    outcome = adjust(network, lines, reference)
    for _ in range(0 if network.rig is not None else 3):
        for name in lines:
            _learn(network, name, [other for other in lines if other != name], outcome.lines)
        outcome = adjust(network, outcome.lines, reference)
    return outcome


def _check_motion(network: Network) -> None:
    still = network.still()
    if still:
        raise CalibrationError(
            f"synchronization by motion, camera {', '.join(still)}",
            expected="points that move",
            got="none that moves farther than five times its noise, or 3 px",
            remedy="Use a part of the recording with motion, or a sound, a light or time stamps.",
        )


def _check_certainty(network: Network, outcome: Adjusted) -> None:
    for name, spread in outcome.offset_std.items():
        frames = spread / network.tracks[name].interval
        if not frames < _LARGEST_STD:
            raise CalibrationError(
                f"synchronization of camera '{name}' by motion",
                expected=f"an offset that is certain to {_LARGEST_STD} frames",
                got=f"a standard deviation of {frames:.2f} frames",
                remedy="The motion is too small, or along the epipolar lines: use more of the recording.",
            )


def _warn_of_disagreement(outcome: Adjusted) -> None:
    for name, quality in outcome.quality.items():
        if quality < _NOTABLE_QUALITY:
            warnings.warn(
                f"synchronization of camera '{name}' by motion: only {quality:.0%} of the positions agree with it; "
                "many frames may be missing at once, or the individuals of the cameras are not the same",
                SuiteWarning,
                stacklevel=3,
            )


def _mismatch(subject: str, expected: str, got: str) -> MismatchError:
    return MismatchError(
        f"synchronization by motion, {subject}",
        expected=expected,
        got=got,
        remedy="Give the 2D poses of all cameras of one recording, named as in the calibration.",
    )
