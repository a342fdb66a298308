"""The numba kernels of identity: what speaks for two instances being of one animal, groups, and tracks.

An instance is what one camera saw of one animal: a ray for every keypoint, from the center of the camera, with the
confidence in it and the angle that a pixel has there. In a frame the instances of all cameras are numbered through;
they are called nodes. A track is an animal that is followed: position and velocity of every keypoint, each with one
variance for all directions. Slots hold the tracks.

Weights are logarithms of likelihood ratios, of "the same animal" against "another one that is about there", summed over
keypoints. That of a keypoint is cut off below, since any keypoint may be wrong.

All kernels stand in this one file for the sake of numba's cache, see `calibration.kernels.kept`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from calibration.kernels import kept

__all__ = [
    "NOISE",
    "PARAMETERS",
    "Done",
    "Frames",
    "State",
    "Told",
    "Views",
    "aim_rays",
    "group_frames",
    "group_residuals",
    "place_groups",
    "track_frames",
]

_jit = njit(nogil=True, error_model="numpy")
_jit_and_keep = kept(_jit)

# Places of the parameters in their array.
PARAMETERS = 18
NOISE = 0  # variance of a pixel
BOUND = 1  # what a keypoint that does not fit costs at most
RADIUS = 2  # square of the radius of an animal, in units of the world
DRIFT = 3  # variance of the change of velocity per frame, units^2 / frame^2
FADING = 4  # frames in which the velocity of what is unseen fades
ABSENCE = 5  # frames after which a track that nobody sees ends
ALIKE = 6  # correlation of what keypoints and cameras say
CLOSE = 7  # margins below it begin an episode in which two animals may be exchanged
APART = 8  # margins above it end one
SURE = 9  # evidence, in the units of a logarithm of odds, that two cameras need
BIRTH = 10  # weight that a group needs to become a track
PLANAR = 11  # 1 where one camera looks at a plane
TRUST = 12  # what the same track of the source is worth
SLOTS = 13  # how many slots may be used
CALM = 14  # frames for which margins have to be above APART
BLOCK = 15  # frames whose lengths are averaged
NEWBORN = 16  # frames after which a track is no newcomer
FEWEST = 17  # keypoints that a newcomer must have


class Frames(NamedTuple):
    """What was seen in some frames; the axes are (time, camera, instance, keypoint)."""

    ray: Any  # (..., 3) unit rays in the world
    conf: Any  # confidence, 0 where not seen
    angle: Any  # radians per pixel
    hint: Any  # (time, camera, instance) track of the source, -1 for none
    steps: Any  # (time,) frames since the row before


class Views(NamedTuple):
    """The cameras."""

    base: Any  # (camera, camera, 3) unit vectors from the first to the second
    center: Any  # (camera, 3)
    extent: Any  # (camera,) squared angular radius of an animal
    scene: Any  # (camera,) squared distance of the animals


class State(NamedTuple):
    """The tracks, as they are carried on from frame to frame; the first axis are slots."""

    number: Any  # of the piece of track, -1 for a free slot
    pos: Any  # (slot, keypoint, 3) place
    vel: Any  # (slot, keypoint, 3) velocity per frame
    cov: Any  # (slot, keypoint, 3) variances: of the place, with the velocity, of the velocity
    free: Any  # (slot, keypoint, 5) direction that one camera leaves free, more variance of place and velocity there
    known: Any  # (slot, keypoint) whether it was ever placed
    body: Any  # (slot, 3) velocity of the body
    unseen: Any  # frames since it was seen
    hits: Any  # frames in which it was seen
    first_row: Any  # of the piece
    last_row: Any  # in which it was seen
    start: Any  # (slot, keypoint, 3) place at the start of the piece
    seen_pos: Any  # (slot, keypoint, 3) place where it was last seen
    seen_body: Any  # (slot, 3) velocity of the body then
    last_hint: Any  # (slot, camera) track of the source
    blocks: Any  # (slot, edge, 3) number of blocks, their mean, and sum of squares around it
    block: (
        Any  # (slot, edge + 1, 2) number and sum of the lengths of the block being filled; the last row counts frames
    )
    lowest: Any  # (slot, slot) lowest margin of the meeting of two, inf where they do not meet
    low_row: Any  # (slot, slot) first row of the meeting
    calm: Any  # (slot, slot) frames in which they were apart
    counters: Any  # (2,) number of the next piece, and of the meetings so far that the call has told


class Told(NamedTuple):
    """What a call writes down: rows and meetings."""

    time: Any
    track: Any
    instance: Any
    further: Any
    odds: Any
    flag: Any
    meeting: Any  # (meeting, 6) first and last row, the two pieces before, and the two after
    meeting_odds: Any


class Done(NamedTuple):
    """Pieces of track that have ended."""

    number: Any
    first: Any
    last: Any
    start: Any
    end: Any
    velocity: Any
    variance: Any
    known: Any
    lengths: Any
    count: Any  # (1,)


class _Frame(NamedTuple):
    """What is found out about one frame."""

    camera: Any  # (node,) its camera
    instance: Any  # (node,) its place there
    seen: Any  # (node,) number of its keypoints
    claim: Any  # (slot, node) what speaks for the node being of the track
    owner: Any  # (slot, camera) the node that the track gets, -1 for none
    further: Any  # (slot, camera) a second part of the animal
    used: Any  # (slot,) whether there is a track
    claimed: Any  # (node,) whether it belongs to somebody
    odds: Any  # (slot,) that it is nobody else
    flag: Any  # (slot,) bit 0: two cameras do not tell; bit c + 1: camera c is left out
    marked: Any  # (slot,) whether its instances are contested
    fresh: Any  # (keypoint,) number of rays that a keypoint was placed by
    loose: Any  # nodes that nobody has
    group: Any  # (node,)
    member: Any  # (group, camera)
    pair: Any  # (node, node)
    together: Any


_NONE = -1
# A residual with two degrees of freedom, in units of its variance, that is wrong: 0.1 % of the right ones.
_GATE = 13.8
# Share of pairwise evidence that is not told twice by three and more cameras: n cameras have n (n - 1) / 2 pairs, but
# only 2 n - 3 distances from the point.
_PAIR_SHARE = np.array([0.0, 0.0, 1.0, 1.0, 5.0 / 6.0, 0.7, 0.6])
# What a newcomer's claim to an instance is lowered by, beside that of a track that is known.
_MODESTY, _MODESTY_EACH = 6.0, 1.5
# Of animals with few keypoints less is asked: so much of what a group must weigh to become a track for each of them.
_BIRTH_EACH = 2.5
# Variance of a newcomer's velocity: a tenth of its radius per frame.
_FIRST_SPEED = 0.01
# Two tracks contest an instance if what speaks for them differs by less than so much for each keypoint.
_CONTEST = 6.0
# Place and velocity along a ray that nothing else measures vary together, as they do of a motion of constant velocity.
_TOGETHER = 0.87
# So many times more alike is what keypoints say of two cameras alone.
_ONE_PLANE = 5
# A claim below this is none.
_LEAST = 1.0
_SWEEPS = 6


@_jit
def _share(cameras):
    return _PAIR_SHARE[cameras] if cameras < 7 else (2.0 * cameras - 3.0) / (0.5 * cameras * (cameras - 1.0))


@_jit
def _collect(conf, node_camera, node_instance, node_seen):
    """Number the instances of a frame that have a keypoint; returns how many."""
    cameras, places, keypoints = conf.shape
    count = 0
    for c in range(cameras):
        for i in range(places):
            seen = 0
            for k in range(keypoints):
                if conf[c, i, k] > 0.0:
                    seen += 1
            if seen > 0:
                node_camera[count], node_instance[count], node_seen[count] = c, i, seen
                count += 1
    return count


@_jit
def _worth(observations, p):
    """What each of so many observations is worth that say nearly the same (the design effect of Kish, 1965)."""
    return 1.0 / (1.0 + p[ALIKE] * max(observations - 1.0, 0.0))


@_jit
def _pair_weight(ray_a, conf_a, angle_a, ray_b, conf_b, angle_b, base, extent, p):
    """What speaks for two instances of two cameras being one animal.

    The coplanarity of two rays and the baseline (Longuet-Higgins, 1981), in units of its first-order standard deviation
    (Sampson, 1982), here for unit rays, so that any lens will do.

    Args:
        ray_a, ray_b: (keypoint, 3) unit rays in the world.
        conf_a, conf_b, angle_a, angle_b: (keypoint,).
        base: (3,) unit vector from the center of the one camera to that of the other.
        extent: squared angular radius of an animal, mean of both cameras.
        p: parameters.
    """
    total = 0.0
    bound = p[BOUND]
    for k in range(ray_a.shape[0]):
        both = conf_a[k] * conf_b[k]
        if both <= 0.0:
            continue
        ax, ay, az = ray_a[k, 0], ray_a[k, 1], ray_a[k, 2]
        bx, by, bz = ray_b[k, 0], ray_b[k, 1], ray_b[k, 2]
        # normals of the planes of each ray and the baseline
        nx, ny, nz = ay * base[2] - az * base[1], az * base[0] - ax * base[2], ax * base[1] - ay * base[0]
        mx, my, mz = by * base[2] - bz * base[1], bz * base[0] - bx * base[2], bx * base[1] - by * base[0]
        e = nx * bx + ny * by + nz * bz
        nn, mm = nx * nx + ny * ny + nz * nz, mx * mx + my * my + mz * mz
        va, vb = p[NOISE] * angle_a[k] * angle_a[k], p[NOISE] * angle_b[k] * angle_b[k]
        floor = 1e-6
        spread = va * (max(mm - e * e, 0.0) + floor) + vb * (max(nn - e * e, 0.0) + floor)
        # rays that would meet behind a camera, by more than noise
        same = nx * mx + ny * my + nz * mz
        ahead = (ax * base[0] + ay * base[1] + az * base[2]) * np.sqrt(mm) - (
            bx * base[0] + by * base[1] + bz * base[2]
        ) * np.sqrt(nn)
        if (same < 0.0 and nn * mm > 1e-6) or ahead < -3.0 * np.sqrt(va + vb):
            total -= both * bound
            continue
        squared = e * e / spread
        if squared > 2.0 * (bound + 12.0):
            total -= both * bound
            continue
        # density of the distance where the animals differ: that of a body about there
        wide = extent * (mm + nn) + spread
        top = 0.5 * np.log(wide / spread)
        total += both * max(top - 0.5 * squared, -bound)
    return total


@_jit
def _pairs(nodes, count, node_camera, node_instance, ray, conf, angle, base, extent, p, out):
    """Weights of all pairs of some nodes, -inf within a camera, into `out` by their numbers."""
    for x in range(count):
        a = nodes[x]
        ca, ia = node_camera[a], node_instance[a]
        out[a, a] = 0.0
        for y in range(x + 1, count):
            b = nodes[y]
            cb, ib = node_camera[b], node_instance[b]
            weight = -np.inf
            if ca != cb:
                weight = _pair_weight(
                    ray[ca, ia], conf[ca, ia], angle[ca, ia], ray[cb, ib], conf[cb, ib], angle[cb, ib],
                    base[ca, cb], 0.5 * (extent[ca] + extent[cb]), p,
                )  # fmt: skip
            out[a, b] = weight
            out[b, a] = weight


@_jit
def _agglomerate(nodes, count, node_camera, cameras, pair, group, member, together):
    """Join nodes to groups, those that most speaks for first; at most one node of each camera.

    Args:
        nodes, count: which.
        group: (node,) gets the number of the group.
        member: (group, camera) gets the nodes, -1 for none.
        together: (group, group) scratch.

    Returns:
        How many groups there are.
    """
    for x in range(count):
        for c in range(cameras):
            member[x, c] = _NONE
        member[x, node_camera[nodes[x]]] = nodes[x]
        for y in range(count):
            together[x, y] = pair[nodes[x], nodes[y]] if x != y else -np.inf
    alive = np.ones(count, dtype=np.bool_)
    while True:
        best, first, second = 0.0, -1, -1
        for x in range(count):
            if alive[x]:
                for y in range(x + 1, count):
                    if alive[y] and together[x, y] > best:
                        best, first, second = together[x, y], x, y
        if first < 0:
            break
        alive[second] = False
        for c in range(cameras):
            if member[second, c] >= 0:
                member[first, c] = member[second, c]
        for y in range(count):
            if alive[y] and y != first:
                joined = together[first, y] + together[second, y]
                together[first, y] = joined
                together[y, first] = joined
    groups = 0
    for x in range(count):
        if alive[x]:
            if groups != x:
                for c in range(cameras):
                    member[groups, c] = member[x, c]
            for c in range(cameras):
                if member[groups, c] >= 0:
                    group[member[groups, c]] = groups
            groups += 1
    return groups


@_jit
def _support(node, skip, row, pair, cameras):
    """Sum of what speaks for a node and the nodes of a group, without that of one camera."""
    total = 0.0
    for c in range(cameras):
        if c != skip and row[c] >= 0:
            total += pair[node, row[c]]
    return total


@_jit
def _size(row, cameras):
    total = 0
    for c in range(cameras):
        if row[c] >= 0:
            total += 1
    return total


@_jit
def _polish(nodes, count, node_camera, cameras, pair, group, member, groups):
    """Move nodes to other groups, to groups of their own, or exchange two of a camera, while that helps.

    Returns:
        How many groups there are; some may be empty.
    """
    for _ in range(_SWEEPS):
        changed = False
        for x in range(count):
            n = nodes[x]
            c, own = node_camera[n], group[n]
            now = _support(n, c, member[own], pair, cameras)
            best, target, swap = max(0.0, now) + 1e-9, -1, -1
            if now < -1e-9:
                target = groups  # better alone
            for m in range(groups):
                if m == own:
                    continue
                other = member[m, c]
                there = _support(n, c, member[m], pair, cameras)
                if other < 0:
                    if _size(member[m], cameras) > 0 and there > best:
                        best, target, swap = there, m, -1
                else:
                    back = _support(other, c, member[own], pair, cameras)
                    gain = there + back - _support(other, c, member[m], pair, cameras)
                    if gain > best:
                        best, target, swap = gain, m, other
            if target < 0:
                continue
            if target == groups:
                if groups >= member.shape[0]:
                    continue
                for d in range(cameras):
                    member[groups, d] = _NONE
                groups += 1
            member[own, c] = swap
            if swap >= 0:
                group[swap] = own
            member[target, c] = n
            group[n] = target
            changed = True
        if not changed:
            break
    return groups


@_jit
def _doubt(m, node_camera, node_seen, cameras, pair, group, member, count, p, alone):
    """Probability, in units of a logarithm of odds, that a group is right: how much worse its best alternative is.

    That an instance is alone is an alternative only with `alone`.
    """
    least = np.inf
    own = _size(member[m], cameras)
    for c in range(cameras):
        n = member[m, c]
        if n < 0:
            continue
        now = _support(n, c, member[m], pair, cameras)
        # two cameras have one plane for all keypoints of a small animal: what one of them says the others say as well
        worth = _worth(node_seen[n] * (own - 1) * (_ONE_PLANE if own == 2 else 1), p)
        if alone:
            least = min(least, worth * now * _share(own))
        for other in range(count):
            # another instance of the same camera in its place
            if node_camera[other] != c or other == n or group[other] < 0:
                continue
            g = group[other]
            loss = now - _support(other, c, member[m], pair, cameras)
            back = _support(other, c, member[g], pair, cameras)
            loss += back - max(0.0, _support(n, c, member[g], pair, cameras))
            least = min(least, worth * loss * _share(own))
    return least


@_jit_and_keep
def group_frames(ray, conf, angle, base, extent, p, group, odds):
    """Group the instances of every frame, frame by frame.

    Args:
        ray: (time, camera, instance, keypoint, 3) unit rays in the world.
        conf, angle: (time, camera, instance, keypoint) confidence, 0 where not seen; radians per pixel.
        base: (camera, camera, 3) unit vectors between the centers.
        extent: (camera,) squared angular radius of an animal.
        p: parameters.
        group: (time, camera, instance) gets the number of the group, -1 where there is no instance.
        odds: (time, camera, instance) gets the logarithm of the odds of that group, NaN for what is alone.
    """
    times, cameras, places, _, _ = ray.shape
    most = cameras * places
    node_camera, node_instance, node_seen = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    nodes, node_group = np.arange(most), np.empty(most, np.int64)
    pair, together = np.empty((most, most)), np.empty((most, most))
    member = np.empty((2 * most + 1, cameras), np.int64)
    for t in range(times):
        group[t] = _NONE
        odds[t] = np.nan
        count = _collect(conf[t], node_camera, node_instance, node_seen)
        _pairs(nodes, count, node_camera, node_instance, ray[t], conf[t], angle[t], base, extent, p, pair)
        groups = _agglomerate(nodes, count, node_camera, cameras, pair, node_group, member, together)
        groups = _polish(nodes, count, node_camera, cameras, pair, node_group, member, groups)
        for m in range(groups):
            doubt = np.nan
            if _size(member[m], cameras) > 1:
                doubt = _doubt(m, node_camera, node_seen, cameras, pair, node_group, member, count, p, True)
            for c in range(cameras):
                n = member[m, c]
                if n >= 0:
                    group[t, c, node_instance[n]] = m
                    odds[t, c, node_instance[n]] = doubt


@_jit_and_keep
def aim_rays(normalized, slope, rotation, least, conf, ray, angle):
    """Unit rays in the world of normalized image coordinates, and the angle of a pixel there.

    Args:
        normalized: (time, instance, keypoint, camera, 2), NaN where not seen.
        slope: (time, instance, keypoint, camera, 2, 2) derivative of the pixels by them.
        rotation: (camera, 3, 3) of the camera from the world.
        least: confidence below which a keypoint counts as not seen.
        conf: (time, camera, instance, keypoint) gets 0 where not seen.
        ray, angle: (time, camera, instance, keypoint, 3) and (time, camera, instance, keypoint) get the result.
    """
    times, cameras, places, keypoints = conf.shape
    for t in range(times):
        for c in range(cameras):
            for i in range(places):
                for k in range(keypoints):
                    x, y = normalized[t, i, k, c, 0], normalized[t, i, k, c, 1]
                    q = conf[t, c, i, k]
                    area = abs(
                        slope[t, i, k, c, 0, 0] * slope[t, i, k, c, 1, 1]
                        - slope[t, i, k, c, 0, 1] * slope[t, i, k, c, 1, 0]
                    )
                    if not (q > 0.0 and q >= least and np.isfinite(x) and np.isfinite(y) and area > 0.0):
                        conf[t, c, i, k] = 0.0
                        angle[t, c, i, k] = 1.0
                        for s in range(3):
                            ray[t, c, i, k, s] = 0.0
                        continue
                    length = np.sqrt(1.0 + x * x + y * y)
                    # a solid angle is dx dy / (1 + x^2 + y^2)^1.5
                    angle[t, c, i, k] = 1.0 / np.sqrt(length * length * length * area)
                    for s in range(3):
                        toward = rotation[c, 0, s] * x + rotation[c, 1, s] * y + rotation[c, 2, s]
                        ray[t, c, i, k, s] = toward / length


# ---- tracks ----


@_jit
def _predict(j, pos, vel, cov, free, known, body, unseen, frames, p):
    """Move a track on by some frames."""
    keypoints = pos.shape[1]
    fade = np.exp(-frames / p[FADING]) if unseen[j] > 0.0 else 1.0
    most = 16.0 * p[RADIUS]
    for k in range(keypoints):
        if not known[j, k]:
            continue
        share = 1.0 - np.exp(-0.2 * frames)  # a keypoint that nobody sees goes where the body goes
        for s in range(3):
            speed = vel[j, k, s] + share * (body[j, s] - vel[j, k, s])
            pos[j, k, s] += speed * frames
            vel[j, k, s] = speed * fade
        pp, pv, vv = cov[j, k, 0], cov[j, k, 1], cov[j, k, 2]
        q = p[DRIFT]
        cov[j, k, 0] = min(pp + 2.0 * frames * pv + frames * frames * vv + q * frames**3 / 3.0, most)
        cov[j, k, 1] = pv + frames * vv + 0.5 * q * frames * frames
        cov[j, k, 2] = vv + q * frames
        if cov[j, k, 2] > most:
            cov[j, k, 2] = most
        limit = np.sqrt(cov[j, k, 0] * cov[j, k, 2])
        if cov[j, k, 1] > limit:
            cov[j, k, 1] = limit
        if free[j, k, 3] > 0.0:
            more, faster = free[j, k, 3], free[j, k, 4]
            more += 2.0 * _TOGETHER * frames * np.sqrt(more * faster) + frames * frames * faster + q * frames**3 / 3.0
            free[j, k, 3], free[j, k, 4] = min(more, most), min(faster + q * frames, most)
    for s in range(3):
        body[j, s] *= fade


@_jit
def _across(free, ray):
    """How much more a place varies across a ray, since it is free along another one."""
    if free[3] <= 0.0:
        return 0.0
    cosine = free[0] * ray[0] + free[1] * ray[1] + free[2] * ray[2]
    return free[3] * max(1.0 - cosine * cosine, 0.0)


@_jit
def _claim(pos, cov, free, known, ray, conf, angle, center, p):
    """What speaks for an instance being of a track, from where its keypoints are expected."""
    total = 0.0
    bound = p[BOUND]
    for k in range(pos.shape[0]):
        q = conf[k]
        if q <= 0.0 or not known[k]:
            continue
        x, y, z = pos[k, 0] - center[0], pos[k, 1] - center[1], pos[k, 2] - center[2]
        far = x * x + y * y + z * z
        along = x * ray[k, 0] + y * ray[k, 1] + z * ray[k, 2]
        variance = p[NOISE] * angle[k] * angle[k] * far + cov[k, 0] + 0.5 * _across(free[k], ray[k])
        squared = (far - along * along) / variance
        if along <= 0.0 or squared > 2.0 * (bound + 12.0):
            total -= q * bound
            continue
        total += q * max(np.log(1.0 + 0.5 * p[RADIUS] / variance) - 0.5 * squared, -bound)
    return total


@_jit
def _choose(camera, first, last, slots, used, claim, owner, taken):
    """Give the instances of one camera to tracks, so that the sum of claims is largest; greedy, then improved.

    Args:
        camera: whose nodes are those from `first` to before `last`.
        owner: (slot, camera) gets the nodes.
        taken: (node,) scratch.
    """
    for n in range(first, last):
        taken[n] = False
    while True:
        best, slot, node = _LEAST, _NONE, _NONE
        for j in range(slots):
            if used[j] and owner[j, camera] < 0:
                for n in range(first, last):
                    if not taken[n] and claim[j, n] > best:
                        best, slot, node = claim[j, n], j, n
        if slot < 0:
            break
        owner[slot, camera] = node
        taken[node] = True
    for _ in range(_SWEEPS):
        changed = False
        for j in range(slots):
            a = owner[j, camera]
            if not used[j] or a < 0:
                continue
            for other in range(slots):
                # of what the other does not claim nothing can be gained
                if other == j or not used[other] or claim[other, a] <= _LEAST:
                    continue
                b = owner[other, camera]
                now = claim[j, a] + (claim[other, b] if b >= 0 else 0.0)
                # exchange them; or give a away and take a free one instead
                best = claim[other, a] + (claim[j, b] if b >= 0 else 0.0)
                take = b
                if b < 0:
                    for n in range(first, last):
                        if not taken[n] and claim[j, n] > _LEAST and claim[other, a] + claim[j, n] > best:
                            best, take = claim[other, a] + claim[j, n], n
                if best > now + 1e-9:
                    if b >= 0:
                        taken[b] = False
                    owner[other, camera] = a
                    owner[j, camera] = take if take >= 0 and claim[j, take] > _LEAST else _NONE
                    if owner[j, camera] >= 0:
                        taken[owner[j, camera]] = True
                    changed = True
                    break
        if not changed:
            break


@_jit
def _contested(slots, used, count, claim, difference, marked):
    """Mark tracks of which two claim the same instance nearly alike; returns whether there are any."""
    any_marked = False
    for j in range(slots):
        marked[j] = False
    for n in range(count):
        best, second, first, next_ = -np.inf, -np.inf, -1, -1
        for j in range(slots):
            if used[j]:
                if claim[j, n] > best:
                    second, next_ = best, first
                    best, first = claim[j, n], j
                elif claim[j, n] > second:
                    second, next_ = claim[j, n], j
        if best > _LEAST and next_ >= 0 and second > _LEAST and best - second < difference:
            marked[first] = True
            marked[next_] = True
            any_marked = True
    return any_marked


@_jit
def _settle(slots, marked, nodes, count, node_camera, cameras, pair, claim, group, member, groups, owner):
    """Give groups of instances to the tracks that are marked, then let single instances move.

    Groups come from pairs of cameras, which see the instances of an animal together even where no track knows it.
    """
    total = np.zeros((slots, groups))
    for j in range(slots):
        if marked[j]:
            for m in range(groups):
                for c in range(cameras):
                    if member[m, c] >= 0:
                        total[j, m] += claim[j, member[m, c]]
    taken = np.full(slots, _NONE)
    free = np.ones(groups, np.bool_)
    while True:
        best, first, which = _LEAST, -1, -1
        for j in range(slots):
            if marked[j] and taken[j] < 0:
                for m in range(groups):
                    if free[m] and total[j, m] > best:
                        best, first, which = total[j, m], j, m
        if first < 0:
            break
        taken[first] = which
        free[which] = False
    for _ in range(_SWEEPS):
        changed = False
        for j in range(slots):
            for other in range(j + 1, slots):
                if marked[j] and marked[other] and taken[j] >= 0 and taken[other] >= 0:
                    a, b = taken[j], taken[other]
                    if total[j, b] + total[other, a] > total[j, a] + total[other, b] + 1e-9:
                        taken[j], taken[other] = b, a
                        changed = True
        if not changed:
            break
    for x in range(count):
        n = nodes[x]
        for j in range(slots):
            if marked[j] and taken[j] >= 0 and taken[j] == group[n]:
                owner[j, node_camera[n]] = n
    # the others one by one, if claim and pairs together speak for it
    for x in range(count):
        n = nodes[x]
        c = node_camera[n]
        placed = False
        for j in range(slots):
            if marked[j] and owner[j, c] == n:
                placed = True
                if claim[j, n] + 0.3 * _support(n, c, owner[j], pair, cameras) < 0.0:
                    owner[j, c] = _NONE
                    placed = False
        if placed:
            continue
        best, target = _LEAST, -1
        for j in range(slots):
            if marked[j] and owner[j, c] < 0 and claim[j, n] > _LEAST:
                value = claim[j, n] + 0.3 * _support(n, c, owner[j], pair, cameras)
                if value > best:
                    best, target = value, j
        if target >= 0:
            owner[target, c] = n


@_jit
def _solve3(a, b, out):
    """Solve a symmetric positive system of three by Cholesky; returns the trace of the inverse, or -1."""
    l00 = a[0, 0]
    if l00 <= 1e-300:
        return -1.0
    l00 = np.sqrt(l00)
    l10, l20 = a[1, 0] / l00, a[2, 0] / l00
    d1 = a[1, 1] - l10 * l10
    if d1 <= 1e-14 * a[1, 1]:
        return -1.0
    l11 = np.sqrt(d1)
    l21 = (a[2, 1] - l20 * l10) / l11
    d2 = a[2, 2] - l20 * l20 - l21 * l21
    if d2 <= 1e-14 * a[2, 2]:
        return -1.0
    l22 = np.sqrt(d2)
    y0 = b[0] / l00
    y1 = (b[1] - l10 * y0) / l11
    y2 = (b[2] - l20 * y0 - l21 * y1) / l22
    out[2] = y2 / l22
    out[1] = (y1 - l21 * out[2]) / l11
    out[0] = (y0 - l10 * out[1] - l20 * out[2]) / l00
    i00, i11, i22 = 1.0 / l00, 1.0 / l11, 1.0 / l22
    i10 = -l10 * i00 * i11
    i21 = -l21 * i11 * i22
    i20 = (-l20 * i00 - l21 * i10) * i22
    return i00 * i00 + i10 * i10 + i20 * i20 + i11 * i11 + i21 * i21 + i22 * i22


@_jit
def _meet(k, row, cameras, node_instance, ray, conf, angle, center, p, use, prior, variance, free, far, out):
    """Where the rays of a keypoint meet, by least squares, with what was expected if `variance` is positive.

    Args:
        use: (camera,) whether that ray counts.
        prior: (3,) where it was expected, `free` (5,) in which direction that says less; `far` (camera,) squared
            distances of that from the cameras.
        out: (3,) gets the place.

    Returns:
        The variance of the place along each axis, on average; negative where the rays do not say.
    """
    a = np.zeros((3, 3))
    b = np.zeros(3)
    if variance > 0.0:
        less = free[3] / (variance + free[3])  # Sherman and Morrison (1950)
        for s in range(3):
            for u in range(3):
                a[s, u] = ((1.0 if s == u else 0.0) - less * free[s] * free[u]) / variance
                b[s] += a[s, u] * prior[u]
    if p[PLANAR] > 0.0:
        a[2, 2] += 1e12
    for c in range(cameras):
        if not use[c]:
            continue
        i = node_instance[row[c]]
        weight = conf[c, i, k] / (p[NOISE] * angle[c, i, k] ** 2 * far[c])
        for s in range(3):
            for u in range(3):
                entry = weight * ((1.0 if s == u else 0.0) - ray[c, i, k, s] * ray[c, i, k, u])
                a[s, u] += entry
                b[s] += entry * center[c, u]
    trace = _solve3(a, b, out)
    return trace / 3.0


@_jit
def _residual(k, c, i, ray, angle, center, place, p):
    """Squared distance of a ray from a place, in units of the noise."""
    x, y, z = place[0] - center[c, 0], place[1] - center[c, 1], place[2] - center[c, 2]
    along = x * ray[c, i, k, 0] + y * ray[c, i, k, 1] + z * ray[c, i, k, 2]
    far = x * x + y * y + z * z
    if along <= 0.0:
        return np.inf
    return (far - along * along) / (p[NOISE] * angle[c, i, k] ** 2 * far)


@_jit
def _locate(k, row, cameras, node_instance, ray, conf, angle, center, p, prior, variance, free, scene, place):
    """A keypoint from the rays of its group, robustly: the ray that fits worst is left out, one after the other.

    Returns:
        (variance of the place, negative where it is not found; number of rays that were used; the last of their
        cameras). Of one ray and an expectation it is the variance across the ray.
    """
    use = np.zeros(cameras, np.bool_)
    far = np.empty(cameras)
    rays = 0
    for c in range(cameras):
        far[c] = scene[c]
        if variance > 0.0:
            far[c] = 0.0
            for s in range(3):
                far[c] += (prior[s] - center[c, s]) ** 2
        if row[c] >= 0 and conf[c, node_instance[row[c]], k] > 0.0:
            use[c] = True
            rays += 1
    needed = 1 if (p[PLANAR] > 0.0 or variance > 0.0) else 2
    expected = variance
    while rays >= needed:
        found = _meet(
            k, row, cameras, node_instance, ray, conf, angle, center, p, use, prior, expected, free, far, place
        )
        if found <= 0.0:
            return -1.0, 0, _NONE
        worst, which, last = _GATE, _NONE, _NONE
        for c in range(cameras):
            if use[c]:
                last = c
                i = node_instance[row[c]]
                off = _residual(k, c, i, ray, angle, center, place, p)
                # one ray and an expectation share the distance between them
                if expected > 0.0:
                    loose = expected + 0.5 * _across(free, ray[c, i, k])
                    off /= 1.0 + loose / (p[NOISE] * angle[c, i, k] ** 2 * far[c]) / max(rays, 1)
                if off > worst:
                    worst, which = off, c
        if which < 0:
            if rays == 1 and expected > 0.0 and p[PLANAR] == 0.0:
                i = node_instance[row[last]]
                weight = conf[last, i, k] / (p[NOISE] * angle[last, i, k] ** 2 * far[last])
                found = 1.0 / (weight + 1.0 / (expected + 0.5 * _across(free, ray[last, i, k])))
            return found, rays, last
        use[which] = False
        rays -= 1
    return -1.0, 0, _NONE


@_jit
def _place_anew(j, k, place, variance, p, state):
    """Put a keypoint where rays alone say that it is."""
    for s in range(3):
        state.pos[j, k, s] = place[s]
        if not state.known[j, k]:
            state.vel[j, k, s] = state.body[j, s]
    faster = max(state.cov[j, k, 2], p[DRIFT]) if state.known[j, k] else 9.0 * p[DRIFT]
    state.cov[j, k, 0], state.cov[j, k, 1], state.cov[j, k, 2] = variance, 0.0, faster
    state.free[j, k, 3] = state.free[j, k, 4] = 0.0
    state.known[j, k] = True


@_jit
def _filter(j, k, place, variance, lone, state):
    """Correct a keypoint by a place (Kalman); `lone` is the ray of the only camera, or no direction.

    Of a place from one ray, only what is across the ray was measured; along it the keypoint is as free as before.
    """
    pos, vel, cov, free = state.pos[j, k], state.vel[j, k], state.cov[j, k], state.free[j, k]
    ratio = cov[1] / cov[0]
    along, stiff = 0.0, ratio
    if free[3] > 0.0:
        along = (place[0] - pos[0]) * free[0] + (place[1] - pos[1]) * free[1] + (place[2] - pos[2]) * free[2]
        stiff = _TOGETHER * np.sqrt(free[4] / free[3])
    for s in range(3):
        step = place[s] - pos[s]
        vel[s] += ratio * (step - along * free[s]) + stiff * along * free[s]
        pos[s] = place[s]
    share = min(variance / cov[0], 1.0)
    faster = cov[2]
    before = cov[0]
    cov[2] = max(cov[2] - ratio * cov[1] * (1.0 - share), 1e-12)
    cov[0], cov[1] = min(variance, cov[0]), cov[1] * share
    if lone[0] == 0.0 and lone[1] == 0.0 and lone[2] == 0.0:
        free[3] = free[4] = 0.0
        return
    cosine = free[0] * lone[0] + free[1] * lone[1] + free[2] * lone[2] if free[3] > 0.0 else 0.0
    free[3] = max(before + free[3] * cosine * cosine - cov[0], 1e-3 * cov[0])
    free[4] = max(faster + free[4] * cosine * cosine - cov[2], 1e-12)
    for s in range(3):
        free[s] = lone[s]


@_jit
def _update(j, row, cameras, node_instance, ray, conf, angle, views, p, state, fresh):
    """Correct a track by what was seen; `fresh` (keypoint,) gets by how many rays each keypoint was placed."""
    keypoints = state.pos.shape[1]
    place, alone, lone = np.empty(3), np.empty(3), np.empty(3)
    speed, shift = np.zeros(3), np.zeros(3)
    counted = firm = 0
    for k in range(keypoints):
        fresh[k] = 0
        known = state.known[j, k]
        variance = state.cov[j, k, 0] if known else -1.0
        found, rays, camera = _locate(
            k, row, cameras, node_instance, ray, conf, angle, views.center, p, state.pos[j, k], variance,
            state.free[j, k], views.scene, place,
        )  # fmt: skip
        if known and (found <= 0.0 or rays < 2):
            # where the rays agree with each other and not with what was expected, the rays are right
            free, many, _ = _locate(
                k, row, cameras, node_instance, ray, conf, angle, views.center, p, state.pos[j, k], -1.0,
                state.free[j, k], views.scene, alone,
            )  # fmt: skip
            if free > 0.0 and many >= 2 and free < p[RADIUS]:
                _place_anew(j, k, alone, free, p, state)
                fresh[k] = many
                continue
        if found <= 0.0:
            continue
        if not known:
            if found < p[RADIUS]:
                _place_anew(j, k, place, found, p, state)
                fresh[k] = rays
            continue
        single = rays == 1 and p[PLANAR] == 0.0
        for s in range(3):
            lone[s] = ray[camera, node_instance[row[camera]], k, s] if single else 0.0
            if not single:
                shift[s] += place[s] - state.pos[j, k, s]
        firm += 0 if single else 1
        _filter(j, k, place, found, lone, state)
        for s in range(3):
            speed[s] += state.vel[j, k, s]
        counted += 1
        fresh[k] = rays
    if counted > 0:
        for s in range(3):
            state.body[j, s] += 0.3 * (speed[s] / counted - state.body[j, s])
    if firm >= p[FEWEST]:
        _follow_body(j, shift, firm, p, state, fresh)


@_jit
def _follow_body(j, shift, firm, p, state, fresh):
    """What several cameras saw of the body moves the keypoints that none saw, and those of one camera along its ray."""
    for k in range(state.pos.shape[1]):
        if not state.known[j, k] or fresh[k] > 1:
            continue
        free = state.free[j, k]
        along = (shift[0] * free[0] + shift[1] * free[1] + shift[2] * free[2]) / firm if free[3] > 0.0 else 0.0
        for s in range(3):
            state.pos[j, k, s] += along * free[s] if fresh[k] == 1 else shift[s] / firm
        # it cannot be further from the body than the animal is large
        free[3] = min(free[3], 0.5 * p[RADIUS])
        state.cov[j, k, 0] = min(state.cov[j, k, 0], 0.5 * p[RADIUS])


@_jit
def _coincide(j, other, pos, known, p):
    """True where two tracks are at the same place: more than half of their keypoints nearly coincide."""
    near, both = 0, 0
    for k in range(pos.shape[1]):
        if known[j, k] and known[other, k]:
            both += 1
            squared = 0.0
            for s in range(3):
                squared += (pos[j, k, s] - pos[other, k, s]) ** 2
            if squared < 0.01 * p[RADIUS]:
                near += 1
    return both > 0 and 2 * near > both


@_jit
def _lengths(j, pos, fresh, edges, needed, block):
    """Add the lengths of a frame to the block of a track.

    Args:
        edges: (edge, 2) keypoints.
        block: (slot, edge + 1, 2) number and sum of the lengths of the block; the last row counts frames.
    """
    count = edges.shape[0]
    for e in range(count):
        a, b = edges[e, 0], edges[e, 1]
        if fresh[a] >= needed and fresh[b] >= needed:
            squared = 0.0
            for s in range(3):
                squared += (pos[j, a, s] - pos[j, b, s]) ** 2
            block[j, e, 0] += 1.0
            block[j, e, 1] += np.sqrt(squared)
    block[j, count, 0] += 1.0


@_jit
def _close_block(j, size, blocks, block):
    """Add a block to the averages of a track; one that is not full counts less.

    Args:
        size: frames of a full block.
        blocks: (slot, edge, 3) number of blocks, their mean, and sum of squares around it (West, 1979).
        block: see `_lengths`.
    """
    count = blocks.shape[1]
    for e in range(count):
        if block[j, e, 0] > 0.0:
            mean, weight = block[j, e, 1] / block[j, e, 0], block[j, e, 0] / size
            blocks[j, e, 0] += weight
            off = mean - blocks[j, e, 1]
            blocks[j, e, 1] += off * weight / blocks[j, e, 0]
            blocks[j, e, 2] += weight * off * (mean - blocks[j, e, 1])
        block[j, e, 0] = block[j, e, 1] = 0.0
    block[j, count, 0] = 0.0


@_jit
def _begin(j, row, state):
    """Begin a piece of track with the next number."""
    state.number[j] = state.counters[0]
    state.counters[0] += 1
    state.first_row[j] = row
    for k in range(state.pos.shape[1]):
        for s in range(3):
            state.start[j, k, s] = state.pos[j, k, s] if state.known[j, k] else np.nan


@_jit
def _finish(j, state, p, done):
    """Write down a piece of track that has ended, and free its slot."""
    at = done.count[0]
    if state.block[j, -1, 0] > 0.0:
        _close_block(j, p[BLOCK], state.blocks, state.block)
    done.number[at] = state.number[j]
    done.first[at], done.last[at] = state.first_row[j], state.last_row[j]
    for k in range(state.pos.shape[1]):
        done.known[at, k] = state.known[j, k]
        done.variance[at, k] = state.cov[j, k, 0]
        for s in range(3):
            done.start[at, k, s] = state.start[j, k, s]
            done.end[at, k, s] = state.seen_pos[j, k, s]
    for s in range(3):
        done.velocity[at, s] = state.seen_body[j, s]
    for e in range(state.blocks.shape[1]):
        for s in range(3):
            done.lengths[at, e, s] = state.blocks[j, e, s]
            state.blocks[j, e, s] = 0.0
    done.count[0] += 1
    state.number[j] = _NONE


@_jit
def _tell_meeting(j, other, row, gone, state, p, told, done):
    """Cut two tracks that met, of which one may be gone: from here on they are other pieces."""
    a, b = min(j, other), max(j, other)
    at = state.counters[1]
    told.meeting[at, 0], told.meeting[at, 1] = state.low_row[a, b], row
    told.meeting[at, 2], told.meeting[at, 3] = state.number[j], state.number[other]
    told.meeting_odds[at] = state.lowest[a, b]
    _finish(j, state, p, done)
    _begin(j, row + (0 if gone else 1), state)
    told.meeting[at, 4], told.meeting[at, 5] = state.number[j], _NONE
    if not gone:
        _finish(other, state, p, done)
        _begin(other, row + 1, state)
        told.meeting[at, 5] = state.number[other]
    state.lowest[a, b] = np.inf
    state.counters[1] += 1


@_jit
def _expect(row, step, slots, state, p, frame, told, done):
    """Move all tracks on to a frame, and end those that nobody saw for long."""
    for j in range(slots):
        frame.used[j] = state.number[j] >= 0
        if not frame.used[j]:
            continue
        longest = p[ABSENCE] if state.hits[j] >= p[NEWBORN] else min(p[NEWBORN], p[ABSENCE])
        if state.unseen[j] + step > longest:
            for other in range(slots):
                a, b = min(j, other), max(j, other)
                if other != j and state.number[other] >= 0 and state.lowest[a, b] < np.inf:
                    # it went while close to another: which of the two went?
                    _tell_meeting(other, j, row, True, state, p, told, done)
                state.lowest[a, b] = np.inf
            _finish(j, state, p, done)
            frame.used[j] = False
        else:
            _predict(j, state.pos, state.vel, state.cov, state.free, state.known, state.body, state.unseen, step, p)


@_jit
def _claims(t, count, cameras, slots, frames, views, state, p, frame):
    """What every track claims, and who gets it, camera by camera."""
    for j in range(slots):
        for c in range(cameras):
            frame.owner[j, c] = frame.further[j, c] = _NONE
        frame.odds[j], frame.flag[j] = np.inf, 0
        if not frame.used[j]:
            continue
        modesty = min(_MODESTY, _MODESTY_EACH * frames.conf.shape[3]) if state.hits[j] < p[NEWBORN] else 0.0
        for n in range(count):
            c, i = frame.camera[n], frame.instance[n]
            value = _claim(
                state.pos[j], state.cov[j], state.free[j], state.known[j],
                frames.ray[t, c, i], frames.conf[t, c, i], frames.angle[t, c, i], views.center[c], p,
            )  # fmt: skip
            if value > _LEAST:
                value -= modesty
                if frames.hint[t, c, i] >= 0 and frames.hint[t, c, i] == state.last_hint[j, c]:
                    value += p[TRUST]
            frame.claim[j, n] = value
    first = 0
    for c in range(cameras):
        last = first
        while last < count and frame.camera[last] == c:
            last += 1
        _choose(c, first, last, slots, frame.used, frame.claim, frame.owner, frame.claimed)
        first = last


@_jit
def _mark_claimed(count, cameras, slots, frame):
    for n in range(count):
        frame.claimed[n] = False
    for j in range(slots):
        if frame.used[j]:
            for c in range(cameras):
                if frame.owner[j, c] >= 0:
                    frame.claimed[frame.owner[j, c]] = True


@_jit
def _rejoin(t, count, cameras, slots, frames, views, p, frame):
    """Give a track that one camera sees what nobody has in another, where their rays meet.

    A track may be where only one camera can tell that it is wrong; without this it would never be put right.
    """
    for j in range(slots):
        if not frame.used[j] or _size(frame.owner[j], cameras) != 1:
            continue
        a = 0
        while frame.owner[j, a] < 0:
            a += 1
        i = frame.instance[frame.owner[j, a]]
        for c in range(cameras):
            if c == a:
                continue
            best, second, which = min(p[BIRTH], _BIRTH_EACH * frames.conf.shape[3]), -np.inf, _NONE
            for n in range(count):
                if frame.camera[n] != c or frame.claimed[n]:
                    continue
                other = frame.instance[n]
                weight = _pair_weight(
                    frames.ray[t, a, i], frames.conf[t, a, i], frames.angle[t, a, i],
                    frames.ray[t, c, other], frames.conf[t, c, other], frames.angle[t, c, other],
                    views.base[a, c], 0.5 * (views.extent[a] + views.extent[c]), p,
                )  # fmt: skip
                if weight > best:
                    second = best if which >= 0 else second
                    best, which = weight, n
                elif weight > second:
                    second = weight
            if which >= 0 and _worth(frame.seen[frame.owner[j, a]], p) * (best - second) >= p[SURE]:
                frame.owner[j, c] = which
                frame.claimed[which] = True


@_jit
def _look_together(t, count, cameras, slots, frames, views, p, frame):
    """What is contested, or nobody's, is looked at in all cameras together; returns the number of groups."""
    contest = _contested(slots, frame.used, count, frame.claim, _CONTEST * frames.conf.shape[3], frame.marked)
    if contest:
        for j in range(slots):
            if frame.marked[j]:
                for c in range(cameras):
                    frame.owner[j, c] = _NONE
    _mark_claimed(count, cameras, slots, frame)
    loose = 0
    for n in range(count):
        frame.group[n] = _NONE
        if not frame.claimed[n]:
            frame.loose[loose] = n
            loose += 1
    groups = 0
    if loose > 1 or contest:
        _pairs(
            frame.loose, loose, frame.camera, frame.instance, frames.ray[t], frames.conf[t], frames.angle[t],
            views.base, views.extent, p, frame.pair,
        )  # fmt: skip
        groups = _agglomerate(
            frame.loose, loose, frame.camera, cameras, frame.pair, frame.group, frame.member, frame.together
        )
        groups = _polish(frame.loose, loose, frame.camera, cameras, frame.pair, frame.group, frame.member, groups)
        if contest:
            _settle(
                slots, frame.marked, frame.loose, loose, frame.camera, cameras, frame.pair, frame.claim,
                frame.group, frame.member, groups, frame.owner,
            )  # fmt: skip
    elif loose == 1:
        for c in range(cameras):
            frame.member[0, c] = _NONE
        frame.member[0, frame.camera[frame.loose[0]]] = frame.loose[0]
        frame.group[frame.loose[0]] = 0
        groups = 1
    _mark_claimed(count, cameras, slots, frame)
    if cameras > 1:
        _rejoin(t, count, cameras, slots, frames, views, p, frame)
    return groups


@_jit
def _leave_open(count, cameras, slots, p, frame):
    """Where only two cameras see an animal, an instance that another fits nearly as well as is given to nobody."""
    for j in range(slots):
        if not frame.used[j] or cameras == 1 or _size(frame.owner[j], cameras) != 2:
            continue
        for c in range(cameras):
            n = frame.owner[j, c]
            if n < 0:
                continue
            rival, worth = 0.0, _worth(frame.seen[n], p)
            for other in range(count):
                if frame.camera[other] != c or other == n:
                    continue
                loss = frame.claim[j, n] - frame.claim[j, other]
                for third in range(slots):
                    if frame.used[third] and third != j and frame.owner[third, c] == other:
                        loss += frame.claim[third, other] - max(frame.claim[third, n], 0.0)
                rival += np.exp(-min(max(worth * loss, -30.0), 30.0))
            if rival > np.exp(-p[SURE]):
                frame.flag[j] |= 1 | (2 << c)
    for j in range(slots):
        if frame.used[j] and frame.flag[j] & 1:
            for c in range(cameras):
                if frame.flag[j] & (2 << c):
                    frame.owner[j, c] = _NONE


@_jit
def _meet_others(row, cameras, slots, state, p, frame):
    """How sure it is that nobody was taken for another; where it is not, two animals meet."""
    for j in range(slots):
        if not frame.used[j] or state.hits[j] < p[NEWBORN]:
            continue
        for other in range(j + 1, slots):
            if not frame.used[other] or state.hits[other] < p[NEWBORN]:
                continue
            margin, met, near, seen = 0.0, False, False, 0
            for c in range(cameras):
                a, b = frame.owner[j, c], frame.owner[other, c]
                met = met or a >= 0 or b >= 0
                if a >= 0:
                    seen += frame.seen[a]
                    margin += frame.claim[j, a] - max(frame.claim[other, a], 0.0)
                    near = near or frame.claim[other, a] > min(frame.claim[j, a], 0.0)
                if b >= 0:
                    seen += frame.seen[b]
                    margin += frame.claim[other, b] - max(frame.claim[j, b], 0.0)
                    near = near or frame.claim[j, b] > min(frame.claim[other, b], 0.0)
            if not met:
                continue
            if not near:
                # what moves suddenly fits badly, but that does not make it another that is far away
                if state.lowest[j, other] < np.inf:
                    state.calm[j, other] += 1.0
                continue
            margin *= _worth(seen, p)
            frame.odds[j], frame.odds[other] = min(frame.odds[j], margin), min(frame.odds[other], margin)
            if margin < p[CLOSE]:
                if state.lowest[j, other] == np.inf:
                    state.low_row[j, other] = row
                state.lowest[j, other] = min(state.lowest[j, other], margin)
                state.calm[j, other] = 0.0
            elif state.lowest[j, other] < np.inf and margin > p[APART]:
                state.calm[j, other] += 1.0


@_jit
def _correct(t, row, cameras, slots, frames, views, edges, state, p, frame):
    """Correct all tracks by what was seen of them."""
    needed = 1 if p[PLANAR] > 0.0 else 2
    for j in range(slots):
        if not frame.used[j]:
            continue
        if _size(frame.owner[j], cameras) == 0:
            state.unseen[j] += frames.steps[t]
            continue
        _update(
            j, frame.owner[j], cameras, frame.instance, frames.ray[t], frames.conf[t], frames.angle[t], views, p, state,
            frame.fresh,
        )  # fmt: skip
        state.unseen[j] = 0.0
        state.hits[j] += 1
        state.last_row[j] = row
        state.seen_pos[j] = state.pos[j]
        state.seen_body[j] = state.body[j]
        _lengths(j, state.pos, frame.fresh, edges, needed, state.block)
        if state.block[j, -1, 0] >= p[BLOCK]:
            _close_block(j, p[BLOCK], state.blocks, state.block)
        for c in range(cameras):
            if frame.owner[j, c] >= 0:
                state.last_hint[j, c] = frames.hint[t, c, frame.instance[frame.owner[j, c]]]


@_jit
def _second_parts(t, count, slots, frames, frame):
    """What is left of an animal that a camera has in two parts, which hardly share a keypoint."""
    keypoints = frames.conf.shape[3]
    for n in range(count):
        if frame.claimed[n]:
            continue
        c, i = frame.camera[n], frame.instance[n]
        best, target = _LEAST, _NONE
        for j in range(slots):
            if not frame.used[j] or frame.owner[j, c] < 0 or frame.further[j, c] >= 0 or frame.claim[j, n] <= best:
                continue
            mine, new, both = frame.instance[frame.owner[j, c]], 0, 0
            for k in range(keypoints):
                if frames.conf[t, c, i, k] > 0.0:
                    if frames.conf[t, c, mine, k] > 0.0:
                        both += 1
                    else:
                        new += 1
            # halves may both have the keypoint where the animal was cut
            if new > 4 * both:
                best, target = frame.claim[j, n], j
        if target >= 0:
            frame.further[target, c] = n
            frame.claimed[n] = True


@_jit
def _is_newcomer(m, count, cameras, p, frame):
    """Whether a group of instances that belong to nobody is an animal."""
    size = 0
    for c in range(cameras):
        if frame.member[m, c] >= 0 and frame.claimed[frame.member[m, c]]:
            frame.member[m, c] = _NONE
        if frame.member[m, c] >= 0:
            size += 1
    if p[PLANAR] > 0.0:
        return size > 0
    if size < 2:
        return False
    weight = 0.0
    for c in range(cameras):
        if frame.member[m, c] >= 0:
            support = _support(frame.member[m, c], c, frame.member[m], frame.pair, cameras)
            weight += 0.5 * support * _share(size)
    if weight < min(p[BIRTH], _BIRTH_EACH * frame.fresh.shape[0]):
        return False
    if size > 2:
        return True
    # that rays meet by chance is what the weight above is for; here it is which of several instances
    doubt = _doubt(m, frame.camera, frame.seen, cameras, frame.pair, frame.group, frame.member, count, p, False)
    return doubt >= p[SURE]


@_jit
def _add_newcomer(m, t, row, cameras, slots, frames, views, state, p, frame):
    """Give a group a slot, if there is one and it is no animal that is followed already."""
    j = 0
    while j < slots and state.number[j] >= 0:
        j += 1
    if j == slots:
        return
    keypoints = state.pos.shape[1]
    state.known[j] = False
    state.body[j] = 0.0
    _update(
        j, frame.member[m], cameras, frame.instance, frames.ray[t], frames.conf[t], frames.angle[t], views, p, state,
        frame.fresh,
    )  # fmt: skip
    seen = 0
    for k in range(keypoints):
        if state.known[j, k]:
            seen += 1
    if seen < min(p[FEWEST], keypoints):
        return
    for other in range(slots):
        if other != j and state.number[other] >= 0 and _coincide(j, other, state.pos, state.known, p):
            return
    for k in range(keypoints):
        # how fast it is, nobody knows yet
        state.cov[j, k, 2] = max(state.cov[j, k, 2], _FIRST_SPEED * p[RADIUS])
    _begin(j, row, state)
    state.seen_pos[j] = state.pos[j]
    state.seen_body[j] = state.body[j]
    state.unseen[j], state.hits[j], state.last_row[j] = 0.0, 1, row
    state.blocks[j] = 0.0
    state.block[j] = 0.0
    for other in range(slots):
        state.lowest[j, other] = state.lowest[other, j] = np.inf
    frame.used[j], frame.odds[j], frame.flag[j] = True, np.inf, 0
    for c in range(cameras):
        n = frame.member[m, c]
        frame.owner[j, c] = n
        state.last_hint[j, c] = frames.hint[t, c, frame.instance[n]] if n >= 0 else _NONE
        if n >= 0:
            frame.claimed[n] = True


@_jit
def _drop_doubles(slots, state, p, frame, done):
    """Of two tracks of one animal the newcomer goes."""
    for j in range(slots):
        for other in range(slots):
            if j == other or not frame.used[j] or not frame.used[other] or state.hits[other] >= p[NEWBORN]:
                continue
            if state.hits[j] > state.hits[other] and _coincide(j, other, state.pos, state.known, p):
                frame.used[other] = False
                _finish(other, state, p, done)


@_jit
def _tell_rows(row, cameras, slots, state, frame, told, at):
    """Write down whose instances are whose; returns the number of rows so far."""
    for j in range(slots):
        if frame.used[j] and (_size(frame.owner[j], cameras) > 0 or frame.flag[j] != 0):
            told.time[at], told.track[at] = row, state.number[j]
            told.odds[at], told.flag[at] = frame.odds[j], frame.flag[j] & 1
            for c in range(cameras):
                first, second = frame.owner[j, c], frame.further[j, c]
                told.instance[at, c] = frame.instance[first] if first >= 0 else _NONE
                told.further[at, c] = frame.instance[second] if second >= 0 else _NONE
            at += 1
    return at


@_jit_and_keep
def track_frames(frames, row0, views, edges, p, state, told, done):
    """Follow animals through frames.

    Args:
        frames: what was seen.
        row0: number of the first row in the recording.
        views: the cameras.
        edges: (edge, 2) keypoints whose distance is measured.
        p: parameters.
        state: what is carried on.
        told, done: what is found.

    Returns:
        (rows of the recording that were done, rows that were told). Where `done` or the meetings may not have room for
        another frame, it stops early and is to be called again.
    """
    times, cameras, places, keypoints = frames.conf.shape
    slots = min(state.number.shape[0], int(p[SLOTS]))
    most = cameras * places
    frame = _Frame(
        np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64), np.empty((slots, most)),
        np.empty((slots, cameras), np.int64), np.empty((slots, cameras), np.int64), np.empty(slots, np.bool_),
        np.empty(most, np.bool_), np.empty(slots), np.empty(slots, np.int64), np.empty(slots, np.bool_),
        np.zeros(keypoints, np.int64), np.empty(most, np.int64), np.empty(most, np.int64),
        np.empty((2 * most + 1, cameras), np.int64), np.empty((most, most)), np.empty((most, most)),
    )  # fmt: skip
    rows = 0
    done.count[0] = state.counters[1] = 0
    for t in range(times):
        if done.count[0] + slots * slots > done.number.shape[0]:
            return t, rows
        if state.counters[1] + slots * slots > told.meeting.shape[0]:
            return t, rows
        row = row0 + t
        _expect(row, frames.steps[t], slots, state, p, frame, told, done)
        count = _collect(frames.conf[t], frame.camera, frame.instance, frame.seen)
        _claims(t, count, cameras, slots, frames, views, state, p, frame)
        groups = _look_together(t, count, cameras, slots, frames, views, p, frame)
        _leave_open(count, cameras, slots, p, frame)
        _meet_others(row, cameras, slots, state, p, frame)
        _correct(t, row, cameras, slots, frames, views, edges, state, p, frame)
        _second_parts(t, count, slots, frames, frame)
        for m in range(groups):
            if _is_newcomer(m, count, cameras, p, frame):
                _add_newcomer(m, t, row, cameras, slots, frames, views, state, p, frame)
        _drop_doubles(slots, state, p, frame, done)
        rows = _tell_rows(row, cameras, slots, state, frame, told, rows)
        for j in range(slots):
            for other in range(j + 1, slots):
                if state.lowest[j, other] < np.inf and state.calm[j, other] >= p[CALM]:
                    _tell_meeting(j, other, row, False, state, p, told, done)
    return times, rows


# ---- learning ----


@_jit_and_keep
def group_residuals(ray, conf, angle, base, group, out):
    """Squared distances of the rays of groups from coplanarity, in px^2, into `out`; returns how many there are."""
    times, cameras, places, keypoints, _ = ray.shape
    one = np.zeros(PARAMETERS)
    one[NOISE] = 1.0
    count = 0
    for t in range(times):
        for ca in range(cameras):
            for ia in range(places):
                if group[t, ca, ia] < 0:
                    continue
                for cb in range(ca + 1, cameras):
                    for ib in range(places):
                        if group[t, cb, ib] != group[t, ca, ia]:
                            continue
                        for k in range(keypoints):
                            if conf[t, ca, ia, k] <= 0.0 or conf[t, cb, ib, k] <= 0.0 or count >= out.shape[0]:
                                continue
                            n = np.cross(ray[t, ca, ia, k], base[ca, cb])
                            m = np.cross(ray[t, cb, ib, k], base[ca, cb])
                            e = np.dot(n, ray[t, cb, ib, k])
                            spread = angle[t, ca, ia, k] ** 2 * max(np.dot(m, m) - e * e, 1e-9) + angle[
                                t, cb, ib, k
                            ] ** 2 * max(np.dot(n, n) - e * e, 1e-9)
                            out[count] = e * e / spread
                            count += 1
    return count


@_jit_and_keep
def place_groups(ray, conf, angle, center, scene, p, group, place, variance):
    """Where the keypoints of groups are.

    Args:
        ray, conf, angle, center, scene, p, group: as for the other kernels.
        place: (time, group, keypoint, 3) gets the places, NaN where not known.
        variance: (time, group, keypoint) gets their variances.
    """
    times, cameras, places, keypoints, _ = ray.shape
    row, node_instance = np.empty(cameras, np.int64), np.empty(cameras, np.int64)
    found = np.empty(3)
    nowhere, bound = np.zeros(3), np.zeros(5)
    for t in range(times):
        place[t] = np.nan
        variance[t] = np.nan
        for g in range(place.shape[1]):
            for c in range(cameras):
                row[c] = _NONE
                for i in range(places):
                    if group[t, c, i] == g:
                        row[c] = c
                        node_instance[c] = i
            for k in range(keypoints):
                spread, _, _ = _locate(
                    k, row, cameras, node_instance, ray[t], conf[t], angle[t], center, p, nowhere, -1.0, bound, scene,
                    found,
                )  # fmt: skip
                if spread > 0.0:
                    for s in range(3):
                        place[t, g, k, s] = found[s]
                    variance[t, g, k] = spread
