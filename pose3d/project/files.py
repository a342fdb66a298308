"""project.toml: read with every mistake named, written with every default visible."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from calibration.errors import FileFormatError, InvalidValueError
from calibration.files import write_text
from calibration.nearest import nearest_name
from calibration.toml_text import line_of, toml_text
from pose3d.project.value import PROJECT_FILE, STAGES, Project
from pose3d.skeleton import SKELETON_KEYS, skeleton_of_table, skeleton_table

__all__ = ["find_project", "load_project", "project_text", "save_project", "session_text"]

_FORMAT_VERSION = 1
_TOP = ("format_version", "name", "cameras", "skeleton", "sessions", *STAGES)
_HEAD = """\
# A project of pose3d. Paths are relative to this folder, so that it can be moved.
# All settings stand here with their values; change them here. A line that is removed is the default again.
"""


def find_project(path: str | os.PathLike[str] = ".") -> Project:
    """The project of a folder, of a file project.toml, or of anything inside a project.

    Raises:
        FileFormatError: there is no project.toml there or in a folder above; or see `load_project`.
    """
    place = Path(path).absolute()
    for folder in (place, *place.parents):
        if (folder / PROJECT_FILE).is_file():
            return load_project(folder)
    raise FileFormatError(
        path,
        expected=f"the folder of a project, with a file {PROJECT_FILE}",
        got="a folder without one" if place.is_dir() else "no such folder",
        remedy="Check the path, or make a project: `pose3d new NAME --cameras left,right --skeleton mouse.toml`.",
    )


def load_project(path: str | os.PathLike[str]) -> Project:
    """Read a project from its folder, or from its project.toml. Videos need not be there.

    Raises:
        FileFormatError: the file is missing, is no TOML, or something in it is unknown, missing or wrong.
    """
    file = Path(path) if Path(path).name == PROJECT_FILE else Path(path) / PROJECT_FILE
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        got = error.strerror if isinstance(error, OSError) else str(error)
        raise FileFormatError(
            file, expected="a project as TOML", got=got or str(error), remedy="Correct this line, or check the path."
        ) from error
    _check_keys(content, _TOP, file, "")
    _check_version(content, file)
    table = _table(content, "skeleton", file)
    _check_keys(table, SKELETON_KEYS, file, "skeleton")
    skeleton = skeleton_of_table(table, file)
    sessions = _table(content, "sessions", file, required=False)
    for name, videos in sessions.items():
        if not isinstance(videos, dict) or not all(isinstance(video, str) for video in videos.values()):
            raise _wrong(file, "sessions", name, 'a table camera = "video"', videos)
    cameras = content.get("cameras")
    if not isinstance(cameras, list) or not all(isinstance(camera, str) for camera in cameras):
        raise _wrong(file, "", "cameras", 'a list cameras = ["left", "right"]', cameras)
    try:
        return Project(
            file.parent,
            str(content.get("name", file.parent.absolute().name)),
            skeleton,
            tuple(cameras),
            sessions,
            {name: _table(content, name, file) for name in STAGES if name in content},
        )
    except InvalidValueError as error:
        raise FileFormatError(
            f"{file}, {error.subject}", expected=error.expected, got=error.got, remedy=error.remedy
        ) from error


def save_project(project: Project) -> None:
    """Write project.toml, complete or not at all. Comments in an older file are lost.

    Raises:
        OutputError: the file cannot be written.
    """
    write_text(project.file, project_text(project))


def project_text(project: Project) -> str:
    """What stands in project.toml."""
    content: dict[str, Any] = {
        "format_version": _FORMAT_VERSION,
        "name": project.name,
        "cameras": list(project.cameras),
        "skeleton": skeleton_table(project.skeleton),
        **project.settings,
    }
    text = _HEAD + toml_text(content)
    return text + "".join(session_text(name, videos) for name, videos in project.sessions.items())


def session_text(name: str, videos: Mapping[str, str]) -> str:
    """The lines of one session; appended to project.toml they add it."""
    return "\n" + tomli_w.dumps({"sessions": {name: dict(videos)}})


def _check_version(content: Mapping[str, Any], file: Path) -> None:
    version = content.get("format_version")
    if version != _FORMAT_VERSION:
        newer = isinstance(version, int) and version > _FORMAT_VERSION
        raise FileFormatError(
            f"{file}, format_version",
            expected=str(_FORMAT_VERSION),
            got="none" if version is None else str(version),
            remedy="Update pose3d: the project is of a newer version." if newer else "Write format_version = 1.",
        )


def _table(content: Mapping[str, Any], key: str, file: Path, *, required: bool = True) -> dict[str, Any]:
    value = content.get(key, None if required else {})
    if not isinstance(value, dict):
        raise _wrong(file, "", key, f"a section [{key}]", value)
    return value


def _check_keys(table: Mapping[str, Any], known: tuple[str, ...], file: Path, section: str) -> None:
    for key in table:
        if key not in known:
            line = line_of(file, section, key) or line_of(file, key, "")
            raise FileFormatError(
                f"{file}{f', line {line}' if line else ''}{f', [{section}]' if section else ''}",
                expected=f"keys and sections out of {', '.join(known)}",
                got=f"'{key}'",
                remedy=nearest_name(key, known) or "Remove it.",
            )


def _wrong(file: Path, section: str, key: str, expected: str, got: object) -> FileFormatError:
    line = line_of(file, section, key)
    return FileFormatError(
        f"{file}{f', line {line}' if line else ''}, {key}",
        expected=expected,
        got="none" if got is None else repr(got)[:80],
        remedy="Correct this entry.",
    )
