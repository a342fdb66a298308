"""How alike strides are: symmetry of partners, and regularity of the body's motion."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pose3d.kinematics._gait_ground import smooth, walkers_of
from pose3d.kinematics._gait_legs import legs_of, runs_of, timing_of
from pose3d.kinematics._gait_settings import GaitSettings
from pose3d.skeleton import Skeleton

__all__ = ["autocorrelation", "regularity_of", "symmetry_index"]

Array = NDArray[np.float64]

# The lag of a stride is looked for within this share of its usual duration.
_LAG_SPREAD = 0.25


def symmetry_index(own: Array, partner: Array) -> Array:
    """Percent by which values differ from those of the partner: 100 (own - partner) / (half of their sum).

    NaN where the sum is 0 or a value is missing.
    """
    mean = 0.5 * (own + partner)
    return np.divide(100 * (own - partner), mean, out=np.full_like(mean, np.nan), where=np.abs(mean) > 0)


def autocorrelation(signal: Array, longest: int) -> Array:
    """(longest + 1,) autocorrelation of a signal without its mean, by the number of pairs at each lag; 1 at 0."""
    centered = signal - signal.mean()
    size = 1 << int(np.ceil(np.log2(2 * len(centered))))
    spectrum = np.fft.rfft(centered, size)
    total = np.fft.irfft(np.abs(spectrum) ** 2, size)[: longest + 1]
    pairs = len(centered) - np.arange(longest + 1)
    mean = total / np.maximum(pairs, 1)
    return np.asarray(mean / mean[0]) if mean[0] > 0 else np.full(longest + 1, np.nan)


def regularity_of(
    poses: xr.Dataset, strides: xr.Dataset, names: list[str], skeleton: Skeleton | None, settings: GaitSettings
) -> dict[str, tuple[tuple[str, ...], Array, dict[str, str]]]:
    """Regularity from stride to stride and from step to step, (individual,)."""
    timing = timing_of(poses)
    feet = legs_of(poses, skeleton, None if skeleton is not None and skeleton.anatomy.legs else _feet(strides))
    walkers, up = walkers_of(poses, names, skeleton, feet, timing, settings)
    found = np.full((2, len(names)), np.nan)
    for column, walker in enumerate(walkers):
        own = strides["stride_duration"].values[strides["stride_individual"].values == walker.name]
        if len(own):
            found[:, column] = _regularity(walker.body @ up, float(np.median(own)) * timing.rate)
    words = ("of a stride", "of half a stride")
    return {
        name: (
            ("individual",),
            row,
            {"long_name": f"autocorrelation of the vertical acceleration of the body at the lag {lag}", "units": "1"},
        )
        for name, row, lag in zip(("stride_regularity", "step_regularity"), found, words, strict=True)
    }


def _regularity(height: Array, period: float) -> tuple[float, float]:
    """The highest autocorrelation of the acceleration near the lags of a stride and of half of one.

    Of the longest run without gaps; NaN where it is shorter than three strides. The acceleration is that of parabolas
    fitted to a tenth of a stride.
    """
    window = max(5, round(0.1 * period) | 1)
    acceleration = smooth(height, window, derivative=2)
    runs = runs_of(np.isfinite(acceleration))
    start, stop = max(runs, key=lambda run: run[1] - run[0], default=(0, 0))
    if stop - start < 3 * period:
        return np.nan, np.nan
    signal = autocorrelation(acceleration[start:stop], int(1.5 * period) + 1)
    peaks = []
    for lag in (period, 0.5 * period):
        first = round(lag * (1 - _LAG_SPREAD))
        peaks.append(float(signal[first : round(lag * (1 + _LAG_SPREAD)) + 1].max()))
    return peaks[0], peaks[1]


def _feet(strides: xr.Dataset) -> list[str]:
    return list(dict.fromkeys(strides["stride_leg"].values.tolist()))
