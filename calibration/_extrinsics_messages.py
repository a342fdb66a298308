"""What is said of extrinsics that are doubtful, and of cameras that the frames do not connect."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration._extrinsics_frames import Consensus
from calibration._extrinsics_graph import Graph, believed, groups, is_certain
from calibration._extrinsics_pairs import Votes
from calibration._extrinsics_settings import ExtrinsicsSettings
from calibration._extrinsics_views import Views
from calibration.errors import CalibrationError
from calibration.nearest import nearest_index

__all__ = ["Evidence", "FrameNames", "disconnected", "doubts", "overlap_of"]

# Of the views of a camera: below this share of agreement something is wrong with the camera, not with some frames.
_LEAST_AGREEMENT = 0.5
# So many instants are named where two groups of cameras saw the board nearest in time.
_NAMED_FRAMES = 3
# A video that ends before this share of the longest is short; recorders stop within a second of each other.
_EARLY = 0.9
_COPY_AGAIN = "If a video was cut or not copied whole, copy it again. "
# Seconds beyond which times are those of a calendar, which no video player shows: eleven days.
_CALENDAR = 1e6


class FrameNames(NamedTuple):
    """What the frames are called where people read it.

    Attributes:
        numbers: (frame,) as in `corners["frame"]`.
        times: (camera, frame) seconds, NaN where unknown; None where no time is known at all.
    """

    numbers: NDArray[np.int64]
    times: NDArray[np.float64] | None

    def of(self, frame: int, camera: int) -> str:
        """Its number, and the time of the camera's picture where that is known."""
        time = np.nan if self.times is None else float(self.times[camera, frame])
        shown = f" ({time:.2f} s)" if abs(time) < _CALENDAR else ""
        return f"{self.numbers[frame]}{shown}"

    def ends(self) -> NDArray[np.intp]:
        """(camera,) the last frame of which each camera has a picture; -1 where that is unknown."""
        if self.times is None:
            return np.full(0, -1, dtype=np.intp)
        known = np.isfinite(self.times)
        return np.where(known.any(axis=1), known.shape[1] - 1 - np.argmax(known[:, ::-1], axis=1), -1)


class Evidence(NamedTuple):
    """Everything that was found on the way from corners to a rig."""

    names: tuple[str, ...]
    views: Views
    votes: Votes
    graph: Graph
    consensus: Consensus


def overlap_of(views: Views) -> NDArray[np.intp]:
    """(camera, camera) in how many frames both cameras have a view of the board."""
    seen = (views.row >= 0).astype(np.intp)
    return np.asarray(seen @ seen.T)


def disconnected(
    names: Sequence[str],
    label: NDArray[np.intp],
    views: Views,
    votes: Votes,
    settings: ExtrinsicsSettings,
    frames: FrameNames,
) -> CalibrationError:
    """The error that tells which cameras are not connected, and what to film.

    Args:
        names: of the cameras.
        label: (camera,) number of its group.
        views, votes: what was found.
        settings: what is required of a connection.
        frames: what they are called.
    """
    parts = [np.flatnonzero(label == number) for number in range(label.max() + 1)]
    blind = [name for name, row in zip(names, views.row, strict=True) if (row < 0).all()]
    short = _short(names, label, frames)
    got = short + (f"{len(parts)} groups: " if len(parts) > 1 else "")
    got += "; ".join(_together(names, part) for part in parts)
    if blind:
        got += f". {_listed(blind)} saw the board (with {settings.fewest_corners} corners or more) in no frame"
    found = [_nearest(names, views, votes, parts, index, frames) for index in range(1, len(parts))]
    details = "; ".join(text for text in found if text)
    got += f". {details}" if details else ""
    got += f". Frames in common: {_overlap_text(names, overlap_of(views))}"
    return CalibrationError(
        "extrinsics",
        expected=f"all {len(names)} cameras connected by pairs that agree in {settings.fewest_votes} frames or more",
        got=got,
        remedy=_COPY_AGAIN * bool(short) + _remedy(names, views, votes, parts, blind),
    )


def _short(names: Sequence[str], label: NDArray[np.intp], frames: FrameNames) -> str:
    """Which videos end before those of the others and are not connected to them, and when; empty where none does."""
    ends = frames.ends()
    if not len(ends) or label.max() == 0:
        return ""
    last = int(np.argmax(ends))
    early = np.flatnonzero((ends >= 0) & (ends < _EARLY * ends[last]) & (label != label[last])).tolist()
    texts = [f"{names[camera]} ends at frame {frames.of(int(ends[camera]), camera)}" for camera in early]
    if not texts:
        return ""
    longest = f"that of {names[last]} at frame {frames.of(int(ends[last]), last)}"
    return f"the video of {', that of '.join(texts)}, {longest}, which leaves "


def _nearest(
    names: Sequence[str],
    views: Views,
    votes: Votes,
    parts: list[NDArray[np.intp]],
    index: int,
    frames: FrameNames,
) -> str:
    """What comes closest to a connection of a group with those before it; empty where it never saw the board."""
    own, others = parts[index], np.concatenate(parts[:index])
    pair = _closest_pair(votes, own, others)
    if pair is not None:
        a, b = votes.cameras[pair].tolist()
        agree, common = votes.support[pair, 0], votes.common[pair]
        together = np.flatnonzero((views.row[[a, b]] >= 0).all(axis=0))
        known = ", ".join(frames.of(frame, a) for frame in together.tolist())
        which = f": {known}" if common <= _NAMED_FRAMES else ""
        saw = f"{names[a]} and {names[b]} saw the board together in {_counted(common, 'frame')}{which}"
        return f"{saw}, of which {agree} {'agrees' if agree == 1 else 'agree'} on their pose"
    gaps = _gaps(views, own, others)
    if not gaps:
        return ""
    texts = [
        f"{names[a]} at frame {frames.of(early, a)} and {names[b]} at frame {frames.of(late, b)}"
        for early, late, a, b in gaps
    ]
    both = f"one of {_together(names, others)} and " if len(others) > 1 else f"{names[others[0]]} and "
    both += f"one of {_together(names, own)}" if len(own) > 1 else names[own[0]]
    return f"No frame shows the board to {both}; closest: {', '.join(texts)}"


def _closest_pair(votes: Votes, own: NDArray[np.intp], others: NDArray[np.intp]) -> int | None:
    """The pair across two groups that most frames agree on, or else that has most frames in common."""
    a, b = votes.cameras.T
    across = np.flatnonzero((np.isin(a, own) & np.isin(b, others)) | (np.isin(b, own) & np.isin(a, others)))
    if not len(across):
        return None
    return int(max(across, key=lambda pair: (votes.support[pair, 0], votes.common[pair], -pair)))


def _gaps(views: Views, own: NDArray[np.intp], others: NDArray[np.intp]) -> list[tuple[int, int, int, int]]:
    """(frame of others, frame of own, camera of others, camera of own) nearest in time, the nearest first."""
    mine, theirs = (np.flatnonzero((views.row[part] >= 0).any(axis=0)) for part in (own, others))
    if not len(mine) or not len(theirs):
        return []
    near = theirs[nearest_index(mine, theirs)]
    found = []
    for index in np.argsort(np.abs(near - mine), kind="stable")[:_NAMED_FRAMES]:
        early, late = int(near[index]), int(mine[index])
        a = int(others[np.argmax(views.row[others, early] >= 0)])
        b = int(own[np.argmax(views.row[own, late] >= 0)])
        found.append((early, late, a, b))
    return found


def _remedy(
    names: Sequence[str], views: Views, votes: Votes, parts: list[NDArray[np.intp]], blind: Sequence[str]
) -> str:
    if len(blind) == len(names):
        return "Check the board's columns and rows and its type, and that it is in the pictures."
    pairs = []
    for index in range(1, len(parts)):
        own, others = parts[index], np.concatenate(parts[:index])
        if set(blind) & {names[camera] for camera in own}:
            pairs.append(f"{_together(names, own)} together with any other camera")
            continue
        pair, gaps = _closest_pair(votes, own, others), _gaps(views, own, others)
        if pair is not None:
            a, b = votes.cameras[pair]
        elif gaps:
            _, _, a, b = gaps[0]
        else:
            a, b = others[0], own[0]
        pairs.append(f"{names[a]} together with {names[b]}")
    text = f"Film the board, tilted and moving, where it is seen by {'; and by '.join(pairs)}."
    if any(votes.common[pair] >= 5 for pair in _disagreeing(votes, parts)):
        text += (
            " Pairs that see the board together but do not agree: check that their frames are of the same instants,"
            " their lenses, and that nobody moved a camera."
        )
    return text


def _disagreeing(votes: Votes, parts: list[NDArray[np.intp]]) -> list[int]:
    label = {int(camera): number for number, part in enumerate(parts) for camera in part}
    return [index for index, (a, b) in enumerate(votes.cameras.tolist()) if label[a] != label[b]]


def doubts(evidence: Evidence, settings: ExtrinsicsSettings) -> Iterator[str]:
    """Warnings about a rig that was found."""
    yield from _ambiguous(evidence, settings)
    yield from _contradictions(evidence)
    yield from _disagreement(evidence, settings)
    yield from _weak(evidence, settings)
    yield from _left_out(evidence)


def _ambiguous(evidence: Evidence, settings: ExtrinsicsSettings) -> Iterator[str]:
    names, _, votes, graph, _ = evidence
    label = groups(len(names), votes.cameras[is_certain(votes, graph, settings)])
    if label.max() > 0:
        parts = [np.flatnonzero(label == number) for number in range(label.max() + 1)]
        share = max(votes.ambiguity[pair] for pair in _disagreeing(votes, parts) if graph.used[pair])
        yield (
            f"The poses of {_separate(names, parts)} to each other are ambiguous: another"
            f" pose (as a mirror image has) gets {share:.0%} of the votes of the best one. The rig may be wrong"
            " although its errors in pixels are small. Film the board tilted by 30 degrees and more, in all directions,"
            " and nearer to the cameras."
        )


def _contradictions(evidence: Evidence) -> Iterator[str]:
    names, _, votes, graph, _ = evidence
    for pair in graph.rejected:
        a, b = (names[camera] for camera in votes.cameras[pair])
        text = (
            f"The pair {a} - {b} contradicts the others and was left out: {votes.support[pair, 0]} of"
            f" {votes.common[pair]} frames agree on a pose that is {np.rad2deg(graph.turn[pair]):.1f} degrees and"
            f" {graph.shift[pair]:.3g} off. Were their frames of the same instants, and did a camera move?"
        )
        if pair in graph.undecided:
            text += " Nothing but a single loop of pairs tells which of them is wrong: film more of these cameras."
        yield text


def _disagreement(evidence: Evidence, settings: ExtrinsicsSettings) -> Iterator[str]:
    names, votes = evidence.names, evidence.votes
    few = ~believed(votes, settings) & (votes.common >= 10)
    for pair in np.flatnonzero(few):
        a, b = (names[camera] for camera in votes.cameras[pair])
        yield (
            f"{a} and {b} see the board together in {votes.common[pair]} frames, but only"
            f" {votes.support[pair, 0]} agree on their pose; the pair was left out. Check that their frames are of the"
            " same instants."
        )


def _weak(evidence: Evidence, settings: ExtrinsicsSettings) -> Iterator[str]:
    names, _, votes, graph, _ = evidence
    strong = graph.used & (votes.support[:, 0] >= settings.weak_votes)
    label = groups(len(names), votes.cameras[strong])
    largest = np.bincount(label).argmax()
    for number in range(label.max() + 1):
        if number == largest:
            continue
        part = np.flatnonzero(label == number)
        a, b = votes.cameras.T
        across = graph.used & (np.isin(a, part) != np.isin(b, part))
        most = votes.support[across, 0].max()
        are = "is" if len(part) == 1 else "are"
        yield (
            f"{_together(names, part)} {are} tied to the other cameras by pairs of at most {_counted(most, 'frame')}: "
            "film more there."
        )


def _left_out(evidence: Evidence) -> Iterator[str]:
    names, views, _, _, consensus = evidence
    total = np.bincount(views.camera, minlength=len(names))
    agreeing = np.bincount(views.camera[consensus.used], minlength=len(names))
    for camera in np.flatnonzero(agreeing < _LEAST_AGREEMENT * total):
        yield (
            f"Of the {total[camera]} views of {names[camera]} only {agreeing[camera]} agree with the other cameras; the"
            " others are left out. Check its lens and that its frames are of the same instants."
        )


def _together(names: Sequence[str], part: NDArray[np.intp]) -> str:
    return _listed([names[camera] for camera in part])


def _separate(names: Sequence[str], parts: Sequence[NDArray[np.intp]]) -> str:
    """Groups of cameras, told apart by semicolons where one has several."""
    texts = [_together(names, part) for part in parts]
    return _listed(texts) if all(len(part) == 1 for part in parts) else "; ".join(texts)


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _overlap_text(names: Sequence[str], overlap: NDArray[np.intp]) -> str:
    rows = [f"{name} [{' '.join(map(str, row))}]" for name, row in zip(names, overlap.tolist(), strict=True)]
    return ", ".join(rows)
