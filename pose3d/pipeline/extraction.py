"""Frames to label: chosen, written as images into the project, and registered in its labels."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.errors import FileFormatError, InvalidValueError, MismatchError, SuiteWarning
from calibration.synchronization import load_synchronization
from calibration.video import Frame, Video, open_video, write_png
from pose3d.labeling.labels import LabeledImage
from pose3d.labeling.selection import (
    ExtractionSettings,
    Instants,
    common_instants,
    select_kmeans,
    select_uniform,
    small_gray,
)
from pose3d.labeling.store import LabelStore
from pose3d.project import Project

__all__ = ["Choice", "SessionFrames", "extract_frames"]

Progress = Callable[[str, int, int], None]
"""Called with what is done, how many frames of it are done, and how many there are."""

Choice = Callable[[str, Mapping[str, Path], Instants, Sequence[int]], Sequence[int]]
"""Called with the session, camera -> video, its instants, and the places of those that have images; gives the places of
those to add."""


@dataclass(frozen=True)
class SessionFrames:
    """What was extracted from one session.

    Attributes:
        session: its name.
        cameras: names of its cameras.
        instants: moments that have images now.
        added: images that were written and registered.
        present: images that were there before.
        notes: what was left out, one sentence each.
    """

    session: str
    cameras: tuple[str, ...]
    instants: int
    added: int
    present: int
    notes: tuple[str, ...]


def extract_frames(
    project: Project,
    settings: ExtractionSettings | None = None,
    *,
    sessions: Sequence[str] | None = None,
    author: str | None = None,
    progress: Progress | None = None,
    choose: Choice | None = None,
) -> tuple[SessionFrames, ...]:
    """Choose frames to label and write them to labels/frames/<session>/<camera>/<frame>.png.

    What was extracted before stays, and counts: a second run adds only what is missing. Frames that cannot be decoded
    are left out with a note. All cameras give the same instants: by the clocks in sessions/<session>/sync.toml where
    `pose3d sync` left them, else by the times in their files.

    Args:
        project: with its sessions.
        settings: how to choose; those of project.toml by default.
        sessions: names; all by default.
        author: for the history of the labels; the name of the user's account by default.
        progress: told what is done.
        choose: chooses instants instead of the method of the settings.

    Raises:
        InvalidValueError: a session is unknown, or there is none.
        FileFormatError: a video is missing or no video, or sync.toml is damaged.
        MismatchError: see `LabelStore`; sync.toml lacks a camera, or is of other videos.
        OutputError: an image or the labels cannot be written.
    """
    settings = settings or project.settings_of("extraction", ExtractionSettings)
    names = list(project.sessions) if sessions is None else list(sessions)
    unknown = [name for name in (*names, *settings.quotas) if name not in project.sessions]
    if unknown or not names:
        raise InvalidValueError(
            project.file,
            expected=f"sessions out of {', '.join(project.sessions)}" if project.sessions else "a session",
            got=", ".join(unknown) or "none",
            remedy="Correct the name, or add the session: `pose3d add-session PROJECT SESSION camera=video ...`",
        )
    with LabelStore.open_or_create(project.labels_file, project.skeleton, author=author) as store:
        return tuple(_Extraction(project, name, settings, store, progress, choose).run() for name in names)


class _Extraction:
    def __init__(
        self,
        project: Project,
        session: str,
        settings: ExtractionSettings,
        store: LabelStore,
        progress: Progress | None,
        choose: Choice | None,
    ) -> None:
        self._own_choice = choose
        self._project = project
        self._session = session
        self._settings = settings
        self._store = store
        self._progress = progress or (lambda _what, _done, _total: None)
        self._cameras = tuple(project.sessions[session])
        self._notes: list[str] = []

    def run(self) -> SessionFrames:
        with ExitStack() as stack:
            paths = {camera: self._video_path(camera) for camera in self._cameras}
            times = self._common_times([stack.enter_context(open_video(path)).times for path in paths.values()])
        instants = self._usable(common_instants(times), times)
        have = self._registered()
        taken = [
            index
            for index, frames in enumerate(instants.frames)
            if any(int(frame) in have[camera] for camera, frame in zip(self._cameras, frames, strict=True))
        ]
        if self._own_choice is None:
            more: Sequence[int] = self._choose(paths, instants, taken)
        else:
            more = self._own_choice(self._session, paths, instants, taken)
        chosen = sorted({*taken, *more})
        added = self._write(paths, instants, chosen, have)
        present = sum(map(len, have.values()))
        return SessionFrames(self._session, self._cameras, len(chosen), added, present, tuple(self._notes))

    def _video_path(self, camera: str) -> Path:
        path = self._project.video(self._session, camera)
        if not path.exists():
            raise FileFormatError(
                path,
                expected=f"the video of camera '{camera}' of session '{self._session}'",
                got="a link that leads nowhere" if path.is_symlink() else "no such file",
                remedy="Put the video back, or correct its path in project.toml.",
            )
        return path

    def _common_times(self, times: list[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
        """When the frames of every camera were taken: by the clocks of the session, or as the files say."""
        file = self._project.sync_file(self._session)
        if not file.exists():
            return times
        clocks = load_synchronization(file)
        for camera, one in zip(self._cameras, times, strict=True):
            if clocks[camera].timing.count != len(one):
                raise MismatchError(
                    f"{file}, camera '{camera}'",
                    expected=f"the clock of a video of {len(one)} frames",
                    got=f"that of {clocks[camera].timing.count} frames",
                    remedy="Find the clocks of these videos: `pose3d sync`, or remove the file.",
                )
        return [clocks[camera].reference_time() for camera in self._cameras]

    def _usable(self, instants: Instants, times: Sequence[NDArray[np.float64]]) -> Instants:
        """The instants between start and stop."""
        ends = [float(one[-1]) for one in times]
        if max(ends) > 1.1 * max(min(ends), 0.0):
            short = self._cameras[int(np.argmin(ends))]
            self._notes.append(
                f"the video of camera '{short}' ends after {min(ends):.1f} s, the longest after {max(ends):.1f} s; "
                "frames are taken up to the end of the shortest"
            )
        if len(instants) == 0:
            raise InvalidValueError(
                f"session '{self._session}'",
                expected="moments that all cameras saw",
                got="none",
                remedy="Check that the videos, and sync.toml where there is one, are of the same session.",
            )
        share = np.arange(len(instants)) / len(instants)
        kept = (share >= self._settings.start) & (share < self._settings.stop)
        if not kept.any():
            kept[int(self._settings.start * len(instants))] = True
        return Instants(instants.times[kept], instants.frames[kept], instants.passed_over)

    def _registered(self) -> dict[str, dict[int, LabeledImage]]:
        """Camera -> frame -> image that is registered and whose file is there."""
        have: dict[str, dict[int, LabeledImage]] = {camera: {} for camera in self._cameras}
        for image in self._store.images():
            mine = image.session == self._session and image.camera in have
            if mine and (self._project.root / image.image).is_file():
                have[image.camera][image.frame] = image
        return have

    def _choose(self, paths: Mapping[str, Path], instants: Instants, taken: Sequence[int]) -> list[int]:
        quota = self._settings.quota(self._session)
        if len(taken) >= quota:
            return []
        if self._settings.method == "uniform":
            return select_uniform(instants.times, quota, taken)
        wanted = max(self._settings.candidates, quota)
        looked_at = sorted({*select_uniform(instants.times, wanted), *taken})
        features, fine = self._look(paths, instants, looked_at)
        looked_at = [index for index, good in zip(looked_at, fine, strict=True) if good]
        places = [looked_at.index(index) for index in taken if index in looked_at]
        # A taken frame that can no longer be decoded counts all the same.
        count = quota - (len(taken) - len(places))
        found = select_kmeans(features[fine], count, places, seed=self._settings.seed)
        if len(found) + len(places) < min(count, len(looked_at)):
            self._notes.append(f"only {len(found) + len(taken)} frames look different from each other")
        return [looked_at[place] for place in found]

    def _look(
        self, paths: Mapping[str, Path], instants: Instants, looked_at: Sequence[int]
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """(n, pixels) small pictures of all cameras side by side, and (n,) whether all of them could be decoded."""
        parts = []
        fine = np.ones(len(looked_at), dtype=bool)
        budget = max(self._settings.pixels // len(paths), 1)
        total = len(looked_at) * len(paths)
        for camera, path in enumerate(paths.values()):
            wanted = instants.frames[looked_at, camera]
            row_of = {int(frame): row for row, frame in enumerate(wanted)}
            part: NDArray[np.uint8] | None = None
            seen = np.zeros(len(looked_at), dtype=bool)
            with open_video(path, pixel_format="gray") as video:
                for number, frame in enumerate(self._frames(video, wanted), start=1):
                    small = small_gray(frame.image, budget).ravel()
                    part = np.zeros((len(looked_at), small.size), dtype=np.uint8) if part is None else part
                    part[row_of[frame.index]], seen[row_of[frame.index]] = small, True
                    self._progress(f"{self._session}: looking", camera * len(looked_at) + number, total)
            fine &= seen
            parts.append(np.zeros((len(looked_at), 0), dtype=np.uint8) if part is None else part)
        self._note_lost(int((~fine).sum()), "instants looked at")
        return np.concatenate(parts, axis=1), fine

    def _write(
        self,
        paths: Mapping[str, Path],
        instants: Instants,
        chosen: Sequence[int],
        have: Mapping[str, Mapping[int, LabeledImage]],
    ) -> int:
        added = 0
        for column, (camera, path) in enumerate(paths.items()):
            wanted = [int(frame) for frame in instants.frames[chosen, column] if int(frame) not in have[camera]]
            images = []
            if wanted:
                with open_video(path) as video:
                    for frame in self._frames(video, wanted):
                        images.append(self._write_frame(camera, frame.index, frame.image))
                        self._progress(f"{self._session}: writing {camera}", len(images), len(wanted))
                self._store.add_images(images, note=f"session '{self._session}', camera '{camera}'")
            self._note_lost(len(wanted) - len(images), f"frames of camera '{camera}'")
            added += len(images)
        return added

    def _write_frame(self, camera: str, frame: int, image: NDArray[np.uint8]) -> LabeledImage:
        path = self._project.frames_folder / self._session / camera / f"{frame:06d}.png"
        write_png(path, image)
        return LabeledImage(
            path.relative_to(self._project.root).as_posix(),
            self._project.sessions[self._session][camera],
            frame,
            self._session,
            camera,
            (image.shape[1], image.shape[0]),
        )

    @staticmethod
    def _frames(video: Video, wanted: Sequence[int] | NDArray[np.int64]) -> Iterator[Frame]:
        with warnings.catch_warnings():
            # Frames that cannot be decoded are counted here, and become notes.
            warnings.filterwarnings("ignore", message=".*could not be decoded", category=SuiteWarning)
            yield from video.frames(int(frame) for frame in wanted)

    def _note_lost(self, count: int, what: str) -> None:
        if count:
            self._notes.append(f"{count} {what} cannot be decoded and are left out")
