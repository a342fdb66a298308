"""Velocity, speed and acceleration of long recordings, beside the movement package. Run by hand:

    python tests/benchmarks/bench_kinematics.py [--frames N] [--keypoints N] [--repeats N] [--json]

Positions of 20 keypoints of one animal in memory (64 bit), no gaps, no covariance. Each line is a process of its own:
the time of a call after a first one on few frames, the best of the repeats; the time of all processors; and the peak of
the memory of the process, less what it had with the positions before the first call. "together" is all three, one after
the other, whose results are kept. movement has central differences; ours are measured with these and with
Savitzky-Golay.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import xarray as xr

from pose3d.datasets import poses3d

RATE = 100.0
WARM_UP_FRAMES = 2000
METHODS = ("movement", "central", "savgol")
TASKS = ("velocity", "speed", "acceleration", "together")
PACKAGES = ("movement", "numba", "numpy", "xarray")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--keypoints", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", nargs=2, metavar=("METHOD", "TASK"), help="only this, in this process")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(*options.one, options.frames, options.keypoints, options.repeats)))
        return
    # in turn, so that what else the machine does meets all of them
    rows = [in_process(method, task, options) for task in TASKS for method in METHODS]
    report = {
        "frames": options.frames,
        "keypoints": options.keypoints,
        "processors": os.cpu_count(),
        "versions": {name: version(name) for name in PACKAGES},
        "rows": rows,
    }
    print(json.dumps(report, indent=2) if options.json else table(report))


def in_process(method: str, task: str, options: argparse.Namespace) -> dict[str, object]:
    command = [sys.executable, str(Path(__file__)), "--one", method, task]
    for name in ("frames", "keypoints", "repeats"):
        command += [f"--{name}", str(getattr(options, name))]
    root = str(Path(__file__).parents[2])
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths})
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(method: str, task: str, frames: int, keypoints: int, repeats: int) -> dict[str, object]:
    work = functions(method, task)
    poses = make_poses(frames, keypoints)
    work(poses.isel(time=slice(0, WARM_UP_FRAMES)).copy(deep=True))
    before, wall, processors = peak_mb(), float("inf"), float("inf")
    for _ in range(repeats):
        start, spent = time.perf_counter(), time.process_time()
        results = work(poses)
        wall = min(wall, time.perf_counter() - start)
        processors = min(processors, time.process_time() - spent)
        del results
    peak = peak_mb()
    return {
        "method": method, "task": task, "seconds": wall, "processor_seconds": processors,
        "beyond_input_mb": peak - before, "peak_mb": peak,
    }  # fmt: skip


def functions(method: str, task: str) -> Callable[[xr.Dataset], list[object]]:
    """What is measured: from the poses to results."""
    tasks = TASKS[:-1] if task == "together" else (task,)
    if method == "movement":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from movement import kinematics as theirs
        their = {"velocity": theirs.compute_velocity, "speed": theirs.compute_speed,
                 "acceleration": theirs.compute_acceleration}  # fmt: skip
        return lambda poses: [their[name](poses.position) for name in tasks]
    from pose3d.kinematics import derivatives as ours

    settings = ours.DerivativeSettings("central" if method == "central" else "savgol")
    own = {"velocity": ours.velocity, "speed": ours.speed, "acceleration": ours.acceleration}
    return lambda poses: [own[name](poses, settings) for name in tasks]


def make_poses(frames: int, keypoints: int) -> xr.Dataset:
    position = np.empty((frames, 3, keypoints, 1))
    rng = np.random.default_rng(0)
    for first in range(0, frames, 10_000):  # in parts, so that the peak of memory is that of the positions
        part = position[first : first + 10_000]
        part[:] = rng.standard_normal(part.shape)
    names = [f"keypoint_{index}" for index in range(keypoints)]
    return poses3d(
        position,
        np.broadcast_to(1.0, (frames, keypoints, 1)),
        individuals=["animal"],
        keypoints=names,
        unit="mm",
        frame_rate=RATE,
    )


def peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024.0 if sys.platform != "darwin" else 1024.0**2)


def table(report: dict[str, object]) -> str:
    rows = report["rows"]
    assert isinstance(rows, list)
    head = f"{'':14s}{'':10s}{'s':>8s}{'CPU s':>8s}{'beyond MB':>11s}{'peak MB':>9s}{'time':>7s}{'memory':>8s}"
    lines = [f"{report['frames']} frames x {report['keypoints']} keypoints, {report['versions']}", head]
    for row in rows:
        theirs = next(each for each in rows if each["task"] == row["task"] and each["method"] == "movement")
        ratios = row["seconds"] / theirs["seconds"], row["beyond_input_mb"] / max(theirs["beyond_input_mb"], 1.0)
        lines.append(
            f"{row['task']:14s}{row['method']:10s}{row['seconds']:8.2f}{row['processor_seconds']:8.2f}"
            f"{row['beyond_input_mb']:11.0f}{row['peak_mb']:9.0f}{ratios[0]:7.2f}{ratios[1]:8.2f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
