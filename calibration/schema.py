"""Schemas of the labeled arrays: one table of dimensions, type and units feeds the checks and the documentation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.errors import InvalidValueError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Schema", "Variable", "as_floats", "check", "check_values"]

_KINDS = {"f": "float", "i": "integer", "b": "bool", "U": "text"}


@dataclass(frozen=True)
class Variable:
    """One variable of a Dataset: its dimensions in order, kind of type, units and range.

    Attributes:
        dims: dimension names, in the order in which they are stored.
        kind: NumPy kind characters that are allowed: "f" float, "i" integer (also unsigned), "b" bool, "U" text.
        units: the units the variable carries; "rig" and "rig^2" for the length unit of the rig and its square; None
            where units make no sense.
        description: one sentence for the documentation.
        required: False for optional variables.
        minimum, maximum: closed range of all values that are not NaN.
        finite: True where infinities are refused (NaN means missing and is always allowed for floats).
    """

    dims: tuple[str, ...]
    kind: str
    units: str | None
    description: str
    required: bool = True
    minimum: float | None = None
    maximum: float | None = None
    finite: bool = True


@dataclass(frozen=True)
class Schema:
    """A named table of variables and coordinates."""

    name: str
    description: str
    variables: dict[str, Variable]
    coordinates: dict[str, Variable] = field(default_factory=dict)

    @property
    def dims(self) -> tuple[str, ...]:
        """All dimension names, in order of first use."""
        return tuple(dict.fromkeys(dim for variable in self.variables.values() for dim in variable.dims))


def as_floats(
    values: ArrayLike, subject: object, *, ends: tuple[int, ...] = (), copy: bool = False
) -> NDArray[np.float64]:
    """`values` as a float64 array whose last axes have the lengths `ends`; missing (None) becomes NaN.

    Args:
        values: numbers, or nested lists of them, as a file gave them.
        subject: what to name in the error.
        ends: the lengths of the last axes; any number of axes may precede them.
        copy: return a new array, always; else `values` themselves where they already are float64.

    Raises:
        InvalidValueError: there is something else than real numbers, rows differ in length, or the shape is wrong.
    """
    wanted = f"numbers of shape (..., {', '.join(map(str, ends))})" if ends else "numbers"
    try:
        array = np.asarray(values)
        if array.dtype.kind == "c":
            raise TypeError("complex numbers")
        result = array.astype(np.float64, copy=copy)
    except (TypeError, ValueError) as error:
        raise InvalidValueError(
            subject, expected=wanted, got=str(error), remedy="Write numbers only, and rows of equal length."
        ) from error
    if ends and result.shape[-len(ends) :] != ends:
        raise InvalidValueError(
            subject,
            expected=wanted,
            got=f"shape {result.shape}",
            remedy="Check the order of the axes: the last ones are space.",
        )
    return result


def check(dataset: xr.Dataset, schema: Schema, *, subject: object | None = None, values: bool = True) -> xr.Dataset:
    """Return `dataset` unchanged if it follows `schema`, else raise.

    Args:
        dataset: the Dataset to check.
        schema: what it must follow. Variables that the schema does not know are allowed.
        subject: what to name in the error (a file path); the schema's name by default.
        values: also check value ranges and finiteness, which reads all data.

    Raises:
        InvalidValueError: a variable is missing, or its dimensions, type, units or values are not as the schema says;
            names along a dimension are repeated or blank.
    """
    named = schema.name if subject is None else f"{subject} ({schema.name})"
    for name, variable in {**schema.coordinates, **schema.variables}.items():
        if name not in dataset.variables:
            if variable.required:
                raise InvalidValueError(
                    named,
                    expected=f"a variable '{name}' with dimensions {variable.dims}",
                    got=f"only {sorted(map(str, dataset.variables))}",
                    remedy=f"Add '{name}', or check that this is a {schema.name} Dataset.",
                )
            continue
        _check_variable(dataset, name, variable, named, values=values)
    for dim in schema.dims:
        _check_unique(dataset, dim, named)
    return dataset


def _check_variable(dataset: xr.Dataset, name: str, variable: Variable, subject: str, *, values: bool) -> None:
    array = dataset[name]
    if array.dims != variable.dims:
        raise InvalidValueError(
            f"{subject}, '{name}'",
            expected=f"dimensions {variable.dims}",
            got=f"{array.dims}",
            remedy=f"Transpose with .transpose{variable.dims}, or rename the dimensions.",
        )
    # files give text as objects, pandas gives it as its own type
    kind = {"O": "U", "S": "U", "T": "U", "u": "i"}.get(array.dtype.kind, array.dtype.kind)
    if kind not in variable.kind:
        raise InvalidValueError(
            f"{subject}, '{name}'",
            expected=f"the type {' or '.join(_KINDS[each] for each in variable.kind)}",
            got=f"{array.dtype}",
            remedy="Convert it with .astype before.",
        )
    units = array.attrs.get("units")
    fixed = variable.units is not None and not variable.units.startswith("rig")
    if fixed and units is not None and units != variable.units:
        raise InvalidValueError(
            f"{subject}, '{name}'",
            expected=f"units '{variable.units}'",
            got=f"units '{units}'",
            remedy=f"Convert the values and set .attrs['units'] = '{variable.units}'.",
        )
    if kind == "U":
        _check_names(array.values, name, subject)
    if values and kind in "fi" and array.size:
        check_values(array.values, name, variable, subject)


def _check_names(names: NDArray[np.generic], name: str, subject: str) -> None:
    wrong = [each for each in names.ravel().tolist() if not isinstance(each, str) or not each.strip()]
    if wrong:
        raise InvalidValueError(
            f"{subject}, '{name}'",
            expected="text that is not blank",
            got=repr(wrong[0]),
            remedy=f"Give every {name} a name.",
        )


def check_values(array: NDArray[np.generic], name: str, variable: Variable, subject: str) -> None:
    """Raise where numbers are infinite or out of the range of a variable.

    Args:
        array: numbers of any shape; NaN is missing.
        name: what the variable is called.
        variable: what its values must be.
        subject: what to name in the error (a file path).

    Raises:
        InvalidValueError: a value is infinite or out of range.
    """
    if array.dtype.kind == "f" and variable.finite and np.isinf(array).any():
        raise InvalidValueError(
            f"{subject}, '{name}'",
            expected="finite values, NaN where missing",
            got=f"{int(np.isinf(array).sum())} infinite values",
            remedy="Set what is missing to NaN and look for a division by zero upstream.",
        )
    with np.errstate(invalid="ignore"):
        low = variable.minimum is not None and bool(np.less(array, variable.minimum).any())
        high = variable.maximum is not None and bool(np.greater(array, variable.maximum).any())
    if low or high:
        raise InvalidValueError(
            f"{subject}, '{name}'",
            expected=f"values of at least {variable.minimum}"
            if variable.maximum is None
            else f"values from {variable.minimum} to {variable.maximum}",
            got=f"values from {np.nanmin(array):g} to {np.nanmax(array):g}",
            remedy="Rescale or correct them; scores outside the range have no meaning here.",
        )


def _check_unique(dataset: xr.Dataset, dim: str, subject: str) -> None:
    if dim not in dataset.coords:
        return
    labels = dataset.coords[dim].values
    unique, counts = np.unique(labels, return_counts=True)
    if len(unique) < len(labels):
        raise InvalidValueError(
            f"{subject}, '{dim}'",
            expected="each name once",
            got=f"repeated: {', '.join(str(name) for name in unique[counts > 1][:5])}",
            remedy=f"Give every {dim} a name of its own.",
        )
