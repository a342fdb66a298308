"""The numba kernels of the assembly: candidates of a view are divided into animals that hold together best.

Every pair of candidates has a score, the log-likelihood ratio of "one animal" against "two". The best division has the
largest sum of the scores within its parts, where no part has two candidates of a keypoint. It is searched in three
steps, each of which raises the sum:

1. The two parts with the largest sum of scores between them are joined, again and again, while that sum is positive
   (greedy additive contraction, Keuper et al. 2015).
2. The candidates of one keypoint are matched anew, optimally, with all parts at once (shortest augmenting paths,
   Jonker and Volgenant 1987), keypoint after keypoint.
3. Two parts exchange some of their keypoints, the most profitable sequence of exchanges (Kernighan and Lin 1970). One
   of the two may be empty, which splits the other.

Steps 2 and 3 are repeated until nothing changes. All kernels stand in this one file for the sake of numba's cache, see
`calibration.kernels.kept`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

from calibration.kernels import kept

__all__ = ["assemble_views", "count_pairs", "divide", "match"]

Array = NDArray[np.float64]
Table = NDArray[np.float32]
Labels = NDArray[np.int32]
_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])

# a decorated kernel has the type of the function, whatever numba says of it
_jit: Callable[[_Kernel], _Kernel] = cast(Any, njit(nogil=True, error_model="numpy"))
_kept: Callable[[_Kernel], _Kernel] = cast(Any, kept(njit(nogil=True, error_model="numpy")))

_fast: Callable[[_Kernel], _Kernel] = cast(Any, njit(nogil=True, fastmath={"nnan", "nsz", "reassoc"}))

# Below all sums: a part that was joined with another one.
_GONE = -1e30
# The score of two candidates of one keypoint; sums that contain it stay below _REFUSED.
_NEVER = -1e9
_REFUSED = -1e6
# Gains below it are rounding.
_GAIN = 1e-6
# Rounds of matching and exchanging; most views need one.
_ROUNDS = 8


@_kept
def assemble_views(
    position: Array,
    usable: NDArray[np.bool_],
    length_score: Table,
    per_pixel: Table,
    direction_score: Table,
    affinity_score: Table,
    affinity_edge: NDArray[np.int64],
    most: int,
    tolerance: float,
    label: Labels,
    margin: Table,
) -> None:
    """The part of every candidate in every view, numbered in any way.

    Args:
        position: (time, camera, candidate, keypoint, 2) px.
        usable: (time, camera, candidate, keypoint) which candidates take part.
        length_score: (camera, keypoint, keypoint, bin) score of a distance; the last bin is for all beyond.
        per_pixel: (camera, keypoint, keypoint) bins of distance per pixel; 0 where nothing is known.
        direction_score: (camera, keypoint, keypoint, bin) score of the direction from the first to the second.
        affinity_score: (time, camera, edge, candidate, candidate) score of affinities; NaN where not known.
        affinity_edge: (edge, 2) the keypoints of these.
        most: how many animals there are at most; 0: not known.
        tolerance: see `AssemblySettings`.
        label: (time, camera, candidate, keypoint) result: the part; -1 for what takes no part.
        margin: (time, camera, candidate, keypoint) result: how much better the sum is with the candidate in its part
            than in the next best one, or alone; NaN for what takes no part.
    """
    frames, cameras, candidates, keypoints = usable.shape
    largest = candidates * keypoints
    kind = np.empty(largest, np.int64)
    number = np.empty(largest, np.int64)
    score = np.empty((largest, largest))
    for frame in range(frames):
        for camera in range(cameras):
            count = 0
            for keypoint in range(keypoints):
                for candidate in range(candidates):
                    label[frame, camera, candidate, keypoint] = -1
                    margin[frame, camera, candidate, keypoint] = np.nan
                    if usable[frame, camera, candidate, keypoint]:
                        kind[count], number[count] = keypoint, candidate
                        count += 1
            if count == 0:
                continue
            _scores(
                position[frame, camera], kind, number, count, length_score[camera], per_pixel[camera],
                direction_score[camera], score,
            )  # fmt: skip
            if len(affinity_edge):
                _add_affinities(affinity_score[frame, camera], affinity_edge, kind, number, count, score)
            part = divide(score[:count, :count], kind[:count], keypoints)
            if most > 0:
                _join_surplus(score[:count, :count], kind[:count], part, most, tolerance)
            gap = _margins(score[:count, :count], kind[:count], part)
            for node in range(count):
                label[frame, camera, number[node], kind[node]] = part[node]
                margin[frame, camera, number[node], kind[node]] = gap[node]


@_kept
def count_pairs(
    position: Array,
    label: Labels,
    per_pixel: Table,
    per_body: Array,
    length: Array,
    direction: Array,
    apart: Array,
) -> None:
    """Count distances and directions within animals, and distances between animals.

    Args:
        position: (time, camera, candidate, keypoint, 2) px.
        label: (time, camera, candidate, keypoint) the animal; -1 for what is not counted.
        per_pixel: (camera, keypoint, keypoint) bins of `length` per pixel.
        per_body: (camera,) bins of `apart` per pixel.
        length: (camera, keypoint, keypoint, bin) counts, added to; what is beyond counts in the last bin.
        direction: (camera, keypoint, keypoint, bin) counts, added to.
        apart: (camera, bin) counts, added to; what is beyond counts in the last bin.
    """
    frames, cameras, candidates, keypoints = label.shape
    bins, last = length.shape[-1], apart.shape[-1] - 1
    for frame in range(frames):
        for camera in range(cameras):
            for first in range(keypoints):
                for second in range(first + 1, keypoints):
                    for one in range(candidates):
                        if label[frame, camera, one, first] < 0:
                            continue
                        for two in range(candidates):
                            if label[frame, camera, two, second] < 0:
                                continue
                            x = position[frame, camera, two, second, 0] - position[frame, camera, one, first, 0]
                            y = position[frame, camera, two, second, 1] - position[frame, camera, one, first, 1]
                            distance = np.sqrt(x * x + y * y)
                            if label[frame, camera, one, first] == label[frame, camera, two, second]:
                                place = min(distance * per_pixel[camera, first, second], bins - 1)
                                length[camera, first, second, int(place)] += 1
                                direction[camera, first, second, _direction(x, y, direction.shape[-1])] += 1
                            else:
                                apart[camera, int(min(distance * per_body[camera], last))] += 1


@_kept
def divide(score: Array, kind: NDArray[np.int64], keypoints: int) -> NDArray[np.int64]:
    """(node,) numbers of parts with a large sum of scores within them; numbers may be left out.

    Args:
        score: (node, node) symmetric.
        kind: (node,) keypoint of every node; a part has one of each at most.
        keypoints: how many there are.
    """
    count = len(kind)
    part = _contract(score, kind)
    slots = _compact(part)
    # as many empty parts more as there may be candidates of a keypoint, so that each can be alone
    member = np.full((count + 1, keypoints), -1, np.int64)
    for node in range(count):
        member[part[node], kind[node]] = node
    # sum of the scores of every node with those of every part, itself left out
    pull = np.zeros((count, count + 1))
    for node in range(count):
        for other in range(count):
            if kind[other] != kind[node]:
                pull[node, part[other]] += score[node, other]
    for _ in range(_ROUNDS):
        changed = False
        for keypoint in range(keypoints):
            again, slots = _rematch(score, kind, keypoint, part, member, pull, slots)
            changed |= again
        again, slots = _exchange(score, kind, part, member, pull, slots)
        if not (changed or again):
            break
    return part


@_kept
def match(value: Array) -> NDArray[np.int64]:
    """(row,) the column of every row, each once, with the largest sum of values; there are at least as many columns.

    Args:
        value: (row, column).
    """
    rows, columns = value.shape
    row_price, column_price = np.zeros(rows + 1), np.zeros(columns + 1)
    owner = np.zeros(columns + 1, np.int64)  # row of every column, from 1; 0: free
    way = np.zeros(columns + 1, np.int64)
    for row in range(1, rows + 1):
        owner[0] = row
        here = 0
        shortest = np.full(columns + 1, np.inf)
        done = np.zeros(columns + 1, np.bool_)
        while True:
            done[here] = True
            current, step, following = owner[here], np.inf, 0
            for column in range(1, columns + 1):
                if done[column]:
                    continue
                reduced = -value[current - 1, column - 1] - row_price[current] - column_price[column]
                if reduced < shortest[column]:
                    shortest[column] = reduced
                    way[column] = here
                if shortest[column] < step:
                    step = shortest[column]
                    following = column
            for column in range(columns + 1):
                if done[column]:
                    row_price[owner[column]] += step
                    column_price[column] -= step
                else:
                    shortest[column] -= step
            here = following
            if owner[here] == 0:
                break
        while here:
            owner[here] = owner[way[here]]
            here = way[here]
    result = np.empty(rows, np.int64)
    for column in range(1, columns + 1):
        if owner[column]:
            result[owner[column] - 1] = column - 1
    return result


@_jit
def _direction(x: float, y: float, bins: int) -> int:
    """The bin of a direction: along a diamond instead of a circle, which needs no arc tangent."""
    size = abs(x) + abs(y)
    if size == 0.0:
        return 0
    around = y / size if x >= 0 else 2.0 - y / size  # -1 to 3
    return int(min((around + 1.0) * 0.25 * bins, bins - 1.0))


@_jit
def _scores(
    position: Array,
    kind: NDArray[np.int64],
    number: NDArray[np.int64],
    count: int,
    length_score: Table,
    per_pixel: Table,
    direction_score: Table,
    score: Array,
) -> None:
    """The scores of all pairs by distance and direction."""
    last, around = length_score.shape[-1] - 1, direction_score.shape[-1]
    for one in range(count):
        score[one, one] = _NEVER
        for two in range(one + 1, count):
            first, second = kind[one], kind[two]  # nodes are in the order of their keypoints
            value = 0.0
            if first == second:
                value = _NEVER
            elif per_pixel[first, second] > 0:
                x = position[number[two], second, 0] - position[number[one], first, 0]
                y = position[number[two], second, 1] - position[number[one], first, 1]
                place = min(np.sqrt(x * x + y * y) * per_pixel[first, second], last)
                value = length_score[first, second, int(place)]
                if place < last:
                    value += direction_score[first, second, _direction(x, y, around)]
            score[one, two] = score[two, one] = value


@_jit
def _add_affinities(
    affinity_score: Table,
    affinity_edge: NDArray[np.int64],
    kind: NDArray[np.int64],
    number: NDArray[np.int64],
    count: int,
    score: Array,
) -> None:
    for edge in range(len(affinity_edge)):
        for one in range(count):
            if kind[one] != affinity_edge[edge, 0]:
                continue
            for two in range(count):
                if kind[two] != affinity_edge[edge, 1]:
                    continue
                value = affinity_score[edge, number[one], number[two]]
                if not np.isnan(value):
                    score[one, two] += value
                    score[two, one] += value


@_jit
def _contract(score: Array, kind: NDArray[np.int64]) -> NDArray[np.int64]:
    """Greedy additive contraction: (node,) the first node of the part of every node."""
    count = len(kind)
    between = score.copy()
    part = np.arange(count)
    partner, largest = np.zeros(count, np.int64), np.empty(count)
    for node in range(count):
        partner[node], largest[node] = _largest(between[node])
    while True:
        one, value = _largest(largest)
        if value <= 0.0:
            return part
        two = partner[one]
        for node in range(count):
            if part[node] == two:
                part[node] = one
            between[one, node] += between[two, node]
            between[node, two] = _GONE
        between[one, one] = between[one, two] = largest[two] = _GONE
        for node in range(count):
            between[node, one] = between[one, node]
        partner[one], largest[one] = _largest(between[one])
        for node in range(count):
            if largest[node] == _GONE or node == one:
                continue
            if partner[node] == one or partner[node] == two:
                partner[node], largest[node] = _largest(between[node])
            elif between[node, one] > largest[node]:
                partner[node], largest[node] = one, between[node, one]


@_fast
def _largest(values: Array) -> tuple[int, float]:
    """The place of the largest value, and the value; in two loops, so that the first has no branch."""
    largest = values[0]
    for place in range(1, len(values)):
        largest = max(largest, values[place])
    for place in range(len(values)):
        if values[place] == largest:
            return place, largest
    return 0, largest


@_jit
def _compact(part: NDArray[np.int64]) -> int:
    """Number the parts 0, 1, ... in place; return how many there are."""
    new = np.full(len(part), -1, np.int64)
    count = 0
    for node in range(len(part)):
        if new[part[node]] < 0:
            new[part[node]] = count
            count += 1
    for node in range(len(part)):
        part[node] = new[part[node]]
    return count


@_jit
def _move(
    score: Array,
    kind: NDArray[np.int64],
    node: int,
    to: int,
    part: NDArray[np.int64],
    pull: Array,
) -> None:
    """Put a node into another part; `member` is up to the caller."""
    for other in range(len(kind)):
        if kind[other] != kind[node]:
            pull[other, part[node]] -= score[other, node]
            pull[other, to] += score[other, node]
    part[node] = to


@_jit
def _rematch(
    score: Array,
    kind: NDArray[np.int64],
    keypoint: int,
    part: NDArray[np.int64],
    member: NDArray[np.int64],
    pull: Array,
    slots: int,
) -> tuple[bool, int]:
    """Match the candidates of a keypoint with all parts anew."""
    count = len(kind)
    first = 0
    while first < count and kind[first] != keypoint:
        first += 1
    rows = 0
    while first + rows < count and kind[first + rows] == keypoint:
        rows += 1
    content = True  # where each has the part that it likes best, nothing can be better
    for node in range(first, first + rows):
        own = pull[node, part[node]]
        content &= own > -_GAIN
        for other in range(slots):
            content &= pull[node, other] <= own + _GAIN
    if content:
        return False, slots
    value = np.zeros((rows, slots + rows))
    for row in range(rows):
        for column in range(slots + rows):
            if column < slots:
                value[row, column] = pull[first + row, column]
            elif column != slots + row:
                value[row, column] = _NEVER
    chosen = match(value)
    gain = 0.0
    for row in range(rows):
        gain += value[row, chosen[row]] - pull[first + row, part[first + row]]
    if gain <= _GAIN:
        return False, slots
    for row in range(rows):
        member[part[first + row], keypoint] = -1
    empty = 0
    for alone in (False, True):  # who is alone looks for an empty part when all others have theirs
        for row in range(rows):
            to = chosen[row]
            if (to >= slots) != alone:
                continue
            if alone:
                while _as_empty(member, empty) < 0:
                    empty += 1
                to = empty
            if to != part[first + row]:
                _move(score, kind, first + row, to, part, pull)
            member[to, keypoint] = first + row
    for row in range(rows):
        slots = max(slots, part[first + row] + 1)
    return True, slots


@_jit
def _as_empty(member: NDArray[np.int64], place: int) -> int:
    """The place, where that part is empty, else -1."""
    for keypoint in range(member.shape[1]):
        if member[place, keypoint] >= 0:
            return -1
    return place


@_jit
def _exchange(
    score: Array,
    kind: NDArray[np.int64],
    part: NDArray[np.int64],
    member: NDArray[np.int64],
    pull: Array,
    slots: int,
) -> tuple[bool, int]:
    """Let all pairs of parts exchange keypoints where that pays."""
    changed = False
    for one in range(slots):
        empty = -1
        for two in range(slots + 1):
            if two >= len(member):
                continue
            nobody = two == slots or _as_empty(member, two) >= 0
            if (nobody and empty >= 0) or (not nobody and two <= one):
                continue
            if nobody:
                empty = two
            # splitting pays only where someone is held by little; exchanging only where someone is drawn
            if _worth(member, pull, one, two, nobody) and _exchange_two(score, kind, part, member, pull, one, two):
                changed = True
                if two == slots:
                    slots += 1
    return changed, slots


@_jit
def _worth(member: NDArray[np.int64], pull: Array, one: int, two: int, nobody: bool) -> bool:
    """Whether a keypoint of two parts is drawn to the other one, or is held by little."""
    for keypoint in range(member.shape[1]):
        a, b = member[one, keypoint], member[two, keypoint]
        if a >= 0:
            drawn = pull[a, two] > 0.0 if not nobody else pull[a, one] < 0.0
            if drawn or (nobody and pull[a, one] < 3.0):
                return True
        if b >= 0 and pull[b, one] > 0.0:
            return True
    return False


@_jit
def _exchange_two(
    score: Array,
    kind: NDArray[np.int64],
    part: NDArray[np.int64],
    member: NDArray[np.int64],
    pull: Array,
    one: int,
    two: int,
) -> bool:
    """Exchange keypoints one after the other, the best first, and keep the best of all states on the way."""
    keypoints = member.shape[1]
    done = np.zeros(keypoints, np.bool_)
    sequence = np.empty(keypoints, np.int64)
    total = best = 0.0
    steps = kept_steps = 0
    for step in range(keypoints):
        chosen, gain = -1, -np.inf
        for keypoint in range(keypoints):
            a, b = member[one, keypoint], member[two, keypoint]
            if done[keypoint] or (a < 0 and b < 0):
                continue
            here = 0.0
            if a >= 0:
                here += pull[a, two] - pull[a, one]
            if b >= 0:
                here += pull[b, one] - pull[b, two]
            if here > gain:
                chosen, gain = keypoint, here
        if chosen < 0 or total + gain < best - 30.0:
            break
        _swap(score, kind, part, member, pull, one, two, chosen)
        done[chosen] = True
        sequence[step] = chosen
        steps = step + 1
        total += gain
        if total > best + _GAIN:
            best, kept_steps = total, steps
    for step in range(steps - 1, kept_steps - 1, -1):
        _swap(score, kind, part, member, pull, one, two, sequence[step])
    return kept_steps > 0


@_jit
def _swap(
    score: Array,
    kind: NDArray[np.int64],
    part: NDArray[np.int64],
    member: NDArray[np.int64],
    pull: Array,
    one: int,
    two: int,
    keypoint: int,
) -> None:
    a, b = member[one, keypoint], member[two, keypoint]
    if a >= 0:
        _move(score, kind, a, two, part, pull)
    if b >= 0:
        _move(score, kind, b, one, part, pull)
    member[one, keypoint], member[two, keypoint] = b, a


@_jit
def _join_surplus(score: Array, kind: NDArray[np.int64], part: NDArray[np.int64], most: int, tolerance: float) -> None:
    """Join parts without a common keypoint while there are more of several keypoints than animals."""
    count = len(kind)
    while True:
        size = np.zeros(count + 1, np.int64)
        for node in range(count):
            size[part[node]] += 1
        if (size > 1).sum() <= most:
            return
        total, pairs = np.zeros((count + 1, count + 1)), np.zeros((count + 1, count + 1))
        for a in range(count):
            for b in range(count):
                total[part[a], part[b]] += score[a, b]
                pairs[part[a], part[b]] += 1.0
        one = two = -1
        largest = -tolerance
        for a in range(count + 1):
            for b in range(a + 1, count + 1):
                if size[a] > 1 and size[b] > 1 and total[a, b] > _REFUSED:
                    mean = total[a, b] / pairs[a, b]
                    if mean > largest:
                        one, two, largest = a, b, mean
        if one < 0:
            return
        for node in range(count):
            if part[node] == two:
                part[node] = one


@_jit
def _margins(score: Array, kind: NDArray[np.int64], part: NDArray[np.int64]) -> Array:
    """(node,) how much less the sum of scores would be with the node in another part, or alone."""
    count = len(kind)
    result = np.empty(count)
    pull = np.empty(count + 1)
    for node in range(count):
        pull[:] = 0.0
        for other in range(count):
            if kind[other] != kind[node]:
                pull[part[other]] += score[node, other]
        own = pull[part[node]]
        alternative = -np.inf
        alone = True
        for other in range(count):
            if part[other] == part[node]:
                alone &= other == node
            else:
                alternative = max(alternative, pull[part[other]])
        result[node] = own - (alternative if alone else max(alternative, 0.0))
    return result
