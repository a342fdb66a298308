"""What a person confirmed after the fact: names are found again from what is stored, nothing is followed again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from calibration.schema import check
from pose3d.datasets import IDENTITY
from pose3d.identity._anchoring import Fixed, anchored_steps, place_names
from pose3d.identity._identities import NOT_SEEN, raise_in_meeting, risk_variables, step_variables, steps_of
from pose3d.identity._naming import Step, confirmed_names, names_at, ordered_steps, solve_names
from pose3d.identity.anchors import Anchor

__all__ = ["correct_identity"]

# What is empty where nobody is, of the variables that have a column per individual.
_EMPTY = {
    "instance": -1,
    "further": -1,
    "identity_confidence": np.nan,
    "identity_status": NOT_SEEN,
    "chain": -1,
}


def correct_identity(identity: xr.Dataset, anchors: Sequence[Anchor]) -> tuple[xr.Dataset, list[tuple[int, int]]]:
    """Names that agree with what a person confirmed.

    Only what was stored is solved again: meetings, their odds, what looks say, and earlier anchors. What does not
    change keeps its values to the last bit.

    Args:
        identity: Identity Dataset.
        anchors: each with the name that the animal has now (`called`); a new name renames it.

    Returns:
        The corrected Identity, and the runs of frames, first and last, in which something changed.

    Raises:
        InvalidValueError: a frame or name is unknown, the animal is not seen there, or anchors contradict each other.
    """
    check(identity, IDENTITY, values=False)
    identity = identity.load()
    names = [str(name) for name in identity["individual"].values]
    found = [(*_followed(identity, one, names), one.individual, names.index(str(one.called))) for one in anchors]
    fixed, individuals, renamed = place_names(found, names)
    before = _agreeing(steps_of(identity), fixed)
    steps = ordered_steps([*before, *anchored_steps(fixed, len(names), renamed)])
    history = solve_names(len(names), steps)
    chain = identity["chain"].values.astype(np.int64)
    time, column = np.nonzero(chain >= 0)
    new = names_at(steps, history, chain[time, column], time)
    moved = {
        name: _moved(identity[name], time, column, new, empty) for name, empty in _EMPTY.items() if name in identity
    }
    for number, step in enumerate(steps):
        if step.begin >= 0:
            raise_in_meeting(moved["identity_confidence"], moved["chain"], step, float(history.probability[number]))
    kept = {name: values for name, values in identity.data_vars.items() if not str(name).startswith(("step_", "risk_"))}
    result = identity.drop_vars([name for name in identity.data_vars if name not in kept]).assign(
        {name: (identity[name].dims, values, identity[name].attrs) for name, values in moved.items()}
        | step_variables(steps, len(names))
        | risk_variables(identity["frame"].values, steps, history, individuals)
    )
    result = result.assign_coords(individual=np.array(individuals, dtype=np.str_))
    changed = np.zeros(identity.sizes["time"], bool)
    changed[time[new != column]] = True
    return check(result, IDENTITY), _runs(changed, identity["frame"].values)


def _agreeing(steps: Sequence[Step], fixed: Fixed) -> list[Step]:
    """Without earlier anchors of the same frames that speak of the same animals or names: the last word counts."""
    animals = {(row, chain) for row, chain, _ in fixed}
    taken = {(row, name) for row, _, name in fixed}
    return [
        step
        for step, confirmed in zip(steps, confirmed_names(steps), strict=True)
        if confirmed is None or ((step.row, confirmed[0]) not in animals and (step.row, confirmed[1]) not in taken)
    ]


def _followed(identity: xr.Dataset, anchor: Anchor, names: list[str]) -> tuple[int, int]:
    """(row, chain) of an anchor."""
    frames, chain = identity["frame"].values, identity["chain"].values
    row = int(np.searchsorted(frames, anchor.frame))
    problem = ""
    if row >= len(frames) or frames[row] != anchor.frame:
        problem = f"a frame that is not in the recording ({frames[0]} to {frames[-1]})"
    elif anchor.called is None:
        problem = "a point in an image; here the name that the animal has now is needed"
    elif anchor.called not in names:
        problem = f"'{anchor.called}', which is none of {', '.join(names)}"
    elif chain[row, names.index(anchor.called)] < 0:
        problem = f"'{anchor.called}', which is not seen there"
    if problem:
        raise InvalidValueError(
            f"anchor of '{anchor.individual}' in frame {anchor.frame}",
            expected="an animal that is followed in that frame, by its name",
            got=problem,
            remedy="Correct the anchor, or remove it.",
        )
    return row, int(chain[row, names.index(str(anchor.called))])


def _moved(
    values: xr.DataArray,
    time: NDArray[np.int64],
    column: NDArray[np.int64],
    new: NDArray[np.int64],
    empty: float,
) -> NDArray[Any]:
    """The columns of individuals in their new places."""
    array = np.moveaxis(values.values, values.dims.index("individual"), 1)
    result = np.full_like(array, empty)
    result[time, new] = array[time, column]
    return np.ascontiguousarray(np.moveaxis(result, 1, values.dims.index("individual")))


def _runs(changed: NDArray[np.bool_], frames: NDArray[np.int64]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], changed, [False]]).astype(np.int8)))
    return [(int(frames[a]), int(frames[b - 1])) for a, b in zip(edges[::2], edges[1::2], strict=True)]
