"""Cycles: waveforms over strides, as percent of each stride, and their summary with bands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError, MismatchError
from calibration.nearest import nearest_name
from pose3d.kinematics._bands import intervals, measurement_deviation, unit_means

__all__ = ["CycleSettings", "SummarySettings", "cycle_summary", "cycles"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CycleSettings:
    """How values over time become waveforms over strides.

    Attributes:
        points: of a waveform, from 0 to 100 percent, both ends included.
        interpolation: between frames: "linear", or "cubic" (a spline through the frames, with no knot at the second
            and the last but one).
        longest_gap: missing values are bridged over at most this share of the stride. Movements of a stride are mostly
            below its sixth harmonic, which changes sign within a twelfth of the stride.
    """

    points: int = 101
    interpolation: Literal["linear", "cubic"] = "linear"
    longest_gap: float = 1 / 12


@dataclass(frozen=True)
class SummarySettings:
    """How waveforms are summarized.

    Attributes:
        level: of intervals and bands.
        interval: "t" for Student's, or "bootstrap" for percentiles of the means of resampled individuals, or strides.
            The bootstrap asks for no distribution, but is too narrow with few of them: 95 % intervals of normal values
            hold the truth in 73 % of cases with 3, 82 % with 5, 89 % with 10 and 92 % with 20. Bands are Student's.
        resamples: draws of the bootstrap.
        seed: of the draws.
    """

    level: float = 0.95
    interval: Literal["t", "bootstrap"] = "t"
    resamples: int = 2000
    seed: int = 0


def cycles(values: xr.DataArray | xr.Dataset, strides: xr.Dataset, settings: CycleSettings | None = None) -> xr.Dataset:
    """Waveforms over strides: values at 0 to 100 percent of the time from the start of each stride to its end.

    A stride takes the values of its own individual and, where the values have a dimension `leg`, of its own leg. Starts
    and ends lie between frames. A gap that is longer than `longest_gap` stays a gap; successive frames are none,
    however few there are in a stride. Standard deviations (`<name>_std`) are interpolated linearly, as if the errors of
    neighboring frames were the same: no error becomes smaller by interpolation.

    Args:
        values: with the dimension `time` in seconds, as angles or speeds; of a Dataset all variables of numbers with
            time, but no codes.
        strides: `stride_start`, `stride_end` (s), `stride_individual`, `stride_leg` over the dimension `stride`.
        settings: see there.

    Returns:
        Each variable with the dimensions `stride`, `phase` (0 to 100 %) and those it has besides time, individual and
        leg; start, end, leg and individual of the strides as coordinates.

    Raises:
        InvalidValueError: there is nothing over time, a variable of the strides is missing, a stride ends before it
            starts, or a setting is out of range.
        MismatchError: times are not in seconds, or strides are of an individual or leg that the values lack.
    """
    settings = settings or CycleSettings()
    _check_settings(settings)
    dataset = _as_dataset(values)
    _check_strides(strides, dataset)
    names = [name for name, array in dataset.data_vars.items() if "time" in array.dims and array.dtype.kind == "f"]
    if not names:
        raise InvalidValueError(
            "values of cycles",
            expected="variables of numbers with the dimension time",
            got=", ".join(map(str, dataset.data_vars)) or "none",
            remedy="Give angles, speeds or other values over time.",
        )
    phase = np.linspace(0.0, 100.0, settings.points)
    found = {str(name): _waveforms(dataset[name], strides, phase, settings) for name in names}
    told = {
        name: ("stride", strides[name].values, dict(strides[name].attrs))
        for name in ("stride_start", "stride_end", "stride_leg", "stride_individual")
    }
    numbers = strides["stride"].values if "stride" in strides.coords else np.arange(strides.sizes["stride"])
    percent = ("phase", phase, {"units": "%", "long_name": "share of the stride"})
    return xr.Dataset(found, attrs=dict(dataset.attrs)).assign_coords({"stride": numbers, "phase": percent, **told})


def cycle_summary(waveforms: xr.Dataset, settings: SummarySettings | None = None) -> xr.Dataset:
    """Mean waveform of each leg, how strides and individuals differ from it, and how well it is known.

    The strides of one animal are not independent of each other. So with two individuals or more the mean is that of
    the means of individuals, each of which counts the same, and intervals come from how individuals differ; they tell
    of individuals like these. With one individual they come from how its strides differ, and tell of this one only.

    Args:
        waveforms: as `cycles` gives them; standard deviations of the values (`<name>_std`) are used where there are.
        settings: see there.

    Returns:
        For each variable, with the dimensions `leg`, `phase` and the further ones: `<name>_mean`; `<name>_sd` of all
        strides about their mean; `<name>_sd_within`, that of strides about the mean of their individual, and
        `<name>_sd_between`, that of individuals (what is left of the spread of their means when that of their strides
        is taken off); `<name>_mean_std`, the standard error of the mean; `<name>_low`, `<name>_high`, a confidence
        interval at each phase; `<name>_band_low`, `<name>_band_high`, a band that holds the whole waveform with that
        confidence if values are normal (Telschow and Schwartzman 2022; bands of 90 % held the truth of simulated
        waveforms in 90 to 93 % of cases with 3 to 12 of them, and in 84 to 89 % with 2); `<name>_n`, strides that have
        a value there. `n_individuals` (leg).

        The spread of strides holds the errors of measurement already. Where it is smaller than those alone would make
        it, or there is but one stride, the standard error is that of measurement; NaN where none is known.

    Raises:
        InvalidValueError: there is no stride, or a setting is out of range.
    """
    settings = settings or SummarySettings()
    _check_summary(waveforms, settings)
    legs = np.unique(waveforms["stride_leg"].values.astype(str))
    names = [str(name) for name in waveforms.data_vars if not str(name).endswith("_std")]
    found: dict[str, list[xr.DataArray]] = {}
    animals = []
    for leg in legs:
        chosen = waveforms.isel(stride=np.flatnonzero(waveforms["stride_leg"].values.astype(str) == leg))
        animals.append(len(np.unique(chosen["stride_individual"].values.astype(str))))
        for name in names:
            for suffix, array in _summary(chosen, name, settings).items():
                found.setdefault(f"{name}_{suffix}", []).append(array)
    result = xr.Dataset({name: xr.concat(parts, dim="leg") for name, parts in found.items()}, attrs=waveforms.attrs)
    result["n_individuals"] = ("leg", np.array(animals), {"units": "1", "long_name": "number of individuals"})
    return result.assign_coords(leg=legs).assign_attrs(level=settings.level, interval=settings.interval)


def _summary(chosen: xr.Dataset, name: str, settings: SummarySettings) -> dict[str, xr.DataArray]:
    """What `cycle_summary` tells of one variable and leg, by suffix."""
    array = chosen[name].transpose("stride", "phase", ...)
    values = np.asarray(array.values, dtype=np.float64)
    errors = chosen[f"{name}_std"].transpose(*array.dims).values if f"{name}_std" in chosen else None
    whose = chosen["stride_individual"].values.astype(str)
    several = len(np.unique(whose)) > 1
    units, within, between = unit_means(values, whose if several else None)
    measured = None if errors is None else measurement_deviation(values, errors, whose if several else None)
    mean, error, ends = intervals(
        units, measured, settings.level, settings.resamples, settings.seed, bootstrap=settings.interval == "bootstrap"
    )
    count = np.isfinite(values).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = np.where(count > 0, np.nansum(values, axis=0) / count, np.nan)
        spread = np.where(count > 1, np.sqrt(np.nansum((values - middle) ** 2, axis=0) / (count - 1)), np.nan)
    results = {
        "mean": mean,
        "sd": spread,
        "sd_within": within,
        "sd_between": between,
        "mean_std": error,
        **dict(zip(("low", "high", "band_low", "band_high"), ends, strict=True)),
        "n": count,
    }
    told = array.isel(stride=0, drop=True)
    kept = {key: coord for key, coord in told.coords.items() if coord.dims}
    unit, label = str(array.attrs.get("units", "")), str(array.attrs.get("long_name", name))
    return {
        key: xr.DataArray(
            data, kept, told.dims, attrs={"units": "1" if key == "n" else unit, "long_name": f"{label}, {_TOLD[key]}"}
        )
        for key, data in results.items()
    }


_TOLD = {
    "mean": "mean",
    "sd": "standard deviation of all strides",
    "sd_within": "standard deviation of strides within individuals",
    "sd_between": "standard deviation between individuals",
    "mean_std": "standard error of the mean",
    "low": "lower end of the confidence interval at each phase",
    "high": "upper end of the confidence interval at each phase",
    "band_low": "lower edge of the band for the whole waveform",
    "band_high": "upper edge of the band for the whole waveform",
    "n": "strides that have a value",
}


def _check_summary(waveforms: xr.Dataset, settings: SummarySettings) -> None:
    if not waveforms.sizes.get("stride", 0):
        raise InvalidValueError(
            "waveforms", expected="one stride or more", got="none", remedy="Look at the events: no stride was found."
        )
    if not (0 < settings.level < 1 and settings.resamples >= 100 and settings.interval in ("t", "bootstrap")):
        raise InvalidValueError(
            "settings of a summary",
            expected="a level between 0 and 1, 100 resamples or more, and interval 't' or 'bootstrap'",
            got=str(settings),
            remedy="Correct the setting.",
        )


def _waveforms(array: xr.DataArray, strides: xr.Dataset, phase: Floats, settings: CycleSettings) -> xr.DataArray:
    """(stride, phase, ...) values of one variable."""
    own = [dim for dim in ("individual", "leg") if dim in array.dims]
    rest = [str(dim) for dim in array.dims if dim not in ("time", *own)]
    time = np.asarray(array["time"].values, dtype=np.float64)
    start, end = (np.asarray(strides[name].values, dtype=np.float64) for name in ("stride_start", "stride_end"))
    result = np.full((len(start), len(phase), *(array.sizes[dim] for dim in rest)), np.nan)
    labels = np.stack([strides[f"stride_{dim}"].values.astype(str) for dim in own] or [np.zeros(len(start), "U1")], 1)
    method = "linear" if str(array.name).endswith("_std") else settings.interpolation
    for label in np.unique(labels, axis=0):
        rows = np.flatnonzero((labels == label).all(axis=1) & np.isfinite(start) & np.isfinite(end))
        # One individual and leg at a time: what is lazily loaded is never loaded whole.
        part = array.sel(dict(zip(own, label, strict=False))).transpose("time", *rest)
        columns = np.asarray(part.values, dtype=np.float64).reshape(len(time), -1)
        places = start[rows, None] + (end - start)[rows, None] * phase / 100.0
        gap = settings.longest_gap * np.broadcast_to((end - start)[rows, None], places.shape)
        filled = [_interpolated(time, column, places, gap, method) for column in columns.T]
        result[rows] = np.stack(filled, axis=-1).reshape(len(rows), len(phase), *result.shape[2:])
    coords = {name: coord for name, coord in array.coords.items() if set(coord.dims) <= set(rest) and coord.dims}
    return xr.DataArray(result, dims=("stride", "phase", *rest), coords=coords, attrs=dict(array.attrs))


def _interpolated(time: Floats, values: Floats, places: Floats, gap: Floats, method: str) -> Floats:
    """Values at places in time; NaN outside of the recording, and in gaps longer than `gap` at that place.

    Args:
        time, values: (n,).
        places, gap: of the same shape.
        method: "linear" or "cubic".
    """
    there = np.isfinite(values)
    known, heights = time[there], values[there]
    if len(known) < 2:
        return np.full(places.shape, np.nan)
    after = np.searchsorted(known, places, side="left").clip(1, len(known) - 1)
    between = known[after] - known[after - 1]
    rows = np.flatnonzero(there)
    successive = np.diff(rows)[after - 1] == 1
    usual = 1.5 * float(np.median(np.diff(time)))  # frames that the camera dropped are missing from the times
    # What lies at a frame, but for the rounding of its time, has its value, be there a gap beside it or the end.
    slack = 1e-9 * max(1.0, float(np.abs(time[[0, -1]]).max()))
    at_frame = (np.abs(places - known[after]) <= slack) | (np.abs(places - known[after - 1]) <= slack)
    short = (successive & (between <= usual)) | (between <= gap * (1 + 1e-9))
    usable = at_frame | (short & (places >= known[0]) & (places <= known[-1]))
    share = ((places - known[after - 1]) / between).clip(0.0, 1.0)
    result = heights[after - 1] + share * (heights[after] - heights[after - 1])
    if method == "cubic":
        result = _spline(known, heights, places, after, usual, result)
    return np.where(usable, result, np.nan)


def _spline(
    known: Floats, heights: Floats, places: Floats, after: NDArray[np.intp], usual: float, linear: Floats
) -> Floats:
    """Values of splines, one for each run of frames whose gaps are short; linear where a run is too short for one."""
    from scipy.interpolate import CubicSpline

    # Over longer gaps than these a spline overshoots; whether they are bridged at all is decided for each stride.
    run = np.concatenate([[0], np.cumsum(np.diff(known) > 4 * usual)])
    result = linear.copy()
    for number in np.unique(run[after]):
        rows = np.flatnonzero(run == number)
        within = (run[after] == number) & (run[after - 1] == number)
        if len(rows) >= 4:
            result[within] = CubicSpline(known[rows], heights[rows])(places[within])
    return result


def _as_dataset(values: xr.DataArray | xr.Dataset) -> xr.Dataset:
    if isinstance(values, xr.Dataset):
        return values
    return values.to_dataset(name="value" if values.name is None else values.name)


def _check_settings(settings: CycleSettings) -> None:
    fine = settings.points >= 2 and 0 <= settings.longest_gap <= 1 and settings.interpolation in ("linear", "cubic")
    if not fine:
        raise InvalidValueError(
            "settings of cycles",
            expected="2 points or more, interpolation 'linear' or 'cubic', and a longest gap from 0 to 1",
            got=str(settings),
            remedy="Correct the setting.",
        )


def _check_strides(strides: xr.Dataset, dataset: xr.Dataset) -> None:
    for name in ("stride_start", "stride_end", "stride_leg", "stride_individual"):
        if name not in strides:
            raise InvalidValueError(
                "strides",
                expected=f"a variable '{name}'",
                got=", ".join(map(str, strides.variables))[:80],
                remedy="Give the Dataset of `strides`.",
            )
    if not (strides["stride_end"] > strides["stride_start"]).where(strides["stride_end"].notnull(), True).all():
        raise InvalidValueError(
            "strides",
            expected="strides that end after they start",
            got="one that does not",
            remedy="Sort the events by time.",
        )
    units = dataset["time"].attrs.get("units") if "time" in dataset.coords else None
    if units == "frames":
        raise MismatchError(
            "values of cycles, time",
            expected="seconds, as the strides have them",
            got="frame numbers",
            remedy="Give the frame rate when the poses are loaded.",
        )
    for dim in ("individual", "leg"):
        known = [str(name) for name in dataset[dim].values] if dim in dataset.dims else None
        wanted = sorted(set(map(str, strides[f"stride_{dim}"].values))) if known is not None else []
        unknown = [name for name in wanted if known is not None and name not in known]
        if known is not None and unknown:
            raise MismatchError(
                f"strides, {dim}",
                expected=f"one out of {', '.join(known)}",
                got=unknown[0],
                remedy=nearest_name(unknown[0], known) or "Use strides and values of the same recording.",
            )
