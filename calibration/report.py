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

from calibration.diagnosis import CameraDiagnosis, Diagnosis, Errors, WorstView
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
        Section("cameras", "Cameras", _cameras(diagnosis)),
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
        values.append(
            (f"mean of squares of {diagnosis.square:g} {diagnosis.unit}", diagnosis.lengths.mean_length, diagnosis.unit)
        )
        values.append(("RMS error of their lengths", diagnosis.lengths.rms, diagnosis.unit))
    values.append(("corners that are outliers", diagnosis.used.outliers, "%"))
    return (
        f'<span class="badge">{verdict.level.words}</span><p class="headline">{escape(verdict.headline)}</p>'
        f"{tiles(values)}{verdict_items(verdict)}"
    )


def _cameras(diagnosis: Diagnosis) -> str:
    columns = (
        ("frames", "Frames in which the board was seen"),
        ("RMS px", "Root of the mean squared reprojection error"),
        ("median px", "Median reprojection error"),
        ("p95 px", "95th percentile of the reprojection error"),
        ("left-out RMS px", "The same on frames that the rig was fitted without"),
        ("left-out median px", ""),
        ("left-out p95 px", ""),
        ("outliers %", "Share of the corners that are no noise"),
        ("covered %", "Share of the cells of the image in which corners were seen"),
        ("lens", "Model of the lens"),
    )
    rows: list[tuple[str, Sequence[object]]] = []
    for camera in diagnosis.cameras:
        model = "given" if camera.model is None else camera.model.name
        rows.append(
            (
                camera.name,
                (
                    str(camera.boards),
                    *_three(camera.used),
                    *_three(camera.held_out),
                    camera.used.outliers,
                    camera.covered,
                    model,
                ),
            )
        )
    total = diagnosis.used
    rows.append(("all", ("", *_three(total), *_three(diagnosis.held_out), total.outliers, np.nan, "")))
    return "<h2>Cameras</h2>" + value_table("camera", columns, rows, caption="Reprojection errors and coverage")


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
            "Edges of the board between triangulated corners of left-out frames, by region of the volume as the first "
            "camera sees it, with the number of edges."
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
                "Corners in each part of the image. White: none, distortion is extrapolated there.",
            ),
            _figure(
                residual_figure(calibration),
                "Residuals",
                "Mean residual vectors, enlarged by the factor in the title. A pattern is what the lens model leaves "
                "over; arrows without order are noise.",
            ),
            _figure(
                trend_figure(diagnosis),
                "Radial trend",
                "Mean residual along the radius with two standard errors. A curve that leaves zero asks for another "
                "lens model, named in the title.",
            ),
        )
    )


def _lenses(calibration: Calibration, diagnosis: Diagnosis) -> str:
    parts = ["<h2>Lenses and poses</h2>", "<p class='lead'>Values with their standard deviations.</p>"]
    for camera in diagnosis.cameras:
        parts.append(_parameters(calibration, camera))
    models = sorted({name for lens in calibration.lenses.values() for name in lens.held_out}, key=str)
    if models:
        columns = [(f"{name} px", f"Error of left-out views with the model {name}") for name in models]
        rows = [
            (name, [float(lens.held_out.get(model, np.nan)) for model in models])
            for name, lens in calibration.lenses.items()
        ]
        parts.append(
            value_table("camera", columns, rows, caption="Error of left-out views by lens model, each lens by itself")
        )
    return "".join(parts)


def _parameters(calibration: Calibration, camera: CameraDiagnosis) -> str:
    lens = calibration.rig[camera.name].lens
    matrix = lens.camera_matrix
    rows: dict[str, object] = {
        "camera matrix": ", ".join(
            f"{name} {value:.2f}{_plus_minus(camera, name)}"
            for name, value in (("fx", matrix[0, 0]), ("fy", matrix[1, 1]), ("cx", matrix[0, 2]), ("cy", matrix[1, 2]))
        ),
        "distortion": ", ".join(
            f"{name} {value:.5f}{_plus_minus(camera, name)}"
            for name, value in zip(_coefficient_names(lens.model), lens.coefficients, strict=False)
        ),
    }
    pose = {name: value for name, value in camera.deviations.items() if name in ("rx", "ry", "rz", "tx", "ty", "tz")}
    if pose:
        unit = calibration.rig.unit
        turns = ", ".join(f"{np.rad2deg(pose[name]):.3f}" for name in ("rx", "ry", "rz") if name in pose)
        shifts = ", ".join(f"{pose[name]:.3f}" for name in ("tx", "ty", "tz") if name in pose)
        rows["standard deviations of the pose"] = f"{turns} degrees; {shifts} {unit}, relative to the first camera"
    return f"<h3>{escape(camera.name)}</h3>{text_table(rows)}"


def _coefficient_names(model: str) -> tuple[str, ...]:
    from calibration.lens_models import parameter_names

    return parameter_names(fisheye=model == "fisheye")[4:]


def _plus_minus(camera: CameraDiagnosis, name: str) -> str:
    deviation = camera.deviations.get(name, camera.deviations.get("f") if name in ("fx", "fy") else None)
    return "" if deviation is None else f" ± {deviation:.2g}"


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
    title = f"{view.camera}, picture {view.picture}: {view.rms:.2f} px RMS"
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
        "noise of a corner": {
            name: f"{sigma:.3f} px" for name, sigma in zip(calibration.rig.names, adjustment.noise, strict=True)
        },
        "fit": f"{adjustment.status.meaning} after {adjustment.iterations} steps",
        "scaled gradient": f"{adjustment.gradient_norm:.1e}",
        **provenance,
    }
    return f"<h2>How it was made</h2>{text_table(rows)}"
