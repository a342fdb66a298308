"""What all tests share: where the real recordings are, and settings of the tools."""

import os
from contextlib import suppress
from pathlib import Path

import pytest
import xarray as xr
from hypothesis import settings

ROOT = Path(__file__).parents[1]

# The same examples in every run, so that a change that breaks a law breaks it for everyone; no deadline, since the
# first call of a numba kernel compiles it. `--hypothesis-profile=explore` looks for new examples.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile("suite")

# How many threads the numerical libraries start; they look once, when they are loaded.
THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
    "TF_NUM_INTEROP_THREADS",
    "TF_NUM_INTRAOP_THREADS",
)

# No test opens a window.
os.environ.setdefault("MPLBACKEND", "Agg")

# movement brings bottleneck, which users do not have and with which xarray takes other ways to means and medians.
xr.set_options(use_bottleneck=False)


def pytest_configure(config: pytest.Config) -> None:
    workers = config.getoption("numprocesses", None)
    if workers:  # of pytest-xdist, which start after this; with a thread per processor each, they would get in the way
        for name in THREADS:
            os.environ.setdefault(name, str(max(1, (os.cpu_count() or 1) // workers)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Before the whole suite the second process compiles the kernels, while the first begins with tests without them.

    That takes a minute where numba's cache is empty, and otherwise each process would do it.
    """
    if os.environ.get("PYTEST_XDIST_WORKER") == "gw1" and len(session.items) > 1000:
        with suppress(Exception):  # what is wrong with the kernels, the tests say
            compile_kernels()


def compile_kernels() -> None:
    from calibration.boards import Charuco
    from calibration.rig_calibration import calibrate
    from calibration.synthetic import make_board_scene, make_rig
    from calibration.triangulation import prepare

    prepare()
    calibrate(make_board_scene(make_rig(3, seed=4), Charuco(7, 5, 40.0), frames=30, noise=0.2, seed=1).corners)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(ROOT / "tests" / "real"):
            item.add_marker(pytest.mark.real)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real recordings; tests that ask for it are skipped where it is absent."""
    folder = Path(os.environ.get("POSE3D_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real recordings in {folder}; set POSE3D_REAL_DATA to their folder")
    return folder
