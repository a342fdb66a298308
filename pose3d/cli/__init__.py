"""The command line: one file per command group; each loads, calls one function, saves."""

from __future__ import annotations

from pose3d.cli._main import main

__all__ = ["main"]
