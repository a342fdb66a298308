"""The sections of the report, each as HTML."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from urllib.parse import quote

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from calibration.errors import FileFormatError, MismatchError
from calibration.page import inline_figure, text_table, tiles, value_table, verdict_items
from calibration.plots import rig_figure
from calibration.rig import Rig
from calibration.video import open_video
from pose3d.metrics import summary as truth_summary
from pose3d.skeleton import Skeleton
from pose3d.visualization._trajectories import decided_without_cameras, learned_bones_table
from pose3d.visualization.evidence import Evidence
from pose3d.visualization.figures import bone_figure, skeleton_figure, trajectory_figure, truth_figure
from pose3d.visualization.player import player_data
from pose3d.visualization.quality_figures import (
    coverage_figure,
    missing_figure,
    reprojection_figure,
    reprojection_time_figure,
)
from pose3d.visualization.verdict import Verdict

__all__ = [
    "PathLike",
    "Subject",
    "length_unit",
    "made_facts",
    "made_section",
    "numbers_section",
    "pictures_section",
    "player_section",
    "truth_section",
    "verdict_section",
    "videos_section",
]

PathLike = str | os.PathLike[str]

# Videos up to this size travel inside the page (a third longer as text); larger ones are linked beside it.
_EMBEDDED_BYTES = 6_000_000
_VIDEO_TYPES = {".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/mp4", ".webm": "video/webm"}
_MOST_TRAJECTORY_FIGURES = 4
_EVERYTHING = ("time", "keypoint", "individual")

_ERROR_COLUMNS = (
    ("used %", "Share of the reported 2D positions that were used for the 3D positions"),
    ("median px", "Median reprojection error of the used 2D positions"),
    ("RMS px", "Root of the mean squared reprojection error of the used 2D positions"),
    ("p95 px", "95th percentile of the reprojection error of the used 2D positions"),
    ("no 2D %", "Share of the 2D positions that are missing"),
)
_SHIFT_COLUMN = (
    "ahead, frames",
    "By how many frames the camera seems ahead of the median of the others, from its residuals along the motion",
)
_MISSING_COLUMN = ("no 3D %", "Share of the frames without a 3D position")
_WHY_COLUMN = ("why", "Why 3D positions are missing, with shares of all frames")


@dataclass(frozen=True)
class Subject:
    """All that a report is about; see `pose3d.visualization.report.write_report`."""

    poses3d: xr.Dataset
    evidence: Evidence
    rig: Rig | None
    skeleton: Skeleton | None
    truth: xr.Dataset | None
    videos: Mapping[str, PathLike]
    provenance: Mapping[str, object]

    @property
    def empty(self) -> bool:
        """There is not one 3D position."""
        return bool(self.evidence.missing.all())


def length_unit(poses3d: xr.Dataset) -> str:
    """Unit of the positions in words."""
    return str(poses3d["position"].attrs.get("units", "")) or "the rig's unit"


def verdict_section(subject: Subject, verdict: Verdict) -> str:
    """The verdict, the main numbers, and every finding with its next step."""
    return (
        f'<span class="badge">{verdict.level.words}</span><p class="headline">{escape(verdict.headline)}</p>'
        f"{_tiles(subject)}{verdict_items(verdict)}"
    )


def _tiles(subject: Subject) -> str:
    overall = subject.evidence.summary(())
    values = [
        ("3D positions present", 1 - float(overall["missing_3d"]), "%"),
        ("median reprojection error", float(overall["median"]), "px"),
    ]
    if np.isfinite(float(overall["used"])):
        values.append(("2D positions used", float(overall["used"]), "%"))
    if subject.truth is not None:
        error = truth_summary(subject.poses3d, subject.truth, over=_EVERYTHING)["median"]
        values.append(("median distance from the truth", float(error), length_unit(subject.truth)))
    if "covariance" in subject.poses3d:
        values.append(("median standard deviation", _typical_deviation(subject), length_unit(subject.poses3d)))
    return tiles(values)


def _typical_deviation(subject: Subject) -> float:
    """Median over the positions of the root of the mean variance of the three coordinates."""
    covariance = subject.poses3d["covariance"].transpose("space", "space_", "time", "individual", "keypoint").values
    variance = covariance[[0, 1, 2], [0, 1, 2]].mean(axis=0)
    finite = variance[np.isfinite(variance) & (variance >= 0) & ~subject.evidence.missing]
    return float(np.sqrt(np.median(finite))) if finite.size else float("nan")


def player_section(subject: Subject) -> str:
    """The 3D player with its controls and data."""
    data = player_data(subject.poses3d, skeleton=subject.skeleton, rig=subject.rig)
    stride = json.loads(data)["stride"]
    cameras = '<label><input type="checkbox" id="player-cameras"> cameras</label>' if subject.rig is not None else ""
    thinned = f" To keep this page small, it holds one frame of every {stride}." if stride > 1 else ""
    return f"""<h2>3D view</h2>
<p class="lead">Drag to turn, pinch or Ctrl + wheel to zoom, Shift + drag to move.{thinned}</p>
<div class="player">
<canvas id="player-canvas" tabindex="0" role="img" aria-label="Animated 3D skeleton. Space plays and pauses, comma and
period step, arrow keys turn, plus and minus zoom, zero resets the view."></canvas>
<div class="controls">
<button type="button" class="play" id="player-play" aria-pressed="false">Play</button>
<input type="range" id="player-scrub" min="0" max="0" value="0" step="1" aria-label="Frame">
<output id="player-time" for="player-scrub"></output>
</div>
<div class="controls">
<label>speed <select id="player-speed"><option value="0.1">0.1×</option><option value="0.25">0.25×</option>
<option value="0.5">0.5×</option><option value="1" selected>1×</option><option value="2">2×</option></select></label>
<label>trail of <select id="player-trail"><option value="-1">none</option></select></label>
<label><input type="checkbox" id="player-follow"> follow</label>
<label><input type="checkbox" id="player-names"> names</label>
{cameras}
<button type="button" id="player-reset">Reset view</button>
</div>
<ul class="legend" id="player-legend"></ul>
</div>
<script type="application/json" id="player-data">{data}</script>"""


def numbers_section(subject: Subject) -> str:
    """Tables per camera, per keypoint and, of several, per individual."""
    evidence = subject.evidence
    parts = [
        "<h2>Numbers</h2>",
        '<p class="lead">Reprojection error is the distance in the image between a 2D position that was used and the '
        "projection of the 3D position. Hover over a heading for its meaning.</p>",
    ]
    if evidence.cameras:
        table, shifts = evidence.summary(("camera",)), evidence.relative_shifts()[:, 0].tolist()
        rows: list[tuple[str, list[object]]] = [
            (name, [*_errors(table, index), shifts[index]]) for index, name in enumerate(evidence.cameras)
        ]
        parts.append(
            value_table("camera", (*_ERROR_COLUMNS, _SHIFT_COLUMN), rows, caption="Per camera, over all keypoints")
        )
    else:
        parts.append('<p class="note">2D poses and rig were not both given: there are no numbers per camera.</p>')
    table, reasons = evidence.summary(("keypoint",)), evidence.reasons()
    rows = [
        (name, [*_errors(table, index), float(table["missing_3d"][index]), _why(reasons, index)])
        for index, name in enumerate(evidence.keypoints)
    ]
    columns = (*_ERROR_COLUMNS, _MISSING_COLUMN, _WHY_COLUMN)
    parts.append(value_table("keypoint", columns, rows, caption="Per keypoint, over all cameras"))
    if len(evidence.individuals) > 1:
        singles = [evidence.summary((), [index]) for index in range(len(evidence.individuals))]
        rows = [
            (name, [*_errors(one, ()), float(one["missing_3d"])])
            for name, one in zip(evidence.individuals, singles, strict=True)
        ]
        parts.append(value_table("individual", (*_ERROR_COLUMNS, _MISSING_COLUMN), rows, caption="Per individual"))
    parts.append(learned_bones_table(subject.poses3d))
    return "".join(parts)


def _errors(table: xr.Dataset, index: int | tuple[()]) -> list[float]:
    return [float(table[name].values[index]) for name in ("used", "median", "rms", "p95", "missing_2d")]


def _why(reasons: Mapping[str, np.ndarray], index: int) -> str:
    shares = {reason: float(share[index]) for reason, share in reasons.items() if share[index] > 0}
    ordered = sorted(shares.items(), key=lambda entry: -entry[1])
    return "; ".join(f"{reason} ({100 * share:.1f} %)" for reason, share in ordered)


def truth_section(subject: Subject, truth: xr.Dataset) -> str:
    """Distances from the truth as a figure and a table."""
    table = truth_summary(subject.poses3d, truth)
    unit = length_unit(truth)
    columns = [
        (f"{name} {unit}", f"{name} distance between estimated and true position")
        for name in ("median", "mean", "RMS", "p95")
    ]
    columns.append(("missing %", "Share of the true positions without an estimate"))
    rows = [
        (str(name), [float(table[column][index]) for column in ("median", "mean", "rmse", "p95", "missing")])
        for index, name in enumerate(table["keypoint"].values)
    ]
    figure = _figure(
        partial(truth_figure, subject.poses3d, truth),
        "",
        "Left: median over all keypoints, and up to the 95th percentile. Right: 5th to 95th percentile (line), "
        "quartiles (bar) and median (dot) of each keypoint.",
    )
    return (
        f"<h2>Against the truth</h2>{figure}{value_table('keypoint', columns, rows, caption='Distance from the truth')}"
    )


def pictures_section(subject: Subject) -> str:
    """The figures that these data allow."""
    poses3d, evidence = subject.poses3d, subject.evidence
    parts = ["<h2>Pictures</h2>"]
    if subject.rig is not None:
        points = poses3d["position"].transpose("time", "keypoint", "individual", "space").values
        draw = partial(rig_figure, subject.rig, points=points)
        parts.append(_figure(draw, "The rig", "Where the cameras stood, and what they saw (dots)."))
    if not subject.empty:
        parts += _pose_pictures(subject)
    if evidence.used.any():
        parts += _error_pictures(evidence)
    if evidence.missing.size:
        caption = "Which camera contributes to which keypoint, and what came of it."
        if _any_bridged(evidence):
            caption += " A position in 3D may be bridged: it then rests on the motion, not on cameras of that moment."
        parts.append(_figure(partial(coverage_figure, evidence), "What was used", caption))
    decided = decided_without_cameras(evidence)
    if evidence.missing.any() or _any_bridged(evidence):
        caption = f"Marked where a keypoint has no 3D position, or a bridged one. {decided}"
        if not decided:
            caption = "Marked where a keypoint has no 3D position."
        parts.append(_figure(partial(missing_figure, evidence), "What is missing, and when", caption))
    elif decided:
        parts.append(f"<h3>What is missing</h3><p>Every 3D position is there. {escape(decided)}</p>")
    return "".join(parts)


def _any_bridged(evidence: Evidence) -> bool:
    return evidence.bridged is not None and bool(evidence.bridged.any())


def _pose_pictures(subject: Subject) -> list[str]:
    poses3d, skeleton, individuals = subject.poses3d, subject.skeleton, subject.evidence.individuals
    stills = partial(skeleton_figure, poses3d, skeleton, rig=subject.rig, cameras=False)
    parts = [_figure(stills, "Stills", "Three of the most complete frames.")]
    for name in individuals[:_MOST_TRAJECTORY_FIGURES]:
        parts.append(
            _figure(
                partial(trajectory_figure, poses3d, individual=name),
                "Trajectories" if len(individuals) == 1 else f"Trajectories of {name}",
                "Four keypoints, from the least to the most often missing one. Lines break where a position is "
                "missing, and the strips below show the gaps in the same colors.",
            )
        )
    if skeleton is not None and skeleton.edges:
        meaning = (
            "Bones were held at the lengths that the reconstruction learned: that they vary little proves nothing."
            if learned_bones_table(poses3d)
            else "Stiff bones that vary show the error of the 3D positions."
        )
        parts.append(
            _figure(
                partial(bone_figure, poses3d, skeleton),
                "Bone lengths",
                f"Relative to the median of each bone. {meaning} Left: 5th to 95th percentile, quartiles and median. "
                "Right: median and the middle 68 % over time.",
            )
        )
    return parts


def _error_pictures(evidence: Evidence) -> list[str]:
    return [
        _figure(
            partial(reprojection_figure, evidence),
            "Reprojection error",
            "Left: share of the used detections below an error, by camera; a curve to the right of the others is a "
            "camera out of line. Right: 5th to 95th percentile (line), quartiles (bar), median (dot) and RMS (tick).",
        ),
        _figure(
            partial(reprojection_time_figure, evidence),
            "Reprojection error over time",
            "Lines: median of each camera. Gray band: up to the 95th percentile of all cameras together. A camera that "
            "rises from some moment on was moved, or lost its step with the others.",
        ),
    ]


def _figure(draw: Callable[[], Figure], heading: str, caption: str) -> str:
    """A figure with its caption, or a sentence where these data do not allow it."""
    try:
        content = inline_figure(draw(), caption)
    except MismatchError as error:
        content = f'<p class="note">{escape(str(error))}</p>'
    head = f"<h3>{escape(heading)}</h3>" if heading else ""
    return f"<figure>{head}<figcaption>{escape(caption)}</figcaption>{content}</figure>"


def videos_section(videos: Mapping[str, PathLike], folder: Path) -> str:
    """Videos by caption: small ones inside the page, larger ones linked relatively to `folder`, where the page is.

    Raises:
        FileFormatError: a video is missing, or is no video.
    """
    parts = ["<h2>Videos</h2>"]
    for caption, file in videos.items():
        source, kind = _video_source(Path(file), folder)
        parts.append(
            f"<figure><figcaption>{escape(caption)}</figcaption>"
            f'<video controls preload="metadata" muted loop playsinline aria-label="{escape(caption)}">'
            f'<source src="{source}" type="{kind}"></video></figure>'
        )
    return "".join(parts)


def _video_source(file: Path, folder: Path) -> tuple[str, str]:
    with open_video(file):
        pass  # it can be read as a video, or says why not
    kind = _VIDEO_TYPES.get(file.suffix.lower(), "video/mp4")
    try:
        if file.stat().st_size <= _EMBEDDED_BYTES:
            return f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode()}", kind
    except OSError as error:
        raise FileFormatError(
            file,
            expected="a video file",
            got=error.strerror or str(error),
            remedy="Leave it out of the report, or make it first.",
        ) from error
    relative = os.path.relpath(file.resolve(), folder.resolve())
    return quote(Path(relative).as_posix()), kind


def made_section(subject: Subject) -> str:
    """Inputs, settings, versions and cameras."""
    facts = made_facts(subject.poses3d, subject.provenance)
    if subject.rig is not None:
        facts["rig"] = {
            camera.name: f"{camera.size[0]} x {camera.size[1]} px, {camera.lens.model}, "
            f"{len(camera.lens.coefficients)} distortion coefficients"
            for camera in subject.rig
        }
    return f'<h2>How it was made</h2><div class="scroll">{text_table(facts)}</div>'


def made_facts(data: xr.Dataset, provenance: Mapping[str, object]) -> dict[str, object]:
    """Inputs, settings and versions, and the attributes of a Dataset."""
    facts: dict[str, object] = dict(provenance)
    for name, value in data.attrs.items():
        facts.setdefault(str(name), _readable(value))
    return facts


def _readable(value: object) -> object:
    """JSON in an attribute as what it says; anything else as it is."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            return value
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
