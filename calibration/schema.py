"""Schemas of the labeled arrays: one table of dimensions, type and units feeds the checks and the documentation."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from calibration.errors import InvalidValueError

__all__ = ["Schema", "Variable", "check"]


@dataclass(frozen=True)
class Variable:
    """One variable of a Dataset: its dimensions in order, kind of type, units and range.

    Attributes:
        dims: dimension names, in the order in which they are stored.
        kind: NumPy kind characters that are allowed: "f" float, "i" integer, "b" bool, "U" text.
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


def check(dataset: xr.Dataset, schema: Schema, *, subject: object | None = None, values: bool = True) -> xr.Dataset:
    """Return `dataset` unchanged if it follows `schema`, else raise.

    Args:
        dataset: the Dataset to check.
        schema: what it must follow. Variables that the schema does not know are allowed.
        subject: what to name in the error (a file path); the schema's name by default.
        values: also check value ranges and finiteness, which reads all data.

    Raises:
        InvalidValueError: a variable is missing, or its dimensions, type, units or values are not as the schema says;
            names along a dimension are repeated.
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
    kind = array.dtype.kind if array.dtype.kind not in "OST" else "U"
    if kind not in variable.kind:
        raise InvalidValueError(
            f"{subject}, '{name}'",
            expected=f"a type of kind '{variable.kind}'",
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
    if values and kind in "fi" and array.size:
        _check_range(array.values, name, variable, subject)


def _check_range(array: np.ndarray, name: str, variable: Variable, subject: str) -> None:
    if array.dtype.kind == "f" and variable.finite and np.isinf(array).any():
        raise InvalidValueError(
            f"{subject}, '{name}'",
            expected="finite values, NaN where missing",
            got=f"{int(np.isinf(array).sum())} infinite values",
            remedy="Set what is missing to NaN and look for a division by zero upstream.",
        )
    with np.errstate(invalid="ignore"):
        low = variable.minimum is not None and bool((array < variable.minimum).any())
        high = variable.maximum is not None and bool((array > variable.maximum).any())
    if low or high:
        raise InvalidValueError(
            f"{subject}, '{name}'",
            expected=f"values from {variable.minimum} to {variable.maximum}",
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
