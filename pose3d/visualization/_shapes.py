"""Marks that several figures share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from calibration.plots import INK, PALETTE, plain

__all__ = ["LONGEST_NAME", "draw_ranges", "legend_above"]

# Characters of a name beside an axis; longer ones would leave no room for the data.
LONGEST_NAME = 44
_CHARACTERS_ACROSS = 110  # in a legend as wide as a figure


def draw_ranges(axes: Axes, groups: Sequence[NDArray[np.float64]], names: Sequence[str], *, rms: bool = False) -> None:
    """One row per group: 5th to 95th percentile as a line, quartiles as a bar, the median as a dot, RMS as a tick.

    Args:
        axes: where to draw.
        groups: values of each row, NaN where missing; a row without values stays empty.
        names: of the rows.
        rms: mark the RMS too.
    """
    for row, group in enumerate(groups):
        finite = group[np.isfinite(group)]
        if finite.size:
            low, first, middle, third, high = np.percentile(finite, (5, 25, 50, 75, 95))
            axes.plot([low, high], [row, row], color=PALETTE[0], linewidth=1.2, alpha=0.5)
            axes.plot([first, third], [row, row], color=PALETTE[0], linewidth=5, alpha=0.55, solid_capstyle="butt")
            axes.plot([middle], [row], marker="o", markersize=4, color=PALETTE[0])
            if rms:
                value = float(np.sqrt(np.mean(finite**2)))
                axes.plot([value], [row], marker="|", markersize=7, markeredgewidth=1.4, color=PALETTE[1])
    axes.set_yticks(range(len(groups)), [plain(name, LONGEST_NAME) for name in names], fontsize=8, color=INK)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(groups) - 0.4, -0.6)


def legend_above(axes: Axes, columns: int) -> None:
    """A legend between the title and the axes, in at most so many columns; fewer where names are long."""
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        return
    columns = max(1, min(columns, _CHARACTERS_ACROSS // (max(map(len, labels)) + 4)))
    legend = axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=columns,
        frameon=False,
        fontsize=8.5,
        labelcolor=INK,
        borderaxespad=0.2,
        handlelength=1.4,
    )
    # The title above it keeps the height; its width must not squeeze the axes.
    legend.set_in_layout(False)
    rows = -(-len(handles) // columns)
    axes.set_title(axes.get_title(loc="left"), loc="left", fontsize=10, color=INK, pad=10 + 15 * rows)
