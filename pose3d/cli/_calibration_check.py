"""`pose3d calibrate --check`: has a camera moved since the calibration?"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from calibration.errors import MismatchError
from pose3d.cli._calibration_detection import look_for_board
from pose3d.cli._calibration_inputs import Inputs
from pose3d.cli._console import console, plain_number, print_json
from pose3d.cli._paths import path_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from calibration.boards import Board
    from calibration.drift import Drift
    from calibration.rig import Rig

__all__ = ["check_rig"]

# What lies beside videos and is not of 2D poses: boards, clocks and calibrations, notes, reports.
_BESIDE = (".toml", ".txt", ".md", ".html", ".pdf")


def check_rig(inputs: Inputs, *, as_json: bool) -> None:
    """Compare a calibration with later pictures of a board, or with 2D poses."""
    from calibration.drift import check_drift
    from calibration.formats import load_rig

    assert inputs.rig_path is not None  # usage was checked
    rig = load_rig(inputs.rig_path)
    board = _board(inputs)
    pixels, rig = _from_poses(inputs, rig) if board is None else _from_board(inputs, rig, board)
    with console().status("Comparing the cameras ..."):
        drift = check_drift(rig, pixels)
    written = _write_page(inputs, drift) if inputs.output is not None else None
    if as_json:
        print_json(_as_json(drift) | {"unit": rig.unit, "written": [] if written is None else [str(written)]})
        return
    from pose3d.cli._calibration_tables import show_drift

    show_drift(drift, rig.unit)
    if written is not None:
        console(result=True).print(f"wrote [bold]{escape(str(written))}[/]")


def _board(inputs: Inputs) -> Board | None:
    """The board that the pictures show; None where there are 2D poses, which say by themselves what they are.

    It is the one that was named, that lies beside the videos, or that the calibration was made with.
    """
    if inputs.board_path is None and not _are_pictures(inputs.check_paths):
        return None
    assert inputs.rig_path is not None  # usage was checked
    rig = inputs.rig_path
    folder = rig if rig.is_dir() else rig.parent
    places = [inputs.board_file(inputs.check_paths), folder / "board.toml", folder / "corners.nc"]
    file = next((place for place in places if place is not None and place.is_file()), None)
    if file is None:
        raise click.UsageError(
            f"--check {' '.join(inputs.check_paths)}: these are pictures, but of which board? Add --board board.toml "
            f"(made by `pose3d board`). No board.toml lies beside them, no board.toml or corners.nc in {folder}."
        )
    if inputs.board_path is None:
        console().print(f"The board is that of [bold]{escape(str(file))}[/].")
    return _board_in(file)


def _board_in(file: Path) -> Board:
    from calibration.boards.files import load_board
    from calibration.corners import board_of
    from calibration.formats import load_corners

    return board_of(load_corners(file)) if file.suffix == ".nc" else load_board(file)


def _are_pictures(texts: Sequence[str]) -> bool:
    """Whether there are videos or images, and nothing beside them that could be 2D poses."""
    from calibration.video import IMAGE_SUFFIXES, VIDEO_SUFFIXES

    paths = [path_of(text) for text in texts]
    inside = [file for path in paths for file in ([*path.glob("*"), *path.glob("*/*")] if path.is_dir() else [path])]
    pictures = {suffix.lower() for suffix in (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES)}
    kinds = {file.suffix.lower() for file in inside if not file.is_dir() and not _is_beside(file)}
    return bool(kinds) and kinds <= pictures


def _is_beside(file: Path) -> bool:
    """Whether a file is one that lies beside videos: times, clocks, a board, a calibration, or hidden."""
    name = file.name.lower()
    return name.startswith(".") or file.suffix.lower() in _BESIDE or bool(re.search(r"time_?stamps?.*\.csv$", name))


def _from_board(inputs: Inputs, rig: Rig, board: Board) -> tuple[NDArray[np.float64], Rig]:
    from calibration.observations import find_sources

    sources = find_sources(list(inputs.check_paths))
    known = {name: source for name, source in sources.items() if name in rig.names}
    if len(known) < 2:
        raise MismatchError(
            "--check",
            expected=f"pictures of two or more of the cameras {', '.join(rig.names)}",
            got=", ".join(sources),
            remedy="Name the cameras as the calibration does: --check CAMERA=PATH.",
        )
    times = inputs.table_of_times(inputs.check_paths)
    corners = look_for_board(inputs, known, board, timestamps=times, clocks=inputs.clocks())
    names = [str(name) for name in corners["camera"].values]
    return corners["position"].transpose("frame", "corner", "camera", "space").values, rig.select(names)


def _from_poses(inputs: Inputs, rig: Rig) -> tuple[NDArray[np.float64], Rig]:
    import numpy as np

    from pose3d.formats import load_poses2d
    from pose3d.reconstruction import match_cameras

    poses2d = load_poses2d(list(inputs.check_paths), rig=rig, keypoints=inputs.keypoints, frame_rate=inputs.frame_rate)
    poses2d, rig = match_cameras(poses2d, rig)
    ordered = poses2d.transpose("time", "individual", "keypoint", "camera", "space", ...)
    confident = ordered["confidence"].values >= max(inputs.min_confidence, 1e-12)
    pixels = np.where(confident[..., None], ordered["position"].values.astype(np.float64), np.nan)
    return pixels.reshape(len(pixels), -1, len(rig), 2), rig


def _write_page(inputs: Inputs, drift: Drift) -> Path:
    from calibration.files import atomic_path
    from calibration.plots import drift_figure

    assert inputs.output is not None  # the caller looked
    target = inputs.output / "check.png"
    with atomic_path(target) as partial:
        drift_figure(drift).savefig(partial, format="png", dpi=130)
    return target


def _as_json(drift: Drift) -> dict[str, object]:
    return {
        "moved": list(drift.moved),
        "unexplained": list(drift.unexplained),
        "noise_px": drift.noise,
        "cameras": {
            camera.name: {
                "moved": camera.moved,
                "certain": camera.certain,
                "residual_px": plain_number(camera.before),
                "residual_with_new_pose_px": plain_number(camera.after),
                "image_shift_px": plain_number(camera.shift),
                "turned_degrees": plain_number(math.degrees(camera.rotation[0])),
                "turned_degrees_std": plain_number(math.degrees(camera.rotation[1])),
                "moved_distance": plain_number(camera.distance[0]),
                "moved_distance_std": plain_number(camera.distance[1]),
                "since_row": camera.start,
            }
            for camera in drift.cameras
        },
        "residual_over_time_px": {
            camera.name: [plain_number(value) for value in drift.residual[:, index]]
            for index, camera in enumerate(drift.cameras)
        },
        "windows_start_at_row": drift.rows[:-1].tolist(),
    }
