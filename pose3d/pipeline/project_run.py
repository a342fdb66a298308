"""The whole main job of a project: board videos to rig, videos to 2D to 3D, overlay videos, kinematics, report."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from calibration.boards import load_board
from calibration.diagnosis import diagnose
from calibration.errors import FileFormatError, InvalidValueError
from calibration.formats import load_rig
from calibration.observations import detect_corners, find_sources
from calibration.rig_calibration import CalibrationSettings, calibrate
from calibration.synchronization import load_synchronization
from calibration.verdict import judge
from pose3d.datasets import poses2d_of_detections
from pose3d.detection import PredictionSettings, model_path
from pose3d.formats import load_detections, open_session
from pose3d.formats.provenance import provenance_of
from pose3d.kinematics import KinematicsSettings
from pose3d.networks.run_files import NETWORK_FILE, WEIGHTS_FILE, runs_in
from pose3d.pipeline.calibration import CalibrationFiles, save_calibration
from pose3d.pipeline.kinematics import kinematics_session
from pose3d.pipeline.prediction import predict_session
from pose3d.pipeline.reconstruction import reconstruct_session
from pose3d.pipeline.stages import ContentHashes, Stage, StageOutcome, run_stages
from pose3d.project import Project
from pose3d.reconstruction import TrajectorySettings, apply_synchronization
from pose3d.visualization import overlay_video, write_report

__all__ = ["CALIBRATION", "ProjectFiles", "project_stages", "run_project"]

CALIBRATION = "calibration"
"""What the stage of the rig belongs to, in messages: all sessions share it."""

# What is called with what is being done, how much of it is done, and how much there is.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ProjectFiles:
    """Where the results of a project are.

    Attributes:
        project: the project.
    """

    project: Project

    @property
    def calibration(self) -> Path:
        """The folder of board videos and rig."""
        return self.project.root / "calibration"

    @property
    def rig(self) -> Path:
        """The calibration."""
        return self.calibration / "rig.toml"

    def detections(self, session: str) -> Path:
        """2D poses of a session as the network found them."""
        return self.project.root / "results" / f"{session}.detections.nc"

    def result(self, session: str) -> Path:
        """The result file of a session."""
        return self.project.root / "results" / f"{session}.nc"

    def overlay(self, session: str, camera: str) -> Path:
        """The video of a camera with the poses drawn on it."""
        return self.project.root / "reports" / session / f"{camera}.mp4"

    def report(self, session: str) -> Path:
        """The report of a session."""
        return self.project.root / "reports" / f"{session}.html"

    @property
    def state(self) -> Path:
        """The folder that remembers what was done."""
        return self.project.root / "results" / ".state"


def run_project(
    project: Project,
    *,
    sessions: Sequence[str] = (),
    dry_run: bool = False,
    report: Callable[[StageOutcome], None] | None = None,
    progress: Progress | None = None,
) -> list[StageOutcome]:
    """Do all that is not done yet: first the rig, then every session, one after the other.

    A session that fails does not stop the others. Without a rig no session is tried.

    Args:
        project: the project.
        sessions: those to do; all by default.
        dry_run: only say what would be done.
        report: told of every stage, see `run_stages`.
        progress: told how far the stage at work is.

    Raises:
        InvalidValueError: a session is unknown, or there is none.
        OutputError: what was done cannot be remembered.
    """
    chosen = _chosen(project, sessions)
    files = ProjectFiles(project)
    hashes = ContentHashes(project.root, files.state / "hashes.json")
    outcomes = []
    for group, stages in project_stages(project, chosen, progress):
        log = files.state / f"{group}.json"
        done = run_stages(group, stages, hashes, log, dry_run=dry_run, coming=[files.rig], report=report)
        outcomes += done
        if group == CALIBRATION and not dry_run and not files.rig.exists():
            break
    return outcomes


def project_stages(
    project: Project, sessions: Sequence[str], progress: Progress | None = None
) -> Iterator[tuple[str, list[Stage]]]:
    """The stages of the rig, then those of each session, with the group they belong to.

    Args:
        project: the project.
        sessions: names.
        progress: told how far the stage at work is.
    """
    told = progress or (lambda _what, _done, _total: None)
    files = ProjectFiles(project)
    yield CALIBRATION, [_calibration_stage(files, told)]
    for session in sessions:
        yield session, _Session(files, session, told).stages()


def _chosen(project: Project, sessions: Sequence[str]) -> tuple[str, ...]:
    unknown = [name for name in sessions if name not in project.sessions]
    if unknown or not project.sessions:
        raise InvalidValueError(
            f"{project.file}, sessions",
            expected=f"some of {', '.join(project.sessions)}" if project.sessions else "at least one session",
            got=", ".join(unknown) or "none",
            remedy="Correct the name."
            if unknown
            else f"Add one: `pose3d add-session {project.root.name} NAME FOLDER`.",
        )
    return tuple(sessions) or tuple(project.sessions)


def _calibration_stage(files: ProjectFiles, progress: Progress) -> Stage:
    written = CalibrationFiles.inside(files.calibration)
    board = files.calibration / "board.toml"

    def work() -> None:
        if not board.exists():
            raise FileFormatError(
                board,
                expected="the board, beside the board videos of all cameras; or a finished rig.toml",
                got="no such file",
                remedy="Put videos and board.toml into this folder (`pose3d board` makes both board and file), or copy "
                "a calibration here as rig.toml.",
            )
        sources = find_sources(files.calibration)
        corners = detect_corners(
            sources, load_board(board), progress=lambda done, total: progress("looking for the board", done, total)
        )
        settings = CalibrationSettings()
        outcome = calibrate(corners, settings=settings)
        diagnosis = diagnose(outcome)
        save_calibration(
            files.calibration,
            outcome,
            diagnosis,
            judge(diagnosis, outcome),
            corners=corners,
            sources=sources,
            provenance=provenance_of([board], settings),
        )

    return Stage("rig", (board,), (written.rig,), None, work, once=True)


@dataclass(frozen=True)
class _Session:
    """The work on one session: each method is that of a stage."""

    files: ProjectFiles
    name: str
    progress: Progress

    @property
    def videos(self) -> dict[str, Path]:
        project = self.files.project
        return {camera: project.video(self.name, camera) for camera in project.sessions[self.name]}

    @property
    def overlays(self) -> dict[str, Path]:
        return {camera: self.files.overlay(self.name, camera) for camera in self.videos}

    @property
    def clocks(self) -> tuple[Path, ...]:
        """The file with the clocks of the cameras, where there is one."""
        file = self.files.project.sync_file(self.name)
        return (file,) if file.exists() else ()

    def stages(self) -> list[Stage]:
        files, name, project = self.files, self.name, self.files.project
        videos, overlays = tuple(self.videos.values()), tuple(self.overlays.values())
        detections, result = files.detections(name), files.result(name)
        prediction = project.settings_of("prediction", PredictionSettings)
        reconstruction = project.settings_of("reconstruction", TrajectorySettings)
        kinematics = project.settings_of("kinematics", KinematicsSettings)
        model, model_files = _model(project, prediction)
        return [
            Stage("2D", (*videos, *model_files), (detections,), prediction, lambda: self.predict(model, prediction)),
            Stage(
                "3D",
                (detections, *self.clocks, files.rig),
                (result,),
                {"reconstruction": asdict(reconstruction), "skeleton": asdict(project.skeleton.bare())},
                lambda: self.reconstruct(reconstruction),
            ),
            Stage("overlay videos", (result, *videos), overlays, None, self.draw),
            Stage(
                "kinematics",
                (),
                (result,),
                {"kinematics": asdict(kinematics), "skeleton": asdict(project.skeleton)},
                lambda: self.move(kinematics),
                adds=True,
            ),
            Stage("report", (result, *overlays), (files.report(name),), {"title": project.name}, self.tell),
        ]

    def predict(self, model: str, settings: PredictionSettings) -> None:
        if not model:
            raise _no_network(self.files.project)
        with warnings.catch_warnings():
            if self.clocks:  # nobody needs to be told how to find them
                warnings.filterwarnings("ignore", message="the videos differ in their number of frames")
            predict_session(
                model,
                self.videos,
                self.files.detections(self.name),
                settings=settings,
                progress=lambda done, total: self.progress("finding keypoints", done, total),
            )

    def reconstruct(self, settings: TrajectorySettings) -> None:
        detections, rig = self.files.detections(self.name), self.files.rig
        found = load_detections(detections)
        poses2d = poses2d_of_detections(found)
        for file in self.clocks:
            poses2d = apply_synchronization(poses2d, load_synchronization(file))
        total = int(poses2d.sizes["time"])
        done = 0

        def count(frames: int) -> None:
            nonlocal done
            done += frames
            self.progress("reconstructing", done, total)

        reconstruct_session(
            poses2d,
            load_rig(rig),
            self.files.result(self.name),
            skeleton=self.files.project.skeleton,
            settings=settings,
            # what other peaks there were is known of the frames of each camera, not of common instants; a live system
            # has no time for them
            candidates=None if self.clocks or settings.lag is not None else found,
            provenance=provenance_of([rig, detections, *self.clocks], settings),
            progress=count,
        )

    def draw(self) -> None:
        skeleton, videos = self.files.project.skeleton, self.videos
        with open_session(self.files.result(self.name)) as opened:
            poses2d, poses3d, rig = opened.require("poses2d"), opened.require("poses3d"), opened.rig
            assert rig is not None  # the stage before wrote it
            for number, (camera, path) in enumerate(self.overlays.items(), start=1):
                overlay_video(videos[camera], poses2d, poses3d, rig, camera, path, skeleton=skeleton)
                self.progress("drawing", number, len(videos))

    def move(self, settings: KinematicsSettings) -> str:
        result = self.files.result(self.name)
        with open_session(result) as opened:
            poses3d = opened.require("poses3d")
            total, done = int(poses3d.sizes["time"]), 0

            def count(frames: int) -> None:
                nonlocal done
                done += frames
                self.progress("computing kinematics", done, total)

            summary = kinematics_session(
                poses3d,
                result,
                skeleton=self.files.project.skeleton,
                settings=settings,
                source=result,
                provenance=provenance_of([], settings),
                progress=count,
            )
        missing = ", ".join(name.replace("_", " ") for name in summary.left_out)
        return f"the skeleton does not define: {missing}" if missing else ""

    def tell(self) -> str:
        project = self.files.project
        with open_session(self.files.result(self.name)) as opened:
            verdict = write_report(
                self.files.report(self.name),
                poses3d=opened.require("poses3d"),
                poses2d=opened.poses2d,
                kinematics=opened.kinematics,
                rig=opened.rig,
                skeleton=project.skeleton,
                videos=self.overlays,
                provenance=opened.provenance,
                title=f"{project.name}: {self.name}",
            )
        return f"{verdict.level.words}: {verdict.headline}"


def _no_network(project: Project) -> FileFormatError:
    return FileFormatError(
        project.models_folder,
        expected="a trained network",
        got="none",
        remedy=f"Label frames and train one: `pose3d train {project.root.name}`.",
    )


def _model(project: Project, settings: PredictionSettings) -> tuple[str, tuple[Path, ...]]:
    """The model that the settings name, or the newest network, and the files it is made of; empty where there is none.

    The paths of other models than trained networks, as in "blazepose:models/blazepose", are relative to the project.
    """
    runs = {path.name: path for path in runs_in(project.models_folder)}
    name = settings.model or next(reversed(runs), "")
    if not name:
        return "", ()
    if name in runs:
        return str(runs[name]), (runs[name] / NETWORK_FILE, runs[name] / WEIGHTS_FILE)
    kind, path = model_path(name)
    if kind == "network":
        raise InvalidValueError(
            f"{project.file}, prediction, model",
            expected=f"one of {', '.join(runs)}" if runs else "a trained network",
            got=f"'{settings.model}'",
            remedy="Correct the name, or leave it empty for the newest.",
        )
    place = project.root / path
    found = sorted(file for file in place.rglob("*") if file.is_file()) if place.is_dir() else [place]
    return f"{kind}:{place}", tuple(found)
