"""Who is who over the whole recording: which tracks were exchanged where they met, given shape, appearance and anchors.

Between meetings everybody keeps a name. At a meeting two animals may have been exchanged, at a price. What an animal
looks like, and what a person confirmed, speaks for or against names. The most probable history is found by Viterbi's
algorithm over all assignments of names (of many animals, over the most probable ones), and the probability of every
exchange by the forward and backward sums over the same histories.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["IMPOSSIBLE", "History", "Step", "confirmed_names", "names_at", "ordered_steps", "solve_names"]

Array = NDArray[np.float64]
Places = NDArray[np.int64]

# Assignments of names that are kept; of four animals there are 24, of five 120.
_KEPT = 240
# What an exchange without any meeting costs, at an anchor that nothing else can explain.
IMPOSSIBLE = 40.0


@dataclass(frozen=True, eq=False)
class Step:
    """Something that happens at a frame.

    Attributes:
        row: the frame.
        first, second: the chains that may be exchanged; of a cost by name, the chain and -1.
        price: what no exchange costs, and what one costs; or what each name costs.
        begin: of a meeting, the frame at which it began; -1 for what is none.
        unseen: of a meeting, whether nobody saw it.
    """

    row: int
    first: int
    second: int
    price: Array
    begin: int = -1
    unseen: bool = False


@dataclass(frozen=True, eq=False)
class History:
    """What happened, most probably.

    Attributes:
        exchanged: (step,) whether the names of its two chains were exchanged.
        probability: (step,) that this is right; 1 for steps that are no meeting.
        names: (step, chain) names after every step.
    """

    exchanged: NDArray[np.bool_]
    probability: Array
    names: Places


@dataclass(frozen=True, eq=False)
class _Layer:
    """States after a step, and how they come from those before.

    Attributes:
        states: (state, chain) names.
        source, target, cost, swap: (edge,) from a state before to one after.
    """

    states: Places
    source: Places
    target: Places
    cost: Array
    swap: NDArray[np.bool_]


def solve_names(count: int, steps: Sequence[Step]) -> History:
    """The most probable history of names.

    Args:
        count: number of chains, and of names: at first chain k has name k.
        steps: in the order of time.
    """
    if not steps:
        return History(np.zeros(0, np.bool_), np.ones(0), np.zeros((0, count), np.int64))
    layers, best, back, forward = [], [np.zeros(1)], [], [np.zeros(1)]
    states = np.arange(count, dtype=np.int64)[None]
    for step, confirmed in zip(steps, confirmed_names(steps), strict=True):
        layer = _layer(states, step, confirmed)
        # what an anchor needs is dear until its name is told
        if confirmed is None or step.second < 0:
            layer = _pruned(layer, best[-1])
        least, choice = _least(layer, best[-1])
        forward.append(_sum(forward[-1][layer.source] - layer.cost, layer.target, len(layer.states)))
        layers.append(layer)
        best.append(least)
        back.append(choice)
        states = layer.states
    return _history(layers, best[-1], back, forward)


def ordered_steps(steps: Sequence[Step]) -> list[Step]:
    """In the order of time: of one frame first what may be exchanged, then what speaks for names, then anchors.

    What belongs to an anchor stays as it is, see `anchored_steps`: exchanges that make its name possible, and the name.
    """
    return sorted(steps, key=lambda step: (step.row, _is_certain(step), step.second < 0 and not _is_certain(step)))


def _is_certain(step: Step) -> bool:
    """True for what a person confirmed, which comes last, after the exchanges that make it possible."""
    return bool(step.price.max() >= IMPOSSIBLE)


def confirmed_names(steps: Sequence[Step]) -> list[tuple[int, int] | None]:
    """Of the steps that belong to an anchor, its chain and name; None for others."""
    found: list[tuple[int, int] | None] = []
    coming: tuple[int, int] | None = None
    for step in reversed(steps):
        if not _is_certain(step) or step.begin >= 0:
            coming = None
        elif step.second < 0:
            coming = step.first, int(np.argmin(step.price))
        found.append(coming)
    return found[::-1]


def names_at(steps: Sequence[Step], history: History, chain: Places, time: Places) -> Places:
    """The numbers of the names of chains at some frames."""
    if not len(steps):
        return chain
    begin = np.array([step.row for step in steps])
    table = np.concatenate([np.arange(history.names.shape[1])[None], history.names])
    return np.asarray(table[np.searchsorted(begin, time, side="right"), chain])


def _layer(states: Places, step: Step, confirmed: tuple[int, int] | None = None) -> _Layer:
    """All states after a step; of an exchange that belongs to an anchor, only those that it makes right."""
    every = np.arange(len(states))
    if step.second < 0:
        return _Layer(states, every, every, step.price[states[:, step.first]], np.zeros(len(states), np.bool_))
    other = states.copy()
    other[:, [step.first, step.second]] = states[:, [step.second, step.first]]
    source = every
    if confirmed is not None:
        chain, name = confirmed
        source = np.flatnonzero(other[:, chain] == name)
        other = other[source]
    both, target = np.unique(np.concatenate([states, other]), axis=0, return_inverse=True)
    swap = np.repeat([False, True], [len(states), len(other)])
    return _Layer(both, np.concatenate([every, source]), target.ravel(), step.price[swap.astype(np.intp)], swap)


def _pruned(layer: _Layer, before: Array) -> _Layer:
    """Without the least probable states, where there are very many."""
    if len(layer.states) <= _KEPT:
        return layer
    least, _ = _least(layer, before)
    kept = np.sort(np.argsort(least, kind="stable")[:_KEPT])
    place = np.full(len(layer.states), -1)
    place[kept] = np.arange(len(kept))
    edges = place[layer.target] >= 0
    return _Layer(
        layer.states[kept], layer.source[edges], place[layer.target[edges]], layer.cost[edges], layer.swap[edges]
    )


def _least(layer: _Layer, before: Array) -> tuple[Array, Places]:
    """(state,) least cost, and the edge that it comes by."""
    total = before[layer.source] + layer.cost
    order = np.lexsort((total, layer.target))
    first = np.ones(len(order), np.bool_)
    first[1:] = layer.target[order][1:] != layer.target[order][:-1]
    edge = order[first]
    return total[edge], edge


def _sum(terms: Array, target: Places, count: int) -> Array:
    """Logarithm of the sum of exponentials by target."""
    peak = np.full(count, -np.inf)
    np.maximum.at(peak, target, terms)
    safe = np.where(np.isfinite(peak), peak, 0.0)
    total = np.zeros(count)
    np.add.at(total, target, np.exp(terms - safe[target]))
    with np.errstate(divide="ignore"):
        return safe + np.log(total)


def _history(layers: Sequence[_Layer], last: Array, back: Sequence[Places], forward: Sequence[Array]) -> History:
    count = len(layers)
    exchanged, probability = np.zeros(count, np.bool_), np.ones(count)
    names = np.empty((count, layers[0].states.shape[1]), np.int64)
    state = int(np.argmin(last))
    backward = np.zeros(len(layers[-1].states))
    for index in range(count - 1, -1, -1):
        layer = layers[index]
        names[index] = layer.states[state]
        edge = back[index][state]
        exchanged[index] = layer.swap[edge]
        if layer.swap.any():
            terms = forward[index][layer.source] - layer.cost + backward[layer.target]
            share = np.exp(terms - terms.max())
            probability[index] = share[layer.swap == exchanged[index]].sum() / share.sum()
        backward = _sum(backward[layer.target] - layer.cost, layer.source, len(forward[index]))
        state = int(layer.source[edge])
    return History(exchanged, probability, names)
