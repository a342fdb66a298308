"""What was typed after `pose3d calibrate`, and what it stands for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from calibration.errors import FileFormatError

if TYPE_CHECKING:
    import xarray as xr

    from calibration.boards import Board
    from calibration.observations import Source
    from calibration.synchronization import Synchronization

__all__ = ["Inputs"]


@dataclass(frozen=True)
class Inputs:
    """The options of `pose3d calibrate`, by their names there."""

    sources: tuple[str, ...]
    board_path: Path | None
    output: Path | None
    corners_path: Path | None
    timestamps: Path | None
    sync_path: Path | None
    own: tuple[str, ...]
    lenses_only: bool
    lenses_path: Path | None
    fix_lenses: bool
    models: tuple[str, ...]
    bend: bool
    max_frames: int
    rig_path: Path | None
    align: str | None
    align_with: tuple[str, ...]
    refine_with: tuple[str, ...]
    lengths: tuple[str, ...]
    check_paths: tuple[str, ...]
    keypoints: str | None
    min_confidence: float
    frame_rate: float | None
    workers: int | None
    no_cache: bool

    def check_usage(self) -> None:
        """Refuse combinations that mean nothing, with what to type instead.

        Raises:
            click.UsageError: the options do not fit together.
        """
        for wrong, message in self._mistakes():
            if wrong:
                raise click.UsageError(message)

    def _mistakes(self) -> Iterator[tuple[bool, str]]:
        pictures, changes = bool(self.sources), bool(self.align or self.refine_with)
        yield bool(self.check_paths) and self.rig_path is None, "--check needs the calibration to check: --rig RIG.toml"
        if self.check_paths:
            yield pictures or changes, "--check looks at a calibration and changes nothing: leave out the other inputs."
            return
        yield self.output is None, "Say where to write: -o FOLDER"
        if self.rig_path is not None:
            yield pictures, "Give either pictures of a board, or --rig with --align, --refine-with or --check."
            yield not changes, "Say what to do with the calibration: --align, --refine-with or --check."
            return
        yield not pictures and self.corners_path is None, "Say where the pictures are: a folder, or CAMERA=PATH..."
        yield pictures and self.corners_path is not None, "Give either pictures or --corners, not both."
        yield (
            pictures and self.board_file(self.sources) is None,
            (
                "Say which board was filmed: --board board.toml (made by `pose3d board`, or written by hand), or put "
                "it as board.toml beside the videos"
            ),
        )
        yield self.lenses_only and (changes or bool(self.own)), "--lenses-only makes no rig that could be changed."
        yield (
            bool(self.own) and self.board_file(self.sources) is None,
            "--lens-from needs the board: --board board.toml",
        )
        yield self.fix_lenses and self.lenses_path is None, "--fix-lenses needs the lenses to keep: --lenses RIG.toml"
        yield (
            self.timestamps is not None and self.sync_path is not None,
            ("Give either --timestamps or --sync: both together would correct the clocks twice."),
        )
        yield bool(self.lengths) and not self.refine_with, "--length is used together with --refine-with."

    def check_existence(self) -> None:
        """Refuse what is not there, before anything heavy is imported: seconds of waiting for a typing mistake.

        Raises:
            FileFormatError: a file or folder that was named does not exist.
        """
        named = [self.board_path, self.corners_path, self.timestamps, self.sync_path, self.lenses_path, self.rig_path]
        texts = [*self.sources, *self.own, *self.align_with, *self.refine_with, *self.check_paths]
        for text in texts + [str(path) for path in named if path is not None]:
            path = text if Path(text).exists() or "=" not in text else text.split("=", 1)[1]
            if not Path(path).exists() and not any(sign in path for sign in "*?["):
                raise FileFormatError(
                    path, expected="a file or folder", got="no such file", remedy="Check the path for spelling."
                )

    def files(self) -> list[str | Path]:
        """Everything that is read and exists, for provenance and for not being overwritten."""
        board = self.board_file(self.sources or self.check_paths)
        named = [board, self.corners_path, self.timestamps, self.sync_path, self.lenses_path, self.rig_path]
        texts = [*self.sources, *self.own, *self.align_with, *self.refine_with, *self.check_paths]
        paths = [text if Path(text).exists() or "=" not in text else text.split("=", 1)[1] for text in texts]
        return [path for path in (*named, *paths) if path is not None and Path(path).is_file()]

    def board_file(self, paths: Sequence[str]) -> Path | None:
        """The board that was named, or lies as board.toml beside the videos of the one folder that was named.

        Args:
            paths: where the pictures are, as they were named.
        """
        return self.board_path or _beside(paths, "board.toml")

    def board(self) -> Board:
        """The board that was filmed."""
        from calibration.boards.files import load_board

        file = self.board_file(self.sources)
        assert file is not None  # usage was checked
        return load_board(file)

    def load_corners(self) -> xr.Dataset:
        """The corners of an earlier run."""
        from calibration.formats import load_corners

        assert self.corners_path is not None  # usage was checked
        return load_corners(self.corners_path)

    def sources_of_cameras(self) -> dict[str, Source] | None:
        """The pictures of every camera; None where corners are given instead."""
        from calibration.observations import find_sources

        return find_sources(self.sources) if self.sources else None

    def clocks(self) -> Synchronization | None:
        """The clocks of `--sync`; None where there are none."""
        from calibration.synchronization import load_synchronization

        return None if self.sync_path is None else load_synchronization(self.sync_path)

    def table_of_times(self, paths: Sequence[str]) -> Path | None:
        """The table of frame times that was named, or lies beside the videos of the one folder that was named.

        Clocks of `pose3d sync` take its place: both together would correct twice.

        Args:
            paths: where the pictures are, as they were named.
        """
        if self.timestamps is not None or self.sync_path is not None:
            return self.timestamps
        return _beside(paths, "timestamps.csv")


def _beside(paths: Sequence[str], name: str) -> Path | None:
    """A file in the one folder that was named; None where there is none."""
    file = Path(paths[0]) / name if len(paths) == 1 else None
    return file if file is not None and file.is_file() else None
