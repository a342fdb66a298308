"""Pieces of HTML. Everything that is not made here is escaped: file and keypoint names may hold anything."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from html import escape

import matplotlib as mpl
from matplotlib.figure import Figure

from calibration.plots import GRID, INK, MUTED, PALETTE, SURFACE

__all__ = ["color_variables", "inline_figure", "text_table", "value_table"]

# The page defines these for its light and its dark look.
_NAMED_COLORS = {INK: "ink", MUTED: "muted", GRID: "line", SURFACE: "surface"}
# Letters of 9 points in a figure are as large as the text of the page; narrow figures do not fill its width.
_PIXELS_PER_POINT = 1.55
_RASTER_DPI = 200  # of what is drawn as an image inside a figure: clouds of dots
# Below so many columns, a table does not fill the width of the page.
_FEW_COLUMNS = 4
# Characters; longer text wraps and needs room, names and values with their uncertainty do not.
_LONGEST_VALUE = 24
# Lighter versions of the palette, in the same order, with at least 4.5 : 1 contrast on the dark page.
_DARK_PALETTE = ("#5ab0e6", "#f08a4b", "#3fc79a", "#e0a3c4", "#f2b84b", "#8accf2", "#b39ad6", "#c2c26a")


def color_variables(*, dark: bool) -> str:
    """CSS declarations `--c-rrggbb` of the palette, for the light or the dark page."""
    shown = _DARK_PALETTE if dark else PALETTE
    return "".join(f"--c-{color[1:]}:{value};" for color, value in zip(PALETTE, shown, strict=True))


def inline_figure(figure: Figure, description: str) -> str:
    """The figure as an SVG element whose colors and font follow the page.

    Args:
        figure: any matplotlib figure.
        description: what it shows, for those who cannot see it.
    """
    stream = io.StringIO()
    # Text as text (small, sharp, searchable); fixed names, so that the same figure gives the same page.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "pose3d"}), warnings.catch_warnings():
        # Letters that matplotlib's font lacks are drawn by the browser's.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        figure.savefig(
            stream, format="svg", metadata={"Date": None, "Creator": None}, transparent=True, dpi=_RASTER_DPI
        )
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)
    svg = re.sub(r"font: ([0-9.]+px) [^;\"]*", r"font: \1 var(--font)", svg)
    svg = re.sub(r"font-family: [^;\"]*", "font-family: var(--font)", svg)
    # A hundredth of a point is finer than any screen; the six decimals would double the size of the page.
    svg = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path.group()), svg)
    for color, name in _NAMED_COLORS.items():
        svg = svg.replace(f": {color}", f": var(--{name})")
    for color in PALETTE:
        svg = svg.replace(f": {color}", f": var(--c-{color[1:]})")
    width = float(figure.get_figwidth()) * 72 * _PIXELS_PER_POINT
    opening = f'<svg class="plot" role="img" aria-label="{escape(description)}" style="max-width:{width:.0f}px" '
    head, rest = svg.split(">", 1)
    view_box = re.search(r'viewBox="[^"]*"', head)
    return f'{opening}{view_box.group() if view_box else ""} xmlns="http://www.w3.org/2000/svg" ' + (
        f'xmlns:xlink="http://www.w3.org/1999/xlink">{rest}'
    )


def text_table(rows: Mapping[str, object]) -> str:
    """Names and values, one pair per row; nested mappings become nested tables."""
    body = "".join(
        f"<tr><th scope='row'>{escape(str(name))}</th><td>{_cell(value)}</td></tr>" for name, value in rows.items()
    )
    return f'<table class="facts"><tbody>{body}</tbody></table>'


def value_table(
    corner: str, columns: Sequence[tuple[str, str]], rows: Sequence[tuple[str, Sequence[object]]], *, caption: str
) -> str:
    """A table of numbers.

    Args:
        corner: heading of the first column.
        columns: heading and explanation of each column.
        rows: name and cells of each row; a float in a column whose heading ends in "%" gets a bar of that length. Whole
            numbers are shown as they are.
        caption: what the table shows.
    """
    looks: dict[str, str] = {}
    for _, cells in rows:
        for cell, (heading, _) in zip(cells, columns, strict=True):
            if isinstance(cell, str) and looks.get(heading) != "words":
                looks[heading] = "words" if len(cell) > _LONGEST_VALUE else "value"
    head = "".join(
        f'<th scope="col"{f" class={looks[name]}" if name in looks else ""} title="{escape(hint)}">{escape(name)}</th>'
        for name, hint in columns
    )
    few = " few" if len(columns) < _FEW_COLUMNS else ""
    body = []
    for name, cells in rows:
        data = "".join(
            f'<td class="{looks[heading]}">{escape(cell)}</td>'
            if isinstance(cell, str)
            else _number_cell(cell, heading)
            for cell, (heading, _) in zip(cells, columns, strict=True)
        )
        body.append(f'<tr><th scope="row">{escape(name)}</th>{data}</tr>')
    return (
        f'<div class="scroll" tabindex="0"><table class="numbers{few}"><caption>{escape(caption)}</caption>'
        f'<thead><tr><th scope="col">{escape(corner)}</th>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _number_cell(cell: object, heading: str) -> str:
    if isinstance(cell, int):
        return f"<td>{cell}</td>"
    if not isinstance(cell, float) or cell != cell:
        return '<td class="none">–</td>'
    if heading.endswith("%"):
        return f'<td class="bar" style="--share:{min(max(cell, 0.0), 1.0):.3f}">{100 * cell:.1f}</td>'
    if heading.endswith("frames"):
        return f"<td>{cell:+.2f}</td>" if abs(cell) >= 0.005 else "<td>0.00</td>"
    return f"<td>{cell:.2f}</td>" if cell >= 0.1 else f"<td>{cell:.2g}</td>"


def _cell(value: object) -> str:
    if isinstance(value, Mapping):
        return text_table(value) if value else "–"
    if isinstance(value, list | tuple):
        if any(isinstance(item, Mapping) for item in value):
            return "".join(_cell(item) for item in value)
        return escape(", ".join(str(item) for item in value)) or "–"
    return escape("–" if value is None or value == "" else str(value))
