"""Where the results of a project are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pose3d.project import Project

__all__ = ["ProjectFiles"]


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

    def instances(self, session: str) -> Path:
        """Animals of every camera and frame, not yet told apart; only of sessions with several."""
        return self.project.root / "results" / f"{session}.instances.nc"

    def anchors(self, session: str) -> Path:
        """Who is who in single frames, as a person confirmed it; it need not exist."""
        return self.project.root / "sessions" / session / "anchors.csv"

    def identity(self, session: str) -> Path:
        """Who is who, and the 2D poses of individuals; only of sessions with several."""
        return self.project.root / "results" / f"{session}.identity.nc"

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
