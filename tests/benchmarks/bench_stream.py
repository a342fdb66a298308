"""A day of trajectories in constant memory. Run by hand:

    python tests/benchmarks/bench_stream.py [--hours 24] [--output FILE.nc] [--json]

12 keypoints seen by 4 cameras at 100 frames per second, with 1.5 px of noise, 5 % of the positions anywhere in the
image and 15 % missing. The 2D poses are made when they are read, from the frame number, so that no file of 7 GB is
needed; making them counts. Printed are frames per second, and the memory of the process as the recording goes on. With
--output the result is written as `pose3d reconstruct` writes it (about 9 GB for a day).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core.indexing import IndexingSupport, LazilyIndexedArray, explicit_indexing_adapter

from calibration.processors import available_processors
from calibration.rig import Rig
from calibration.synthetic import make_rig
from pose3d.formats.session import SessionWriter
from pose3d.reconstruction import plan, reconstruct_pieces

RATE = 100.0
KEYPOINTS, CAMERAS = 12, 4
NOISE, OUTLIERS, MISSING = 1.5, 0.05, 0.15
BLOCK = 1000  # frames that share a generator of random numbers
REPORTS = 24


def truth(frames: NDArray[np.int64]) -> NDArray[np.float64]:
    """(frame, keypoint, 3) mm: sums of three sines for every keypoint, at up to half a meter per second."""
    rng = np.random.default_rng(0)
    time_ = frames[:, None, None] / RATE
    places = np.broadcast_to(rng.uniform(-40, 40, (KEYPOINTS, 3)), (len(frames), KEYPOINTS, 3)).copy()
    for lowest, highest, size in ((0.05, 0.2, 60.0), (0.4, 1.0, 15.0), (1.5, 3.0, 5.0)):
        frequency = rng.uniform(lowest, highest, (KEYPOINTS, 3))
        places += size * np.sin(2 * np.pi * frequency * time_ + rng.uniform(0, 6.28, (KEYPOINTS, 3)))
    return places


class MadePositions(BackendArray):
    """2D positions (time, camera, individual, keypoint, space) that are made when they are read."""

    def __init__(self, rig: Rig, frames: int) -> None:
        self.rig = rig
        self.shape = (frames, CAMERAS, 1, KEYPOINTS, 2)
        self.dtype = np.dtype(np.float64)

    def __getitem__(self, key: Any) -> Any:
        return explicit_indexing_adapter(key, self.shape, IndexingSupport.BASIC, self.read)

    def read(self, key: tuple[Any, ...]) -> NDArray[np.float64]:
        first, last, _ = key[0].indices(self.shape[0]) if isinstance(key[0], slice) else (key[0], key[0] + 1, 1)
        blocks = [self.block(number) for number in range(first // BLOCK, -(-last // BLOCK))]
        start = first // BLOCK * BLOCK
        values = np.concatenate(blocks)[first - start : last - start]
        return np.asarray(values[(slice(None) if isinstance(key[0], slice) else 0, *key[1:])])

    def block(self, number: int) -> NDArray[np.float64]:
        rng = np.random.default_rng([1, number])
        pixels = self.rig.project(truth(np.arange(number * BLOCK, (number + 1) * BLOCK)))
        pixels += NOISE * rng.standard_normal(pixels.shape)
        lost = rng.random(pixels.shape[:-1]) < OUTLIERS
        pixels[lost] = rng.uniform(0, self.rig.cameras[0].size, (int(lost.sum()), 2))
        pixels[rng.random(pixels.shape[:-1]) < MISSING] = np.nan
        return np.moveaxis(pixels, 2, 1)[:, :, None]


def make_poses(rig: Rig, frames: int) -> xr.Dataset:
    """Poses2D of which nothing is in memory but the times."""
    dims = ("time", "camera", "individual", "keypoint")
    position = xr.Variable((*dims, "space"), LazilyIndexedArray(MadePositions(rig, frames)), {"units": "px"})
    # one number that stands for all: no memory
    confidence = np.broadcast_to(np.ones(()), (frames, CAMERAS, 1, KEYPOINTS))
    numbers = np.arange(frames)
    return xr.Dataset(
        {"position": position, "confidence": xr.Variable(dims, confidence, {"units": "1"})},
        coords={
            "time": ("time", numbers / RATE, {"units": "s"}),
            "frame": ("time", numbers),
            "camera": list(rig.names),
            "individual": ["one"],
            "keypoint": [f"point_{number}" for number in range(KEYPOINTS)],
            "space": ["x", "y"],
        },
        attrs={"ds_type": "poses", "fps": RATE, "time_unit": "seconds", "source_software": "", "source_file": ""},
    )


def resident() -> float:
    """MB of memory that the process has now."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--output", help="write the result there")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    frames = round(options.hours * 3600 * RATE)
    rig = make_rig(CAMERAS, distance=700.0)
    poses2d = make_poses(rig, frames)
    before = resident()
    began, processor = time.perf_counter(), time.process_time()
    planned = plan(poses2d, rig)
    learned = time.perf_counter() - began
    done, squares, found, memory, next_report = 0, 0.0, 0, [], 0
    with ExitStack() as stack:
        writer = stack.enter_context(SessionWriter(options.output, rig=rig)) if options.output else None
        for chunk, solid in reconstruct_pieces(planned):
            error = solid["position"].values[..., 0].transpose(0, 2, 1) - truth(solid["frame"].values)
            known = np.isfinite(error[..., 0])
            squares, found = squares + float((error[known] ** 2).sum()), found + int(known.sum())
            done += solid.sizes["time"]
            if writer is not None:
                writer.append(poses2d=chunk, poses3d=solid)
            if done >= next_report * frames / REPORTS:
                memory.append(resident())
                next_report += 1
                if not options.json:
                    rate = done / (time.perf_counter() - began)
                    print(f"{done / RATE / 3600:6.2f} h  {rate:7.0f} frames/s  {memory[-1]:6.0f} MB", flush=True)
    wall = time.perf_counter() - began
    result = {
        "hours": options.hours,
        "processors": available_processors(),
        "written": bool(options.output),
        "seconds": round(wall, 1),
        "cpu_seconds": round(time.process_time() - processor, 1),
        "learning_seconds": round(learned, 2),
        "frames_per_second": round(frames / wall),
        "points_per_second": round(frames * KEYPOINTS / wall),
        "rms_error_mm": round(float(np.sqrt(squares / found)), 4),
        "missing": 1 - found / (frames * KEYPOINTS),
        "memory_before_mb": round(before),
        "memory_mb": [round(value) for value in memory],
    }
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
