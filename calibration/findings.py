"""What a report says in words: questions, answers, how good they are, what to do next, and the verdict they come to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

__all__ = ["Finding", "Level", "Verdict", "graded", "percent"]


class Level(IntEnum):
    """How good something is; larger is worse."""

    GOOD = 0
    UNKNOWN = 1
    LOOK = 2
    BROKEN = 3

    @property
    def words(self) -> str:
        """The level for people."""
        return ("good", "not known", "look at this", "broken")[self]


@dataclass(frozen=True)
class Finding:
    """One question, its answer, and what follows.

    Attributes:
        question: what was asked.
        level: how good the answer is.
        answer: the number and what it means.
        next_step: what to do; empty where there is nothing to do.
        limits: where the limits lie, and why there.
        concern: the answer in a few words, where it is not good.
        merit: the answer in a few words, for the headline, where it is good.
    """

    question: str
    level: Level
    answer: str
    next_step: str = ""
    limits: str = ""
    concern: str = ""
    merit: str = ""


@dataclass(frozen=True)
class Verdict:
    """All findings and what they come to: the worst of them.

    Attributes:
        level: of the whole; GOOD where everything known is good.
        headline: one sentence.
        findings: the worst first, else in the order of asking.
    """

    level: Level
    headline: str
    findings: tuple[Finding, ...]


def graded(value: float, limits: tuple[float, float]) -> Level:
    """The level of a number that is good up to the first limit, and broken above the second; NaN is unknown."""
    if not np.isfinite(value):
        return Level.UNKNOWN
    return Level.GOOD if value <= limits[0] else Level.LOOK if value <= limits[1] else Level.BROKEN


def percent(share: float) -> str:
    """A share in percent, with more digits where it is small."""
    return f"{100 * share:.1f} %" if share >= 0.01 or share == 0 else f"{100 * share:.2g} %"
