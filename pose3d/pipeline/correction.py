"""Names corrected in a file: who is who is solved again, and 2D poses get the names that follow."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pose3d.formats.session import ROWS_AT_ONCE, SessionWriter, open_session
from pose3d.identity import Anchor, correct_identity
from pose3d.pipeline.identification import IdentitySummary, summarize_identity

__all__ = ["correct_session"]


def correct_session(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    anchors: Sequence[Anchor],
    *,
    provenance: Mapping[str, object] | None = None,
    compression: int = 0,
) -> tuple[IdentitySummary, list[tuple[int, int]]]:
    """Solve the names of a file again, with what a person recognized, and write 2D poses under the new names.

    Nothing is followed again. What was made of the old names, as 3D poses, is not carried over: reconstruct again.

    Args:
        source: a file with the groups /poses2d and /identity.
        output: the netCDF file to write; it appears when it is complete.
        anchors: each with the name that the animal has now.
        provenance: what stands in the file's attribute of that name.
        compression: zlib level of the file, 0 to 9.

    Returns:
        What there is to say, and the runs of frames, first and last, in which names changed.

    Raises:
        FileFormatError: the source has no such groups.
        InvalidValueError: see `pose3d.identity.correct_identity`.
        OutputError: the file cannot be written.
    """
    with open_session(source) as session:
        before, poses2d = session.require("identity").load(), session.require("poses2d")
        after, changed = correct_identity(before, anchors)
        place = _places(before["chain"].values, after["chain"].values)
        with SessionWriter(output, rig=session.rig, provenance=provenance, compression=compression) as writer:
            writer.append(identity=after)
            for start in range(0, poses2d.sizes["time"], ROWS_AT_ONCE):
                rows = slice(start, start + ROWS_AT_ONCE)
                writer.append(poses2d=_renamed(poses2d.isel(time=rows).load(), after, place[rows]))
    return summarize_identity(after, Path(output)), changed


def _places(before: NDArray[np.int16], after: NDArray[np.int16]) -> NDArray[np.int64]:
    """(time, individual) the column of the old names that each new one takes, -1 for none."""
    same = (after[:, :, None] == before[:, None, :]) & (after >= 0)[:, :, None]
    return np.where(same.any(-1), same.argmax(-1), -1)


def _renamed(poses2d: xr.Dataset, identity: xr.Dataset, place: NDArray[np.int64]) -> xr.Dataset:
    """The 2D poses of some frames, with their columns in the places of the new names."""
    taken = xr.DataArray(np.maximum(place, 0), dims=("time", "individual"))
    known = xr.DataArray(place >= 0, dims=("time", "individual"))
    variables = {}
    for name, values in poses2d.data_vars.items():
        if "individual" in values.dims:
            moved = values.drop_vars("individual").isel(individual=taken)
            moved = moved.where(known, 0.0 if name == "confidence" else np.nan)
            variables[name] = (values.dims, moved.transpose(*values.dims).values, values.attrs)
    return poses2d.assign_coords(individual=identity["individual"].values).assign(variables)
