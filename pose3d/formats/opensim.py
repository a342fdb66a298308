"""What OpenSim wants beside TRC files: marker sets, and angles as storage files (.mot, .sto), which are read too.

The layouts are those of OpenSim 4, documented in its user guide ("Marker Set", "Storage (.sto) Files", "Motion (.mot)
Files"). A marker set names the body that each marker is fixed to, and where on it. Poses do not know that: every marker
is put at the origin of the ground, to be moved in OpenSim or in an editor.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import FileFormatError, InvalidValueError, SuiteWarning
from calibration.files import atomic_path, write_text
from pose3d.formats._detecting import describe
from pose3d.formats._units import in_degrees
from pose3d.formats.text_table import FRAMES_AT_ONCE, files_by_individual, format_rows
from pose3d.skeleton import Skeleton

__all__ = ["read_mot", "write_marker_set", "write_mot"]

_GROUND = "/ground"
# Columns of storage files that are no angles: translations, speeds, forces and where they act.
_NO_ANGLE = re.compile(r"(_[tvp][xyz]|/speed|_speed|/activation|_torque_[xyz])$|force|torque|moment", re.IGNORECASE)
_WHAT = "an OpenSim storage file (.mot, .sto) of angles"
_REMEDY = "Export it from OpenSim again."


def write_marker_set(
    markers: xr.Dataset | Skeleton | Sequence[str],
    path: str | os.PathLike[str],
    *,
    bodies: dict[str, str] | None = None,
) -> tuple[Path, ...]:
    """Write an OpenSim marker set (.xml) with a marker for every keypoint, named as `write_trc` names it.

    Args:
        markers: Poses3D Dataset, Skeleton, or names.
        path: the file to write.
        bodies: marker -> the body of the model that it is fixed to, as "femur_r"; the ground by default.

    Returns:
        The file written.

    Raises:
        InvalidValueError: there is no name, two are the same, or `bodies` names another marker.
        OutputError: the file cannot be written.

    Warns:
        SuiteWarning: blanks in names are written as "_".
    """
    target = Path(path)
    names = _names(_keypoints(markers), "keypoint names", target)
    frames = {_underscored(marker): f"/bodyset/{body}" for marker, body in (bodies or {}).items()}
    unknown = [marker for marker in frames if marker not in names]
    if unknown:
        raise InvalidValueError(
            "bodies", expected=f"some of {', '.join(names)}", got=f"'{unknown[0]}'", remedy="Correct the name."
        )
    lines = ['<?xml version="1.0" encoding="UTF-8" ?>', '<OpenSimDocument Version="40000">']
    lines += ['\t<MarkerSet name="markerset">', "\t\t<objects>"]
    for name in names:
        lines += [
            f"\t\t\t<Marker name={quoteattr(name)}>",
            f"\t\t\t\t<socket_parent_frame>{escape(frames.get(name, _GROUND))}</socket_parent_frame>",
            "\t\t\t\t<location>0 0 0</location>",
            "\t\t\t\t<fixed>false</fixed>",
            "\t\t\t</Marker>",
        ]
    lines += ["\t\t</objects>", "\t\t<groups />", "\t</MarkerSet>", "</OpenSimDocument>"]
    write_text(target, "\n".join(lines) + "\n")
    return (target,)


def _keypoints(markers: xr.Dataset | Skeleton | Sequence[str]) -> list[str]:
    if isinstance(markers, xr.Dataset):
        return [str(name) for name in markers["keypoint"].values]
    return list(markers.keypoints if isinstance(markers, Skeleton) else map(str, markers))


def _underscored(name: str) -> str:
    return re.sub(r"\s+", "_", name.strip())


def _names(names: Sequence[str], what: str, subject: object) -> list[str]:
    """Names without blanks, which OpenSim takes for the end of a name."""
    written = [_underscored(name) for name in names]
    if not written or len(set(written)) < len(written) or not all(written):
        repeated = sorted({name for name in written if written.count(name) > 1})
        raise InvalidValueError(
            f"{subject}, {what}",
            expected="at least one, each once, none blank",
            got=f"repeated: {', '.join(repeated[:5])}" if repeated else repr(list(names)),
            remedy="Give each a name of its own; blanks count as '_'.",
        )
    changed = [name for name, other in zip(names, written, strict=True) if name != other]
    if changed:
        warnings.warn(
            f"blanks in {what} are written as '_' for OpenSim: {', '.join(changed)}", SuiteWarning, stacklevel=3
        )
    return written


def write_mot(angles: xr.DataArray, path: str | os.PathLike[str], *, individual: str | None = None) -> tuple[Path, ...]:
    """Write angles as OpenSim storage files (.mot or .sto) in degrees, one per individual.

    Missing angles are written as "nan".

    Args:
        angles: (time, angle), with the dimension `individual` or without, in radians where `units` does not say "deg";
            `time` in seconds; what is not in memory is read piece by piece.
        path: the file to write; with several individuals the name of each is added to its name.
        individual: write only this one, to `path` itself.

    Returns:
        The files written.

    Raises:
        InvalidValueError: there are other dimensions, other units, no frame, or times that are no seconds.
        MismatchError: there is no such individual.
        OutputError: a file cannot be written.

    Warns:
        SuiteWarning: blanks in names are written as "_".
    """
    if not {"time", "angle"} <= set(angles.dims) <= {"time", "angle", "individual"}:
        raise InvalidValueError(
            "angles",
            expected="dimensions (time, angle), or (time, angle, individual)",
            got=", ".join(f"{dim} of {length}" for dim, length in angles.sizes.items()),
            remedy="Choose from the other dimensions, with .sel for example.",
        )
    if not angles.sizes["time"] or "time" not in angles.coords or angles["time"].attrs.get("units") == "frames":
        raise InvalidValueError(
            "angles, time",
            expected="seconds of at least one frame",
            got="frame numbers" if angles.sizes["time"] else "no frame",
            remedy="Give the frame rate when the poses are loaded (frame_rate=, --frame-rate).",
        )
    names = _names([str(name) for name in angles["angle"].values], "names of angles", path)
    turned = in_degrees(angles, "angles")
    files: Iterable[tuple[str | None, Path]] = [(None, Path(path))]
    if "individual" in angles.dims:
        files = files_by_individual(angles.to_dataset(name="turned"), path, individual)
    for name, file in files:
        one = turned if name is None else turned.sel(individual=name)
        _write_storage(one.transpose("time", "angle"), file, names)
    return tuple(file for _, file in files)


def _write_storage(angles: xr.DataArray, file: Path, names: Sequence[str]) -> None:
    header = (
        file.stem,
        "version=1",
        f"nRows={angles.sizes['time']}",
        f"nColumns={len(names) + 1}",
        "inDegrees=yes",
        "",
        "endheader",
        "\t".join(("time", *names)),
    )
    formats = ["%.12g", *["%.9g"] * len(names)]
    with atomic_path(file) as partial, partial.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(f"{line}\n" for line in header)
        for start in range(0, angles.sizes["time"], FRAMES_AT_ONCE):
            piece = angles.isel(time=slice(start, start + FRAMES_AT_ONCE))
            rows = format_rows([piece["time"].values, *piece.values.T], formats, "\t")
            # An empty cell would be no cell: columns are divided by any blanks.
            stream.writelines(f"{_filled(row[1:])}\n" for row in rows)


def _filled(row: str) -> str:
    return "\t".join(cell or "nan" for cell in row.split("\t"))


def read_mot(path: str | os.PathLike[str]) -> xr.DataArray:
    """Read the angles of an OpenSim storage file (.mot, .sto).

    Columns that are no angles by their names (translations as `pelvis_tx`, speeds, forces) are left out: the file has
    one unit for all angles and does not say that of the others.

    Returns:
        (time, angle) radians, with `time` in seconds as in the file.

    Raises:
        FileFormatError: the file is missing, no storage file, cut off, or has no angles.

    Warns:
        SuiteWarning: columns are left out.
    """
    file = Path(path)
    degrees, n_rows, names, lines = _read_lines(file)
    table = _numbers(file, lines, len(names))
    if len(table) < n_rows:
        raise _broken(file, f"{n_rows} rows, as its header says", f"{len(table)}: the file seems to be cut off")
    kept = [index for index, name in enumerate(names) if index > 0 and not _NO_ANGLE.search(name)]
    left_out = [name for index, name in enumerate(names) if index > 0 and index not in kept]
    if not kept:
        raise _broken(file, _WHAT, f"columns of something else: {', '.join(left_out[:5])}")
    if left_out:
        warnings.warn(
            f"{file}: columns that are no angles are left out: {', '.join(left_out)}", SuiteWarning, stacklevel=2
        )
    values = table[:, kept]
    return xr.DataArray(
        np.deg2rad(values) if degrees else values,
        dims=("time", "angle"),
        coords={"time": ("time", table[:, 0], {"units": "s"}), "angle": [names[index] for index in kept]},
        name="joint_angle",
        attrs={"units": "rad", "long_name": "angles of the file", "source_file": str(file)},
    )


def _read_lines(file: Path) -> tuple[bool, int, list[str], list[str]]:
    """Whether angles are degrees, number of rows, names of columns, and the lines of numbers."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _broken(file, _WHAT, describe(file)) from error
    end = next((number for number, line in enumerate(lines) if line.strip().casefold() == "endheader"), None)
    if end is None:
        raise _broken(file, f"{_WHAT}, with a line 'endheader'", describe(file))
    header = {
        key.strip().casefold(): value.strip()
        for key, found, value in (line.partition("=") for line in lines[:end])
        if found
    }
    rest = [line for line in lines[end + 1 :] if line.strip()]
    names = rest[0].split() if rest else []
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if not names or names[0].casefold() != "time" or twice:
        raise _broken(
            file,
            "names of columns below 'endheader', the first being 'time', each once",
            f"repeated: {', '.join(twice[:5])}" if twice else " ".join(names[:3]) or "none",
        )
    rows = header.get("nrows", header.get("datarows", "0"))
    if not rows.isdecimal():
        raise _broken(file, "a whole number in nRows", f"'{rows}'")
    return header.get("indegrees", "no").casefold() == "yes", int(rows), names, rest[1:]


def _numbers(file: Path, lines: Sequence[str], width: int) -> NDArray[np.float64]:
    table = np.empty((len(lines), width))
    for number, line in enumerate(lines):
        cells = line.split()
        if len(cells) != width:
            raise _broken(file, f"{width} numbers in a row", f"{len(cells)} in row {number + 1}")
        try:
            table[number] = [float(cell) for cell in cells]
        except ValueError as error:
            raise _broken(file, "numbers", f"{error} in row {number + 1}") from error
    return table


def _broken(file: Path, expected: str, got: str) -> FileFormatError:
    return FileFormatError(
        file,
        expected=expected,
        got=got,
        remedy=_REMEDY if file.exists() else "Check the path for spelling.",
    )
