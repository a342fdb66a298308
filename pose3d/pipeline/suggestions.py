"""The frames of a project to label next, by what its network finds hard, and their images for labeling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from calibration.formats import load_rig
from calibration.rig import Rig
from calibration.triangulation import triangulate
from calibration.video import open_video
from pose3d.labeling.selection import ExtractionSettings, Instants, select_uniform
from pose3d.labeling.suggestions import doubt, jumps, spread_choice
from pose3d.metrics import JUMP_SHARE
from pose3d.networks.backbones import Backbone
from pose3d.networks.confidence import apply
from pose3d.networks.predicting import Maps, keras_maps, locate
from pose3d.networks.run_files import Run, check_keypoints, load_run
from pose3d.pipeline.extraction import Progress, SessionFrames, extract_frames
from pose3d.project import Project

__all__ = ["SuggestedFrame", "suggest_frames"]

Floats = NDArray[np.float64]

# Share of the length of the body: further from where the other cameras say is a contradiction.
_APART = 0.1
# Pixels, where the length of the body is not known.
_LENGTH = 100.0


@dataclass(frozen=True)
class SuggestedFrame:
    """An instant that was added.

    Attributes:
        session: its name.
        frames: camera -> number of the frame.
        doubt: mean of 1 - confidence over keypoints and cameras.
        jumps: share of keypoints that jump to the next frame.
        apart: share of keypoints whose cameras contradict each other; NaN without a calibration.
    """

    session: str
    frames: Mapping[str, int]
    doubt: float
    jumps: float
    apart: float

    @property
    def reason(self) -> str:
        """The strongest of the three, in words."""
        values = {"unsure": self.doubt, "jumps": self.jumps, "cameras disagree": np.nan_to_num(self.apart)}
        return max(values, key=lambda name: values[name])


def suggest_frames(
    project: Project,
    path: Path,
    count: int,
    *,
    sessions: Sequence[str] | None = None,
    looked_at: int = 200,
    rig: Path | None = None,
    author: str | None = None,
    progress: Progress | None = None,
    backbones: Mapping[str, Backbone] | None = None,
) -> tuple[tuple[SuggestedFrame, ...], tuple[SessionFrames, ...]]:
    """Add images of the frames that a network finds hardest to those to label.

    Instants spread evenly over a recording are looked at, each with the frame after it.

    Args:
        project: with its sessions.
        path: of the run.
        count: instants to add per session, at most.
        sessions: names; all by default.
        looked_at: instants per session.
        rig: calibration, by which cameras are compared; none by default.
        author: for the history of the labels.
        progress: told what is done.
        backbones: to choose from, instead of those of the package.

    Returns:
        the instants that were added, the hardest of a session first; and what was extracted.

    Raises:
        InvalidValueError: the count is no number above 0; see `extract_frames`.
        FileFormatError: the run, the rig or a video is missing or damaged.
        MismatchError: the skeleton changed since the network was trained; see `LabelStore`.
        OutputError: an image or the labels cannot be written.
    """
    if count < 1:
        raise InvalidValueError("count", expected="1 or more", got=str(count), remedy="Say how many: --count 20")
    run = load_run(path)
    check_keypoints(run, project.skeleton.keypoints)
    search = _Search(
        run,
        keras_maps(run.model(backbones=backbones)),
        None if rig is None else load_rig(rig),
        count,
        looked_at,
        progress or (lambda _what, _done, _total: None),
    )
    settings = project.settings_of("extraction", ExtractionSettings)
    done = extract_frames(project, settings, sessions=sessions, author=author, progress=progress, choose=search.choose)
    return tuple(search.suggested), done


class _Search:
    def __init__(self, run: Run, maps: Maps, rig: Rig | None, count: int, looked_at: int, progress: Progress) -> None:
        self._run, self._maps, self._rig = run, maps, rig
        self._count, self._looked_at, self._progress = count, looked_at, progress
        length = run.metrics.get("body_length")
        self._length = float(length) if length else _LENGTH
        self.suggested: list[SuggestedFrame] = []

    def choose(
        self, session: str, paths: Mapping[str, Path], instants: Instants, taken: Sequence[int]
    ) -> Sequence[int]:
        """Places of the instants to add; they are noted in `suggested`."""
        places = [place for place in select_uniform(instants.times, self._looked_at) if place not in set(taken)]
        if not places:
            return []
        frames = instants.frames[places]
        found = [
            self._look(f"{session}: looking at {camera}", path, frames[:, column])
            for column, (camera, path) in enumerate(paths.items())
        ]
        position, after, confidence = (np.stack([one[part] for one in found], axis=1) for part in range(3))
        lost = np.isnan(confidence).all(axis=(1, 2))  # frames that cannot be decoded
        unsure = doubt(confidence)
        moved = jumps(position, after, JUMP_SHARE * self._length)
        apart = self._apart(list(paths), position, confidence)
        scores = np.where(lost, 0.0, unsure + moved + np.nan_to_num(apart))
        times = instants.times[places]
        chosen = spread_choice(scores, times, self._count, [float(instants.times[place]) for place in taken])
        for row in chosen:
            numbers = {camera: int(frame) for camera, frame in zip(paths, frames[row], strict=True)}
            self.suggested.append(
                SuggestedFrame(session, numbers, float(unsure[row]), float(moved[row]), float(apart[row]))
            )
        return [places[row] for row in chosen]

    def _look(self, what: str, path: Path, frames: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
        """(n, keypoint, 2) positions in frames and in those after them, and (n, keypoint) confidence."""
        keypoints = len(self._run.network.keypoints)
        wanted = sorted({int(frame) + step for frame in frames for step in (0, 1)})
        place = {frame: row for row, frame in enumerate(wanted)}
        position = np.full((len(wanted), keypoints, 2), np.nan)
        confidence = np.full((len(wanted), keypoints), np.nan)
        with open_video(path) as video:
            inside = [frame for frame in wanted if frame < len(video)]
            order: list[int] = []

            def images() -> Iterator[NDArray[np.uint8]]:
                for frame in video.frames(inside):
                    order.append(frame.index)
                    self._progress(what, len(order), len(inside))
                    yield frame.image

            done = 0
            for batch in locate(self._maps, images(), self._run.network):
                sure, _ = apply(batch, self._run.confidence)
                for row in range(len(batch.position)):
                    at = place[order[done]]
                    position[at], confidence[at] = batch.position[row, 0], sure[row, 0]
                    done += 1
        first = [place[int(frame)] for frame in frames]
        second = [place[int(frame) + 1] for frame in frames]
        return position[first], position[second], confidence[first]

    def _apart(self, cameras: Sequence[str], position: Floats, confidence: Floats) -> Floats:
        """(n,) share of keypoints of which a camera sees something else than the others."""
        known = [] if self._rig is None else [camera for camera in cameras if camera in self._rig.names]
        if self._rig is None or len(known) < 2:
            return np.full(len(position), np.nan)
        columns = [cameras.index(camera) for camera in known]
        pixels = position[:, columns].transpose(0, 2, 1, 3)
        sure = np.nan_to_num(confidence[:, columns].transpose(0, 2, 1))
        limit = _APART * self._length
        found = triangulate(self._rig.select(known), pixels, sure, threshold=limit, noise=limit / 3, covariance=False)
        wrong = (np.nan_to_num(found.residuals, nan=0.0) > limit).any(axis=-1)
        return np.asarray(wrong.mean(axis=1))
