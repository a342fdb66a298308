"""Which candidates are the steps: the most credible sequence of contacts and lift-offs in turn, compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from calibration.kernels import kept

__all__ = ["best_sequence"]

Array = NDArray[np.float64]
_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])

# a decorated kernel has the type of the function, whatever numba says of it
_kept: Callable[[_Kernel], _Kernel] = cast(Any, kept(njit(nogil=True, error_model="numpy")))

# A stance or swing is looked for among so many candidates; each is one of a few wiggles of noise.
_REACH = 200


@_kept
def best_sequence(
    place: Array, lifts: NDArray[np.bool_], evidence: Array, end: float, cost: float, shortest: float, prior: Array
) -> NDArray[np.bool_]:
    """Which candidates are steps, (candidate,), by dynamic programming: kinds take turns, and the total is largest.

    Args:
        place: (candidate,) increasing places in time.
        lifts: (candidate,) true for a lift-off, false for a contact.
        evidence: (candidate,) for standing instead of swinging, summed up from the start of the run to the candidate.
        end: the sum at the end of the run; at the start it is 0.
        cost: of a candidate.
        shortest: stance or swing, in places.
        prior: (2, 2) mean and standard deviation of the logarithm of the length of stance, then swing; a standard
            deviation of 0 is no prior. Swings are no longer and no shorter than the prior; stances are no shorter.
    """
    count = len(place)
    score = np.empty(count)
    before = np.full(count, -1)
    for this in range(count):
        # what goes before the first candidate: a stance before a lift-off, a swing before a contact
        score[this] = (evidence[this] if lifts[this] else -evidence[this]) - cost
        for other in range(max(0, this - _REACH), this):
            length = place[this] - place[other]
            if lifts[other] == lifts[this] or length < shortest:
                continue
            gained = evidence[this] - evidence[other]
            phase = 0 if lifts[this] else 1
            value = score[other] + (gained if phase == 0 else -gained) - cost
            if prior[phase, 1] > 0:
                away = (np.log(length) - prior[phase, 0]) / prior[phase, 1]
                if away < 0 or phase == 1:
                    value -= 0.5 * min(away * away, 25.0) * cost
            if value > score[this]:
                score[this] = value
                before[this] = other
    chosen = np.zeros(count, dtype=np.bool_)
    last, best = -1, abs(end)
    for this in range(count):
        total = score[this] + (evidence[this] - end if lifts[this] else end - evidence[this])
        if total > best:
            last, best = this, total
    while last >= 0:
        chosen[last] = True
        last = before[last]
    return chosen
