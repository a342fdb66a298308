"""One look for all figures, without touching matplotlib's global settings.

The colors are those of Okabe and Ito (2008), which people with any color vision tell apart. The report replaces each of
these values by a CSS variable, so that a figure follows the light or dark page; a color that is not listed here stays.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = [
    "FONT_SIZE",
    "GRID",
    "INK",
    "MUTED",
    "PALETTE",
    "SURFACE",
    "categorical_colors",
    "new_figure",
    "plain",
    "style_axes",
]

INK = "#1d2733"
MUTED = "#66717f"
GRID = "#e3e7ec"
SURFACE = "#ffffff"
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#8a8a2b")

# Points of labels in the report of a calibration; figures stand in the page at 96 dpi, where 11 points are 14.7 px
# beside text of 16 px.
FONT_SIZE = 11.0


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches, with tight layout; nothing global is touched."""
    return Figure(figsize=(width, height), layout="constrained", facecolor=SURFACE)


def style_axes(
    axes: Axes, *, title: str = "", xlabel: str = "", ylabel: str = "", grid: str = "y", size: float = 9.0
) -> Axes:
    """Give axes the common look: no box, light grid along `grid` ("x", "y", "both" or ""), labels in ink.

    `size` is that of the labels in points; the title is one larger, the ticks one smaller.
    """
    axes.set_facecolor("none")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GRID)
    axes.tick_params(colors=MUTED, labelsize=size - 1, length=3, width=0.8)
    axes.set_axisbelow(True)
    if grid in ("x", "y", "both"):
        axes.grid(visible=True, axis=grid, color=GRID, linewidth=0.8)  # type: ignore[arg-type]  # narrowed by the line above
    axes.set_title(plain(title), loc="left", fontsize=size + 1, color=INK, pad=8)
    axes.set_xlabel(plain(xlabel), fontsize=size, color=MUTED)
    axes.set_ylabel(plain(ylabel), fontsize=size, color=MUTED)
    return axes


def plain(text: str, longest: int = 60) -> str:
    """Text in which no character means anything: matplotlib would read `$...$` as a formula.

    Longer texts lose their middle, so that one long name does not squeeze the axes away.
    """
    if len(text) > longest:
        text = f"{text[: longest // 2]}…{text[-(longest // 2 - 1) :]}"
    return text.replace("$", r"\$")


def categorical_colors(names: Sequence[str]) -> dict[str, str]:
    """A color for each name, in order; they repeat after eight."""
    return {name: PALETTE[index % len(PALETTE)] for index, name in enumerate(names)}
