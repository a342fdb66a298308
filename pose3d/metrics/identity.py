"""Scores of identity: whether every animal keeps its name, against a truth.

What is compared:

- Frames are matched by frame number, cameras and keypoints by name. Frames of the truth count, those that only the
  result has do not; where the result lacks one, its animals are missed. Cameras that only one of both has do not count.
- Animals are matched by where they are, never by name: the names of result and truth may differ.
- The distance of two poses is the mean distance of the keypoints that both have, of those keypoints that both files
  have; a keypoint that is further off than twice the threshold counts as that far. So one keypoint that is anywhere
  does not make an animal another one. Unlike an overlap of boxes it does not depend on how many keypoints a camera
  saw, and unlike object keypoint similarity (OKS), which averages over keypoints as well, it needs no constant for
  every keypoint, which nobody has measured for animals. Missing keypoints are scored by PCP, not by identity.
- Two poses can be of one animal where their distance is at most the threshold: by default half the typical length of
  the animals in the truth, in every camera by itself. HOTA takes the similarity max(0, 1 - distance / (2 threshold)),
  which is 0.5 at the threshold.
- Of several cameras, the scores of all together ask that a name is the same animal in all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from pose3d.metrics._identity_matching import Distances, Matched, match, measure, typical_length
from pose3d.metrics._identity_tracking import ALPHAS, Clear, clear, hota, identity_pairs
from pose3d.skeleton import Skeleton

__all__ = ["HOTA_LEVELS", "IdentityScores", "IdentitySwitch", "IndividualScore", "TrackingScores", "score_identity"]

Array = NDArray[np.float64]

HOTA_LEVELS = tuple(ALPHAS.tolist())
"""Similarities at which HOTA is computed: 0.05, 0.10, ..., 0.95."""


@dataclass(frozen=True)
class TrackingScores:
    """Scores of one camera, of all cameras together, or of 3D poses. Shares are NaN where there is nothing to share.

    Attributes:
        frames: number of frames of the truth; of all cameras together, the sum.
        truth_poses, result_poses: number of poses in them.
        idf1, idp, idr: F1, precision and recall of "the right pose with the right name", for the one assignment of
            names to animals that is best over the whole recording.
        hota, deta, assa, loca: means over `HOTA_LEVELS` of HOTA, of detection, of association and of localization.
        hota_levels, deta_levels, assa_levels, loca_levels: the same at every level.
        mota: 1 - (misses + false positives + switches) / poses of the truth; may be negative.
        motp: mean distance of the poses that are matched, in the unit of the poses, with no keypoint further off than
            twice the threshold.
        misses, false_positives: poses of the truth, and of the result, that have no partner in their frame.
        switches: how often another animal of the result follows an animal of the truth than did before.
        fragmentations: how often an animal of the truth is lost and found again.
        switches_per_10000: switches in 10,000 frames.
    """

    frames: int
    truth_poses: int
    result_poses: int
    idf1: float
    idp: float
    idr: float
    hota: float
    deta: float
    assa: float
    loca: float
    hota_levels: Array
    deta_levels: Array
    assa_levels: Array
    loca_levels: Array
    mota: float
    motp: float
    misses: int
    false_positives: int
    switches: int
    fragmentations: int
    switches_per_10000: float


@dataclass(frozen=True)
class IndividualScore:
    """How well one animal of the truth was followed.

    Attributes:
        name: its name in the truth.
        matched: its name in the result, by the best assignment over the whole recording; None where it has none.
        poses: its poses in the truth.
        seen: share of those frames in which the result has the animal of that name.
        right: share of those frames in which that one is within the threshold.
        mpjpe: mean distance of the keypoints that both have, over all frames, with those of another animal where the
            name was exchanged; in the unit of the poses, NaN where there are none.
        pcp: percentage of correct parts, as a share; NaN without parts.
    """

    name: str
    matched: str | None
    poses: int
    seen: float
    right: float
    mpjpe: float
    pcp: float


@dataclass(frozen=True)
class IdentitySwitch:
    """A moment at which another animal of the result starts to follow an animal of the truth.

    Attributes:
        frame: frame number.
        camera: name of the camera; "" in 3D.
        individual: the animal of the truth.
        before, after: names in the result.
    """

    frame: int
    camera: str
    individual: str
    before: str
    after: str


@dataclass(frozen=True)
class IdentityScores:
    """What `score_identity` found.

    Attributes:
        overall: the scores; of Poses2D, of all cameras together.
        cameras: the scores of every camera; empty for Poses3D.
        individuals: one for each animal of the truth.
        unmatched: names of the result that are of no animal of the truth.
        mpjpe: mean distance of keypoints over all individuals, after the best assignment.
        pcp: share of correct parts of all individuals.
        switches: all of them, by frame.
        thresholds: by camera ("" in 3D), the largest distance of two poses of one animal.
        unit: of distances and thresholds.
    """

    overall: TrackingScores
    cameras: Mapping[str, TrackingScores]
    individuals: tuple[IndividualScore, ...]
    unmatched: tuple[str, ...]
    mpjpe: float
    pcp: float
    switches: tuple[IdentitySwitch, ...]
    thresholds: Mapping[str, float]
    unit: str


def score_identity(
    result: xr.Dataset,
    truth: xr.Dataset,
    *,
    threshold: float | None = None,
    skeleton: Skeleton | None = None,
    progress: Callable[[int], None] | None = None,
) -> IdentityScores:
    """Whether every animal keeps its name, and how well each was followed; see the top of this module for the rules.

    Datasets that are opened and not loaded are read in pieces; what is kept are 4 bytes for every frame, camera and
    pair of animals.

    Methods: IDF1 of Ristani et al. (2016), HOTA of Luiten et al. (2021), MOTA and what it counts of Bernardin and
    Stiefelhagen (2008). A part of the body is an edge of the skeleton; it is correct where both ends are within half
    its true length (PCP of Ferrari, Marin-Jimenez, Zisserman, Progressive search space reduction for human pose
    estimation, 2008, with both ends held to it); parts that the result lacks are wrong.

    Args:
        result: Poses3D or Poses2D.
        truth: the same kind, in the same unit.
        threshold: largest mean distance of keypoints of one animal, in the unit of the poses; half the typical length
            of the animals if left out.
        skeleton: what the parts of the body are; no PCP without.
        progress: called now and then with the number of frames, of one camera each, that are done since.

    Raises:
        InvalidValueError: the threshold is not positive, or no pose of the truth has two keypoints to tell it from; a
            Dataset is neither Poses2D nor Poses3D, or its frame numbers do not increase.
        MismatchError: one is 2D and the other 3D, units differ, or no frame, camera or keypoint is in both.
    """
    if threshold is not None and not 0 < threshold < np.inf:
        raise InvalidValueError(
            "threshold", expected="a positive length", got=str(threshold), remedy="Give it in the unit of the poses."
        )
    matched = match(result, truth)
    keypoints = [str(name) for name in truth["keypoint"].values]
    edges = [] if skeleton is None else [edge for edge in skeleton.edges if set(edge) <= set(keypoints)]
    places = [(keypoints.index(first), keypoints.index(second)) for first, second in edges]
    measured = [measure(one, places, _threshold(one, threshold), progress) for one in matched]
    followed = [clear(one) for one in measured]
    frames = truth["frame"].values
    names = [[str(name) for name in data["individual"].values] for data in (truth, result)]
    pairs, together = identity_pairs(measured)
    by_camera = {one.camera: _tracking([one], [own]) for one, own in zip(measured, followed, strict=True) if one.camera}
    individuals = tuple(_individual(measured, together, names, who, int(pairs[who])) for who in range(len(names[0])))
    chosen = [(who, int(other)) for who, other in enumerate(pairs) if other >= 0]
    error, count, right = (
        sum(getattr(one, name)[pair] for one in measured for pair in chosen)
        for name in ("error_sum", "error_count", "parts_right")
    )
    return IdentityScores(
        overall=_tracking(measured, followed),
        cameras=by_camera,
        individuals=individuals,
        unmatched=tuple(name for place, name in enumerate(names[1]) if place not in pairs),
        mpjpe=_share(error, count),
        pcp=_share(right, sum(one.parts.sum() for one in measured)),
        switches=_switches(measured, followed, frames, names),
        thresholds={one.camera: one.threshold for one in measured},
        unit=str(truth["position"].attrs.get("units", "")),
    )


def _threshold(one: Matched, given: float | None) -> float:
    if given is not None:
        return float(given)
    length = typical_length(one.truth)
    if length > 0:
        return length / 2
    if not one.truth.sizes["individual"]:
        return 1.0  # nobody is compared with anybody
    raise InvalidValueError(
        f"truth{f', camera {one.camera!r}' if one.camera else ''}",
        expected="poses with two keypoints or more, whose length says how far two poses of one animal may be apart",
        got="none",
        remedy="Give the threshold.",
    )


def _tracking(measured: Sequence[Distances], followed: Sequence[Clear]) -> TrackingScores:
    truth_poses = sum(int(one.truth_there.sum()) for one in measured)
    result_poses = sum(int(one.result_there.sum()) for one in measured)
    frames = sum(len(one.distance) for one in measured)
    pairs, together = identity_pairs(measured)
    right = sum(together[who, other] for who, other in enumerate(pairs) if other >= 0)
    levels = hota(measured)
    hits = sum(int((own.match >= 0).sum()) for own in followed)
    switches = sum(len(own.switch_rows) for own in followed)
    misses, false = truth_poses - hits, result_poses - hits
    return TrackingScores(
        frames=frames,
        truth_poses=truth_poses,
        result_poses=result_poses,
        idf1=_share(2 * right, truth_poses + result_poses),
        idp=_share(right, result_poses),
        idr=_share(right, truth_poses),
        hota=float(levels.hota.mean()),
        deta=float(levels.deta.mean()),
        assa=float(levels.assa.mean()),
        # without a match at a level there is nothing to localize
        loca=_share(np.nansum(levels.loca), np.isfinite(levels.loca).sum()),
        hota_levels=levels.hota,
        deta_levels=levels.deta,
        assa_levels=levels.assa,
        loca_levels=levels.loca,
        mota=1 - _share(misses + false + switches, truth_poses),
        motp=_share(sum(own.error_sum for own in followed), hits),
        misses=misses,
        false_positives=false,
        switches=switches,
        fragmentations=sum(own.fragmentations for own in followed),
        switches_per_10000=_share(1e4 * switches, frames),
    )


def _individual(
    measured: Sequence[Distances], together: Array, names: Sequence[Sequence[str]], who: int, other: int
) -> IndividualScore:
    poses = sum(int(one.truth_there[:, who].sum()) for one in measured)
    parts = sum(one.parts[who] for one in measured)
    seen = right = error = count = correct = 0.0
    if other >= 0:
        right = together[who, other]
        seen, error, count, correct = (
            sum(float(getattr(one, name)[who, other]) for one in measured)
            for name in ("seen", "error_sum", "error_count", "parts_right")
        )
    return IndividualScore(
        name=names[0][who],
        matched=names[1][other] if other >= 0 else None,
        poses=poses,
        seen=_share(seen, poses),
        right=_share(right, poses),
        mpjpe=_share(error, count),
        pcp=_share(correct, parts),
    )


def _switches(
    measured: Sequence[Distances],
    followed: Sequence[Clear],
    frames: NDArray[np.integer],
    names: Sequence[Sequence[str]],
) -> tuple[IdentitySwitch, ...]:
    found = []
    for one, own in zip(measured, followed, strict=True):
        for row, who in zip(own.switch_rows.tolist(), own.switch_truth.tolist(), strict=True):
            before = own.match[:row, who]
            last = int(before[before >= 0][-1])
            after = int(own.match[row, who])
            switch = IdentitySwitch(int(frames[row]), one.camera, names[0][who], names[1][last], names[1][after])
            found.append(switch)
    return tuple(sorted(found, key=lambda switch: switch.frame))


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
