"""What is to be said of identities in words: findings for the verdict of a report, each with its limit and reason."""

from __future__ import annotations

import numpy as np
import xarray as xr

from calibration.findings import Finding, Level, graded, percent
from pose3d.visualization._identity_overview import SURE, Overview, Risk, overview_of, risks_of

__all__ = ["identity_findings", "moments"]

# Frames between exchanges that are expected, below which a name does not last: a minute at 30 frames/s.
_LASTING = 1800.0
_FEWEST = 3.0  # expected exchanges: fewer may be bad luck in a short recording
# Share of the frames in which one animal more than declared is followed. A false animal lasts for moments.
_SURPLUS = 0.05
# Share of the instances that are of nobody. A tenth are the false ones that networks report; a third is an animal more
# for every two, or calibration and 2D poses do not fit together.
_LEFT_OVER = (0.10, 0.35)
# Share of the frames in which two cameras alone leave open who an animal is.
_AMBIGUOUS = (0.05, 0.30)
_MOST_MOMENTS = 5


def identity_findings(identity: xr.Dataset, overview: Overview | None = None) -> list[Finding]:
    """Are the animals told apart, is there one too many or too few, and do the cameras suffice?

    Args:
        identity: Identity Dataset.
        overview: of it, where it was counted already.

    Raises:
        InvalidValueError: the Dataset breaks its schema.
    """
    seen = overview or overview_of(identity)
    found = [_told_apart(seen, risks_of(identity)), _number(identity, seen)]
    if seen.ambiguous.any():
        found.append(_cameras(seen))
    return found


def moments(risks: list[Risk], most: int = _MOST_MOMENTS) -> str:
    """Where to look, in words."""
    said = [
        f"{risk.first} to {risk.last} ({risk.pair}, {100 * risk.probability:.0f} %)"
        if risk.last > risk.first
        else f"{risk.first} ({risk.pair}, {100 * risk.probability:.0f} %)"
        for risk in risks[:most]
    ]
    more = len(risks) - len(said)
    return ", ".join(said) + (f", and {more:,} more" if more > 0 else "")


def _told_apart(seen: Overview, risks: list[Risk]) -> Finding:
    question = "Who is who?"
    if not seen.individuals or not seen.frames:
        return Finding(question, Level.UNKNOWN, "There is no animal.", concern="there is no animal")
    doubtful = [risk for risk in risks if risk.probability >= 1 - SURE]
    expected = float(sum(risk.probability for risk in risks))
    lasting = seen.frames / expected if expected else np.inf
    level = Level.LOOK if doubtful else Level.GOOD
    if expected >= _FEWEST and lasting < _LASTING:
        level = Level.BROKEN
    unsure = float(seen.share("unsure").max(initial=0.0))
    animals = f"{len(seen.individuals)} animals" if len(seen.individuals) != 1 else "One animal"
    number = f"{len(doubtful):,} moment{'s' if len(doubtful) != 1 else ''}"
    answer = f"{animals} told apart; no moment in which two may have been exchanged with {percent(1 - SURE)} or more."
    if len(seen.individuals) == 1 and not doubtful:
        answer = "One animal: there is nobody to mistake it for."
    if doubtful:
        answer = (
            f"{number} in which two may have been exchanged: frames {moments(doubtful)}. About {expected:.2g} "
            f"exchanges are to be expected in all."
        )
    if unsure > 0:
        answer += f" {percent(unsure)} of the frames of the animal that is worst off are less sure than {SURE:g}."
    return Finding(
        question,
        level,
        answer,
        ""
        if not doubtful
        else "Look at these frames. Write who is who there into anchors.csv (frame, individual, "
        "and either called or camera, x, y), and run `pose3d identify` with `--anchors`.",
        f"Good where no moment has {percent(1 - SURE)} or more. Broken where an exchange is to be expected every "
        f"{_LASTING:g} frames or less (and {_FEWEST:g} in all): what is said of one animal is soon said of another.",
        f"in {number} two animals may have been exchanged",
        "all animals told apart" if len(seen.individuals) > 1 else "",
    )


def _number(identity: xr.Dataset, seen: Overview) -> Finding:
    question = "How many animals are there?"
    declared, found = int(identity.attrs.get("individuals_declared", 0)), len(seen.individuals)
    surplus = float(identity.attrs.get("surplus", np.nan))
    shares = seen.left_over
    known = np.isfinite(shares)
    # The median of the cameras: one that also looks into the corridor is no animal more.
    left = float(np.median(shares[known])) if known.any() else 0.0
    answer = f"{found} found, {declared} declared." if declared else f"{found} found; their number was not declared."
    if known.any():
        worst = int(np.nanargmax(shares))
        answer += f" {percent(left)} of the instances of a typical camera belong to nobody"
        answer += f", of {seen.cameras[worst]} {percent(float(shares[worst]))}." if len(seen.cameras) > 1 else "."
    level = min(graded(left, _LEFT_OVER), Level.LOOK)
    concern, step = "instances belong to nobody", ""
    if level == Level.LOOK:
        step = "Is there an animal more, or do the 2D poses hold false ones? Look at the overlays of 2D poses."
    if declared and np.isfinite(surplus) and surplus > _SURPLUS:
        level, concern = Level.LOOK, "there seems to be an animal more than declared"
        answer += f" One more than declared is seen in about {percent(min(surplus, 1.0))} of the frames, and left out."
        step = f"Count the animals in the video. If there are more than {declared}, say so (`--individuals`)."
    elif declared and found < declared:
        level, concern = Level.LOOK, f"{found} of {declared} animals were found"
        step = "Count the animals in the video, and see in the overlays of 2D poses whether every one is found."
    return Finding(
        question,
        level,
        answer,
        step,
        f"Good up to {percent(_LEFT_OVER[0])} of the instances that belong to nobody, about what networks report where "
        f"nothing is, and where an animal more than declared is followed for at most {percent(_SURPLUS)} of the time.",
        concern,
    )


def _cameras(seen: Overview) -> Finding:
    share = seen.share("ambiguous")
    worst = int(np.argmax(share))
    level = min(graded(float(share[worst]), _AMBIGUOUS), Level.LOOK)
    return Finding(
        "Do the cameras suffice to tell them apart?",
        level,
        f"In {percent(float(share[worst]))} of the frames two cameras do not tell which animal of the one is "
        f"{seen.individuals[worst]} of the other. It is then left open, not guessed.",
        "One more camera, from another side, tells." if level != Level.GOOD else "",
        f"Good up to {percent(_AMBIGUOUS[0])}. Rays of two cameras meet by chance, those of three hardly ever.",
        f"for {percent(float(share[worst]))} of the frames two cameras do not tell which animal is which",
    )
