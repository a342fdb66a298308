"""Speed of bundle adjustment, beside Ceres, OpenCV and aniposelib where they are installed. Run by hand:

    python tests/benchmarks/bench_bundle.py [--quick] [--json]

All start from the same values, 5 mm, 0.6 degrees and 2 % of the focal length off, and get the same corners (0.3 px
noise, no outliers, a board of 9 x 6 inner corners).

- Ours: the whole call of `adjust_boards` with loss "none", from arrays to the finished result, without and with
  covariance; and with the default settings (Cauchy loss, noise measured, covariance).
- Ceres: the compiled cost function of a camera rig (pycolmap's RigReprojErrorCost, model OPENCV: fx, fy, cx, cy, k1,
  k2, p1, p2) on pyceres, with the corners of the board as constant points: the same residuals, parameters and minimum
  as ours. Quaternions on their manifold. Only `solve` is timed, not the building of the problem in Python. All
  processors; the fastest of the sparse and the dense Schur solver (of 24 x 500 the sparse one alone, once). Function
  tolerance 1e-10 (and, to see what the usual stop costs, 1e-6). pycolmap 3.13 and pyceres 2.6 fit together; later
  ones put a pose into one block.
- aniposelib: `CameraGroup.bundle_adjust` on the same corners with its board terms, as its own calibration calls it; it
  frees one focal length and k1 per camera, and a 3D point per corner and frame.
- OpenCV: `calibrateCamera` from the same starting camera matrix, 300 views; ours with poses from `fit_board_poses`.

Prints tables, and last one line of JSON (with --json that line alone). Best of several runs; CPU seconds (of
all threads together) are the figure to compare on a machine that others use too.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib.util
import io
import json
import os
import platform
import resource
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibration.boards.geometry import Chessboard
from calibration.bundle import BundleSettings, adjust_boards, fit_board_poses
from calibration.lens_models import LENS_MODELS, LensModel, lens_from_vector, lens_vector
from calibration.rig import Rig
from calibration.synthetic import make_board_scene, make_rig
from calibration.transforms import RigidTransform

FLOATS = NDArray[np.float64]
BOARD = Chessboard(columns=10, rows=7, square=25.0)
MODEL = LENS_MODELS["brown4"]
PLAIN = BundleSettings(loss="none", covariance=False)


@dataclass(frozen=True)
class Task:
    """What all solvers get."""

    name: str
    rig: Rig
    boards: RigidTransform
    pixels: FLOATS
    models: dict[str, LensModel]

    @property
    def observations(self) -> int:
        return int(np.isfinite(self.pixels[..., 0]).sum())


def make_task(cameras: int, frames: int, *, lenses: bool) -> Task:
    scene = make_board_scene(make_rig(cameras, lens="brown4"), BOARD, frames=frames, noise=0.3, seed=0)
    rng = np.random.default_rng(1)
    moved = []
    for index, camera in enumerate(scene.rig):
        off = RigidTransform.from_rotation_vector(
            rng.normal(size=3) * 0.01 * (index > 0), rng.normal(size=3) * 5.0 * (index > 0)
        )
        vector = lens_vector(camera.lens)
        if lenses:
            vector[:2] *= 1.02
            vector[4:] *= 0.5
        lens = lens_from_vector(vector, fisheye=False, count=4)
        moved.append(replace(camera, lens=lens, cam_from_world=off @ camera.cam_from_world))
    off = RigidTransform.from_rotation_vector(rng.normal(size=(frames, 3)) * 0.01, rng.normal(size=(frames, 3)) * 5.0)
    return Task(
        f"{cameras} x {frames}" + (", everything free" if lenses else ", extrinsics only"),
        Rig(tuple(moved)),
        scene.world_from_board @ off,
        scene.corners["position"].to_numpy(),
        dict.fromkeys(scene.rig.names, MODEL) if lenses else {},
    )


def best(call: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Best wall and CPU seconds of several calls."""
    wall, cpu = [], []
    for _ in range(repeats):
        start = time.perf_counter(), time.process_time()
        call()
        wall.append(time.perf_counter() - start[0])
        cpu.append(time.process_time() - start[1])
    return min(wall), min(cpu)


def by_us(task: Task, repeats: int) -> dict[str, float]:
    def call(settings: BundleSettings) -> float:
        nonlocal last
        last = adjust_boards(
            task.rig, BOARD.points, task.boards, task.pixels, models=task.models, settings=settings
        ).cost
        return last

    last = 0.0
    robust, _ = best(lambda: call(BundleSettings()), max(repeats // 2, 1))
    covariance, _ = best(lambda: call(BundleSettings(loss="none")), repeats)
    wall, cpu = best(lambda: call(PLAIN), repeats)
    return {"wall": wall, "cpu": cpu, "cost": last, "wall with covariance": covariance, "wall robust": robust}


def ceres_problem(task: Task) -> object:
    """Parameters, as arrays that Ceres writes to, and the problem over them."""
    import pyceres
    import pycolmap
    import pycolmap.cost_functions

    def pose(transform: RigidTransform) -> tuple[FLOATS, FLOATS]:
        return pycolmap.Rotation3d(np.asarray(transform.rotation)).quat.copy(), transform.translation.copy()

    problem = pyceres.Problem()
    cameras = [(*pose(camera.cam_from_world), lens_vector(camera.lens)[:8].copy()) for camera in task.rig]
    boards = [
        pose(RigidTransform(turn, shift))
        for turn, shift in zip(task.boards.rotation, task.boards.translation, strict=True)
    ]
    corners = [point.copy() for point in BOARD.points]
    for camera, frame, corner in np.argwhere(np.isfinite(task.pixels[..., 0])):
        cost = pycolmap.cost_functions.RigReprojErrorCost(
            pycolmap.CameraModelId.OPENCV, task.pixels[camera, frame, corner]
        )
        turn, shift, lens = cameras[camera]
        problem.add_residual_block(cost, None, [turn, shift, *boards[frame], corners[corner], lens])
    for turn, _, lens in cameras:
        problem.set_manifold(turn, pyceres.EigenQuaternionManifold())
        if not task.models:
            problem.set_parameter_block_constant(lens)
    problem.set_parameter_block_constant(cameras[0][0])
    problem.set_parameter_block_constant(cameras[0][1])
    for turn, _ in boards:
        problem.set_manifold(turn, pyceres.EigenQuaternionManifold())
    for corner in corners:
        problem.set_parameter_block_constant(corner)
    return problem, (cameras, boards, corners)


def by_ceres(task: Task, repeats: int, tolerance: float) -> dict[str, float]:
    import pyceres

    result: dict[str, float] = {"wall": np.inf}
    for solver in ("SPARSE_SCHUR", "DENSE_SCHUR")[: 1 if task.observations > 200_000 else 2]:
        for _ in range(repeats):
            problem, kept = ceres_problem(task)
            options = pyceres.SolverOptions()
            options.linear_solver_type = getattr(pyceres.LinearSolverType, solver)
            options.num_threads = len(os.sched_getaffinity(0))
            options.max_num_iterations = 100
            options.function_tolerance, options.gradient_tolerance, options.parameter_tolerance = tolerance, 0.0, 0.0
            options.minimizer_progress_to_stdout = False
            summary = pyceres.SolverSummary()
            solve = functools.partial(pyceres.solve, options, problem, summary)
            wall, cpu = best(solve, 1)
            if wall < result["wall"]:
                result = {"wall": wall, "cpu": cpu, "cost": float(summary.final_cost), "solver": solver}
            del kept
    return result


def by_aniposelib(task: Task) -> dict[str, float]:
    from aniposelib.cameras import Camera, CameraGroup

    group = CameraGroup(
        [
            Camera(
                matrix=camera.lens.camera_matrix,
                dist=np.append(camera.lens.coefficients[:1], np.zeros(4)),
                size=camera.size,
                rvec=camera.cam_from_world.rotation_vector,
                tvec=camera.cam_from_world.translation,
                name=camera.name,
            )
            for camera in task.rig
        ]
    )
    n_cameras, n_frames, n_corners = task.pixels.shape[:3]
    points = task.pixels.reshape(n_cameras, -1, 2)
    chosen = np.isfinite(points[..., 0]).sum(axis=0) >= 2
    frame = np.repeat(np.arange(n_frames), n_corners)
    turns = np.empty((n_cameras, n_frames, 3))
    shifts = np.empty((n_cameras, n_frames, 3))
    for index, camera in enumerate(task.rig):
        board = camera.cam_from_world @ task.boards
        turns[index], shifts[index] = board.rotation_vector, board.translation
    extra = {
        "objp": np.tile(BOARD.points, (n_frames, 1))[chosen],
        "ids": frame[chosen],
        "rvecs": turns[:, frame[chosen]],
        "tvecs": shifts[:, frame[chosen]],
    }
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wall, cpu = best(lambda: group.bundle_adjust(points[:, chosen], extra, verbose=False), 1)
    return {"wall": wall, "cpu": cpu}


def one_camera(repeats: int, *, opencv: bool) -> dict[str, dict[str, float]]:
    import cv2

    task = make_task(1, 300, lenses=True)
    pixels, names = task.pixels, task.rig.names
    model = {names[0]: LENS_MODELS["brown5"]}

    def ours() -> None:
        poses = fit_board_poses(task.rig, BOARD.points, pixels, settings=PLAIN)
        nonlocal cost
        cost = adjust_boards(
            task.rig, BOARD.points, poses.world_from_board, pixels, models=model, settings=BundleSettings(loss="none")
        ).cost

    cost = 0.0
    wall, cpu = best(ours, repeats)
    result = {"ours": {"wall": wall, "cpu": cpu, "cost": cost}}
    camera = task.rig.cameras[0]
    objects = [BOARD.points.astype(np.float32)] * pixels.shape[1]
    images = [view.astype(np.float32) for view in pixels[0]]

    def theirs() -> None:
        nonlocal cost
        rms, *_ = cv2.calibrateCamera(
            objects,
            images,
            camera.size,
            camera.lens.camera_matrix.copy(),
            np.zeros(5),
            flags=cv2.CALIB_USE_INTRINSIC_GUESS,
        )
        cost = 0.5 * rms**2 * task.observations

    if opencv:
        wall, cpu = best(theirs, repeats)
        result[f"OpenCV {cv2.__version__}"] = {"wall": wall, "cpu": cpu, "cost": cost}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="leave out 24 x 500 and aniposelib")
    parser.add_argument("--json", action="store_true", help="one line of JSON only")
    arguments = parser.parse_args()
    peers = {name for name in ("pyceres", "pycolmap", "aniposelib", "cv2") if importlib.util.find_spec(name)}
    tasks = [make_task(6, 200, lenses=True), make_task(12, 300, lenses=False)]
    if not arguments.quick:
        tasks.append(make_task(24, 500, lenses=True))
    by_us(make_task(2, 5, lenses=True), 1)  # compile, or load what is compiled
    out: dict[str, dict[str, object]] = {}
    for task in tasks:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        row: dict[str, object] = {"observations": task.observations, "ours": by_us(task, 7)}
        row["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        row["peak_mb_before"] = before / 1024
        if {"pyceres", "pycolmap"} <= peers:
            repeats = 3 if task.observations < 100_000 else 1
            row["Ceres"] = by_ceres(task, repeats, 1e-10)
            if task.observations < 200_000:
                row["Ceres, tolerance 1e-6"] = by_ceres(task, repeats, 1e-6)
        if "aniposelib" in peers and task is tasks[0] and not arguments.quick:
            row["aniposelib"] = by_aniposelib(task)
        out[task.name] = row
        if not arguments.json:
            show(task.name, row)
    out["one camera, 300 views"] = dict(one_camera(5, opencv="cv2" in peers))
    if not arguments.json:
        show("one camera, 300 views", out["one camera, 300 views"])
    out["machine"] = {"python": platform.python_version(), "processors": len(os.sched_getaffinity(0))}
    print(json.dumps(out, default=float))


def show(name: str, row: dict[str, object]) -> None:
    print(name)
    for solver, figures in row.items():
        text = (
            figures
            if not isinstance(figures, dict)
            else ", ".join(
                f"{key} {value:.10g}" if isinstance(value, float) else f"{key} {value}"
                for key, value in figures.items()
            )
        )
        print(f"  {solver}: {text}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
