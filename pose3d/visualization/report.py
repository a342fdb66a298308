"""One HTML page about a reconstruction: verdict, numbers, figures, a 3D player, and how it was made.

The page is a single file that needs no network; its content security policy forbids it one, and any script but the
player. Everything that comes from files is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import xarray as xr

from calibration.files import write_text
from calibration.findings import Verdict
from calibration.page import TONES, Section, render_page
from calibration.rig import Rig
from calibration.schema import check
from pose3d.datasets import POSES2D, POSES3D
from pose3d.skeleton import Skeleton
from pose3d.visualization._sections import (
    PathLike,
    Subject,
    length_unit,
    made_section,
    numbers_section,
    pictures_section,
    player_section,
    truth_section,
    verdict_section,
    videos_section,
)
from pose3d.visualization.evidence import collect_evidence
from pose3d.visualization.identity_section import identity_section
from pose3d.visualization.kinematics_section import kinematics_section
from pose3d.visualization.verdict import judge

__all__ = ["write_report"]


def write_report(
    path: PathLike,
    *,
    poses3d: xr.Dataset,
    poses2d: xr.Dataset | None = None,
    kinematics: xr.Dataset | None = None,
    identity: xr.Dataset | None = None,
    rig: Rig | None = None,
    skeleton: Skeleton | None = None,
    truth: xr.Dataset | None = None,
    videos: Mapping[str, PathLike] | None = None,
    provenance: Mapping[str, object] | None = None,
    title: str | None = None,
) -> Verdict:
    """Write the report of 3D poses as one HTML file, and return its verdict.

    What is not given is left out, and the page says so; poses without a single position make an honest page. The same
    arguments give the same page.

    Args:
        path: the HTML file.
        poses3d: Poses3D Dataset.
        poses2d: the 2D poses it was made from.
        kinematics: Kinematics Dataset of these poses, if computed.
        identity: Identity Dataset of these poses, where several animals were told apart.
        rig: the cameras.
        skeleton: edges and sides.
        truth: true positions (Poses3D), if known.
        videos: by caption, files to show; up to 6 MB each they are embedded, larger ones linked relatively to the page.
        provenance: inputs, settings and versions, as in the attribute of the result file.
        title: of the page; the name of the source file by default.

    Raises:
        InvalidValueError: a Dataset breaks its schema.
        MismatchError: truth and poses have nothing in common.
        FileFormatError: a video is missing, or is no video.
        OutputError: the page cannot be written.
    """
    check(poses3d, POSES3D)
    if poses2d is not None:
        check(poses2d, POSES2D, values=False)
    evidence = collect_evidence(poses3d, poses2d, rig)
    verdict = judge(evidence, poses3d, skeleton=skeleton, truth=truth, identity=identity)
    subject = Subject(poses3d, evidence, rig, skeleton, truth, dict(videos or {}), dict(provenance or {}))
    told = ""
    if identity is not None:
        told = identity_section(identity, poses3d=poses3d, poses2d=poses2d, rig=rig, skeleton=skeleton)
    page = _page(subject, verdict, title or _default_title(poses3d), Path(path).parent, kinematics, told)
    write_text(path, page)
    return verdict


def _page(
    subject: Subject, verdict: Verdict, title: str, folder: Path, kinematics: xr.Dataset | None, identity: str
) -> str:
    sections = [
        Section("verdict", "Verdict", verdict_section(subject, verdict), look=f"verdict {TONES[verdict.level]}")
    ]
    if not subject.empty:
        sections.append(Section("view", "3D view", player_section(subject)))
    sections.append(Section("numbers", "Numbers", numbers_section(subject)))
    if identity:
        sections.append(Section("identity", "Who is who", identity))
    if subject.truth is not None:
        sections.append(Section("truth", "Truth", truth_section(subject, subject.truth)))
    sections.append(Section("pictures", "Pictures", pictures_section(subject)))
    if kinematics is not None:
        content = kinematics_section(kinematics, subject.poses3d, subject.skeleton)
        sections.append(Section("kinematics", "Kinematics", content))
    if subject.videos:
        sections.append(Section("videos", "Videos", videos_section(subject.videos, folder)))
    sections.append(Section("made", "How it was made", made_section(subject)))
    software = str(subject.poses3d.attrs.get("source_software", "")) or "pose3d"
    return render_page(
        "3D pose report",
        title,
        sections,
        about=_about(subject),
        footer=f"Written by {software}. Lengths in {length_unit(subject.poses3d)}.",
        style=_asset("player.css"),
        script=_asset("player.js"),
    )


def _asset(name: str) -> str:
    return (files("pose3d.visualization") / "assets" / name).read_text(encoding="utf-8")


def _default_title(poses3d: xr.Dataset) -> str:
    source = str(poses3d.attrs.get("source_file", "")).replace("\\", "/").rstrip("/")
    return source.rsplit("/", 1)[-1] or "3D poses"


def _about(subject: Subject) -> str:
    evidence = subject.evidence
    parts = [_count(len(evidence.frames), "frame"), _count(len(evidence.keypoints), "keypoint")]
    if len(evidence.individuals) != 1:
        parts.append(_count(len(evidence.individuals), "individual"))
    if evidence.cameras:
        parts.append(_count(len(evidence.cameras), "camera"))
    rate = float(subject.poses3d.attrs.get("fps", 0.0))
    if rate > 0 and len(evidence.frames):
        seconds = (evidence.frames[-1] - evidence.frames[0] + 1) / rate
        parts.append(f"{seconds:.4g} s at {rate:.4g} frames/s")
    return "  ·  ".join(parts)


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"
