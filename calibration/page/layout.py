"""The page around the sections: navigation, look, and a content security policy that allows no network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template

import numpy as np

from calibration.findings import Level, Verdict
from calibration.page.html import color_variables

__all__ = ["TONES", "Section", "render_page", "tiles", "verdict_items"]

TONES = {Level.GOOD: "good", Level.UNKNOWN: "unknown", Level.LOOK: "look", Level.BROKEN: "broken"}


@dataclass(frozen=True)
class Section:
    """One section of a page.

    Attributes:
        anchor: its name in links.
        name: its name in the navigation.
        content: HTML.
        look: classes of CSS.
    """

    anchor: str
    name: str
    content: str
    look: str = ""


def render_page(
    kind: str, title: str, sections: Sequence[Section], *, about: str, footer: str, style: str = "", script: str = ""
) -> str:
    """A whole page in one file.

    Args:
        kind: what sort of page it is, above the title.
        title: of the page.
        sections: in order.
        about: one line below the title.
        footer: one line at the end.
        style: CSS beyond that of all pages.
        script: the one script the page may run.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return Template(_asset("page.html")).substitute(
        kind=escape(kind),
        title=escape(title),
        about=escape(about),
        script_source=f"'sha256-{digest}'" if script else "'none'",
        light_colors=color_variables(dark=False),
        dark_colors=color_variables(dark=True),
        style=_asset("page.css") + style,
        navigation="".join(f'<a href="#{section.anchor}">{escape(section.name)}</a>' for section in sections),
        sections="\n".join(
            f'<section id="{section.anchor}" class="{section.look}">{section.content}</section>' for section in sections
        ),
        footer=escape(footer),
        script=f"<script>{script}</script>" if script else "",
    )


def verdict_items(verdict: Verdict) -> str:
    """Every finding of a verdict with its level, answer, next step and limits."""
    items = []
    for finding in verdict.findings:
        more = f'<p class="next">{escape(finding.next_step)}</p>' if finding.next_step else ""
        if finding.limits:
            more += f"<details><summary>Limits</summary><p>{escape(finding.limits)}</p></details>"
        items.append(
            f'<li class="{TONES[finding.level]}"><div><span class="badge">{finding.level.words}</span></div>'
            f"<div><h3>{escape(finding.question)}</h3><p>{escape(finding.answer)}</p>{more}</div></li>"
        )
    return f'<ul class="findings">{"".join(items)}</ul>'


def tiles(values: Sequence[tuple[str, float, str]]) -> str:
    """The main numbers, large: name, value and unit of each; shares have the unit "%"."""
    cells = []
    for name, value, unit in values:
        shown = "–" if not np.isfinite(value) else f"{100 * value:.1f}" if unit == "%" else f"{value:.3g}"
        cells.append(f"<div><dt>{escape(name)}</dt><dd>{shown} <small>{escape(unit)}</small></dd></div>")
    return f'<dl class="tiles">{"".join(cells)}</dl>'


def _asset(name: str) -> str:
    return (files("calibration.page") / "assets" / name).read_text(encoding="utf-8")
