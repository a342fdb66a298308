"""From poses of pairs to poses of all cameras: groups, a maximum spanning tree, averaging over all pairs, cycles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration._extrinsics_pairs import Votes
from calibration._extrinsics_settings import ExtrinsicsSettings
from calibration.transforms import matrix_from_rotation_vector, rotation_vector_from_matrix

__all__ = ["Cycle", "Graph", "believed", "groups", "is_certain", "solve"]

Array = NDArray[np.float64]

# Steps of the reweighted averages; they stay the same to 1e-6 rad after ten.
_STEPS = 30
# Pairs off by more than so many standard deviations contradict the others. The deviation of a mean of frames whose
# errors are alike (a lens that is off) is not as small as their number says.
_DEVIATIONS = 4.0
# A position that is off by less than this share of the distance contradicts nothing.
_LEAST_SHIFT = 0.02


class Cycle(NamedTuple):
    """A loop of cameras, and by how much its pairs fail to close it.

    Attributes:
        cameras: numbers of the cameras along the loop.
        turn: rad.
        shift: length, of the middle of the boards.
    """

    cameras: tuple[int, ...]
    turn: float
    shift: float


class Graph(NamedTuple):
    """Cameras in one frame, that of the first one.

    Attributes:
        rotation, translation: (camera, 3, 3), (camera, 3) of cam_from_world.
        used: (pair,) whether the pair agrees with the others.
        other: (pair,) whether it is the second of its poses that does.
        turn, shift: (pair,) rad and length, what the pair is off by.
        rejected: pairs that were left out because they contradict the others, the worst first.
        undecided: pairs that were rejected although the loop through them could as well be wrong elsewhere.
        cycles: all triangles of believed pairs, and loops through pairs that are in no triangle.
    """

    rotation: Array
    translation: Array
    used: NDArray[np.bool_]
    other: NDArray[np.bool_]
    turn: Array
    shift: Array
    rejected: tuple[int, ...]
    undecided: tuple[int, ...]
    cycles: tuple[Cycle, ...]


def believed(votes: Votes, settings: ExtrinsicsSettings) -> NDArray[np.bool_]:
    """(pair,) whether enough frames agree on the pose of the pair."""
    support = votes.support[:, 0]
    share = support >= settings.smallest_share * votes.common
    return np.asarray((support >= settings.fewest_votes) & share & np.isfinite(votes.translation[:, 0, 0]))


def is_certain(votes: Votes, graph: Graph, settings: ExtrinsicsSettings) -> NDArray[np.bool_]:
    """(pair,) whether the pair is in use and its votes tell its pose from any clearly different one."""
    return np.asarray(graph.used & (votes.ambiguity < settings.ambiguity))


def groups(count: int, pairs: NDArray[np.intp]) -> NDArray[np.intp]:
    """(camera,) number of the group each camera belongs to; groups are counted in the order of their first camera."""
    label = np.arange(count)
    for a, b in pairs:
        low, high = sorted((label[a], label[b]))
        label[label == high] = low
    return np.asarray(np.unique(label, return_inverse=True)[1])


def solve(count: int, votes: Votes, settings: ExtrinsicsSettings) -> Graph:
    """Poses of all cameras from the poses of the believed pairs, which must connect them.

    Rotations: along a maximum spanning tree first, then the robust average over all pairs on SO(3), by iteratively
    reweighted least squares with the L1 norm (Chatterjee and Govindu, 2013). Positions: robust least squares of where
    both cameras of a pair see the middle of the boards. Pairs that contradict the others are left out, the worst
    first: its second pose takes its place if that agrees.
    """
    used = believed(votes, settings)
    edges = np.flatnonzero(used)
    other = np.zeros(len(used), dtype=np.bool_)
    rejected: list[int] = []
    undecided: list[int] = []
    while True:
        rotation, translation = _average(count, votes, used, other)
        turn, shift = _residuals(rotation, translation, votes, other)
        turn_limit, shift_limit = _limits(votes, settings)
        excess = np.where(used, np.maximum(turn / turn_limit, shift / shift_limit), 0.0)
        if not excess.max(initial=0.0) > 1.0:
            break
        worst = int(np.argmax(excess))
        if not other[worst] and votes.support[worst, 1] >= settings.fewest_votes:
            flipped = other.copy()
            flipped[worst] = True
            new_turn, new_shift = _residuals(rotation, translation, votes, flipped)
            if new_turn[worst] < turn_limit[worst] and new_shift[worst] < shift_limit[worst]:
                other = flipped
                continue
        used[worst] = False
        if groups(count, votes.cameras[used]).max() > 0:
            used[worst] = True
            break
        rejected.append(worst)
        if _is_undecided(count, votes, used, worst):
            undecided.append(worst)
    cycles = tuple(_cycles(count, votes, edges))
    return Graph(rotation, translation, used, other, turn, shift, tuple(rejected), tuple(undecided), cycles)


def _weight(votes: Votes) -> Array:
    """(pair,) how sure the pair is: inverse standard deviation, less where another pose is nearly as good."""
    return np.asarray((1.0 - np.minimum(votes.ambiguity, 1.0) + 1e-3) / votes.turn_error)


def _limits(votes: Votes, settings: ExtrinsicsSettings) -> tuple[Array, Array]:
    turn = np.maximum(settings.contradiction, _DEVIATIONS * votes.turn_error)
    distance = np.linalg.norm(votes.middle, axis=-1)
    return turn, np.maximum(_LEAST_SHIFT * distance, _DEVIATIONS * votes.shift_error)


def _pose(votes: Votes, other: NDArray[np.bool_]) -> tuple[Array, Array]:
    """(pair, 3, 3), (pair, 3) the pose in use of every pair."""
    which, index = other.astype(np.intp), np.arange(len(other))
    return votes.rotation[index, which], votes.translation[index, which]


def _tree(count: int, votes: Votes, used: NDArray[np.bool_]) -> list[int]:
    """Pairs of the maximum spanning tree (Kruskal)."""
    weight = _weight(votes)
    label, tree = np.arange(count), []
    for pair in sorted(np.flatnonzero(used), key=lambda index: (-weight[index], index)):
        a, b = label[votes.cameras[pair]]
        if a != b:
            label[label == b] = a
            tree.append(int(pair))
    return tree


def _average(count: int, votes: Votes, used: NDArray[np.bool_], other: NDArray[np.bool_]) -> tuple[Array, Array]:
    relative, shift = _pose(votes, other)
    rotation = np.broadcast_to(np.eye(3), (count, 3, 3)).copy()
    known, tree = {0}, _tree(count, votes, used)
    while tree:
        pair = next(pair for pair in tree if known & set(votes.cameras[pair].tolist()))
        tree.remove(pair)
        a, b = votes.cameras[pair].tolist()
        if a in known:
            rotation[b] = relative[pair] @ rotation[a]
        else:
            rotation[a] = relative[pair].T @ rotation[b]
        known |= {a, b}
    pairs = np.flatnonzero(used)
    a, b = votes.cameras[pairs].T
    sigma, weight = votes.turn_error[pairs], _weight(votes)[pairs]
    for _ in range(_STEPS):
        error = rotation_vector_from_matrix(rotation[b].swapaxes(1, 2) @ relative[pairs] @ rotation[a])
        strength = weight / np.maximum(np.linalg.norm(error, axis=-1), sigma)
        # R_b^T R_ba R_a, each camera turned from the right by d: its logarithm changes by d_a - d_b.
        step = _laplacian_solve(count, a, b, strength, error)
        rotation = rotation @ matrix_from_rotation_vector(step)
        if np.abs(step).max() < 1e-9:
            break
    middle_a = votes.middle[pairs]
    middle_b = np.einsum("pij,pj->pi", relative[pairs], middle_a) + shift[pairs]
    gap = np.einsum("pji,pj->pi", rotation[b], middle_b) - np.einsum("pji,pj->pi", rotation[a], middle_a)
    # s_a - s_b = gap for the positions s of the cameras
    center, sigma = np.zeros((count, 3)), votes.shift_error[pairs]
    strength = 1 / sigma**2
    for _ in range(_STEPS):
        step = _laplacian_solve(count, a, b, strength, center[a] - center[b] - gap)
        center += step
        off = np.linalg.norm(center[a] - center[b] - gap, axis=-1)
        strength = 1 / (sigma * np.maximum(off, sigma))
        if np.abs(step).max() < 1e-9 * max(float(np.abs(center).max()), 1e-300):
            break
    return rotation, -np.einsum("cij,cj->ci", rotation, center)


def _laplacian_solve(count: int, a: NDArray[np.intp], b: NDArray[np.intp], strength: Array, error: Array) -> Array:
    """(camera, 3) changes d, 0 for the first camera, that minimize the sum of strength |error + d_a - d_b|^2."""
    laplacian, right = np.zeros((count, count)), np.zeros((count, 3))
    np.add.at(laplacian, (a, a), strength)
    np.add.at(laplacian, (b, b), strength)
    np.add.at(laplacian, (a, b), -strength)
    np.add.at(laplacian, (b, a), -strength)
    np.add.at(right, a, -strength[:, None] * error)
    np.add.at(right, b, strength[:, None] * error)
    result = np.zeros((count, 3))
    if count > 1:
        result[1:] = np.linalg.solve(laplacian[1:, 1:], right[1:])
    return result


def _residuals(rotation: Array, translation: Array, votes: Votes, other: NDArray[np.bool_]) -> tuple[Array, Array]:
    """(pair,) what each pair is off by: an angle, and the distance of where both cameras see the middle of boards."""
    a, b = votes.cameras.T
    relative, shift = _pose(votes, other)
    turn, off = np.zeros(len(a)), np.zeros(len(a))
    fine = np.isfinite(shift[:, 0])
    a, b, relative, shift, middle = a[fine], b[fine], relative[fine], shift[fine], votes.middle[fine]
    error = rotation[b].swapaxes(1, 2) @ relative @ rotation[a]
    turn[fine] = np.linalg.norm(rotation_vector_from_matrix(error), axis=-1)
    in_b = np.einsum("pij,pj->pi", relative, middle) + shift
    world = np.einsum("pji,pj->pi", rotation[a], middle - translation[a])
    off[fine] = np.linalg.norm(np.einsum("pij,pj->pi", rotation[b], world) + translation[b] - in_b, axis=-1)
    turn[~fine] = off[~fine] = np.inf
    return turn, off


def _is_undecided(count: int, votes: Votes, used: NDArray[np.bool_], rejected: int) -> bool:
    """Whether what speaks against a rejected pair is a single chain of pairs, with one not twice as sure as it is."""
    weight = _weight(votes)
    a, b = votes.cameras[rejected]
    chosen: list[int] = []
    for pair in sorted(np.flatnonzero(used), key=lambda index: (-weight[index], index)):
        chosen.append(int(pair))
        label = groups(count, votes.cameras[chosen])
        if label[a] == label[b]:
            break
    narrow = chosen[-1]
    rest = used.copy()
    rest[narrow] = False
    label = groups(count, votes.cameras[rest])
    return bool(label[a] != label[b] and weight[narrow] < 2.0 * weight[rejected])


def _cycles(count: int, votes: Votes, edges: NDArray[np.intp]) -> Iterator[Cycle]:
    """Triangles, and for each pair that is in none the shortest loop through it."""
    linked = np.zeros((count, count), dtype=np.bool_)
    number = np.zeros((count, count), dtype=np.intp)
    for pair in edges:
        a, b = votes.cameras[pair]
        linked[a, b] = linked[b, a] = True
        number[a, b] = number[b, a] = pair
    above = np.triu(linked)
    a, b, c = np.nonzero(above[:, :, None] & above[None] & linked[:, None])
    yield from _closing(np.stack([a, b, c], axis=-1), votes, number)
    lonely = above.copy()
    lonely[a, b] = lonely[b, c] = lonely[a, c] = False
    for a, b in np.argwhere(lonely).tolist():
        path = _shortest_path(linked, b, a)
        if path and (a, b) == min((min(p), max(p)) for p in _steps(path) if lonely[min(p), max(p)]):
            yield from _closing(np.array([(a, *path[:-1])]), votes, number)


def _steps(path: tuple[int, ...]) -> list[tuple[int, int]]:
    return list(zip(path, (*path[1:], path[0]), strict=True))


def _closing(loops: NDArray[np.intp], votes: Votes, number: NDArray[np.intp]) -> Iterator[Cycle]:
    """The errors of loops (loop, camera), each of which starts with a pair in the order that its pose is given in."""
    start = votes.middle[number[loops[:, 0], loops[:, 1]]]
    turn, point = np.broadcast_to(np.eye(3), (len(loops), 3, 3)), start
    for a, b in zip(loops.T, np.roll(loops, -1, axis=1).T, strict=True):
        pair, forward = number[a, b], (a < b)[:, None]
        rotation, shift = votes.rotation[pair, 0], votes.translation[pair, 0]
        back = rotation.swapaxes(1, 2)
        turn = np.where(forward[..., None], rotation, back) @ turn
        there = np.einsum("lij,lj->li", rotation, point) + shift
        point = np.where(forward, there, np.einsum("lij,lj->li", back, point - shift))
    angles = np.linalg.norm(rotation_vector_from_matrix(turn), axis=-1)
    shifts = np.linalg.norm(point - start, axis=-1)
    for loop, angle, off in zip(loops.tolist(), angles, shifts, strict=True):
        yield Cycle(tuple(loop), float(angle), float(off))


def _shortest_path(linked: NDArray[np.bool_], start: int, end: int) -> tuple[int, ...]:
    """From start to end without the direct link; empty where there is none."""
    before, queue = {start: start}, [start]
    for camera in queue:
        for following in np.flatnonzero(linked[camera]).tolist():
            if following in before or (camera == start and following == end):
                continue
            before[following] = camera
            queue.append(following)
    if end not in before:
        return ()
    path = [end]
    while path[-1] != start:
        path.append(before[path[-1]])
    return tuple(reversed(path))
