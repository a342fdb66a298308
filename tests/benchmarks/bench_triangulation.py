"""Speed and accuracy of triangulation, beside pycolmap and aniposelib where they are installed. Run by hand:

    python tests/benchmarks/bench_triangulation.py [--points N] [--cameras 3 4 6 12] [--json]

1 px of noise, 10 % outliers, 20 % missing; noise and threshold are given to all alike. Prints tables, and last one line
of JSON (with --json that line alone). CPU time per point is the figure to compare on a machine that others use too.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.rig import Rig
from calibration.synthetic import make_points, make_rig, observe
from calibration.triangulation import prepare, triangulate

FLOATS = NDArray[np.float64]
NOISE = 1.0
THRESHOLD = 4.5 * NOISE
REPEATS = 7
COMPARED_POINTS = 20_000  # for pycolmap, which is called point by point
RANSAC_POINTS = 60  # for aniposelib's RANSAC, which does some 20 a second


@dataclass(frozen=True)
class Scene:
    """What the cameras of a rig saw of points."""

    rig: Rig
    points: FLOATS
    pixels: FLOATS


@dataclass(frozen=True)
class Answer:
    """Points (point, 3) of one tool and the cameras (point, camera) that it used; CPU and wall seconds."""

    points: FLOATS
    used: NDArray[np.bool_]
    cpu: float
    wall: float


def make_scene(cameras: int, points: int) -> Scene:
    rig = make_rig(cameras)
    truth = make_points(points, seed=1)
    seen = observe(rig, truth, noise=NOISE, outlier_rate=0.1, dropout_rate=0.2, seed=2)
    return Scene(rig, truth, seen.pixels)


def timed(call: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Best CPU and wall seconds of several calls."""
    cpu, wall = [], []
    for _ in range(repeats):
        start = time.process_time(), time.perf_counter()
        call()
        cpu.append(time.process_time() - start[0])
        wall.append(time.perf_counter() - start[1])
    return min(cpu), min(wall)


def speeds(scene: Scene) -> dict[str, dict[str, float]]:
    """Points per second and CPU nanoseconds per point of our methods."""
    pixels, rig = scene.pixels, scene.rig
    few = pixels[:2000]
    calls: dict[str, tuple[Callable[[], object], int, int]] = {
        "linear": (
            lambda: triangulate(rig, pixels, method="linear", noise=NOISE, covariance=False),
            len(pixels),
            REPEATS,
        ),
        "robust": (lambda: triangulate(rig, pixels, noise=NOISE, covariance=False), len(pixels), REPEATS),
        "robust + covariance": (lambda: triangulate(rig, pixels, noise=NOISE), len(pixels), REPEATS),
        "robust + covariance, one thread": (
            lambda: triangulate(rig, pixels, noise=NOISE, workers=1),
            len(pixels),
            REPEATS,
        ),
        "robust + covariance, noise learned": (lambda: triangulate(rig, pixels), len(pixels), 3),
        "NumPy engine": (lambda: triangulate(rig, few, noise=NOISE, engine="numpy"), len(few), 2),
    }
    result = {}
    for name, (call, count, repeats) in calls.items():
        cpu, wall = timed(call, repeats)
        result[name] = {"points_per_second": count / wall, "cpu_ns_per_point": cpu / count * 1e9}
    return result


def by_us(scene: Scene) -> Answer:
    start = time.process_time(), time.perf_counter()
    outcome = triangulate(scene.rig, scene.pixels, noise=NOISE, threshold=THRESHOLD)
    return Answer(outcome.points, outcome.inliers, time.process_time() - start[0], time.perf_counter() - start[1])


def by_pycolmap(scene: Scene) -> Answer:
    """Robust triangulation of every point by itself, on the reprojection error in distorted pixels."""
    import pycolmap

    cameras, poses = [], []
    for camera in scene.rig:
        matrix, k = camera.lens.camera_matrix, camera.lens.padded_coefficients
        parameters = [matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2], *k[:8]]
        width, height = camera.size
        cameras.append(pycolmap.Camera(model="FULL_OPENCV", width=width, height=height, params=parameters))
        pose = camera.cam_from_world
        poses.append(pycolmap.Rigid3d(np.column_stack([pose.rotation, pose.translation])))
    options = pycolmap.EstimateTriangulationOptions()
    options.residual_type = pycolmap.TriangulationResidualType.REPROJECTION_ERROR
    options.min_tri_angle = float(np.deg2rad(1.0))  # ours
    options.ransac.max_error = THRESHOLD
    options.ransac.random_seed = 0
    points, used = np.full((len(scene.pixels), 3), np.nan), np.zeros(scene.pixels.shape[:2], dtype=np.bool_)
    start = time.process_time(), time.perf_counter()
    for row, pixels in enumerate(scene.pixels):
        seen = np.flatnonzero(np.isfinite(pixels[:, 0]))
        if len(seen) >= 2:
            found = pycolmap.estimate_triangulation(
                pixels[seen], [poses[c] for c in seen], [cameras[c] for c in seen], options
            )
            if found is not None:
                points[row], used[row, seen] = found["xyz"], found["inliers"]
    return Answer(points, used, time.process_time() - start[0], time.perf_counter() - start[1])


def by_aniposelib(scene: Scene, *, robust: bool) -> Answer:
    from aniposelib.cameras import Camera, CameraGroup

    group = CameraGroup(
        [
            Camera(
                matrix=camera.lens.camera_matrix,
                dist=camera.lens.padded_coefficients[:5],
                size=camera.size,
                rvec=camera.cam_from_world.rotation_vector,
                tvec=camera.cam_from_world.translation,
                name=camera.name,
            )
            for camera in scene.rig
        ]
    )
    by_camera = np.ascontiguousarray(np.moveaxis(scene.pixels, 1, 0))
    used = np.isfinite(scene.pixels[..., 0])
    if not robust:
        group.triangulate(by_camera)  # compiles
    start = time.process_time(), time.perf_counter()
    if robust:
        points, picked, *_ = group.triangulate_ransac(by_camera)
        used = np.moveaxis(picked[..., 0], 0, 1)
    else:
        points = group.triangulate(by_camera)
    return Answer(np.asarray(points), used, time.process_time() - start[0], time.perf_counter() - start[1])


def uncertainty(scene: Scene, answer: Answer) -> FLOATS:
    """(point,) largest standard deviation of a point, from the cameras that were used; infinite where there is none."""
    pixels = np.where(answer.used[..., None], scene.pixels, np.nan)
    covariance = triangulate(scene.rig, pixels, method="linear", noise=NOISE, minimum_angle=0.0).covariance
    assert covariance is not None
    known = np.isfinite(covariance).all((-1, -2)) & np.isfinite(answer.points[:, 0])
    result = np.full(len(pixels), np.inf)
    result[known] = np.sqrt(np.linalg.eigvalsh(covariance[known])[:, -1])
    return result


def errors(scene: Scene, answer: Answer) -> FLOATS:
    return np.linalg.norm(answer.points - scene.points, axis=-1)


def summary(error: FLOATS) -> dict[str, float]:
    """Share of NaN, and median and percentiles of the others."""
    known = error[np.isfinite(error)]
    percentiles = np.percentile(known, [50, 95, 99, 99.9]) if len(known) else np.full(4, np.nan)
    names = ("median", "p95", "p99", "p99.9")
    return {"nan": 1 - len(known) / len(error), **dict(zip(names, percentiles.tolist(), strict=True))}


def equal_share(scene: Scene, one: Answer, other: Answer) -> tuple[FLOATS, FLOATS]:
    """Errors of both with the same share of NaN: the one that found more gives up its most uncertain points."""
    found = [errors(scene, each) for each in (one, other)]
    keep = min(np.isfinite(error).sum() for error in found)
    for error, answer in zip(found, (one, other), strict=True):
        order = np.argsort(np.where(np.isfinite(error), uncertainty(scene, answer), np.inf), kind="stable")
        error[order[keep:]] = np.nan
    return found[0], found[1]


def against(scene: Scene, name: str, other: Answer) -> dict[str, object]:
    ours = by_us(scene)
    mine, theirs = errors(scene, ours), errors(scene, other)
    both = np.isfinite(mine) & np.isfinite(theirs)
    same = equal_share(scene, ours, other)
    return {
        "other": name,
        "points": len(scene.points),
        "points_per_second": len(scene.points) / other.wall,
        "cpu_ns_per_point": other.cpu / len(scene.points) * 1e9,
        "all": {"ours": summary(mine), name: summary(theirs)},
        "same share of NaN": {"ours": summary(same[0]), name: summary(same[1])},
        "common points": {
            "ours": summary(np.where(both, mine, np.nan)),
            name: summary(np.where(both, theirs, np.nan)),
        },
    }


def rivals(scene: Scene) -> list[dict[str, object]]:
    result = []
    if importlib.util.find_spec("pycolmap"):
        part = Scene(scene.rig, scene.points[:COMPARED_POINTS], scene.pixels[:COMPARED_POINTS])
        result.append(against(part, "pycolmap", by_pycolmap(part)))
    if importlib.util.find_spec("aniposelib"):
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            part = Scene(scene.rig, scene.points[:COMPARED_POINTS], scene.pixels[:COMPARED_POINTS])
            result.append(against(part, "aniposelib linear", by_aniposelib(part, robust=False)))
            if len(scene.rig) <= 6:  # it tries every subset of the cameras
                part = Scene(scene.rig, scene.points[:RANSAC_POINTS], scene.pixels[:RANSAC_POINTS])
                result.append(against(part, "aniposelib RANSAC", by_aniposelib(part, robust=True)))
    return result


def print_tables(cameras: int, ours: dict[str, dict[str, float]], others: list[dict[str, object]]) -> None:
    print(f"\n{cameras} cameras")
    for name, figures in ours.items():
        rate, cpu = figures["points_per_second"], figures["cpu_ns_per_point"]
        print(f"  {name:36s} {rate:14,.0f} points/s {cpu:14,.0f} CPU ns/point")
    for other in others:
        rate, cpu = other["points_per_second"], other["cpu_ns_per_point"]
        print(f"  {other['other']!s:36s} {rate:14,.0f} points/s {cpu:14,.0f} CPU ns/point")
        for case in ("all", "same share of NaN", "common points"):
            for name, row in other[case].items():
                text = "".join(f"  {key} {value:8.3f}" for key, value in row.items() if key != "nan")
                print(f"    {case:18s} {name:18s} NaN {100 * row['nan']:7.3f} %{text}")


def rounded(value: object) -> object:
    """The same with numbers of five digits, for a line that can be read."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=300_000)
    parser.add_argument("--cameras", type=int, nargs="+", default=[3, 4, 6, 12])
    parser.add_argument("--json", action="store_true", help="the line of JSON alone")
    arguments = parser.parse_args()
    prepare()
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    report: dict[str, object] = {"machine": platform.processor() or platform.machine(), "threads": threads}
    if not arguments.json:
        print(f"{threads} threads, {arguments.points:,} points; errors in mm, cameras 1 m away, 1 px = 0.7 mm")
    for cameras in arguments.cameras:
        scene = make_scene(cameras, arguments.points)
        ours, others = speeds(scene), rivals(scene)
        report[f"{cameras} cameras"] = {"speed": ours, "others": others}
        if not arguments.json:
            print_tables(cameras, ours, others)
    print(json.dumps(rounded(report)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
