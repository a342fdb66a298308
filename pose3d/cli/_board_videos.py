"""The part of `pose3d simulate` that renders videos of a calibration board."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from calibration.errors import InvalidValueError, OutputError
from calibration.files import atomic_path
from pose3d.cli._console import progress

if TYPE_CHECKING:
    from calibration.boards.geometry import Board
    from calibration.rig import Rig
    from calibration.synthetic.recordings import BoardRecording, RecordingSettings
    from calibration.synthetic.rendering import RenderSettings

__all__ = [
    "VideoPlan",
    "board_files",
    "board_options",
    "check_folder",
    "plan_videos",
    "summary",
    "take_board_options",
    "write_board_videos",
]

_FOLDER = "calibration"
_TRUTH = "board_truth.nc"

_SHARE = click.FloatRange(0.0, 1.0)
_FROM_0 = click.FloatRange(0.0)

# The defaults are those of RecordingSettings and RenderSettings (a test compares them).
_OPTIONS = (
    click.option("--videos", is_flag=True, help="Also render videos of a calibration board that is carried around."),
    click.option(
        "--board",
        type=click.Path(path_type=Path),
        help="Board file (TOML) for --videos.  [default: a ChArUco board that fits the rig]",
    ),
    click.option("--board-frames", default=120, type=click.IntRange(1), help="Frames of --videos.", show_default=True),
    click.option(
        "--board-rate",
        default=15.0,
        type=click.FloatRange(0.0, min_open=True),
        help="Frames per second of --videos.",
        show_default=True,
    ),
    click.option("--exposure", default=4.0, type=_FROM_0, help="Of a picture, ms: the motion blur.", show_default=True),
    click.option("--defocus", default=0.6, type=_FROM_0, help="Blur of the lens, RMS px.", show_default=True),
    click.option("--image-noise", default=2.0, type=_FROM_0, help="Of the sensor, RMS gray levels.", show_default=True),
    click.option(
        "--hand", default=0.35, type=_SHARE, help="How far a hand reaches onto the board; 0: none.", show_default=True
    ),
    click.option("--bend", default=0.0, type=float, help="How far the board bulges, mm.", show_default=True),
    click.option(
        "--lost-frames", default=0.02, type=_SHARE, help="Share that a camera drops from --videos.", show_default=True
    ),
)
# Settings whose option has another name.
_OPTION_OF = {"frame_rate": "board-rate", "drop_rate": "lost-frames", "noise": "image-noise"}
_NAMES = (
    "videos",
    "board",
    "board_frames",
    "board_rate",
    "exposure",
    "defocus",
    "image_noise",
    "hand",
    "bend",
    "lost_frames",
)


def board_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of this module to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def take_board_options(options: dict[str, object]) -> dict[str, Any]:
    """Take the options of this module out of those of the command."""
    return {name: options.pop(name) for name in _NAMES}


def board_files(names: tuple[str, ...]) -> dict[str, str]:
    """What is written of cameras of these names: file -> content."""
    return {
        f"{_FOLDER}/board.toml": "the board",
        **{f"{_FOLDER}/{name}.mp4": f"the board, as {name} sees it" for name in names},
        f"{_FOLDER}/timestamps.csv": "which pictures belong to the same instant",
        _TRUTH: "true poses of the board, and its true corners in every picture",
    }


def check_folder(output: Path, files: Mapping[str, str]) -> None:
    """See that no video of another recording would be taken for one of this.

    Raises:
        OutputError: there is one.
    """
    strangers = [
        str(file.relative_to(output).as_posix())
        for file in sorted((output / _FOLDER).glob("*.mp4"))
        if str(file.relative_to(output).as_posix()) not in files
    ]
    if strangers:
        raise OutputError(
            output / _FOLDER,
            expected="no videos of other cameras",
            got=", ".join(strangers),
            remedy="Move them away, or choose another folder: all videos in it would be calibrated together.",
        )


@dataclass(frozen=True)
class VideoPlan:
    """What to render: `board` is None where it is to fit the rig."""

    board: Board | None
    settings: RecordingSettings
    rendering: RenderSettings


def plan_videos(options: Mapping[str, Any], *, seed: int) -> VideoPlan | None:
    """The settings and the board, before any work is done; None without --videos.

    Raises:
        UsageError: a setting is out of its range, or a board is given without --videos.
        FileFormatError: the board file is none.
    """
    if not options["videos"]:
        if options["board"] is not None:
            raise click.UsageError("--board is the board of --videos; give --videos too.")
        return None
    from calibration.boards.files import load_board
    from calibration.synthetic.recordings import RecordingSettings
    from calibration.synthetic.rendering import RenderSettings

    try:
        settings = RecordingSettings(
            frames=options["board_frames"],
            frame_rate=options["board_rate"],
            exposure=options["exposure"] / 1000,
            late=min(RecordingSettings.late, options["board_frames"] - 1),
            drop_rate=options["lost_frames"],
            hand=options["hand"],
            bend=options["bend"],
            seed=seed,
        )
        rendering = RenderSettings(defocus=options["defocus"], noise=options["image_noise"])
    except InvalidValueError as error:
        option = _OPTION_OF.get(error.subject, error.subject)
        raise click.UsageError(f"--{option}: expected {error.expected}. {error.remedy}") from error
    return VideoPlan(None if options["board"] is None else load_board(options["board"]), settings, rendering)


def write_board_videos(output: Path, rig: Rig, plan: VideoPlan) -> BoardRecording:
    """Carry a board through the rig, render it, and write `board_files`."""
    from calibration.boards.files import save_board
    from calibration.synthetic.recordings import fitting_board, record_board
    from calibration.synthetic.recordings import write_board_videos as write

    recording = record_board(rig, plan.board or fitting_board(rig), plan.settings)
    save_board(recording.board, output / _FOLDER / "board.toml")
    with progress("Rendering", recording.picture_count, "pictures") as bar:
        write(
            recording,
            output / _FOLDER,
            rendering=plan.rendering,
            on_progress=lambda done, _: bar.update(bar.task_ids[0], completed=done),
        )
    truth = recording.to_dataset()
    encoding = {name: {"zlib": True, "complevel": 1} for name, data in truth.items() if data.dtype.kind in "fb"}
    with atomic_path(output / _TRUTH) as partial:
        truth.to_netcdf(partial, engine="netcdf4", encoding=encoding)
    return recording


def summary(recording: BoardRecording) -> dict[str, object]:
    """What was recorded, for `--json`."""
    return {
        "board": {"type": recording.board.kind, **asdict(recording.board)},
        "settings": asdict(recording.settings),
        "pictures": recording.picture_count,
        "corners": int(recording.corners["position"].notnull().all("space").sum()),
    }
