"""Files of poses: the formats of 2D poses that are read, the session file, and the formats that 3D poses are written to."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pose3d.formats.anipose3d import write_anipose3d
    from pose3d.formats.csv_table import write_csv
    from pose3d.formats.deeplabcut3d import write_deeplabcut3d
    from pose3d.formats.loading import load_poses2d
    from pose3d.formats.registry import FORMATS, PoseFormat
    from pose3d.formats.session import open_session, save_session
    from pose3d.formats.trc import write_trc

# Readers of 2D poses first, then the session file and the writers.
_HOMES = {
    "FORMATS": "registry",
    "PoseFormat": "registry",
    "load_poses2d": "loading",
    "open_session": "session",
    "save_session": "session",
    "write_anipose3d": "anipose3d",
    "write_csv": "csv_table",
    "write_deeplabcut3d": "deeplabcut3d",
    "write_trc": "trc",
}

__all__ = [
    "FORMATS",
    "PoseFormat",
    "load_poses2d",
    "open_session",
    "save_session",
    "write_anipose3d",
    "write_csv",
    "write_deeplabcut3d",
    "write_trc",
]


def __getattr__(name: str) -> object:
    # PEP 562: a format's module, and the library it needs, is loaded when its name is first used.
    if name not in _HOMES:
        raise AttributeError(f"module 'pose3d.formats' has no attribute '{name}'")
    return getattr(import_module(f"pose3d.formats.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
