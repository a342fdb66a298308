"""The project: a folder that can be moved and shared, and the file project.toml that says what is in it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

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


def __getattr__(name: str) -> object:
    # PEP 562: names are loaded when first used.
    if name not in _HOMES:
        raise AttributeError(f"module 'pose3d.project' has no attribute '{name}'")
    return getattr(import_module(f"pose3d.project.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
