"""Groups compared: differences with intervals, effect sizes and permutation tests, for numbers and for waveforms.

Strides of one animal are not independent of each other: ten animals with a hundred strides each are ten values, not a
thousand. So where the individuals are known, their means are compared, each of which counts the same, and intervals
come from individuals that are drawn again, and their strides within them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from pose3d.kinematics._permutations import (
    cliffs_delta,
    difference_error,
    hedges_g,
    hedges_interval,
    permutation_test,
    statistic,
)
from pose3d.kinematics._samples import Sample, drawn_means, read_labels, samples_of

__all__ = ["ComparisonSettings", "compare_groups", "compare_waveforms"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ComparisonSettings:
    """How groups are compared.

    Attributes:
        level: of intervals.
        interval: of differences: "bootstrap", "t" (Welch's, or that of pairs), or "automatic": the bootstrap where
            there are ten values or more in each group, else t. 95 % bootstrap intervals of normal values hold the truth
            in 86 % of cases with 3 individuals in a group, 90 % with 6, and 93 % with 12.
        resamples: draws of the bootstrap, and arrangements of the permutation test.
        correction: of the p values of a table, for the number of its rows: "holm" (chance of any false row),
            "benjamini_hochberg" (share of false rows among those that are called different), or "none".
        seed: of the draws.
    """

    level: float = 0.95
    interval: Literal["automatic", "bootstrap", "t"] = "automatic"
    resamples: int = 9999
    correction: Literal["holm", "benjamini_hochberg", "none"] = "holm"
    seed: int = 0


def compare_groups(
    values: xr.Dataset | xr.DataArray | pd.DataFrame,
    groups: str | Sequence[object],
    *,
    individuals: str | Sequence[object] | None = None,
    settings: ComparisonSettings | None = None,
) -> pd.DataFrame:
    """Compare numbers, one for each stride or trial, between groups, two by two.

    Args:
        values: variables over one dimension, as the table of strides; a table with one row for each stride will do.
        groups: the group of every row, or the name of the variable or column that says it.
        individuals: the individual of every row, or the name of what says it; `stride_individual` by default, where
            there is such. Without it rows count as independent.
        settings: see there.

    Returns:
        A row for each variable and pair of groups. `design`: "between individuals" where each is in one group, "within
        individuals" where each is in both, then pairs are compared; "rows" where individuals are not known. `n_a`,
        `n_b`: how many independent values there are, `rows_a`, `rows_b`: of how many rows. Means and standard
        deviations of those values. `difference` (b - a) with `low`, `high`, and the kind of their `interval`; that of
        the bootstrap is of individuals and their rows (percentiles), or of rows (bias-corrected and accelerated).
        `hedges_g` with its interval (within individuals in standard deviations of the differences), `cliffs_delta` with
        one of percentiles of the bootstrap, which is too narrow for few individuals. `t`: Welch's or
        the paired statistic; `p_value`: of its permutation test; `p_corrected`; `smallest_p`: what the test can give
        with so few. `note`: why there are no numbers.

    Raises:
        InvalidValueError: labels do not fit the rows, there are fewer than two groups, some individuals are in one
            group and others in both, there are no numbers, or a setting is out of range.
    """
    settings = settings or ComparisonSettings()
    _check(settings)
    table, labels, whose = _table(values, groups, individuals)
    rows = []
    for a, b in combinations(_groups(labels), 2):
        for name, column in table.items():
            pair = samples_of(column[:, None], labels, whose, (a, b))
            rows.append({"variable": name, "group_a": a, "group_b": b, **_compared(*pair, settings)})
    result = pd.DataFrame(rows)
    corrected = _corrected(result["p_value"].to_numpy(), settings)
    order = [*result.columns[: list(result.columns).index("p_value") + 1], "p_corrected"]
    return result.assign(p_corrected=corrected)[[*order, *(name for name in result.columns if name not in order)]]


def compare_waveforms(
    waveforms: xr.Dataset | xr.DataArray,
    groups: str | Sequence[object],
    *,
    individuals: str | Sequence[object] | None = None,
    settings: ComparisonSettings | None = None,
) -> pd.DataFrame:
    """Compare waveforms between groups, two by two, over the whole cycle at once.

    The p value of a phase is that of the largest statistic over the cycle, so it holds for all phases together: the
    chance that any phase of equal groups has one below 0.05 is 5 %. Different variables and pairs of groups are
    corrected for by no one.

    Args:
        waveforms: as `cycles` gives them, with the dimensions `stride` and `phase`; further ones are compared one by
            one.
        groups, individuals: see `compare_groups`.
        settings: see there.

    Returns:
        A row for each variable, place along further dimensions, pair of groups, and phase: as in `compare_groups`, but
        `low` and `high` are a band that holds the difference over the whole cycle (by the statistic that equal groups
        stay below; infinite where there are too few arrangements), and `p_value` is that for the whole cycle. An
        individual without a value at some phase does not count.

    Raises:
        InvalidValueError: see `compare_groups`.
    """
    settings = settings or ComparisonSettings()
    _check(settings)
    dataset = _as_dataset(waveforms)
    labels = read_labels(dataset, groups, "groups", dataset.sizes.get("stride", 0))
    whose = _individuals(dataset, individuals, len(labels))
    parts = [
        pd.DataFrame({"variable": name, **place, "group_a": a, "group_b": b, **found})
        for name, place, phase, values in _places(dataset)
        for a, b in combinations(_groups(labels), 2)
        for found in [_compared_waveform(*samples_of(values, labels, whose, (a, b)), phase, settings)]
    ]
    if not parts:
        raise InvalidValueError(
            "waveforms",
            expected="variables with the dimensions stride and phase",
            got=", ".join(map(str, dataset.data_vars)) or "none",
            remedy="Make them with `cycles`.",
        )
    return pd.concat(parts, ignore_index=True)


def _places(dataset: xr.Dataset) -> Iterator[tuple[str, dict[str, object], Floats, Floats]]:
    """Each waveform: its variable, its place along further dimensions, phases, and values (stride, phase)."""
    for name, array in dataset.data_vars.items():
        if str(name).endswith("_std") or not {"stride", "phase"} <= set(array.dims):
            continue
        rest = [str(dim) for dim in array.dims if dim not in ("stride", "phase")]
        stacked = array.transpose("stride", "phase", *rest).values
        for index in np.ndindex(*(array.sizes[dim] for dim in rest)):
            place = {dim: _label(array, dim, at) for dim, at in zip(rest, index, strict=True)}
            values = np.asarray(stacked[(slice(None), slice(None), *index)], dtype=np.float64)
            yield str(name), place, np.asarray(array["phase"].values), values


def _compared(a: Sample, b: Sample, design: str, settings: ComparisonSettings) -> dict[str, object]:
    """The numbers of one row of `compare_groups`."""
    paired, level = design == "within individuals", settings.level
    one, other = a.units[:, 0], b.units[:, 0]
    row: dict[str, object] = {"design": design, "n_a": len(one), "n_b": len(other)}
    row |= {"rows_a": a.rows, "rows_b": b.rows}
    for name, units in (("a", one), ("b", other)):
        row[f"mean_{name}"] = float(units.mean()) if len(units) else np.nan
        row[f"sd_{name}"] = float(units.std(ddof=1)) if len(units) > 1 else np.nan
    if min(len(one), len(other)) < 2:
        few = "individuals" if design != "rows" else "rows"
        return row | dict.fromkeys(_RESULTS, np.nan) | {"interval": "", "note": f"fewer than two {few} in a group"}
    low, high, kind = _interval(a, b, design, settings)
    delta_low, delta_high = _delta_interval(a, b, design, settings)
    g = float(hedges_g(one, other, paired=paired))
    g_low, g_high = hedges_interval(one, other, paired=paired, level=level)
    p, _, smallest = permutation_test(
        a.units, b.units, paired=paired, resamples=settings.resamples, seed=settings.seed, level=level
    )
    numbers = (
        *(float(other.mean() - one.mean()), low, high, kind, g, g_low, g_high),
        *(cliffs_delta(one, other, paired=paired), delta_low, delta_high),
        *(float(statistic(one, other, paired=paired)), float(p[0]), smallest),
    )
    return row | dict(zip(_RESULTS, numbers, strict=True)) | {"note": "" if np.isfinite(g) else "no spread"}


_RESULTS = (
    *("difference", "low", "high", "interval", "hedges_g", "g_low", "g_high"),
    *("cliffs_delta", "delta_low", "delta_high", "t", "p_value", "smallest_p"),
)


def _interval(a: Sample, b: Sample, design: str, settings: ComparisonSettings) -> tuple[float, float, str]:
    """Ends of the interval of the difference, and its kind."""
    from scipy.stats import bootstrap, t

    one, other, paired = a.units[:, 0], b.units[:, 0], design == "within individuals"
    few = min(len(one), len(other)) < _ENOUGH
    if settings.interval == "t" or (settings.interval == "automatic" and few):
        error = float(difference_error(one, other, paired=paired))
        reach = float(t.ppf(0.5 + settings.level / 2, _freedom(one, other, paired=paired))) * error
        middle = float(other.mean() - one.mean())
        return middle - reach, middle + reach, "t"
    rng = np.random.default_rng(settings.seed)
    if design != "rows" or one.std() == 0 or other.std() == 0:
        drawn = drawn_means(a, b, settings.resamples, rng, paired=paired)
        ends = [0.5 - settings.level / 2, 0.5 + settings.level / 2]
        low, high = np.quantile(drawn[1].mean(axis=1) - drawn[0].mean(axis=1), ends)
        return float(low), float(high), "bootstrap"
    found = bootstrap(
        (other, one),
        lambda x, y, axis: x.mean(axis=axis) - y.mean(axis=axis),
        n_resamples=settings.resamples,
        vectorized=True,
        confidence_level=settings.level,
        method="BCa",
        random_state=rng,
    ).confidence_interval
    return float(found.low), float(found.high), "bootstrap"


_ENOUGH = 10
"""Values in a group from which on the bootstrap is taken; see ComparisonSettings."""


def _freedom(one: Floats, other: Floats, *, paired: bool) -> float:
    """Degrees of freedom of the difference (Welch 1947, Satterthwaite 1946)."""
    if paired:
        return len(one) - 1
    parts = [sample.var(ddof=1) / len(sample) for sample in (one, other)]
    if not sum(parts) > 0:
        return len(one) + len(other) - 2
    shares = [part**2 / (len(sample) - 1) for part, sample in zip(parts, (one, other), strict=True)]
    return float(sum(parts) ** 2 / sum(shares))


def _delta_interval(a: Sample, b: Sample, design: str, settings: ComparisonSettings) -> tuple[float, float]:
    """Ends of the interval of Cliff's delta."""
    paired = design == "within individuals"
    drawn = drawn_means(a, b, settings.resamples, np.random.default_rng(settings.seed), paired=paired)
    deltas = [cliffs_delta(one, other, paired=paired) for one, other in zip(*drawn, strict=True)]
    low, high = np.quantile(deltas, [0.5 - settings.level / 2, 0.5 + settings.level / 2])
    return float(low), float(high)


def _compared_waveform(
    a: Sample, b: Sample, design: str, phase: Floats, settings: ComparisonSettings
) -> dict[str, object]:
    """The columns of one comparison of waveforms."""
    paired = design == "within individuals"
    complete = [np.isfinite(sample.units).all(axis=1) for sample in (a, b)]
    if paired:
        complete = [complete[0] & complete[1]] * 2
    one, other = a.units[complete[0]], b.units[complete[1]]
    columns: dict[str, object] = {"phase": phase, "design": design, "n_a": len(one), "n_b": len(other)}
    columns |= {"rows_a": a.rows, "rows_b": b.rows}
    if min(len(one), len(other)) < 2:
        few = "individuals" if design != "rows" else "rows"
        missing = ("mean_a", "mean_b", "difference", "low", "high", "hedges_g", "t", "p_value", "smallest_p")
        return columns | dict.fromkeys(missing, np.nan) | {"note": f"fewer than two complete {few} in a group"}
    p, limit, smallest = permutation_test(
        one, other, paired=paired, resamples=settings.resamples, seed=settings.seed, level=settings.level
    )
    difference = other.mean(axis=0) - one.mean(axis=0)
    reach = limit * difference_error(one, other, paired=paired)
    return columns | {
        "mean_a": one.mean(axis=0),
        "mean_b": other.mean(axis=0),
        "difference": difference,
        "low": difference - reach,
        "high": difference + reach,
        "hedges_g": hedges_g(one, other, paired=paired),
        "t": statistic(one, other, paired=paired),
        "p_value": p,
        "smallest_p": smallest,
        "note": "",
    }


def _corrected(p: Floats, settings: ComparisonSettings) -> Floats:
    """What p values become so that they hold for all rows together; what is NaN counts for nothing."""
    from scipy.stats import false_discovery_control

    result = np.array(p, dtype=np.float64)
    there = np.isfinite(result)
    tested = result[there]
    if settings.correction == "benjamini_hochberg" and len(tested):
        result[there] = false_discovery_control(tested)
    elif settings.correction == "holm":
        order = np.argsort(tested)
        stepped = np.maximum.accumulate(tested[order] * np.arange(len(tested), 0, -1))
        tested[order] = np.minimum(stepped, 1.0)
        result[there] = tested
    return result


def _table(
    values: xr.Dataset | xr.DataArray | pd.DataFrame,
    groups: str | Sequence[object],
    individuals: str | Sequence[object] | None,
) -> tuple[Mapping[str, Floats], NDArray[np.str_], NDArray[np.str_] | None]:
    """Columns of numbers, and the group and individual of each row."""
    dataset = _as_dataset(values)
    used = {name for name in (groups, individuals) if isinstance(name, str)}
    columns = {
        str(name): np.asarray(array.values, dtype=np.float64)
        for name, array in dataset.data_vars.items()
        if array.ndim == 1 and array.dtype.kind in "fiu" and name not in used and not str(name).endswith("_std")
    }
    dims = {dim for name in columns for dim in dataset[name].dims}
    if len(dims) != 1:
        raise InvalidValueError(
            "values to compare",
            expected="variables of numbers over one dimension, as stride",
            got=f"the dimensions {', '.join(map(str, dataset.sizes)) or 'none'}",
            remedy="Choose the variables, or reduce the others: values.mean('phase'); or see compare_waveforms.",
        )
    length = dataset.sizes[dims.pop()]
    return columns, read_labels(dataset, groups, "groups", length), _individuals(dataset, individuals, length)


def _as_dataset(values: xr.Dataset | xr.DataArray | pd.DataFrame) -> xr.Dataset:
    if isinstance(values, pd.DataFrame):
        return xr.Dataset({str(name): ("row", column.to_numpy()) for name, column in values.items()})
    if isinstance(values, xr.DataArray):
        return values.to_dataset(name="value" if values.name is None else values.name)
    return values


def _individuals(dataset: xr.Dataset, given: str | Sequence[object] | None, length: int) -> NDArray[np.str_] | None:
    if given is None and "stride_individual" in dataset.variables:
        given = "stride_individual"
    return None if given is None else read_labels(dataset, given, "individuals", length)


def _groups(labels: NDArray[np.str_]) -> list[str]:
    """Names of the groups in the order of their first rows."""
    names = list(dict.fromkeys(labels.tolist()))
    if len(names) < 2:
        raise InvalidValueError(
            "groups",
            expected="two groups or more",
            got=", ".join(names) or "none",
            remedy="Name the group of each row.",
        )
    return names


def _label(array: xr.DataArray, dim: str, at: int) -> object:
    return array[dim].values[at] if dim in array.coords else at


def _check(settings: ComparisonSettings) -> None:
    known = settings.correction in ("holm", "benjamini_hochberg", "none")
    known = known and settings.interval in ("automatic", "bootstrap", "t")
    if not (0 < settings.level < 1 and settings.resamples >= 100 and known):
        raise InvalidValueError(
            "settings of a comparison",
            expected="a level between 0 and 1, 100 resamples or more, and the choices that it names",
            got=str(settings),
            remedy="Correct the setting.",
        )
