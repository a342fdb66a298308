"""What the numbers of single cameras mean: their ties to others, coverage, lens models and what determines them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from calibration._rig_findings import pixels
from calibration.diagnosis import PARTS, CameraDiagnosis, Diagnosis
from calibration.findings import Finding, Level, graded, percent
from calibration.rig_calibration import Calibration

__all__ = ["collapsed", "coverage", "determination", "lens_models", "noticed", "overlap"]

# Share of the image's cells in which corners were seen, and how far out they reach as a share of half the diagonal: at
# 0.7 the ellipse that touches all borders of the image is covered.
_COVERED, _REACH = 0.6, 0.7
# Frames that a camera shares with the others: of 20, the pose of a camera is known to a fifth of what one frame gives.
_SHARED = (20, 8)
# Standard deviation of a focal length as a share of it: 0.2 % is a millimeter in half a meter of depth.
_FOCAL = (0.002, 0.01)
# What to do where the residuals have a trend, by `RadialTrend.advice`.
_LENS_ADVICE = {
    "free the lens": "the lens that was given does not fit; calibrate without --fix-lenses",
    "film the border": "hold the board also at the border of the image, and check that nothing moved",
    **{
        advice: f"calibrate again with --lens-model {model}, or without that option"
        for advice, model in (
            ("add k1", "radial1"),
            ("add k2", "radial2"),
            ("add k3", "brown5"),
            ("add k4 to k6", "brown8"),
            ("try the fisheye", "fisheye"),
        )
    },
}
_NAMED = 4  # so many cameras are named in a sentence
# What the steps on the way also say, and findings judge by numbers.
_JUDGED_HERE = re.compile(
    r"no corners beyond \d+% of the way|corners in \d+% of the image only|the focal length is known to"
    r"|\d+% of the corners were left out as wrong|the pictures of the cameras were not taken at the same instants"
    r"|the board is not flat|cameras together (still )?miss the board"
)
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w])")


def overlap(diagnosis: Diagnosis) -> Finding:
    """Whether all cameras are tied together by enough frames."""
    question = "Is every camera tied to the others?"
    if len(diagnosis.cameras) == 1:
        return Finding(
            question,
            Level.LOOK,
            "There is one camera: its lens is calibrated, 3D positions need a second one.",
            "Film the board with two or more cameras at once.",
            concern="there is one camera only",
        )
    first, second, count = _weakest_tie(diagnosis.overlap)
    name, other = diagnosis.cameras[first].name, diagnosis.cameras[second].name
    level = Level.GOOD if count >= _SHARED[0] else Level.LOOK if count >= _SHARED[1] else Level.BROKEN
    return Finding(
        question,
        level,
        f"All cameras are joined by pairs that saw the board together in {count} frames or more; the weakest of them "
        f"is {name} with {other}.",
        ""
        if level == Level.GOOD
        else f"Hold the board where {name} and {other} both see it, at ten or more places and tilts.",
        f"Good from {_SHARED[0]} frames, broken below {_SHARED[1]}.",
        f"{name} and {other} share only {count} frames, and no others tie them better",
    )


def _weakest_tie(counts: NDArray[np.intp]) -> tuple[int, int, int]:
    """The weakest pair of the strongest tree that joins all cameras (Prim), and its number of frames."""
    joined, weakest = [0], (0, 0, int(np.iinfo(np.intp).max))
    while len(joined) < len(counts):
        others = [camera for camera in range(len(counts)) if camera not in joined]
        inside, outside = np.unravel_index(int(np.argmax(counts[np.ix_(joined, others)])), (len(joined), len(others)))
        pair = joined[int(inside)], others[int(outside)]
        if counts[pair] < weakest[2]:
            weakest = (*pair, int(counts[pair]))
        joined.append(pair[1])
    return weakest


def coverage(diagnosis: Diagnosis) -> Finding:
    """Whether the board was in all parts of the images."""
    few = [camera for camera in diagnosis.cameras if camera.covered < _COVERED or camera.reach < _REACH]
    few.sort(key=lambda camera: camera.covered)
    worst = min(diagnosis.cameras, key=lambda camera: camera.covered)
    if not few:
        answer = f"Corners fill {percent(worst.covered)} of the image of {worst.name}, the least covered."
    else:
        answer = (
            "Parts of the images were left out. Share with corners, and how far they reach from the middle to the "
            f"corners of the image: {_named(few, lambda camera: f'{camera.covered:.0%}, {camera.reach:.0%}')}."
        )
    return Finding(
        "Did the board come everywhere in the images?",
        Level.LOOK if few else Level.GOOD,
        answer,
        f"Film again with the board also where it was not: {_named(few, _bare)}. Until then, trust positions only "
        "where the board was."
        if few
        else "",
        f"Good from {_COVERED:.0%} of the cells of the image, and {_REACH:.0%} of the way to its corners. Where no "
        "corner was, distortion is extrapolated.",
        f"the board covered only parts of the image of {_named(few)}" if few else "",
    )


def _bare(camera: CameraDiagnosis) -> str:
    if len(camera.bare) > _NAMED:
        seen = [part for part in PARTS if part not in camera.bare]
        return f"all but {', '.join(seen)}" if seen else "everywhere"
    return ", ".join(camera.bare) or "the corners of the image"


def lens_models(diagnosis: Diagnosis) -> Finding:
    """Whether lenses leave a pattern in the residuals."""
    question = "Are the lens models rich enough?"
    told = [camera for camera in diagnosis.cameras if camera.trend.advice]
    if not told:
        return Finding(question, Level.GOOD, "Residuals show no trend along the radius in any camera.")
    told.sort(key=lambda camera: -_largest(camera))
    return Finding(
        question,
        Level.LOOK,
        "No: residuals have a trend along the radius: "
        f"{_named(told, lambda camera: f'{pixels(_largest(camera))}, {camera.trend.advice}')}.",
        " ".join(
            f"{', '.join(camera.name for camera in told if camera.trend.advice == advice)}: {_LENS_ADVICE[advice]}."
            for advice in dict.fromkeys(camera.trend.advice for camera in told)
        ),
        "Told where the mean residual of a ring of the image exceeds five standard errors and a fifth of the noise.",
        f"the lens model of {_named(told)} leaves a trend ({told[0].trend.advice})",
    )


def _largest(camera: CameraDiagnosis) -> float:
    return float(np.nanmax(np.abs(camera.trend.mean)))


def determination(diagnosis: Diagnosis) -> Finding:
    """Whether the views determine the lenses."""
    question = "Are the lenses determined?"
    shares = {camera.name: _focal_share(camera) for camera in diagnosis.cameras}
    free = {name: share for name, share in shares.items() if share is not None}
    if not free:
        return Finding(question, Level.GOOD, "All lenses were given and kept.")
    if not np.isfinite(list(free.values())).any():
        return Finding(question, Level.UNKNOWN, "There are no standard deviations.", concern="no uncertainty is known")
    worst = max(free, key=lambda name: np.nan_to_num(free[name]))
    level = graded(free[worst], _FOCAL)
    vague = sorted((name for name in free if graded(free[name], _FOCAL) > Level.UNKNOWN), key=lambda name: -free[name])
    cameras = [camera for name in vague for camera in diagnosis.cameras if camera.name == name]
    return Finding(
        question,
        level,
        f"The focal length of {worst}{', the least certain,' if len(free) > 1 else ''} has a standard deviation of "
        f"{free[worst]:.2%}.",
        f"Film {_named(cameras)} again with the board tilted by 30 to 45 degrees to all sides." if cameras else "",
        f"Good up to {_FOCAL[0]:.1%}, broken above {_FOCAL[1]:.0%}.",
        f"the focal length of {_named(cameras, lambda camera: f'{free[camera.name]:.1%}')} is uncertain",
    )


def _focal_share(camera: CameraDiagnosis) -> float | None:
    for parameter in ("f", "fx"):
        if parameter in camera.deviations:
            return camera.deviations[parameter] / camera.focal_length
    return None


def noticed(calibration: Calibration) -> Finding | None:
    """What the steps on the way said, of several cameras at once where they said the same; None if nothing."""
    texts = collapsed(_by_camera(calibration))
    if not texts:
        return None
    return Finding(
        "What else was noticed on the way?",
        Level.LOOK,
        " ".join(texts),
        concern=f"{len(texts)} {'thing was' if len(texts) == 1 else 'things were'} noticed on the way, see below",
    )


def _by_camera(calibration: Calibration) -> Iterator[tuple[str, str]]:
    """(camera, text) of the warnings that no other finding judges; no camera where a text is of the whole."""
    names = sorted(calibration.rig.names, key=len, reverse=True)
    for text in calibration.warnings:
        name = next((name for name in names if text.startswith(f"{name}: ")), "")
        rest = text.removeprefix(f"{name}: ") if name else text
        if not _JUDGED_HERE.match(rest):
            yield name, rest


def collapsed(warnings: Iterable[tuple[str, str]]) -> list[str]:
    """Sentences of (camera, text): texts that differ in numbers only become one, with the range of the numbers.

    Texts of no camera stay as they are.
    """
    groups: dict[str, list[tuple[str, str]]] = {}
    for name, text in warnings:
        groups.setdefault(_NUMBER.sub("#", text) if name else text, []).append((name, text))
    sentences = []
    for members in groups.values():
        named = _listed([name for name, _ in members if name])
        text = _ranges([text for _, text in members])
        sentences.append(_sentence(f"{named}: {text}" if named else text[:1].upper() + text[1:]))
    return sentences


def _ranges(texts: Sequence[str]) -> str:
    """The first text with each number replaced by the range that it has in all texts."""
    words = _NUMBER.split(texts[0])
    result = words[0]
    for numbers, following in zip(zip(*map(_NUMBER.findall, texts), strict=True), words[1:], strict=True):
        low, high = min(numbers, key=float), max(numbers, key=float)
        result += (low if float(low) == float(high) else f"{low} to {high}") + following
    return result


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _named(cameras: Sequence[CameraDiagnosis], detail: Callable[[CameraDiagnosis], str] | None = None) -> str:
    """Names of cameras, of many the first, with a detail of each."""
    return _listed([camera.name if detail is None else f"{camera.name} ({detail(camera)})" for camera in cameras])


def _listed(words: Sequence[str]) -> str:
    if len(words) < 2:
        return "".join(words)
    if len(words) <= _NAMED:
        return f"{', '.join(words[:-1])} and {words[-1]}"
    return f"{', '.join(words[:_NAMED])} and {len(words) - _NAMED} more"
