"""The numba kernels of `pose3d.synthetic.crowds`: animals that walk, stop, meet, huddle, leave and come back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from calibration.kernels import kept

__all__ = ["AWAY", "LEAVING", "STOPPED", "WALKING", "move", "switch"]

Array = NDArray[np.float64]
_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])

# a decorated kernel has the type of the function, whatever numba says of it
_jit: Callable[[_Kernel], _Kernel] = cast(Any, njit(nogil=True, error_model="numpy"))
_kept: Callable[[_Kernel], _Kernel] = cast(Any, kept(njit(nogil=True, error_model="numpy")))

WALKING, STOPPED, LEAVING, AWAY = 0, 1, 2, 3

_SPEED_TIME, _SPEED_SPREAD = 0.4, 0.4  # s, and share of the mean speed
_TURN_TIME, _TURN_SPREAD = 0.4, 1.6  # s, rad/s
_STEERING = 4.0  # rad/s per rad
_FASTEST_TURN = 5.0  # rad/s
_WALL = 0.85  # share of the radius of the arena at which animals turn back
_HUDDLE_TIME = 8.0  # s
_APART = 0.26  # body lengths that nodes of two bodies keep between them


@_jit
def _angle(value: float) -> float:
    """The same angle within -pi and pi."""
    return float(value - 2 * np.pi * np.floor((value + np.pi) / (2 * np.pi)))


@_jit
def _lasts(mean: float, step: float, draw: float) -> bool:
    """Does what lasts `mean` seconds on average last another step?"""
    return mean > 0 and draw >= step / mean


@_jit
def _push_apart(nodes: Array, mode: NDArray[np.int64], apart: float) -> None:
    """Move nodes (animal, node, 2) of different bodies most of the way to where they would be `apart`."""
    animals, count = nodes.shape[:2]
    for a in range(animals):
        for b in range(a):
            if mode[a] == AWAY or mode[b] == AWAY:
                continue
            for i in range(count):
                for j in range(count):
                    x, y = nodes[a, i, 0] - nodes[b, j, 0], nodes[a, i, 1] - nodes[b, j, 1]
                    squared = x * x + y * y
                    if 1e-12 < squared < apart * apart:
                        far = np.sqrt(squared)
                        share = 0.35 * (apart - far) / far
                        nodes[a, i, 0] += share * x
                        nodes[a, i, 1] += share * y
                        nodes[b, j, 0] -= share * x
                        nodes[b, j, 1] -= share * y


@_jit
def _place(nodes: Array, lengths: Array, x: float, y: float, heading: float) -> None:
    """Lay a body straight, its first node at a place."""
    far = 0.0
    for i in range(len(nodes)):
        nodes[i, 0], nodes[i, 1] = x - far * np.cos(heading), y - far * np.sin(heading)
        if i < len(lengths):
            far += lengths[i]


@_jit
def _drag(nodes: Array, lengths: Array) -> None:
    """Draw the nodes after the first one, at their distances."""
    for i in range(1, len(nodes)):
        x, y = nodes[i, 0] - nodes[i - 1, 0], nodes[i, 1] - nodes[i - 1, 1]
        share = lengths[i - 1] / np.sqrt(x * x + y * y)
        nodes[i, 0], nodes[i, 1] = nodes[i - 1, 0] + share * x, nodes[i - 1, 1] + share * y


@_kept
def move(
    nodes: Array, motion: Array, mode: NDArray[np.int64], huddle: Array, lengths: Array, plan: Array, normal: Array,
    uniform: Array, result: Array, walked: Array, away: NDArray[np.bool_],
) -> None:  # fmt: skip
    """Move all animals by as many frames as there are draws; the state goes on from call to call.

    Args:
        nodes: (animal, node, 2) state: places of the nodes of the spine on the floor, the first one leads.
        motion: (animal, 4) state: heading, rate of turning, speed and distance walked.
        mode: (animal,) state: WALKING, STOPPED, LEAVING or AWAY.
        huddle: (3,) state: 1 in a huddle, and where it is.
        lengths: (animal, node - 1) distances between the nodes.
        plan: step (s), radius of the arena, mean speed, body length, share of time stopped, its mean time (s), share
            of time away, its mean time (s), share of time in huddles.
        normal: (time, animal, 2) normal draws; uniform: (time, animal + 1, 2) uniform ones, the last for all.
        result: (time, animal, node, 2) the nodes; walked: (time, animal) distance; away: (time, animal).
    """
    step, radius, mean_speed, length, stopped, stop_time, gone, gone_time, huddled = plan
    animals = nodes.shape[0]
    decay, turn_decay = np.exp(-step / _SPEED_TIME), np.exp(-step / _TURN_TIME)
    jitter = _SPEED_SPREAD * mean_speed * np.sqrt(1 - decay * decay)
    turn_jitter = _TURN_SPREAD * np.sqrt(1 - turn_decay * turn_decay)
    for t in range(len(result)):
        draw = uniform[t, animals]
        if huddle[0] == 1.0:
            huddle[0] = 1.0 if _lasts(_HUDDLE_TIME, step, draw[0]) else 0.0
        elif huddled > 0 and not _lasts(_HUDDLE_TIME * (1 - huddled) / huddled, step, draw[0]):
            far = 0.6 * radius * np.sqrt(draw[1])
            turn = 2 * np.pi * uniform[t, 0, 1]
            huddle[0], huddle[1], huddle[2] = 1.0, far * np.cos(turn), far * np.sin(turn)
        for a in range(animals):
            first, second = uniform[t, a]
            if mode[a] == AWAY:
                if not _lasts(gone_time, step, first):
                    mode[a] = WALKING
                    turn = 2 * np.pi * second
                    motion[a, 0], motion[a, 1], motion[a, 2] = turn + np.pi, 0.0, mean_speed
                    _place(nodes[a], lengths[a], radius * np.cos(turn), radius * np.sin(turn), motion[a, 0])
                continue
            if mode[a] == STOPPED and not _lasts(stop_time, step, first):
                mode[a] = WALKING
            elif mode[a] == WALKING:
                if stopped > 0 and not _lasts(stop_time * (1 - stopped) / stopped, step, first):
                    mode[a] = STOPPED
                elif gone > 0 and not _lasts(gone_time * (1 - gone) / gone, step, second):
                    mode[a] = LEAVING
            x, y = nodes[a, 0]
            out = np.sqrt(x * x + y * y)
            goal_x, goal_y, aims = 0.0, 0.0, out > _WALL * radius
            near = False
            if mode[a] == LEAVING:
                goal_x, goal_y, aims = 2 * radius * x / max(out, 1e-9), 2 * radius * y / max(out, 1e-9), True
                if out >= radius:
                    mode[a] = AWAY
                    continue
            elif huddle[0] == 1.0:
                # each has its side of the huddle
                side = 2 * np.pi * a / animals
                reach = 0.12 * length * np.sqrt(animals)
                goal_x, goal_y, aims = huddle[1] + reach * np.cos(side), huddle[2] + reach * np.sin(side), True
                near = (goal_x - x) ** 2 + (goal_y - y) ** 2 < (0.25 * length) ** 2
            target = mean_speed
            if near or (mode[a] == STOPPED and huddle[0] != 1.0):
                target, aims = 0.0, False
            motion[a, 2] = target + decay * (motion[a, 2] - target)
            if target > 0:
                motion[a, 2] += jitter * normal[t, a, 0]
            motion[a, 1] = turn_decay * motion[a, 1] + turn_jitter * normal[t, a, 1]
            turn = motion[a, 1] * min(1.0, abs(motion[a, 2]) / (0.5 * mean_speed))
            if aims:
                turn += _STEERING * _angle(np.arctan2(goal_y - y, goal_x - x) - motion[a, 0])
            motion[a, 0] = _angle(motion[a, 0] + step * min(max(turn, -_FASTEST_TURN), _FASTEST_TURN))
            advance = step * max(motion[a, 2], 0.0)
            motion[a, 3] += advance
            nodes[a, 0, 0] += advance * np.cos(motion[a, 0])
            nodes[a, 0, 1] += advance * np.sin(motion[a, 0])
        _push_apart(nodes, mode, _APART * length)
        for a in range(animals):
            out = np.sqrt(nodes[a, 0, 0] ** 2 + nodes[a, 0, 1] ** 2)
            if out > radius and mode[a] != LEAVING and mode[a] != AWAY:
                nodes[a, 0, 0] *= radius / out
                nodes[a, 0, 1] *= radius / out
            _drag(nodes[a], lengths[a])
            away[t, a] = mode[a] == AWAY
            walked[t, a] = motion[a, 3]
            result[t, a] = nodes[a]


@_kept
def switch(state: NDArray[np.bool_], on: float, off: float, uniform: Array, result: NDArray[np.bool_]) -> None:
    """Two-state Markov chains, one per column of `state` (chain,), which goes on from call to call.

    Args:
        state: (chain,) on or off.
        on, off: probability of being switched on, or off, in a frame.
        uniform: (time, chain) draws.
        result: (time, chain) the states.
    """
    for t in range(len(result)):
        for chain in range(len(state)):
            draw = uniform[t, chain]
            state[chain] = draw >= off if state[chain] else draw < on
            result[t, chain] = state[chain]
