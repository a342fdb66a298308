"""What a report says of trajectories, and not of single frames: held bones, bridged positions, repaired views."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.findings import Finding, Level, percent
from calibration.page import value_table
from pose3d.visualization.evidence import Evidence

__all__ = ["decided_without_cameras", "held_bones_finding", "learned_bones_table"]

Array = NDArray[np.float64]

_KNOWN = ("bone_length", "bone_length_std", "bone_deviation")


def held_bones_finding(question: str, poses3d: xr.Dataset) -> Finding | None:
    """What can be said of the lengths of bones that were held; None where none was."""
    learned = _learned_bones(poses3d)
    if learned is None:
        return None
    bones, individuals, length, std, _ = learned
    relative = std / length
    bone, individual = np.unravel_index(np.nanargmax(relative), relative.shape)
    whose = f"{bones[bone]} of {individuals[individual]}" if len(individuals) > 1 else bones[bone]
    return Finding(
        question,
        Level.UNKNOWN,
        f"These poses cannot tell: {int(np.isfinite(length).sum())} bones were held softly at lengths that the "
        "reconstruction learned, so that constant lengths prove nothing. The typical length is known to "
        f"{percent(float(np.nanmedian(relative)))}; the least certain is that of {whose}, "
        f"{_with_deviation(length[bone, individual], std[bone, individual])} {_unit(poses3d)}.",
        "Compare the learned lengths, under Numbers, with the animal; or reconstruct without bones, and ask again.",
        "Only of poses that were made without bones is the spread of their lengths a check.",
    )


def learned_bones_table(poses3d: xr.Dataset) -> str:
    """The lengths that were learned, as an HTML table; nothing where no bone was held."""
    learned = _learned_bones(poses3d)
    if learned is None:
        return ""
    bones, individuals, length, std, deviation = learned
    columns = []
    for name in individuals:
        lead = f"{name} " if len(individuals) > 1 else ""
        columns += [
            (f"{lead}length {_unit(poses3d)}", "Length that was learned, and its standard deviation"),
            (f"{lead}varies %", "Standard deviation of the length over time that the reconstruction allowed for"),
        ]
    rows: list[tuple[str, list[object]]] = []
    for row, bone in enumerate(bones):
        cells: list[object] = []
        for column in range(len(individuals)):
            known = np.isfinite(length[row, column])
            cells.append(_with_deviation(length[row, column], std[row, column]) if known else float("nan"))
            cells.append(float(deviation[row, column] / length[row, column]))
        rows.append((bone, cells))
    caption = "Bones, at the lengths that the reconstruction learned and held softly"
    return value_table("bone", columns, rows, caption=caption)


def _learned_bones(poses3d: xr.Dataset) -> tuple[list[str], list[str], Array, Array, Array] | None:
    """What was learned of the bones that were held; None where none was.

    Returns:
        Names of bones and individuals, and (bone, individual) lengths, their standard deviations, and by how much they
        may vary over time.
    """
    if not set(_KNOWN) <= set(poses3d.data_vars):
        return None
    table = poses3d[list(_KNOWN)].transpose("bone", "individual")
    if not np.isfinite(table["bone_length"].values).any():
        return None
    length, std, deviation = (table[name].values.astype(np.float64) for name in _KNOWN)
    bones, individuals = ([str(name) for name in table[dim].values] for dim in ("bone", "individual"))
    return bones, individuals, length, std, deviation


def _with_deviation(length: float, std: float) -> str:
    """A length to the digits that its standard deviation leaves."""
    if not 0 < std < np.inf:
        return f"{length:.4g}"
    places = max(0, 1 - int(np.floor(np.log10(std))))
    return f"{length:.{places}f} ± {std:.{places}f}"


def _unit(poses3d: xr.Dataset) -> str:
    return str(poses3d["bone_length"].attrs.get("units", ""))


def decided_without_cameras(evidence: Evidence) -> str:
    """Which share of the positions is bridged, and of the 2D positions repaired; empty where that is not known."""
    sentences = []
    if evidence.bridged is not None and evidence.bridged.size:
        share = float(evidence.bridged.mean())
        sentences.append(
            f"{percent(share)} of the positions are bridged: fewer than two cameras were used at that moment, and the "
            "motion before and after decides."
            if share
            else "No position is bridged."
        )
    reported = int(evidence.detected.sum())
    if evidence.repair is not None and reported:
        exchanged, other = (float((evidence.repair == kind).sum() / reported) for kind in (1, 2))
        sentences.append(
            f"{percent(exchanged + other)} of the 2D positions were repaired: left and right exchanged in "
            f"{percent(exchanged)}, another candidate taken in {percent(other)}."
            if exchanged + other
            else "No 2D position was repaired."
        )
    return " ".join(sentences)
