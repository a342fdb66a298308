"""Where time matters to trajectories: impacts, gaps, and answers before the end. Run by hand:

    python tests/benchmarks/accuracy_in_time.py [--json]

Impacts: a point sways smoothly at 100 frames per second in front of four cameras with 1 px of noise, moves straight on,
and stops within one frame. Gaps: a walking quadruped, of which each keypoint is hidden from all cameras for a number of
frames. Lags: the same quadruped, with poses that are told so many frames after their own.
"""

from __future__ import annotations

import argparse
import json
import sys

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.synthetic import make_rig
from pose3d.datasets import poses2d
from pose3d.metrics import coverage, position_error
from pose3d.reconstruction import TrajectorySettings, reconstruct, triangulate
from pose3d.synthetic import SimulationSettings, simulate

FLOATS = NDArray[np.float64]
Row = dict[str, float]
EVERYTHING = ("time", "keypoint", "individual")
RATE = 100.0
STOP = 5.0  # s
NEAR = slice(450, 550)  # frames


def swaying(speed: float) -> FLOATS:
    """(1000, 3) mm: sways, moves upward ever faster up to a speed in mm/s, and stands."""
    time = np.arange(1000) / RATE
    fine = np.linspace(0, time[-1], 100_001)
    share = np.clip((fine - STOP + 0.4) / 0.3, 0, 1)
    rising = speed * share**3 * (10 - 15 * share + 6 * share**2) * (fine < STOP)
    height = np.concatenate([[0], np.cumsum((rising[1:] + rising[:-1]) / 2 * (fine[1] - fine[0]))])
    return np.stack(
        [
            60 * np.sin(2 * np.pi * 0.7 * time),
            40 * np.cos(2 * np.pi * 0.5 * time),
            height[-1] - np.interp(time, fine, height),
        ],
        axis=-1,
    )


def impacts() -> dict[str, Row]:
    rig, rows = make_rig(4), {}
    for speed in (500.0, 2000.0):
        truth = swaying(speed)
        pixels = np.moveaxis(rig.project(truth[:, None, None]), 3, 1)
        pixels = pixels + np.random.default_rng(0).normal(0, 1, pixels.shape)
        flat = poses2d(pixels, cameras=rig.names, individuals=["one"], keypoints=["hand"], frame_rate=RATE)
        estimates = {
            "frame by frame": triangulate(flat, rig),
            "acceleration": reconstruct(flat, rig, settings=TrajectorySettings(motion="acceleration")),
            "velocity": reconstruct(flat, rig, settings=TrajectorySettings(motion="velocity")),
            "acceleration, one smoothness": reconstruct(
                flat, rig, settings=TrajectorySettings(motion="acceleration", adaptive=False)
            ),
        }
        for name, estimate in estimates.items():
            error = estimate["position"].values[:, 2, 0, 0] - truth[:, 2]
            deviation = np.sqrt(estimate["covariance"].values[:, 2, 2, 0, 0])
            rows[f"{speed:g} mm/s, {name}"] = {
                "largest_mm": float(np.nanmax(np.abs(error[NEAR]))),
                "frames_above_1_mm": float((np.abs(error[NEAR]) > 1).sum()),
                "elsewhere_sd_mm": float(np.nanstd(error[50:450])),
                "claimed_at_the_stop_mm": float(deviation[500]),
                "claimed_elsewhere_mm": float(np.nanmedian(deviation[50:450])),
            }
    return rows


def gaps() -> dict[str, Row]:
    scene = simulate(SimulationSettings(duration=10, seed=1))
    rows = {}
    for length in (5, 10, 20, 40):
        flat = scene.poses2d.copy(deep=True)
        hidden = np.zeros((flat.sizes["time"], flat.sizes["keypoint"]), dtype=bool)
        for keypoint in range(flat.sizes["keypoint"]):
            for start in range(50 + 7 * keypoint, 900, 250):
                hidden[start : start + length, keypoint] = True
        flat["position"] = flat["position"].where(~xr.DataArray(hidden, dims=("time", "keypoint")))
        for name, skeleton in (("smoothness", None), ("bones", scene.skeleton)):
            solid = reconstruct(flat, scene.rig, skeleton=skeleton)
            error = position_error(solid, scene.poses3d).values[..., 0][hidden]
            inside = solid[["position", "confidence", "covariance"]].where(
                xr.DataArray(hidden, dims=("time", "keypoint"))
            )
            rows[f"{length} frames, {name}"] = {
                "mean_mm": float(np.nanmean(error)),
                "p95_mm": float(np.nanquantile(error, 0.95)),
                "coverage": float(coverage(inside, scene.poses3d, over=EVERYTHING)),
                "bridged": float(np.isfinite(error).mean()),
            }
    return rows


def lags() -> dict[str, Row]:
    scene, rows = simulate(SimulationSettings(duration=5, seed=1, cameras=4)), {}
    for lag in (None, 10, 5, 2, 1, 0):
        solid = reconstruct(scene.poses2d, scene.rig, settings=TrajectorySettings(lag=lag))
        error = position_error(solid, scene.poses3d)
        rows["whole recording" if lag is None else f"lag {lag}"] = {
            "mean_mm": float(error.mean()),
            "p95_mm": float(error.quantile(0.95)),
            "coverage": float(coverage(solid, scene.poses3d, over=EVERYTHING)),
        }
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="the line of JSON alone")
    options = parser.parse_args()
    tables = {"impacts": impacts(), "gaps": gaps(), "lags": lags()}
    for name, table in {} if options.json else tables.items():
        print(f"\n{name}")
        columns = list(next(iter(table.values())))
        print(f"{'':40}" + "".join(f"{column:>24}" for column in columns))
        for row, values in table.items():
            print(f"{row:40}" + "".join(f"{values[column]:24.3f}" for column in columns))
    print(json.dumps(tables))
    return 0


if __name__ == "__main__":
    sys.exit(main())
