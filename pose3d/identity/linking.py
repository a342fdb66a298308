"""Who is who, across views and time: from Instances to Identity, for a whole recording."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError, SuiteWarning
from calibration.rig import Rig
from pose3d.identity._anchoring import anchored_steps, anchors_by_chain, place_names
from pose3d.identity._following import Followed, follow
from pose3d.identity._identities import Solution, identity_dataset
from pose3d.identity._learning import Model
from pose3d.identity._looks import ROUNDS, name_costs, piece_features
from pose3d.identity._meetings import find_meetings
from pose3d.identity._naming import History, Step, names_at, ordered_steps, solve_names
from pose3d.identity._stitching import Links, chains, find_links, piece_chains
from pose3d.identity.anchors import Anchor
from pose3d.identity.corrections import correct_identity
from pose3d.identity.models import IdentityModel, learn_identity
from pose3d.identity.settings import IdentitySettings
from pose3d.skeleton import Skeleton

__all__ = ["identify"]

Places = NDArray[np.int64]

# A name of the source's tracks is taken over where at least this share of an animal's instances have it.
_CLEAR = 0.6
# Frames in which somebody must have been seen to be an animal.
_LASTING = 20
# Share of the instances of a camera that may belong to nobody; networks see hardly more false animals than true ones.
_STRANGERS = 0.6
# Share of the frames in which one more animal than declared is worth a warning.
_SURPLUS = 0.05


def identify(
    instances: xr.Dataset,
    rig: Rig | None = None,
    *,
    skeleton: Skeleton | None = None,
    settings: IdentitySettings | None = None,
    anchors: Sequence[Anchor] = (),
    model: IdentityModel | None = None,
    progress: Callable[[str, int], object] | None = None,
) -> xr.Dataset:
    """Find out which instance of every camera and frame is which animal.

    Instances of all cameras and the animals that are being followed are grouped together, by how far rays miss each
    other in units of the noise; noise, size and motion are learned from the recording. Where two animals come so close
    that they might be exchanged, tracks are cut; the pieces are linked for the whole recording at once, by motion,
    shape, appearance and what a person confirmed. Without a rig, one camera's animals are followed in its image.

    Args:
        instances: Instances Dataset; it need not be loaded.
        rig: the cameras; those of the instances are taken from it. None for one camera.
        skeleton: whose edges tell animals apart by their lengths.
        settings: how.
        anchors: which animals a person recognized where; `called` is the name that it has without those anchors.
        model: what noise and animals are like; learned from the instances where None.
        progress: called with what is done and the number of frames done since the last call.

    Returns:
        Identity: `instance` (time, camera, individual) and how sure that is; `pose3d.identity.poses2d_of_instances`
        makes Poses2D of it. Individuals are in the order of how much was seen of them, and called as the anchors say,
        as the tracks of the source say where they agree, or individual_0, individual_1, ...

    Raises:
        InvalidValueError: the instances do not follow the schema or are empty; nobody is seen; an anchor names nobody.
        MismatchError: cameras are not those of the rig; or several cameras and no rig.

    Warns:
        SuiteWarning: more or fewer animals are seen than there are said to be.
    """
    chosen = settings or IdentitySettings()
    told = progress or (lambda _what, _frames: None)
    told("learning", 0)
    known = model or learn_identity(instances, rig, skeleton=skeleton, settings=chosen)
    stage, ordered = known.on(instances, rig)
    followed = follow(ordered, stage, known.values, chosen, progress=lambda frames: told("following", frames))
    told("linking", 0)
    points = [anchor for anchor in anchors if anchor.called is None]
    solution = _solve(ordered, followed, known.values, chosen, points)
    surplus = _warn_of_count(followed, solution, chosen, instances.sizes["time"])
    result = identity_dataset(ordered, followed, solution).assign_attrs(
        noise=known.noise, individuals_declared=chosen.individuals, surplus=surplus
    )
    if surplus <= _SURPLUS:  # else it is known whose they are
        _warn_of_strangers(result)
    by_name = [anchor for anchor in anchors if anchor.called is not None]
    return correct_identity(result, by_name)[0] if by_name else result


def _solve(
    instances: xr.Dataset, followed: Followed, model: Model, settings: IdentitySettings, anchors: Sequence[Anchor]
) -> Solution:
    """Chains of pieces of track, and whose they are."""
    paths, links = _chains(instances, followed, model, settings)
    meetings = find_meetings(followed.pieces, followed.events, links, paths, _frames(instances))
    count = len(paths)
    seen = anchors_by_chain(anchors, instances, followed, paths)
    names = _seed(paths, followed)
    features = piece_features(
        followed.pieces, followed.looks, names, piece_chains(paths, len(followed.pieces.number)), shape=settings.shape
    )

    def solve(names: Places, fixed: list[Step]) -> tuple[list[Step], History, Places]:
        for _ in range(ROUNDS if features.tells else 1):
            costs = name_costs(features, names, count)
            steps = ordered_steps([*meetings, *_name_steps(paths, followed, costs), *fixed])
            history = solve_names(count, steps)
            names = _piece_names(paths, followed, steps, history)
        return steps, history, names

    steps, history, names = solve(names, [])
    individuals = _called(instances, followed, names, count)
    if seen:
        rows, chain = (np.array([one[place] for one in seen], np.int64) for place in range(2))
        now = names_at(steps, history, chain, rows)
        found = [(*one, int(number)) for one, number in zip(seen, now, strict=True)]
        fixed, individuals, renamed = place_names(found, individuals)
        steps, history, names = solve(names, anchored_steps(fixed, count, renamed))
    return Solution(paths, steps, history, individuals)


def _chains(
    instances: xr.Dataset, followed: Followed, model: Model, settings: IdentitySettings
) -> tuple[list[list[int]], Links]:
    """The pieces of every animal, and all links that there could be.

    Raises:
        InvalidValueError: there is no animal.
    """
    if not followed.present.any():
        raise InvalidValueError(
            "identify",
            expected=f"keypoints with a position and a confidence of at least {settings.minimum_confidence:g}",
            got="none",
            remedy="Check the confidences in the 2D poses, or lower the limit.",
        )
    pieces, rows = followed.pieces, instances.sizes["time"]
    absence = max(settings.longest_absence * float(instances.attrs.get("fps", 1.0)), 3.0)
    arena = model.radius
    if len(pieces.number):
        middle = np.nanmean(pieces.end, axis=1)
        arena = max(arena, 2.0 * float(np.sqrt(np.nanvar(middle, axis=0).sum())))
    links = find_links(
        pieces, followed.events, radius=model.radius, absence=absence, arena=arena, frames=_frames(instances)
    )
    paths = chains(pieces, links, followed.seen, individuals=settings.individuals, rows=rows)
    # what was seen for a moment is no animal, however many there are said to be
    paths = [path for path in paths if followed.seen[path].sum() >= min(_LASTING, 0.1 * rows)]
    if not paths:
        raise InvalidValueError(
            "identify",
            expected="an animal that is seen in one frame at least"
            + ("" if model.scene.size == 1 else ", by two cameras"),
            got="none of which that is sure",
            remedy="Check calibration and 2D poses. Where two cameras see few keypoints, lower `sure`: others may then "
            "be taken for one.",
        )
    return paths, links


def _frames(instances: xr.Dataset) -> Places:
    return np.asarray(instances["frame"].values, dtype=np.int64)


def _name_steps(paths: list[list[int]], followed: Followed, costs: NDArray[np.float64]) -> list[Step]:
    """What the look of each piece says about names, where it says anything."""
    first = followed.pieces.first
    return [
        Step(int(first[piece]), chain, -1, costs[piece])
        for chain, path in enumerate(paths)
        for piece in path
        if costs[piece].any()
    ]


def _seed(paths: list[list[int]], followed: Followed) -> Places:
    """(piece,) the first names: those of the pieces at the moment at which the shortest of them all is longest.

    Learning from whole chains would mix two animals wherever they were exchanged.
    """
    names = np.full(len(followed.pieces.number), -1, np.int64)
    first, last, seen = followed.pieces.first, followed.pieces.last, followed.seen
    best, chosen = -1, []
    for moment in np.unique(np.concatenate([first[path] for path in paths])).tolist():
        there = [next((one for one in path if first[one] <= moment <= last[one]), -1) for path in paths]
        present = [piece for piece in there if piece >= 0]
        worth = (len(present), min(int(seen[piece]) for piece in present)) if present else (0, 0)
        score = worth[0] * 10**9 + worth[1]
        if score > best:
            best, chosen = score, there
    for chain, path in enumerate(paths):
        piece = chosen[chain] if chosen and chosen[chain] >= 0 else max(path, key=lambda one: int(seen[one]))
        names[piece] = chain
    return names


def _piece_names(paths: list[list[int]], followed: Followed, steps: Sequence[Step], history: History) -> Places:
    names = np.full(len(followed.pieces.number), -1, np.int64)
    for chain, path in enumerate(paths):
        names[path] = names_at(steps, history, np.full(len(path), chain), followed.pieces.first[path])
    return names


def _called(instances: xr.Dataset, followed: Followed, names: Places, count: int) -> tuple[str, ...]:
    """What everybody is called: as the tracks of the source say, where they agree with what was found; or by number."""
    if "track_name" in instances and followed.votes:
        known = [str(name) for name in instances["track_name"].values]
        place = {int(number): index for index, number in enumerate(followed.pieces.number)}
        votes = np.zeros((count, len(known)))
        for (piece, track), number in followed.votes.items():
            if names[place[piece]] >= 0:
                votes[names[place[piece]], track] += number
        best = votes.argmax(1)
        clear = (votes.sum(1) > 0) & (votes.max(1) >= _CLEAR * votes.sum(1))
        if clear.all() and len(set(best.tolist())) == count:
            return tuple(known[number] for number in best)
    return tuple(f"individual_{number}" for number in range(count))


def _warn_of_strangers(identity: xr.Dataset) -> None:
    """Say where most of what a camera sees belongs to nobody."""
    left = identity["unassigned"].sum("time").values.astype(float)
    taken = (identity["instance"] >= 0).sum(("time", "individual")).values
    share = np.divide(left, left + taken, out=np.zeros_like(left), where=left + taken > 0)
    for name, one in zip(identity["camera"].values, share, strict=True):
        if one > _STRANGERS:
            warnings.warn(
                f"identity, camera '{name}': {one:.0%} of its instances belong to no animal that other cameras see; is "
                "it calibrated as it was then, and are cameras and files named alike?",
                SuiteWarning,
                stacklevel=3,
            )


def _warn_of_count(followed: Followed, solution: Solution, settings: IdentitySettings, frames: int) -> float:
    """Say where more or fewer animals are seen than declared; returns the share of frames in which one more is."""
    declared = settings.individuals
    if not declared:
        return 0.0
    if len(solution.individuals) < declared:
        warnings.warn(
            f"identity: {len(solution.individuals)} of {declared} animals were seen", SuiteWarning, stacklevel=3
        )
    used = {piece for path in solution.paths for piece in path}
    # what was seen for a moment is no animal
    others = [piece for piece, seen in enumerate(followed.seen) if piece not in used and seen >= _LASTING]
    share = min(int(followed.seen[others].sum()) / max(frames, 1), 1.0)
    if share > _SURPLUS:
        warnings.warn(
            f"identity: {declared} animals were declared; one more is seen in about {share:.0%} of the frames, and "
            "left out. Give the right number, or none",
            SuiteWarning,
            stacklevel=3,
        )
    return share
