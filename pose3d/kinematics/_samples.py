"""Two groups as samples of independent values: individuals with their rows, or rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from calibration.nearest import nearest_name

__all__ = ["Sample", "drawn_means", "read_labels", "samples_of"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sample:
    """A group.

    Attributes:
        units: (unit, column) means of individuals, or rows.
        parts: for each unit its rows, (row, column).
    """

    units: Floats
    parts: tuple[Floats, ...]

    @property
    def rows(self) -> int:
        """How many rows its units are made of."""
        return sum(map(len, self.parts))


def samples_of(
    values: Floats, labels: NDArray[np.str_], whose: NDArray[np.str_] | None, pair: tuple[str, str]
) -> tuple[Sample, Sample, str]:
    """Two groups of rows (row, column), and the design; rows without any value are left out.

    Raises:
        InvalidValueError: some individuals are in one group, others in both.
    """
    there = np.isfinite(values).any(axis=1)
    chosen = [np.flatnonzero((labels == name) & there) for name in pair]
    if whose is None:
        one, other = (Sample(values[rows], tuple(values[rows][:, None])) for rows in chosen)
        return one, other, "rows"
    names = [set(whose[rows].tolist()) for rows in chosen]
    both = names[0] & names[1]
    if both and names[0] != names[1]:
        single = sorted(names[0] ^ names[1])
        raise InvalidValueError(
            f"individuals of the groups {pair[0]} and {pair[1]}",
            expected="each in one group, or each in both",
            got=f"in both: {', '.join(sorted(both)[:4])}; in one: {', '.join(single[:4])}",
            remedy="Leave out the individuals that are in one group only, or compare groups of other individuals.",
        )
    samples = []
    for rows, each in zip(chosen, names, strict=True):
        parts = tuple(values[rows[whose[rows] == name]] for name in sorted(each))
        means = [np.nansum(part, axis=0) / _count(part) for part in parts]
        samples.append(Sample(np.array(means).reshape(len(parts), values.shape[1]), parts))
    return samples[0], samples[1], "within individuals" if both else "between individuals"


def drawn_means(
    a: Sample, b: Sample, resamples: int, rng: np.random.Generator, *, paired: bool
) -> tuple[Floats, Floats]:
    """(resample, unit) means of the first column of units that are drawn again, and of their rows within them."""
    first = rng.integers(0, len(a.parts), (resamples, len(a.parts)))
    second = first if paired else rng.integers(0, len(b.parts), (resamples, len(b.parts)))
    return _drawn(a, first, rng), _drawn(b, second, rng)


def _drawn(sample: Sample, picked: NDArray[np.intp], rng: np.random.Generator) -> Floats:
    means = np.empty(picked.shape)
    for number, part in enumerate(sample.parts):
        places = picked == number
        rows = rng.integers(0, len(part), (int(places.sum()), len(part)))
        means[places] = part[rows, 0].mean(axis=1)
    return means


def read_labels(dataset: xr.Dataset, given: str | Sequence[object], what: str, length: int) -> NDArray[np.str_]:
    """(row,) labels as text, as they are or from the variable of that name.

    Raises:
        InvalidValueError: there is no such variable, or there are not as many labels as rows.
    """
    if isinstance(given, str):
        if given not in dataset.variables:
            known = [str(name) for name in dataset.variables]
            raise InvalidValueError(
                what,
                expected="the name of a variable, or a label for each row",
                got=f"'{given}'",
                remedy=nearest_name(given, known) or f"Choose out of {', '.join(known)}.",
            )
        given = dataset[given].values.tolist()
    labels = np.array([str(label) for label in given], dtype=np.str_)
    if labels.shape != (length,):
        raise InvalidValueError(
            what,
            expected=f"{length} labels, one for each row",
            got=f"shape {labels.shape}",
            remedy="Give the labels in the order of the rows.",
        )
    return labels


def _count(part: Floats) -> Floats:
    count = np.isfinite(part).sum(axis=0)
    return np.where(count > 0, count, np.nan)
