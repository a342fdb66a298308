"""The report of a calibration: one HTML page with a verdict, tables, pictures, and how it was made."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from calibration.diagnosis import POSE_PARAMETERS, Diagnosis, Errors, WorstView, lens_values
from calibration.files import write_text
from calibration.findings import Verdict
from calibration.page import TONES, Section, inline_figure, render_page, text_table, tiles, value_table, verdict_items
from calibration.plots import (
    coverage_figure,
    length_figure,
    overlap_figure,
    residual_figure,
    rig_figure,
    trend_figure,
    view_figure,
)
from calibration.rig import Rig
from calibration.rig_calibration import Calibration

__all__ = ["write_report"]

Picture = NDArray[np.uint8]

_PICTURE_DPI = 110
_PARAMETERS = {
    "fx": "Focal length along x",
    "fy": "Focal length along y",
    "cx": "Principal point, x",
    "cy": "Principal point, y",
}


def write_report(
    path: str | os.PathLike[str],
    *,
    calibration: Calibration,
    diagnosis: Diagnosis,
    verdict: Verdict,
    rig: Rig | None = None,
    pictures: Mapping[tuple[str, int], Picture] | None = None,
    provenance: Mapping[str, object] | None = None,
    title: str = "Calibration",
) -> None:
    """Write the report of a calibration. The same arguments give the same page.

    Args:
        path: the HTML file.
        calibration: the outcome.
        diagnosis: its numbers.
        verdict: their meaning.
        rig: the cameras as they were saved, aligned with a world; those of the calibration by default.
        pictures: of the worst views, by camera and number of the picture.
        provenance: inputs, settings and versions.
        title: of the page.

    Raises:
        OutputError: the page cannot be written.
    """
    shown = rig or calibration.rig
    sections = [
        Section("verdict", "Verdict", _verdict(diagnosis, verdict), look=f"verdict {TONES[verdict.level]}"),
        Section("cameras", "Cameras", _cameras(calibration, diagnosis)),
        Section("rig", "Rig", _rig(calibration, diagnosis, shown)),
        Section("images", "Images", _images(calibration, diagnosis)),
        Section("lenses", "Lenses", _lenses(calibration, diagnosis)),
        Section("views", "Worst views", _worst(calibration, diagnosis, pictures or {})),
        Section("made", "How it was made", _made(calibration, provenance or {})),
    ]
    page = render_page(
        "Calibration report",
        title,
        [section for section in sections if section.content],
        about=_about(calibration),
        footer=f"Lengths in {shown.unit}. Reprojection errors are those of corners that are no outliers.",
    )
    write_text(path, page)


def _about(calibration: Calibration) -> str:
    count = calibration.corners.sizes["frame"]
    cameras = len(calibration.rig)
    return f"{cameras} camera{'' if cameras == 1 else 's'}  ·  {count} frames used  ·  {calibration.board}"


def _verdict(diagnosis: Diagnosis, verdict: Verdict) -> str:
    values = [("RMS reprojection error", diagnosis.used.rms, "px")]
    if diagnosis.held_out is not None:
        values.append(("the same on left-out frames", diagnosis.held_out.rms, "px"))
    if diagnosis.lengths is not None:
        square = f"{diagnosis.square:g} {diagnosis.unit}"
        values.append((f"mean error of squares of {square}", diagnosis.lengths.mean, diagnosis.unit))
        values.append(("RMS error of squares", diagnosis.lengths.rms, diagnosis.unit))
    values.append(("corners that are outliers", diagnosis.used.outliers, "%"))
    return (
        f'<span class="badge">{verdict.level.words}</span><p class="headline">{escape(verdict.headline)}</p>'
        f"{tiles(values)}{verdict_items(verdict)}"
    )


def _cameras(calibration: Calibration, diagnosis: Diagnosis) -> str:
    columns = (
        ("frames", "Frames in which the board was seen"),
        ("RMS px", "Root of the mean squared reprojection error"),
        ("median px", "Median reprojection error"),
        ("p95 px", "95th percentile of the reprojection error"),
        ("RMS left out", "px, on frames that the rig was fitted without"),
        ("median left out", "px, on frames that the rig was fitted without"),
        ("p95 left out", "px, on frames that the rig was fitted without"),
        ("outliers %", "Share of the corners that are no noise"),
        ("covered %", "Share of the cells of the image in which corners were seen"),
    )
    rows: list[tuple[str, Sequence[object]]] = []
    for camera in diagnosis.cameras:
        shares = (camera.used.outliers, camera.covered)
        rows.append((camera.name, (camera.boards, *_three(camera.used), *_three(camera.held_out), *shares)))
    total = diagnosis.used
    if len(rows) > 1:
        rows.append(("all", (None, *_three(total), *_three(diagnosis.held_out), total.outliers, None)))
    table = value_table("camera", columns, rows, caption="Reprojection errors (px) and coverage")
    return f"<h2>Cameras</h2>{table}{_clocks(calibration)}"


def _clocks(calibration: Calibration) -> str:
    clocks = calibration.clocks
    if clocks is None:
        return ""
    lead = (
        "The pictures were not taken at the same instants: what is to be added to the clock of each camera, by the "
        f"motion of the board. It lowers the error of the corners from {clocks.error[0]:.2f} to "
        f"{clocks.error[1]:.2f} px."
    )
    rows = [
        (name, (f"{1000 * offset:+.1f} ± {1000 * deviation:.1f}" if deviation > 0 else "reference",))
        for name, offset, deviation in zip(calibration.rig.names, clocks.offsets, clocks.deviations, strict=True)
    ]
    columns = (("offset ms", "To be added to the times of the camera"),)
    table = value_table("camera", columns, rows, caption="Offsets of the clocks")
    return f"<h3>Clocks</h3><p class='lead'>{lead}</p>{table}"


def _three(errors: Errors | None) -> tuple[float, float, float]:
    return (np.nan, np.nan, np.nan) if errors is None else (errors.rms, errors.median, errors.p95)


def _rig(calibration: Calibration, diagnosis: Diagnosis, rig: Rig) -> str:
    # The boards move along when the rig was aligned with another world.
    moved = rig.cameras[0].cam_from_world.inverse()(calibration.rig.cameras[0].cam_from_world(diagnosis.points))
    parts = [
        "<h2>Rig</h2>",
        _figure(
            rig_figure(rig, points=moved), "Cameras and boards", "Where the cameras stand, and where the board was."
        ),
    ]
    if len(rig) > 1:
        parts.append(
            _figure(
                overlap_figure(diagnosis),
                "Overlap",
                "In how many frames two cameras saw the board at once; on the diagonal, one camera.",
            )
        )
    if diagnosis.regions:
        caption = (
            "Measured minus printed length of the edges of the board between triangulated corners of left-out frames: "
            "mean, its standard error, and number of edges, by region of the volume as "
            f"{calibration.rig.names[0]} sees it, from near to far."
        )
        parts.append(_figure(length_figure(diagnosis), "Lengths in the volume", caption))
    return "".join(parts)


def _images(calibration: Calibration, diagnosis: Diagnosis) -> str:
    sizes = [camera.size for camera in calibration.rig]
    return "".join(
        (
            "<h2>Images</h2>",
            _figure(
                coverage_figure(diagnosis, sizes),
                "Coverage",
                "Corners in each part of the image. Where there are none, distortion is extrapolated.",
            ),
            _figure(
                residual_figure(calibration),
                "Residuals",
                "Mean residual vectors, enlarged by the factor in the title. A pattern is what the lens model leaves "
                "over; arrows without order are noise.",
            ),
            _figure(
                trend_figure(diagnosis, sizes),
                "Radial trend",
                "Mean residual along the radius with two standard errors. The axis ends at the corners of the image. A "
                "curve that leaves zero asks for another lens model, named in the title.",
            ),
        )
    )


def _lenses(calibration: Calibration, diagnosis: Diagnosis) -> str:
    deviations = {camera.name: camera.deviations for camera in diagnosis.cameras}
    values = {camera.name: lens_values(camera.lens) for camera in calibration.rig}
    named = dict.fromkeys(name for each in values.values() for name in each)
    used = [name for name in named if any(each.get(name) for each in values.values())]
    columns = [("model", "What was free of the lens"), *((name, _PARAMETERS.get(name, "Distortion")) for name in used)]
    rows: list[tuple[str, Sequence[object]]] = []
    for camera in diagnosis.cameras:
        cells = [_with_deviation(values[camera.name], name, deviations[camera.name]) for name in used]
        rows.append((camera.name, ("kept as given" if camera.model is None else camera.model.name, *cells)))
    parts = [
        "<h2>Lenses and poses</h2>",
        value_table(
            "camera", columns, rows, caption="Lenses with standard deviations (px); without, where it was kept"
        ),
        _poses(calibration, diagnosis),
    ]
    models = list(dict.fromkeys(name for lens in calibration.lenses.values() for name in lens.held_out))
    if models:
        headings = [(f"{name} px", f"Error of left-out views with the model {name}") for name in models]
        rows = [
            (name, [float(lens.held_out.get(model, np.nan)) for model in models])
            for name, lens in calibration.lenses.items()
        ]
        caption = (
            "Error of left-out views by lens model, each lens by itself; models that a first fit rules out have none"
        )
        parts.append(value_table("camera", headings, rows, caption=caption))
    return "".join(parts)


def _with_deviation(values: Mapping[str, float], name: str, deviations: Mapping[str, float]) -> str | None:
    """A number with as many digits as its standard deviation has two of."""
    if name not in values:
        return None
    deviation = deviations.get(name, deviations.get("f", np.nan) if name in ("fx", "fy") else np.nan)
    if not np.isfinite(deviation) or deviation <= 0:
        return f"{values[name]:.6g}"
    digits = min(max(1 - int(np.floor(np.log10(deviation))), 0), 8)
    return f"{values[name]:.{digits}f} ± {deviation:.{digits}f}"


def _poses(calibration: Calibration, diagnosis: Diagnosis) -> str:
    unit = calibration.rig.unit
    columns = [(f"turn {axis} °", f"Standard deviation of the rotation about the {axis} axis") for axis in "xyz"]
    columns += [(f"shift {axis} {unit}", f"Standard deviation of the position along the {axis} axis") for axis in "xyz"]
    rows: list[tuple[str, Sequence[object]]] = []
    for camera in diagnosis.cameras:
        known = [camera.deviations.get(name, np.nan) for name in POSE_PARAMETERS]
        if np.isfinite(known).any():
            rows.append((camera.name, [*(f"{np.rad2deg(value):.3f}" for value in known[:3]), *map(_short, known[3:])]))
    if not rows:
        return ""
    caption = (
        f"Standard deviations of the poses relative to {diagnosis.cameras[0].name}, in the axes of each camera: x to "
        "the right, y down, z ahead"
    )
    return value_table("camera", columns, rows, caption=caption)


def _short(value: float) -> str:
    return f"{value:.3g}"


def _worst(calibration: Calibration, diagnosis: Diagnosis, pictures: Mapping[tuple[str, int], Picture]) -> str:
    figures = []
    for view in diagnosis.worst:
        picture = None if view.picture is None else pictures.get((view.camera, view.picture))
        if picture is not None:
            figures.append(_view(calibration, view, picture))
    if not figures:
        return ""
    lead = "The views that fit worst: corners as found (circles) and as the calibration projects them (crosses)."
    return f"<h2>Worst views</h2><p class='lead'>{lead}</p>{''.join(figures)}"


def _view(calibration: Calibration, view: WorstView, picture: Picture) -> str:
    camera = calibration.rig.names.index(view.camera)
    frame = int(np.flatnonzero(calibration.corners["frame"].values == view.frame)[0])
    position = calibration.corners["position"].values[camera, frame]
    title = f"{view.camera}, picture {view.picture}: median {view.median:.2f} px"
    title += f", {view.outliers} outliers" if view.outliers else ""
    figure = view_figure(picture, position, position - calibration.adjustment.residuals[camera, frame], title)
    return _photograph(figure, title)


def _figure(figure: Figure, heading: str, caption: str) -> str:
    return (
        f"<figure><h3>{escape(heading)}</h3><figcaption>{escape(caption)}</figcaption>"
        f"{inline_figure(figure, heading)}</figure>"
    )


def _photograph(figure: Figure, description: str) -> str:
    """A figure that is mostly a photograph, as JPEG: as SVG it would be ten times larger."""
    stream = io.BytesIO()
    figure.savefig(stream, format="jpeg", dpi=_PICTURE_DPI, pil_kwargs={"quality": 82})
    data = base64.b64encode(stream.getvalue()).decode()
    return f'<figure><img class="plot" alt="{escape(description)}" src="data:image/jpeg;base64,{data}"></figure>'


def _made(calibration: Calibration, provenance: Mapping[str, object]) -> str:
    adjustment = calibration.adjustment
    rows: dict[str, object] = {
        "board": str(calibration.board),
        "frames": f"{calibration.corners.sizes['frame']} used",
        "frames of videos of one camera": str(int((~calibration.shared).sum())),
        "noise of all cameras together": f"{calibration.excess:.2f} times that within single views",
        "noise of a corner": {
            name: f"{sigma:.3f} px" for name, sigma in zip(calibration.rig.names, adjustment.noise, strict=True)
        },
        "fit": f"{adjustment.status.meaning} after {adjustment.iterations} steps",
        "scaled gradient": f"{adjustment.gradient_norm:.1e}",
        **provenance,
    }
    return f"<h2>How it was made</h2>{text_table(rows)}"
