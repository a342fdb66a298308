"""How triangulation behaves as a program: threads, memory, and the cache of its compiled kernels."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from calibration.synthetic import make_points, make_rig, observe
from calibration.triangulation import triangulate

ROOT = Path(__file__).parents[2]


def run_python(code: str, *, path: Path = ROOT, **environment: str) -> str:
    """What a fresh interpreter prints that finds the packages in `path`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "XDG_", "PYTHON"))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, "PYTHONPATH": str(path), **environment},
        cwd=path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_two_python_threads_may_triangulate_at_once() -> None:
    jobs = []
    for cameras in (3, 4, 6, 8):
        rig = make_rig(cameras, seed=cameras)
        points = make_points(20_000, seed=cameras)
        jobs.append((rig, observe(rig, points, noise=1.0, outlier_rate=0.1, dropout_rate=0.2, seed=1).pixels))
    alone = [copy.deepcopy(triangulate(rig, pixels, noise=1.0)) for rig, pixels in jobs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda job: triangulate(*job, noise=1.0), jobs * 5))
    for index, outcome in enumerate(together):
        expected = alone[index % len(jobs)]
        for name in ("points", "covariance", "residuals", "inliers", "status"):
            np.testing.assert_array_equal(getattr(outcome, name), getattr(expected, name))


def test_importing_triangulation_does_not_load_numba() -> None:
    assert run_python("import sys, calibration.triangulation; print('numba' in sys.modules)").strip() == "False"


def test_the_numpy_engine_does_not_load_numba() -> None:
    code = """
import sys
import numpy as np
from calibration.synthetic import make_rig
from calibration.triangulation import triangulate
rig = make_rig(3)
print(triangulate(rig, rig.project(np.zeros((1, 3))), engine="numpy").status, "numba" in sys.modules)
"""
    assert run_python(code).split() == ["[0]", "False"]


MEMORY = """
import numpy as np
from calibration.synthetic import make_points, make_rig, observe
from calibration.triangulation import prepare, triangulate

def in_memory(name):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

prepare()
rig = make_rig(6)
seen = observe(rig, make_points(20_000), noise=1.0, outlier_rate=0.1, dropout_rate=0.2)
triangulate(rig, seen.pixels, seen.confidence)
kind = np.float32 if LAYOUT == "float32" else np.float64
if LAYOUT == "camera first":
    pixels = np.moveaxis(np.empty((6, 2_000_000, 2)), 0, 1)
else:
    pixels = np.empty((2_000_000, 6, 2), dtype=kind)
confidence = np.empty((2_000_000, 6), dtype=kind)
for part in range(100):
    pixels[part * 20_000 : (part + 1) * 20_000] = seen.pixels
    confidence[part * 20_000 : (part + 1) * 20_000] = seen.confidence
if LAYOUT == "short axis first":
    pixels, confidence = pixels.reshape(2, -1, 6, 2), confidence.reshape(2, -1, 6)
before = in_memory("VmRSS")
with open("/proc/self/clear_refs", "w") as peak:
    peak.write("5")
outcome = triangulate(rig, pixels, confidence)
made = (outcome.points, outcome.covariance, outcome.inliers, outcome.residuals, outcome.n_cameras, outcome.status)
print((in_memory("VmHWM") - before - sum(array.nbytes for array in made)) / 2**20)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak memory from /proc")
@pytest.mark.parametrize("layout", ["points", "short axis first", "camera first", "float32"])
def test_two_million_points_take_64_megabytes_beyond_input_and_output(layout: str) -> None:
    extra = float(run_python(f"LAYOUT = {layout!r}\n{MEMORY}"))
    assert extra < 64


CACHE = """
import time
import numpy as np
from calibration.synthetic import make_rig
from calibration.triangulation import triangulate
from calibration import _triangulation_kernels as kernels

rig = make_rig(3)
outcome = triangulate(rig, rig.project(np.array([[1.0, 2.0, 3.0]])), noise=1.0)
assert np.allclose(outcome.points, [[1.0, 2.0, 3.0]])
stats = kernels.triangulate_range.stats
hits = sum(stats.cache_hits.values()) if hasattr(stats, "cache_hits") else 0
print(hits, kernels.cache_folder())
"""


@pytest.fixture
def frozen_package(tmp_path: Path) -> Path:
    """A folder with a copy of the package in which nobody, not even root, can make a __pycache__ folder."""
    folder = tmp_path / "site-packages"
    shutil.copytree(ROOT / "calibration", folder / "calibration", ignore=shutil.ignore_patterns("__pycache__"))
    for each in [folder / "calibration", *(folder / "calibration").rglob("*/")]:
        if each.is_dir():
            (each / "__pycache__").write_text("not a folder")
    return folder


@pytest.mark.slow
def test_where_the_package_cannot_be_written_the_kernels_are_kept_in_the_users_cache(
    frozen_package: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    places = {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache"), "LOCALAPPDATA": str(home)}
    hits, folder = run_python(CACHE, path=frozen_package, **places).split(maxsplit=1)
    assert hits == "0", "the first run has nothing to load"
    assert Path(folder.strip()).is_relative_to(home)
    assert list(Path(folder.strip()).glob("*.nbc"))
    hits, again = run_python(CACHE, path=frozen_package, **places).split(maxsplit=1)
    assert hits == "1", "the second run loads what the first one compiled"
    assert again == folder


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a path below which nothing can be made")
def test_where_nothing_can_be_written_the_kernels_work_uncached(frozen_package: Path) -> None:
    places = {"HOME": "/dev/null/home", "XDG_CACHE_HOME": "/dev/null/cache", "TMPDIR": "/dev/null/tmp"}
    assert run_python(CACHE, path=frozen_package, **places).split() == ["0", "None"]
