"""Epipolar residuals as witnesses: do clocks that were found in some way make the rays meet?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from calibration.errors import SuiteError
from calibration.rig import Rig
from calibration.synchronization._adjustment import Adjusted, adjust
from calibration.synchronization._network import Line, Network
from calibration.synchronization.clocks import Clock, Synchronization, Timing, Verification
from calibration.synchronization.motion import Track, network_of

__all__ = ["verify"]

# Frames of a half: in 50 frames of human_4cam what a detector does wrong changes less than it moves.
_SHORTEST = 120
_SAMPLES = 5000
_TELLING = 0.25  # frames of standard deviation, above which the residuals tell nothing
_CLOSE = 0.25  # frames
_FAR = 0.5
_CERTAIN = 4.0  # standard deviations


def verify(synchronization: Synchronization, tracks: Mapping[str, Track], rig: Rig) -> Synchronization:
    """The same clocks, with a verification each, by moving points that a calibrated rig sees.

    What is left of each offset is estimated from the epipolar residuals of the first and of the second half of the
    recording, each by itself, so that clocks that were found from the same motion do not verify themselves, and drift
    that was overlooked shows. The larger one counts. A recording of fewer than 240 frames is taken as a whole, and does
    not verify clocks that were found from motion. A clock is "verified" where what is left is within 0.25 frames and
    one standard deviation, "contradicted" beyond 0.5 frames and four standard deviations, else "not verified".

    Args:
        synchronization: the clocks.
        tracks: positions by camera; their timing is not used, that of the clocks is.
        rig: the calibrated cameras.
    """
    names = [name for name in synchronization.cameras if name in tracks and name in rig.names]
    if len(names) < 2:
        return synchronization
    timed = {name: Track(synchronization[name].timing, tracks[name].position) for name in names}
    network = network_of(timed, rig)
    by_number = network_of({name: _by_number(track) for name, track in timed.items()}, rig)
    lines = {name: Line(synchronization[name].offset, synchronization[name].rate) for name in names}
    base = synchronization.reference if synchronization.reference in names else names[0]
    long = min(clock.timing.count for clock in synchronization if clock.camera in names) >= 2 * _SHORTEST
    halves = [_left(network, half, lines, base) for half in ((0, 1) if long else (None,))]
    clocks = []
    for clock in synchronization:
        if clock.camera not in names:
            clocks.append(clock)
            continue
        before = _residual(by_number, clock.camera, dict.fromkeys(names, Line()))
        after = _residual(network, clock.camera, lines)
        check = (
            _judge(clock, halves if long or clock.method != "motion" else [], lines, before, after)
            if clock.camera != base
            else Verification("not verified", before=before, after=after)
        )
        clocks.append(replace(clock, verification=check))
    of_base = _of_reference([clock.verification for clock in clocks if clock.camera in names and clock.camera != base])
    clocks = [
        replace(clock, verification=replace(clock.verification, status=of_base)) if clock.camera == base else clock
        for clock in clocks
    ]
    return Synchronization(tuple(clocks), synchronization.reference)


def _by_number(track: Track) -> Track:
    return Track(Timing(track.timing.frame_rate, track.timing.count), track.position)


def _left(network: Network, half: int | None, lines: dict[str, Line], base: str) -> Adjusted | None:
    """The adjusted lines of half of the recording, or of all; None where it does not determine them."""
    cut = {}
    for name in network.raw:
        instants = lines[name].offset + lines[name].rate * network.tracks[name].times
        cut[name] = instants
    middle = float(np.median(np.concatenate(list(cut.values()))))
    part = Network(network.rig, dict(network.timing), {}, {}, network.fundamentals)
    for name, raw in network.raw.items():
        keep = np.ones(len(raw), dtype=bool) if half is None else (cut[name] >= middle) == bool(half)
        part.raw[name] = np.where(keep[:, None, None], raw, np.nan)
        if not np.isfinite(part.raw[name]).any():
            return None
        part.set_timing(name, network.timing[name])
    if part.still():
        return None
    try:
        return adjust(part, lines, base)
    except (SuiteError, np.linalg.LinAlgError):
        return None


def _judge(
    clock: Clock,
    halves: Sequence[Adjusted | None],
    lines: dict[str, Line],
    before: float,
    after: float,
) -> Verification:
    errors, spreads = [], []
    name, interval = clock.camera, clock.timing.interval
    for half in halves:
        if half is not None:
            errors.append((half.lines[name].offset - lines[name].offset) / interval)
            spreads.append(half.offset_std[name] / interval)
    if not errors:
        return Verification("not verified", before=before, after=after)
    worst = int(np.argmax(np.abs(errors)))
    error, spread = errors[worst], spreads[worst]
    status = "not verified"
    if spread < _TELLING and abs(error) < _CLOSE + spread:
        status = "verified"
    elif spread < _TELLING and abs(error) > max(_FAR, _CERTAIN * spread):
        status = "contradicted"
    return Verification(status, float(error), float(spread), before, after)


def _of_reference(others: list[Verification]) -> str:
    """The reference is verified by any other camera, and contradicted only where all others are."""
    statuses = {check.status for check in others}
    if "verified" in statuses:
        return "verified"
    return "contradicted" if statuses == {"contradicted"} else "not verified"


def _residual(network: Network, name: str, lines: dict[str, Line]) -> float:
    samples = network.samples(name, most=_SAMPLES)
    rests = [
        network.residuals((name, other), samples, (lines[name], lines[other]))
        for other in network.tracks
        if other != name
    ]
    together = np.abs(np.concatenate(rests))
    known = together[np.isfinite(together)]
    return float(np.median(known)) if len(known) else float("nan")
