"""A project as a value: skeleton, cameras, sessions, settings, and where its files are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TypeVar

from calibration.errors import InvalidValueError
from pose3d.project._settings import read_settings
from pose3d.skeleton import Skeleton

__all__ = ["PROJECT_FILE", "STAGES", "Project"]

PROJECT_FILE = "project.toml"

STAGES = (
    "extraction",
    "network",
    "training",
    "augmentation",
    "evaluation",
    "prediction",
    "identity",
    "reconstruction",
    "kinematics",
)
"""The sections of project.toml that hold settings; each is read by the stage that uses it."""

# What Windows cannot have in the name of a file. A project is moved between computers.
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
_LONGEST_NAME = 100

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class Project:
    """A project folder.

    Attributes:
        root: the folder, absolute.
        name: what it is called in reports.
        skeleton: the keypoints to find.
        cameras: names of the cameras.
        sessions: session -> camera -> video, a POSIX path relative to the root.
        settings: section of project.toml -> setting -> value, as written in the file.

    Raises:
        InvalidValueError: a name cannot be that of a folder, or is there twice; a session has no video, an unknown
            camera, or a path that leaves the project; a section of settings is unknown.
    """

    root: Path
    name: str
    skeleton: Skeleton
    cameras: tuple[str, ...]
    sessions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        setter = object.__setattr__
        setter(self, "root", Path(self.root).absolute())
        setter(self, "cameras", tuple(self.cameras))
        _check_names("cameras", self.cameras)
        _check_names("sessions", tuple(self.sessions))
        for session, videos in self.sessions.items():
            self._check_session(session, videos)
        unknown = sorted(set(self.settings) - set(STAGES))
        if unknown:
            raise InvalidValueError(
                "project, settings",
                expected=f"sections out of {', '.join(STAGES)}",
                got=", ".join(unknown),
                remedy="Correct the spelling.",
            )
        frozen = {name: MappingProxyType(dict(videos)) for name, videos in self.sessions.items()}
        setter(self, "sessions", MappingProxyType(frozen))
        setter(self, "settings", MappingProxyType({name: dict(table) for name, table in self.settings.items()}))

    def _check_session(self, session: str, videos: Mapping[str, str]) -> None:
        unknown = [camera for camera in videos if camera not in self.cameras]
        if unknown or not videos:
            raise InvalidValueError(
                f"session '{session}'",
                expected=f"a video for one or more of the cameras {', '.join(self.cameras)}",
                got=f"unknown: {', '.join(unknown)}" if unknown else "no video",
                remedy="Correct the name of the camera, or add it to `cameras`.",
            )
        for camera, video in videos.items():
            path = PurePosixPath(video)
            if path.is_absolute() or ".." in path.parts or "\\" in video or not path.parts or ":" in path.parts[0]:
                raise InvalidValueError(
                    f"session '{session}', camera '{camera}'",
                    expected="a path inside the project, relative to it, with forward slashes",
                    got=f"'{video}'",
                    remedy="Copy the video into the project, or link it there: `pose3d add-session --link`.",
                )

    @property
    def file(self) -> Path:
        """`project.toml`."""
        return self.root / PROJECT_FILE

    @property
    def labels_file(self) -> Path:
        """The database of labels, which need not exist yet."""
        return self.root / "labels.sqlite"

    @property
    def frames_folder(self) -> Path:
        """The folder of the images that are labeled: <session>/<camera>/<frame>.png."""
        return self.root / "labels" / "frames"

    @property
    def models_folder(self) -> Path:
        """The folder of trained networks, one folder per run."""
        return self.root / "models"

    def sync_file(self, session: str) -> Path:
        """The clocks of a session as `pose3d sync` writes them, which need not exist."""
        return self.root / "sessions" / session / "sync.toml"

    def video(self, session: str, camera: str) -> Path:
        """The path of a video.

        Raises:
            InvalidValueError: there is no such session, or it has no such camera.
        """
        videos = self.sessions.get(session, {})
        if camera not in videos:
            known = f"'{session}' has the cameras {', '.join(videos)}" if videos else "it is unknown"
            raise InvalidValueError(
                f"{self.file}, session '{session}'",
                expected=f"a video of camera '{camera}'",
                got=known if videos else f"{known}; there are {', '.join(self.sessions) or 'no sessions'}",
                remedy="Correct the name, or add the session with `pose3d add-session`.",
            )
        return self.root / videos[camera]

    def settings_of(self, section: str, kind: type[Settings]) -> Settings:
        """The settings of a stage.

        Args:
            section: one of `STAGES`; where project.toml has none, the defaults are taken.
            kind: the frozen dataclass of the stage.

        Raises:
            FileFormatError: a setting is unknown, of the wrong type, or out of its range.
        """
        return read_settings(self.settings.get(section, {}), kind, self.file, section)


def _check_names(subject: str, names: tuple[str, ...]) -> None:
    for name in names:
        if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST_NAME or _is_no_name(name):
            raise InvalidValueError(
                f"project, {subject}",
                expected=f"names that can be those of folders, of at most {_LONGEST_NAME} characters",
                got=repr(name)[:120],
                remedy="Use letters, digits, - and _.",
            )
    lowered = [name.casefold() for name in names]
    twice = sorted({name for name in names if lowered.count(name.casefold()) > 1})
    if twice or (subject == "cameras" and not names):
        raise InvalidValueError(
            f"project, {subject}",
            expected="at least one name, each once, also where case does not count",
            got=", ".join(twice) or "none",
            remedy="Rename one of them." if twice else "Name the cameras: --cameras left,right",
        )


def _is_no_name(name: str) -> bool:
    return bool(_FORBIDDEN.search(name)) or name.startswith((".", "-", " ")) or name.endswith((".", " "))
