"""How long the gait of an hour of a six-legged animal takes. Run by hand on a quiet machine:

python tests/benchmarks/bench_gait.py [--seconds N] [--rate N] [--json]
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable

import xarray as xr
from accuracy_gait import HEXAPODS, hexapod, noisy

from pose3d.kinematics.gait import gait_events
from pose3d.kinematics.gait_phases import gait_classes, phase_differences, phases
from pose3d.kinematics.gait_strides import gait_summary, strides


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    short, *_, skeleton = hexapod(20, chosen.rate, HEXAPODS["tripod"], 0.6)
    gait_events(noisy(short), skeleton)  # compiles
    poses = noisy(hexapod(chosen.seconds, chosen.rate, HEXAPODS["tripod"], 0.6)[0])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    row: dict[str, float] = {"frames": float(poses.sizes["time"])}

    def timed(name: str, work: Callable[[], xr.Dataset]) -> xr.Dataset:
        start, cpu = time.perf_counter(), time.process_time()
        result = work()
        row[f"{name}_s"], row[f"{name}_cpu_s"] = time.perf_counter() - start, time.process_time() - cpu
        return result

    events = timed("events", lambda: gait_events(poses, skeleton))
    steps = timed("strides", lambda: strides(poses, events, skeleton))
    legs = timed("phases", lambda: phases(poses, events))
    timed("phase_differences", lambda: phase_differences(legs))
    timed("classes", lambda: gait_classes(steps, skeleton))
    row["all_s"] = sum(value for name, value in row.items() if name.endswith("_s") and not name.endswith("cpu_s"))
    timed("summary", lambda: gait_summary(steps, poses, skeleton))
    timed("hilbert", lambda: phases(poses, None, skeleton, method="hilbert"))
    row["events"], row["strides"] = float(events.sizes["event"]), float(steps.sizes["stride"])
    row["memory_beyond_poses_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    if chosen.json:
        json.dump(row, sys.stdout, indent=1)
        return
    for name, value in row.items():
        print(f"{name:28s} {value:12.3f}")


if __name__ == "__main__":
    main()
