"""The project: a folder that can be moved and shared, and the file project.toml that says what is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calibration.lazy import lazy_names

if TYPE_CHECKING:
    from pose3d.project._settings import read_settings, table_of
    from pose3d.project.creation import add_session, create_project
    from pose3d.project.files import find_project, load_project, save_project
    from pose3d.project.folders import videos_in_folder
    from pose3d.project.value import PROJECT_FILE, STAGES, Project

_HOMES = {
    "PROJECT_FILE": "value",
    "STAGES": "value",
    "Project": "value",
    "add_session": "creation",
    "create_project": "creation",
    "find_project": "files",
    "load_project": "files",
    "read_settings": "_settings",
    "save_project": "files",
    "table_of": "_settings",
    "videos_in_folder": "folders",
}

__all__ = [
    "PROJECT_FILE",
    "STAGES",
    "Project",
    "add_session",
    "create_project",
    "find_project",
    "load_project",
    "read_settings",
    "save_project",
    "table_of",
    "videos_in_folder",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES, __all__)
