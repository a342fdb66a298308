"""A new project, and sessions that are added to one. Nothing that exists is overwritten."""

from __future__ import annotations

import os
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from calibration.errors import FileFormatError, InvalidValueError, OutputError
from calibration.files import atomic_path, write_text
from pose3d.project._settings import table_of
from pose3d.project.files import load_project, project_text, save_project, session_text
from pose3d.project.value import PROJECT_FILE, Project
from pose3d.skeleton import Skeleton

__all__ = ["add_session", "create_project"]


def create_project(
    folder: str | os.PathLike[str],
    *,
    cameras: Sequence[str],
    skeleton: Skeleton,
    name: str | None = None,
    settings: Mapping[str, object] | None = None,
) -> Project:
    """Make a project folder with its project.toml.

    Args:
        folder: the folder, new or empty.
        cameras: names of the cameras, as they will be in calibration and results.
        skeleton: the keypoints to find.
        name: of the project; the name of the folder by default.
        settings: section of project.toml -> frozen dataclass of settings, or a table, written with all their values.

    Raises:
        OutputError: there is something in the folder already, or it cannot be written.
        InvalidValueError: see `Project`.
    """
    place = Path(folder).absolute()
    tables = {
        section: dict(values) if isinstance(values, Mapping) else table_of(values)
        for section, values in (settings or {}).items()
    }
    project = Project(place, name or place.name, skeleton, tuple(cameras), {}, tables)
    found = sorted(item.name for item in place.iterdir())[:5] if place.is_dir() else []
    if found or (place.exists() and not place.is_dir()):
        is_project = (place / PROJECT_FILE).exists()
        raise OutputError(
            folder,
            expected="a new or empty folder",
            got="a project" if is_project else f"a folder with {', '.join(found)}" if found else "a file",
            remedy="Add sessions to it with `pose3d add-session`, or choose another name."
            if is_project
            else "Choose another name; videos are added afterwards.",
        )
    save_project(project)
    return project


def add_session(
    project: Project, session: str, videos: Mapping[str, str | os.PathLike[str]], *, link: bool = False
) -> Project:
    """Add a session to project.toml, and its videos to the project folder.

    Videos inside the project folder stay where they are. Others are copied to sessions/<session>/<camera>, or linked
    there. Nothing changes where any of them fails.

    Args:
        project: the project.
        session: a new name.
        videos: camera -> video file.
        link: make symbolic links instead of copies; the project can then not be moved to another computer.

    Raises:
        InvalidValueError: the session exists, or a camera is unknown.
        FileFormatError: a video is missing or empty, or project.toml is damaged.
        OutputError: there is another file in the place of a copy, or it cannot be written.
    """
    current = load_project(project.root)
    if session.casefold() in {name.casefold() for name in current.sessions}:
        raise InvalidValueError(
            f"{current.file}, session '{session}'",
            expected="a new name",
            got=f"one that is there, with the cameras {', '.join(current.sessions.get(session, {}))}",
            remedy="Choose another name, or remove the session from project.toml first.",
        )
    sources = {camera: _checked(Path(video)) for camera, video in videos.items()}
    targets = {camera: _target(current, session, camera, source) for camera, source in sources.items()}
    relative = {camera: target.relative_to(current.root).as_posix() for camera, target in targets.items()}
    # Names are checked before anything is copied.
    result = replace(current, sessions={**current.sessions, session: relative})
    made: list[Path] = []
    try:
        for camera, source in sources.items():
            if not _same(source, targets[camera]):
                _bring(source, targets[camera], link=link)
                made.append(targets[camera])
        _append(result, session)
    except BaseException:
        for path in made:
            path.unlink(missing_ok=True)
        with suppress(OSError):
            (current.root / "sessions" / session).rmdir()
        raise
    return result


def _checked(video: Path) -> Path:
    if not video.is_file() or video.stat().st_size == 0:
        got = "an empty file" if video.is_file() else "a folder" if video.is_dir() else "no such file"
        raise FileFormatError(video, expected="a video file", got=got, remedy="Check the path, or copy it again.")
    return video.absolute()


def _target(project: Project, session: str, camera: str, source: Path) -> Path:
    """Where the video will be: where it is, or sessions/<session>/<camera>.<suffix>."""
    root = project.root
    for inside in (source, source.resolve()):
        for base in (root, root.resolve()):
            if inside.is_relative_to(base) and ".." not in inside.relative_to(base).parts:
                return root / inside.relative_to(base)
    target = root / "sessions" / session / f"{camera}{source.suffix.lower()}"
    if os.path.lexists(target):
        raise OutputError(
            target,
            expected=f"a free place for the video of camera '{camera}'",
            got="a file that is there already",
            remedy="Give this file itself if it is the video, or remove it, or choose another name for the session.",
        )
    return target


def _same(source: Path, target: Path) -> bool:
    return target.exists() and source.samefile(target)


def _bring(source: Path, target: Path, *, link: bool) -> None:
    if not link:
        with atomic_path(target) as partial:
            shutil.copyfile(source, partial)
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source)
    except OSError as error:
        raise OutputError(
            target,
            expected="to make a symbolic link",
            got=error.strerror or str(error),
            remedy="Copy the video (leave out --link), or allow links: on Windows, switch on developer mode.",
        ) from error


def _append(project: Project, session: str) -> None:
    """Add the session at the end of project.toml, so that the comments of the user stay."""
    text = project.file.read_text(encoding="utf-8")
    longer = text.rstrip("\n") + "\n" + session_text(session, project.sessions[session])
    try:
        whole = tomllib.loads(longer)["sessions"] == {name: dict(v) for name, v in project.sessions.items()}
    except tomllib.TOMLDecodeError:  # sessions written as an inline table cannot be added to
        whole = False
    write_text(project.file, longer if whole else project_text(project))
