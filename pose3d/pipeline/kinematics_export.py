"""Kinematics of a result file as tables, pictures, and files of other programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from calibration.errors import InvalidValueError, MismatchError
from calibration.files import atomic_path, write_text
from pose3d.formats import write_c3d, write_marker_set, write_mot, write_tables, write_trc
from pose3d.formats.text_table import files_by_individual
from pose3d.kinematics import events_table
from pose3d.skeleton import Skeleton
from pose3d.visualization import kinematics_pictures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["KinematicsFiles", "export_kinematics"]

_C3D_LABELS = {"contact": "Foot Strike", "lift_off": "Foot Off"}


@dataclass(frozen=True)
class KinematicsFiles:
    """What to write; None where it is not wanted.

    Attributes:
        events: CSV table of the events, to edit.
        csv, parquet: folders for tidy tables of everything.
        mot: joint angles as an OpenSim motion file.
        c3d: positions, events and joint angles.
        trc: positions for OpenSim, with y up.
        marker_set: an OpenSim marker set with the names in that file.
        figures: folder for the figures as PNG.
    """

    events: Path | None = None
    csv: Path | None = None
    parquet: Path | None = None
    mot: Path | None = None
    c3d: Path | None = None
    trc: Path | None = None
    marker_set: Path | None = None
    figures: Path | None = None


def export_kinematics(
    kinematics: xr.Dataset, poses3d: xr.Dataset, files: KinematicsFiles, *, skeleton: Skeleton | None = None
) -> list[Path]:
    """Write kinematics as other files.

    Args:
        kinematics: Kinematics Dataset.
        poses3d: what it is of.
        files: what to write.
        skeleton: for the stick figures, and for the legs of the angles.

    Returns:
        All files that were written.

    Raises:
        MismatchError: what a file is to hold is not there, as events or angles.
        OutputError: a file cannot be written, or a library for it is not installed.
    """
    written: list[Path] = []
    if files.events is not None:
        _require(kinematics, "event_time", "events")
        write_text(files.events, events_table(kinematics).to_csv(index=False))
        written.append(files.events)
    if files.csv is not None:
        written += write_tables(kinematics, files.csv, format="csv")
    if files.parquet is not None:
        written += write_tables(kinematics, files.parquet, format="parquet")
    if files.mot is not None:
        _require(kinematics, "joint_angle", "joint angles")
        written += write_mot(kinematics["joint_angle"], files.mot)
    if files.c3d is not None:
        written += _write_c3d(kinematics, poses3d, files.c3d)
    if files.trc is not None:
        written += write_trc(poses3d, files.trc, up="y")
    if files.marker_set is not None:
        written += write_marker_set(poses3d, files.marker_set)
    if files.figures is not None:
        written += _write_figures(kinematics, poses3d, files.figures, skeleton)
    return written


def _require(kinematics: xr.Dataset, name: str, words: str) -> None:
    if name not in kinematics:
        raise MismatchError(
            "kinematics",
            expected=words,
            got=f"only {', '.join(sorted(map(str, kinematics.data_vars)))[:120]}",
            remedy="Name a skeleton that defines them and do not leave them out, or do not ask for this file.",
        )


def _write_c3d(kinematics: xr.Dataset, poses3d: xr.Dataset, path: Path) -> Iterator[Path]:
    for name, file in files_by_individual(poses3d, path, None):
        angles = kinematics.get("joint_angle")
        if angles is not None:  # an angle at a keypoint often has its name, and C3D has one list of names
            angles = angles.assign_coords(angle=[f"{angle}_angle" for angle in angles["angle"].values])
        yield from write_c3d(poses3d, file, individual=name, events=_c3d_events(kinematics, name), angles=angles)


def _c3d_events(kinematics: xr.Dataset, individual: str) -> xr.Dataset | None:
    if "event_time" not in kinematics or not kinematics.sizes["event"]:
        return None
    own = kinematics.isel(event=np.flatnonzero(kinematics["event_individual"].values.astype(str) == individual))
    legs = own["event_leg"].values.astype(str)
    sides = ["Left" if leg[:1] in "lL" else "Right" if leg[:1] in "rR" else "General" for leg in legs.tolist()]
    return xr.Dataset(
        {
            "event_time": ("event", own["event_time"].values, {"units": "s"}),
            "event_label": ("event", [_C3D_LABELS[kind] for kind in own["event_kind"].values.astype(str).tolist()]),
            "event_context": ("event", sides),
        }
    )


def _write_figures(
    kinematics: xr.Dataset, poses3d: xr.Dataset, folder: Path, skeleton: Skeleton | None
) -> Iterator[Path]:
    for name in map(str, kinematics["individual"].values):
        for what, draw in kinematics_pictures(kinematics, poses3d, skeleton, individual=name).items():
            figure = _drawn(draw)
            if figure is None:
                continue
            suffix = f"_{name}" if kinematics.sizes["individual"] > 1 else ""
            file = folder / f"{what}{suffix}.png"
            with atomic_path(file) as partial:
                figure.savefig(partial, dpi=150)
            yield file


def _drawn(draw: Callable[[], Figure]) -> Figure | None:
    """The figure, or None where the kinematics do not have what it shows."""
    try:
        return draw()
    except (InvalidValueError, MismatchError):
        return None
