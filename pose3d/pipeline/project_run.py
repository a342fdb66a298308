"""The whole main job of a project: board videos to rig, videos to 2D, 3D, kinematics, overlay videos and report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from calibration.boards import load_board
from calibration.diagnosis import diagnose
from calibration.errors import FileFormatError, InvalidValueError
from calibration.observations import detect_corners, find_sources
from calibration.rig_calibration import CalibrationSettings, calibrate
from calibration.verdict import judge
from pose3d.formats.provenance import provenance_of
from pose3d.pipeline._project_files import ProjectFiles
from pose3d.pipeline._session_stages import Progress, session_stages
from pose3d.pipeline.calibration import CalibrationFiles, save_calibration
from pose3d.pipeline.stages import ContentHashes, Stage, StageOutcome, run_stages
from pose3d.project import Project

__all__ = ["CALIBRATION", "ProjectFiles", "project_stages", "run_project"]

CALIBRATION = "calibration"
"""What the stage of the rig belongs to, in messages: all sessions share it."""


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
        yield session, session_stages(files, session, told)


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
