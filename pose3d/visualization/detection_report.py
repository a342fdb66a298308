"""One HTML page about 2D positions alone: what is found and how sure, what jumps, the worst frames, what to do next."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from numpy.typing import NDArray

from calibration.files import write_text
from calibration.findings import Finding, Level, Verdict, graded, percent
from calibration.page import TONES, Section, inline_figure, render_page, text_table, tiles, value_table, verdict_items
from calibration.video import open_video
from pose3d.metrics import JUMP_SHARE
from pose3d.visualization._sections import made_facts, videos_section
from pose3d.visualization._tracks import tracks_of
from pose3d.visualization.detection_evidence import CameraEvidence, WorstFrame, collect_detection_evidence
from pose3d.visualization.detection_figures import (
    PictureOfFrame,
    confidence_figure,
    frame_figure,
    presence_figure,
    trajectory2d_figure,
)
from pose3d.visualization.detection_overlay import MINIMUM_CONFIDENCE, check_video
from pose3d.visualization.window import window_around

__all__ = ["write_detection_report"]

PathLike = str | os.PathLike[str]

# Shares of keypoints that are not found; as for missing 3D positions: a tenth in short gaps is interpolated without
# harm, above a third, statistics describe the frames in which the animal was easy to see.
_MISSING = (0.10, 0.35)
# Shares of found positions in jumps. At 1 %, a keypoint at 30 frames/s makes two false steps every three seconds. On
# the open-field video it was 0.13 % with a network of 5.5 px RMSE, 4.2 % (15 % of the tail base) with one of 8.9 px.
_JUMPING = (0.01, 0.05)
# 1 - median confidence: where it is a probability, above 0.5 half of the positions are further off than they should be.
_UNSURE = (0.3, 0.5)
_WORST = 6
_MOST_INDIVIDUALS = 3

_COLUMNS = (
    ("found %", "Share of the frames in which the keypoint has at least the confidence asked for"),
    ("median confidence", "Of what was found"),
    ("jumps %", "Share of what was found that is in a jump: away by a far step and back by another"),
    ("jump ends on", "The other keypoint on which at least half of the jumps end: the two are taken for each other"),
    ("longest gap", "Frames in a row in which the keypoint is not found"),
)


def write_detection_report(
    path: PathLike,
    found: xr.Dataset,
    *,
    videos: Mapping[str, PathLike] | None = None,
    shown: Mapping[str, PathLike] | None = None,
    minimum_confidence: float = MINIMUM_CONFIDENCE,
    provenance: Mapping[str, object] | None = None,
    title: str = "2D positions",
) -> Verdict:
    """Write the report of 2D positions as one HTML file, and return its verdict.

    Args:
        path: the HTML file.
        found: Detections or Poses2D Dataset.
        videos: camera -> the video in which its keypoints were found, for pictures of the worst frames.
        shown: by caption, videos to show in the page, as overlays.
        minimum_confidence: below it a keypoint counts as not found.
        provenance: inputs, settings and versions, as in the attribute of the result file.
        title: of the page.

    Raises:
        InvalidValueError: the Dataset breaks its schema.
        MismatchError: there is no such camera, or a video has another size than the one that was looked at.
        FileFormatError: a video is missing, or is no video.
        OutputError: the page cannot be written.

    Warns:
        SuiteWarning: a video has another number of frames than the one that was looked at.
    """
    given = dict(videos or {})
    for camera, file in given.items():
        with open_video(file) as video:
            check_video(video, tracks_of(found, camera))
    cameras = collect_detection_evidence(found, minimum_confidence)
    verdict = _judge(cameras)
    sections = [
        Section("verdict", "Verdict", _verdict_section(cameras, verdict), look=f"verdict {TONES[verdict.level]}"),
        Section("numbers", "Numbers", _numbers_section(cameras)),
        Section("worst", "Worst frames", _worst_section(cameras, given)),
    ]
    for number, one in enumerate(cameras):
        sections.append(Section(f"camera{number}", f"Camera {one.tracks.camera}", _camera_section(one)))
    if shown:
        sections.append(Section("videos", "Videos", videos_section(shown, Path(path).parent)))
    made = f'<h2>How it was made</h2><div class="scroll">{text_table(made_facts(found, provenance or {}))}</div>'
    sections.append(Section("made", "How it was made", made))
    footer = "Positions are in pixels of the image; y counts downward."
    write_text(path, render_page("2D report", title, sections, about=_about(cameras), footer=footer))
    return verdict


def _about(cameras: Sequence[CameraEvidence]) -> str:
    frames = max((len(one.tracks.frames) for one in cameras), default=0)
    keypoints = len(cameras[0].tracks.keypoints) if cameras else 0
    parts = [f"{frames:,} frames", f"{keypoints} keypoints", f"{len(cameras)} camera{'s' if len(cameras) != 1 else ''}"]
    rate = cameras[0].tracks.frame_rate if cameras else None
    if rate:
        parts.append(f"{frames / rate:.4g} s at {rate:.4g} frames/s")
    return "  ·  ".join(parts)


def _over_all(cameras: Sequence[CameraEvidence]) -> tuple[float, float, float]:
    """Share found, share of what was found that jumps, and median confidence of what was found."""
    total = sum(one.found.size for one in cameras)
    there = sum(int(one.found.sum()) for one in cameras)
    jumping = sum(int(one.jumped.sum()) for one in cameras)
    sure = np.concatenate([one.tracks.confidence[one.found] for one in cameras]) if cameras else np.empty(0)
    return (
        there / total if total else float("nan"),
        jumping / there if there else float("nan"),
        float(np.median(sure)) if len(sure) else float("nan"),
    )


def _judge(cameras: Sequence[CameraEvidence]) -> Verdict:
    share, jumping, sure = _over_all(cameras)
    findings = [_found_finding(cameras, share), _jump_finding(cameras, jumping), _sure_finding(sure)]
    ordered = tuple(sorted(findings, key=lambda one: -one.level))
    worst = ordered[0].level
    concerns = [one.concern for one in ordered if one.level >= Level.LOOK]
    if not np.isfinite(share) or share == 0:
        headline = "Not one keypoint was found."
    elif concerns:
        headline = f"{'; '.join(concerns).capitalize()}."
    else:
        headline = "Keypoints are found, sure, and do not jump."
    return Verdict(worst, headline, ordered)


def _extreme(cameras: Sequence[CameraEvidence], shares: Sequence[NDArray[np.float64]], sign: float) -> str:
    """Camera and keypoint with the largest (sign 1) or smallest (-1) share, in words."""
    best = max(
        ((sign * value, one, k) for one, own in zip(cameras, shares, strict=True) for k, value in enumerate(own)
         if np.isfinite(value)),
        key=lambda item: item[0],
        default=None,
    )  # fmt: skip
    if best is None:
        return ""
    value, one, k = best
    where = f" in {one.tracks.camera}" if len(cameras) > 1 else ""
    return f"{one.tracks.keypoints[k]}{where} ({percent(sign * value)})"


def _found_finding(cameras: Sequence[CameraEvidence], share: float) -> Finding:
    least = _extreme(cameras, [one.share_found() for one in cameras], -1.0)
    confidence = cameras[0].minimum_confidence if cameras else MINIMUM_CONFIDENCE
    told = percent(share) if np.isfinite(share) else "None"
    told += f" of the positions have a confidence of {confidence:g} or more"
    told += f"; least often {least}" if least and share < 1 else ""
    level = graded(1 - share, _MISSING)
    return Finding(
        "Is every keypoint found?",
        level,
        f"{told}.",
        "Look at the worst frames. Where the keypoint can be seen, label such frames and train again (pose3d refine); "
        "where it is hidden, this is as it should be."
        if level > Level.GOOD
        else "",
        f"Good up to {percent(_MISSING[0])} not found, broken above {percent(_MISSING[1])}: short gaps are "
        "interpolated without harm; with a third missing, what is left describes frames that were easy to see.",
        concern=f"{percent(1 - share)} of the keypoints are not found" if np.isfinite(share) else "nothing is found",
    )


def _jump_finding(cameras: Sequence[CameraEvidence], share: float) -> Finding:
    most = _extreme(cameras, [one.share_jumped() for one in cameras], 1.0)
    confused = [
        f"{name} on {other}"
        for one in cameras
        for name, other in zip(one.tracks.keypoints, one.confused_with(), strict=True)
        if other
    ]
    answer = "Nothing was found that could jump."
    if np.isfinite(share):
        answer = f"{percent(share)} of what was found is in jumps; most of all {most}."
        answer += f" Most jumps end on another keypoint: {', '.join(dict.fromkeys(confused))}." if confused else ""
    longest = cameras[0].longest if cameras else 3
    level = graded(share, _JUMPING)
    return Finding(
        "Do keypoints jump?",
        level,
        answer,
        "Let pose3d refine add such frames, label them and train again. Jumps that remain are left out by pose3d "
        "triangulate where other cameras contradict them."
        if level > Level.GOOD
        else "",
        f"A jump is a step from one frame to the next of more than {100 * JUMP_SHARE:.0f} % of the length of the body "
        "(and of more than 6 robust standard deviations of the keypoint's steps), followed by a step back that is as "
        f"far, at most {longest} frame{'s' if longest != 1 else ''} later, to less than half the way from where it "
        "was. Of a keypoint that goes to and fro, either place may be the wrong one. "
        f"Good up to {percent(_JUMPING[0])}, broken above {percent(_JUMPING[1])}.",
        concern=f"keypoints jump in {percent(share)} of what was found",
    )


def _sure_finding(sure: float) -> Finding:
    # never broken: what is unsure may be right
    level = min(graded(1 - sure, _UNSURE), Level.LOOK)
    return Finding(
        "How sure is the network?",
        level,
        f"The median confidence of what was found is {sure:.2f}.",
        "Label more frames, or train longer; the report of the training says how large the errors are."
        if level > Level.GOOD
        else "",
        "Of networks of pose3d, confidence is the probability that the error is below 5 % of the length of the body. "
        "Other programs mean other things by it.",
        concern=f"the median confidence is {sure:.2f}",
    )


def _verdict_section(cameras: Sequence[CameraEvidence], verdict: Verdict) -> str:
    share, jumping, sure = _over_all(cameras)
    lengths = [one.length for one in cameras if np.isfinite(one.length)]
    values = [("positions found", share, "%"), ("of these in jumps", jumping, "%"), ("median confidence", sure, "")]
    values.append(("length of the body", float(np.median(lengths)) if lengths else float("nan"), "px"))
    return (
        f'<span class="badge">{verdict.level.words}</span><p class="headline">{escape(verdict.headline)}</p>'
        f"{tiles(values)}{verdict_items(verdict)}"
    )


def _numbers_section(cameras: Sequence[CameraEvidence]) -> str:
    parts = ["<h2>Numbers</h2>", '<p class="lead">Hover over a heading for its meaning.</p>']
    for one in cameras:
        rows: list[tuple[str, list[object]]] = [
            (name, [float(found), float(sure), float(jumping), other or "–", gap])
            for name, found, sure, jumping, other, gap in zip(
                one.tracks.keypoints, one.share_found(), one.median_confidence(), one.share_jumped(),
                one.confused_with(), one.longest_gap(), strict=True,
            )
        ]  # fmt: skip
        caption = f"Camera {one.tracks.camera}, {len(one.tracks.frames):,} frames"
        parts.append(value_table("keypoint", _COLUMNS, rows, caption=caption))
    return "".join(parts)


def _worst_section(cameras: Sequence[CameraEvidence], videos: Mapping[str, PathLike]) -> str:
    parts = [
        "<h2>Worst frames</h2><p>Where the network is least sure or keypoints jump, apart in time; <code>pose3d "
        "refine PROJECT</code> chooses frames to label in the same way. A line shows where a keypoint that jumps came "
        "from.</p>"
    ]
    without = [one.tracks.camera for one in cameras if one.tracks.camera not in videos]
    if without:
        example = f"--on {without[0]}=VIDEO"
        parts.append(f'<p class="note">For pictures of them, give the video: <code>{escape(example)}</code>.</p>')
    for one in cameras:
        worst = one.worst(_WORST)
        timed = one.tracks.time_label != "frame"
        columns = [*([(one.tracks.time_label, "Of the frame")] if timed else []), ("why", "What is wrong in it")]
        rows = [(str(item.frame), [*([f"{item.time:.2f}"] if timed else []), item.reason]) for item in worst]
        if worst and one.tracks.camera in videos:
            pictures = _pictures(one, worst, videos[one.tracks.camera])
            parts.append(f"<h3>Camera {escape(one.tracks.camera)}</h3>")
            parts.append(inline_figure(frame_figure(pictures, one.tracks.keypoints), "The worst frames"))
        parts.append(value_table("frame", columns, rows, caption=f"Camera {one.tracks.camera}, the worst first"))
    return "".join(parts)


def _pictures(evidence: CameraEvidence, worst: Sequence[WorstFrame], video: PathLike) -> list[PictureOfFrame]:
    made = {}
    with open_video(video) as source:
        for frame in source.frames(sorted(one.frame for one in worst if one.frame < len(source))):
            row = int(np.searchsorted(evidence.tracks.frames, frame.index))
            points = evidence.shown[row]
            before = evidence.came_from(row)
            around = np.concatenate([points.reshape(-1, 2), before.reshape(-1, 2)])
            left, top, right, bottom = window_around(around, frame.image)
            shift = np.array([left, top])
            made[frame.index] = (frame.image[top:bottom, left:right].copy(), points - shift, before - shift)
    return [
        PictureOfFrame(made[one.frame][0], f"frame {one.frame}: {one.reason}", *made[one.frame][1:])
        for one in worst
        if one.frame in made
    ]


def _camera_section(evidence: CameraEvidence) -> str:
    tracks = evidence.tracks
    parts = [f"<h2>Camera {escape(tracks.camera)}</h2>"]
    if not evidence.found.any():
        return "".join([*parts, "<p>Nothing was found in this camera.</p>"])
    if evidence.found.all() and not evidence.jumped.any():
        parts.append("<p>Every keypoint is found in every frame, and none jumps.</p>")
    else:
        caption = "Gray: the keypoint is not found. Orange marks: it jumps."
        parts.append(_figure(presence_figure(evidence), "What is found, and when", caption))
    parts.append(
        _figure(
            confidence_figure(evidence),
            "Confidence",
            f"Share of the frames by confidence. Left of the dashed line, at {evidence.minimum_confidence:g}, a "
            "keypoint counts as not found.",
        )
    )
    for number, name in enumerate(tracks.individuals[:_MOST_INDIVIDUALS]):
        parts.append(
            _figure(
                trajectory2d_figure(evidence, number),
                "Trajectories" if len(tracks.individuals) == 1 else f"Trajectories of {name}",
                "Positions in the image. Lines break where a keypoint is not found; orange dots are in jumps.",
            )
        )
    return "".join(parts)


def _figure(figure: Figure, heading: str, caption: str) -> str:
    content = inline_figure(figure, caption)
    return f"<figure><h3>{escape(heading)}</h3><figcaption>{escape(caption)}</figcaption>{content}</figure>"
