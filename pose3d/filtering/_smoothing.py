"""Filters that move positions: rolling median, Savitzky-Golay and Butterworth."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.signal import butter, savgol_filter, sos2zpk, sosfilt, sosfilt_zi

from calibration.errors import InvalidValueError, MismatchError
from pose3d.filtering._checks import is_number, is_whole, require, require_window
from pose3d.filtering._median_kernels import rolling_median
from pose3d.filtering._tracks import Tracks, on_runs, smoothed, tracks_of

__all__ = ["butterworth", "median_filter", "savitzky_golay"]

Array = NDArray[np.float64]

# What is left, at the first position of a run, of the start of the filter.
_LEFT_OF_START = 1e-8
# The time between rows may differ from the frame rate by this share. Clocks of cameras differ by far less.
_RATE_TOLERANCE = 0.1


def median_filter(poses: xr.Dataset, frames: int) -> xr.Dataset:
    """Poses whose every coordinate is the median of a window around it.

    What is missing is left out of the windows, and stays missing. At the ends the window is cut; it never reaches
    beyond.

    Args:
        poses: Poses3D or Poses2D Dataset.
        frames: length of the window, odd.

    Raises:
        InvalidValueError: the Dataset follows neither schema, or the window is not odd.
    """
    require_window("median_filter, frames", frames)
    tracks = tracks_of(poses)
    points = rolling_median(tracks.points, tracks.slot, frames // 2)
    return smoothed(poses, points, "median_filter", {"frames": int(frames)})


def savitzky_golay(poses: xr.Dataset, frames: int, *, order: int = 3) -> xr.Dataset:
    """Poses whose every position is that of a polynomial fitted to a window around it.

    The filter works on runs: positions in successive frames. Within half a window of the ends of a run, the polynomial
    is that of the first or last whole window. A run that is shorter than the window is one polynomial; one of no more
    than `order` + 1 positions stays as it is. So no position is lost, and what is missing stays missing.

    A. Savitzky and M. J. E. Golay, "Smoothing and differentiation of data by simplified least squares procedures",
    Analytical Chemistry 36 (1964).

    Args:
        poses: Poses3D or Poses2D Dataset.
        frames: length of the window, odd.
        order: of the polynomial, less than the window.

    Raises:
        InvalidValueError: the Dataset follows neither schema, or a setting is out of range.
    """
    require_window("savitzky_golay, frames", frames)
    fine = is_whole(order) and 0 <= order < frames
    require("savitzky_golay, order", fine, f"a whole number from 0 to {frames - 1}", order)

    def work(runs: Array) -> Array:
        length = runs.shape[1]
        if length >= frames:
            return np.asarray(savgol_filter(runs, frames, order, axis=1, mode="interp"))
        if length <= order + 1:
            return runs
        # an orthonormal basis of the polynomials at these frames
        basis, _ = np.linalg.qr(np.polynomial.legendre.legvander(np.linspace(-1, 1, length), order))
        return np.asarray(basis @ (basis.T @ runs))

    points = on_runs(tracks_of(poses), work)
    return smoothed(poses, points, "savitzky_golay", {"frames": int(frames), "order": int(order)})


def butterworth(poses: xr.Dataset, cutoff_hz: float, *, order: int = 4) -> xr.Dataset:
    """Poses without what is faster than a frequency, by a Butterworth filter that does not delay.

    The filter runs forward and then backward. `order` is that of both passes together, and the cutoff of each pass is
    raised so that after both the amplitude at `cutoff_hz` is 1/sqrt(2), as D. A. Winter, "Biomechanics and Motor
    Control of Human Movement", 4th ed. (2009), section 2.2.4, does. Here the correction is exact for every cutoff: it
    is made on the frequency as the filter has it, which is warped near half the frame rate.

    The filter works on runs: positions in successive frames. Beyond the ends of a run, its positions go on as their
    point reflection in the last one, as often as it takes. So the first and the last position of a run stay where they
    are, noise and all, and so do runs of one. What is missing stays missing.

    Args:
        poses: Poses3D or Poses2D Dataset with the attribute `fps`.
        cutoff_hz: frequency in Hz, below half the number of positions per second.
        order: of both passes together, even: 4 is the usual filter of biomechanics, twice of second order.

    Raises:
        InvalidValueError: the Dataset follows neither schema or has no frame rate, or a setting is out of range.
        MismatchError: the time between the rows is not that of the frame rate.
    """
    require("butterworth, cutoff_hz", is_number(cutoff_hz) and cutoff_hz > 0, "a frequency above 0", cutoff_hz)
    fine = is_whole(order) and order > 0 and order % 2 == 0
    require("butterworth, order", fine, "an even number from 2 on: the order of both passes together", order)
    tracks = tracks_of(poses)
    sections = _sections(cutoff_hz, order, _rate(poses, tracks))
    start = sosfilt_zi(sections)
    slowest = float(np.abs(sos2zpk(sections)[1]).max())
    beyond = int(np.ceil(np.log(_LEFT_OF_START) / np.log(slowest)))

    def work(runs: Array) -> Array:
        if runs.shape[1] == 1:
            return runs
        around = np.pad(runs, ((0, 0), (beyond, beyond), (0, 0)), mode="reflect", reflect_type="odd")
        # the state of a filter that has seen nothing but the first value: no step at the start
        state = start[:, None, :, None]
        for _ in range(2):
            around, _ = sosfilt(sections, around, axis=1, zi=state * around[None, :, :1])
            around = around[:, ::-1]
        return np.asarray(around[:, beyond:-beyond])

    points = on_runs(tracks, work, extra=2 * beyond)
    return smoothed(poses, points, "butterworth", {"cutoff_hz": float(cutoff_hz), "order": int(order)})


def _sections(cutoff: float, order: int, rate: float) -> Array:
    """Second-order sections of one pass, (section, 6)."""
    if cutoff >= rate / 2:
        raise InvalidValueError(
            "butterworth, cutoff_hz",
            expected=f"less than {rate / 2:g} Hz, half of {rate:g} positions per second",
            got=f"{cutoff:g} Hz",
            remedy="Give a lower frequency; what is faster than half the frame rate is not in the recording.",
        )
    # One pass has the gain 1 / sqrt(1 + r^(2n)) at r times its cutoff; two of them 1 / sqrt(2) where r^(2n) is this.
    ratio = (np.sqrt(2) - 1) ** (1 / order)
    raised = rate / np.pi * np.arctan(np.tan(np.pi * cutoff / rate) / ratio)
    return np.asarray(butter(order // 2, raised, fs=rate, output="sos"))


def _rate(poses: xr.Dataset, tracks: Tracks) -> float:
    """Positions per second."""
    if np.isnan(tracks.rate):
        raise InvalidValueError(
            "butterworth, frame rate",
            expected="poses with the attribute 'fps'",
            got="none",
            remedy="Give the frame rate when the poses are loaded, or set poses.attrs['fps'].",
        )
    if poses["time"].attrs.get("units") == "s" and len(tracks.time) > 1:
        measured = float(np.median(np.diff(tracks.slot) / np.diff(tracks.time)))
        if abs(measured / tracks.rate - 1) > _RATE_TOLERANCE:
            raise MismatchError(
                "butterworth, frame rate",
                expected=f"{tracks.rate:g} positions per second, as the attribute 'fps' says",
                got=f"{measured:g} by the times",
                remedy="Correct the attribute 'fps' or the coordinate 'time'.",
            )
    return tracks.rate
