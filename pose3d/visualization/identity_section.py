"""The section of the report that is about identities: who was seen when, how sure that is, and what to look at."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from html import escape

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from calibration.errors import InvalidValueError, MismatchError, SuiteWarning
from calibration.findings import percent
from calibration.page import inline_figure, tiles, value_table
from calibration.plots import up_direction
from calibration.rig import Rig
from pose3d.reconstruction import triangulate
from pose3d.skeleton import Skeleton
from pose3d.visualization._identity_overview import SURE, Overview, Risk, overview_of, risks_of
from pose3d.visualization.identity_figures import identity_timeline, risk_figure, shape_figure

__all__ = ["identity_pictures", "identity_section"]

_MOST_LISTED = 20
# Frames from which lengths are measured again, at most twice as many.
_FRAMES_OF_SHAPE = 1500
_REASONS = {"close": "they were close to each other", "unseen": "both were unseen at the same time"}
_CAPTIONS = {
    "timeline": (
        "Who was seen when",
        "A strip per individual, darker where more cameras saw it; where a stretch of time has many frames, heights "
        "are shares. Dark lines below: less sure than 95 %. Numbers: the most probable exchanges, as in the list.",
    ),
    "risks": (
        "Where two may have been exchanged",
        "Thin until that moment (circles), wide after it, in the color of the name; dots show who would have gone "
        "where, had they been exchanged. Ways begin at a dot and end in an arrow.",
    ),
    "shape": (
        "Does their shape tell them apart?",
        "Lengths by individual, those on top in which they differ most: 5th to 95th percentile (line), quartiles "
        "(bar), median (dot). Of many frames, the median is far more exact than the spread: colors whose dots lie "
        "apart are told apart in time.",
    ),
}


def identity_pictures(
    identity: xr.Dataset,
    *,
    poses3d: xr.Dataset | None = None,
    poses2d: xr.Dataset | None = None,
    rig: Rig | None = None,
    skeleton: Skeleton | None = None,
) -> dict[str, Callable[[], Figure]]:
    """The figures, by name; drawing raises MismatchError where the data do not allow one.

    Args:
        identity: Identity Dataset.
        poses3d, poses2d: of the same individuals, for their ways.
        rig: tells which way is up.
        skeleton: its edges are the lengths that may tell animals apart.
    """
    pictures: dict[str, Callable[[], Figure]] = {"timeline": partial(identity_timeline, identity)}
    if poses3d is not None or poses2d is not None:
        pictures["risks"] = partial(risk_figure, identity, poses3d=poses3d, poses2d=poses2d, up=up_direction(rig))
    if poses3d is not None and skeleton is not None:
        pictures["shape"] = partial(_shape, poses3d, poses2d, rig, skeleton)
    return pictures


def _shape(poses3d: xr.Dataset, poses2d: xr.Dataset | None, rig: Rig | None, skeleton: Skeleton) -> Figure:
    """Lengths as they were seen: where bones were held at what was learned, triangulated frame by frame instead.

    Held lengths hardly vary, so that every error in them would pass for a difference of the animals.
    """
    if "bone_length" in poses3d and poses2d is not None and rig is not None:
        step = max(1, poses2d.sizes["time"] // _FRAMES_OF_SHAPE)
        seen = poses2d.isel(time=slice(None, None, step)).load()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SuiteWarning)  # they were said when the poses were made
            poses3d = triangulate(seen, rig)
    return shape_figure(poses3d, skeleton)


def identity_section(
    identity: xr.Dataset,
    *,
    poses3d: xr.Dataset | None = None,
    poses2d: xr.Dataset | None = None,
    rig: Rig | None = None,
    skeleton: Skeleton | None = None,
) -> str:
    """Words, numbers, the list for proofreading and figures as HTML.

    Args:
        identity, poses3d, poses2d, rig, skeleton: as for `identity_pictures`.
    """
    overview, risks = overview_of(identity), risks_of(identity)
    doubtful = [risk for risk in risks if risk.probability >= 1 - SURE]
    pictures = identity_pictures(identity, poses3d=poses3d, poses2d=poses2d, rig=rig, skeleton=skeleton)
    parts = [
        "<h2>Who is who</h2>",
        f'<p class="lead">{escape(_headline(overview, doubtful))}</p>',
        _tiles(overview, risks),
    ]
    parts += [_figure(pictures["timeline"], *_CAPTIONS["timeline"]), _individual_table(overview), _risk_list(doubtful)]
    parts += [_figure(draw, *_CAPTIONS[name]) for name, draw in pictures.items() if name != "timeline"]
    parts.append(_camera_table(overview))
    return "".join(parts)


def _headline(overview: Overview, doubtful: list[Risk]) -> str:
    count, absent = len(overview.individuals), overview.share("absent")
    animals = "One animal" if count == 1 else f"{count} animals"
    if not count or not overview.frames:
        return "No animal was found."
    low, high = 1 - float(absent.max()), 1 - float(absent.min())
    said = f"{animals}, seen in {percent(low)}" + (f" to {percent(high)}" if percent(low) != percent(high) else "")
    said += " of the frames. "
    if not doubtful:
        return said + "No moment is doubtful: nothing is to be proofread."
    one = len(doubtful) == 1
    return (
        f"{said}{len(doubtful):,} moment{' is' if one else 's are'} doubtful: go through the list below from its top, "
        "look at the frames, and write who is who there into anchors.csv (frame, individual, and either called, "
        "the name that it has now, or camera, x, y)."
    )


def _tiles(overview: Overview, risks: list[Risk]) -> str:
    unsure = float(np.mean(overview.share("unsure"))) if overview.individuals else float("nan")
    return tiles(
        [
            ("animals", float(len(overview.individuals)), ""),
            ("of the frames surer than 95 %", 1 - unsure, "%"),
            ("doubtful moments", float(sum(risk.probability >= 1 - SURE for risk in risks)), ""),
            ("exchanges to be expected", float(sum(risk.probability for risk in risks)), ""),
        ]
    )


def _individual_table(overview: Overview) -> str:
    several = len(overview.cameras) > 1
    columns = [("seen %", "Share of the frames in which it was seen" + (" by two cameras or more" if several else ""))]
    names = ["seen"]
    if several:
        columns += [
            ("one camera %", "Share of the frames in which one camera alone saw it: it has no 3D position"),
            ("two do not tell %", "Share of the frames in which two cameras did not tell which animal is which"),
        ]
        names += ["one_camera", "ambiguous"]
    columns += [
        ("not seen %", "Share of the frames in which nobody saw it"),
        ("unsure %", "Share of the frames in which the confidence is below 0.95"),
    ]
    shares = [overview.share(name) for name in (*names, "absent", "unsure")]
    rows: list[tuple[str, list[object]]] = [
        (name, [float(share[index]) for share in shares]) for index, name in enumerate(overview.individuals)
    ]
    return value_table("individual", columns, rows, caption="Per individual")


def _risk_list(doubtful: list[Risk]) -> str:
    """The list for proofreading."""
    if not doubtful:
        return ""
    columns = [
        ("frames", "Frame numbers, in the videos, from and to which the names may be mixed up"),
        ("who", "The two that may have been exchanged"),
        ("exchanged %", "Probability that they were"),
        ("why", "What makes it doubtful"),
    ]
    rows: list[tuple[str, list[object]]] = []
    for risk in doubtful[:_MOST_LISTED]:
        frames = f"{risk.first} to {risk.last}" if risk.last > risk.first else str(risk.first)
        reason = _REASONS.get(risk.reason, risk.reason)
        rows.append((str(risk.number), [frames, risk.pair, risk.probability, reason]))
    table = value_table("rank", columns, rows, caption="To be proofread, the most probable exchange first")
    if len(doubtful) > _MOST_LISTED:
        table += f'<p class="note">{len(doubtful) - _MOST_LISTED:,} less probable ones are in the result file.</p>'
    return table


def _camera_table(overview: Overview) -> str:
    columns = [
        ("of nobody %", "Share of the instances of this camera that belong to no individual: false ones, or others"),
        ("instances", "Animals that were reported in all frames together"),
    ]
    total = overview.belonging + overview.unassigned
    rows: list[tuple[str, list[object]]] = [
        (name, [float(overview.left_over[index]), int(total[index])]) for index, name in enumerate(overview.cameras)
    ]
    return value_table("camera", columns, rows, caption="What belongs to nobody, per camera")


def _figure(draw: Callable[[], Figure], heading: str, caption: str) -> str:
    """A figure with its caption; nothing where these data do not have what it shows."""
    try:
        content = inline_figure(draw(), caption)
    except (InvalidValueError, MismatchError):
        return ""
    return f"<figure><h3>{escape(heading)}</h3><figcaption>{escape(caption)}</figcaption>{content}</figure>"
