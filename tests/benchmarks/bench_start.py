"""How long the first point takes: compilation, loading the compiled kernels, and the help of the command line. By hand:

    python tests/benchmarks/bench_start.py [--json]

Every figure is of a fresh interpreter. Prints a table, and last one line of JSON (with --json that line alone). Wall
time, best of several; CPU time beside it is the figure to compare on a machine that others use too.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Says how long its steps took, and how much memory it has at its peak.
STEPS = """
import json, resource, sys, time
wall, cpu, names, figures = [], [], [], {}
def step(name):
    names.append(name), wall.append(time.perf_counter()), cpu.append(time.process_time())
step("start")
import numpy
step("import NumPy")
import calibration.synthetic, calibration.triangulation
step("import calibration.triangulation")
import numba
step("import numba")
from calibration import _triangulation_kernels
from numba.core.registry import cpu_target
cpu_target.target_context.refresh()
step("numba gets ready")
calibration.triangulation.prepare()
step("KERNELS")
calibration.triangulation.prepare()
step("one point after that")
for index in range(1, len(names)):
    figures[names[index]] = [wall[index] - wall[index - 1], cpu[index] - cpu[index - 1]]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps({"steps": figures, "peak_mb": peak / 1e6, "cache": _triangulation_kernels.cache_folder()}))
"""


def run_python(*arguments: str, **environment: str) -> tuple[str, float, float]:
    """Output, wall and CPU seconds of a fresh interpreter."""
    before = os.times()
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    after = os.times()
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    return done.stdout, after.elapsed - before.elapsed, cpu


def steps(cache: str, kernels: str) -> dict[str, object]:
    """The steps to the first point with a cache folder; `kernels` says what happens to the kernels."""
    output, _, _ = run_python("-c", STEPS.replace("KERNELS", kernels), NUMBA_CACHE_DIR=cache)
    return dict(json.loads(output))


def best(runs: list[dict[str, object]]) -> dict[str, object]:
    """Of several runs the best of every figure."""
    first = runs[0]
    return {
        "steps": {name: [min(run["steps"][name][i] for run in runs) for i in (0, 1)] for name in first["steps"]},
        "peak_mb": min(run["peak_mb"] for run in runs),
    }


def help_time(repeats: int) -> dict[str, float] | None:
    """Seconds of `pose3d --help`; None where there is no command line yet."""
    if importlib.util.find_spec("pose3d.cli") is None:
        return None
    code = "import sys; sys.argv[1:] = ['--help']; from pose3d.cli import main; main()"
    runs = [run_python("-c", code) for _ in range(repeats)]
    return {"wall": min(run[1] for run in runs), "cpu": min(run[2] for run in runs)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="the line of JSON alone")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        report = {
            "first use": best([steps(cache, "compile the kernels")]),
            "later use": best([steps(cache, "load the kernels") for _ in range(5)]),
            "cache_mb": sum(file.stat().st_size for file in Path(cache).rglob("*") if file.is_file()) / 1e6,
        }
    report["pose3d --help"] = help_time(5)
    if not arguments.json:
        for use in ("first use", "later use"):
            print(f"{use}: peak memory {report[use]['peak_mb']:.0f} MB")
            for name, (wall, cpu) in report[use]["steps"].items():
                print(f"  {name:34s} {wall:8.3f} s {cpu:8.3f} CPU s")
        print(f"cache {report['cache_mb']:.1f} MB")
        if report["pose3d --help"]:
            print(f"pose3d --help: {report['pose3d --help']['wall']:.2f} s, {report['pose3d --help']['cpu']:.2f} CPU s")
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
