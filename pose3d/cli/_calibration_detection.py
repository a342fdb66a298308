"""Looking for the board, as `pose3d calibrate` and its --check do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pose3d.cli._calibration_inputs import Inputs
from pose3d.cli._console import progress

if TYPE_CHECKING:
    import xarray as xr

    from calibration.boards import Board
    from calibration.observations import Source
    from calibration.synchronization import Synchronization

__all__ = ["look_for_board"]


def look_for_board(
    inputs: Inputs,
    sources: Mapping[str, Source],
    board: Board,
    *,
    timestamps: Path | None = None,
    clocks: Synchronization | None = None,
    synchronized: bool = True,
    examples: Path | None = None,
    what: str = "Looking for the board",
) -> xr.Dataset:
    """The corners of the board in all pictures, with a progress bar.

    Args:
        inputs: how many workers, and whether results are kept.
        sources: the pictures of every camera.
        board: the board.
        timestamps, clocks, examples: as for `calibration.observations.detect_corners`.
        synchronized: whether pictures of different cameras belong together.
        what: beside the bar.
    """
    from calibration.observations import ObservationSettings, detect_corners

    with progress(what, 1, "pictures") as bar:
        return detect_corners(
            sources,
            board,
            timestamps=timestamps,
            clocks=clocks,
            settings=ObservationSettings(synchronized=synchronized),
            progress=lambda done, total: bar.update(bar.task_ids[0], completed=done, total=total),
            workers=inputs.workers,
            cache=False if inputs.no_cache else None,
            examples=examples,
        )
