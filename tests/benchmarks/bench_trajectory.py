"""Trajectories of a whole recording, beside aniposelib, which runs in an environment of its own. Run by hand:

    python tests/benchmarks/bench_trajectory.py --anipose-python OTHER/bin/python [--frames N] [--seed N] [--json]

The scene: 20 keypoints of a body of 15 cm whose bones keep their lengths, at up to 1 m/s and 100 frames per second, in
six cameras 0.7 m away (f = 1400 px, 1280 x 1024 px; 1 px is 0.5 mm). 1.5 px of noise, 5 % of the positions anywhere in
the image, 15 % missing. Nobody is told the confidence, the noise or the truth. A point is one keypoint in one frame.
Times are those of the calls on arrays in memory, after a first call that compiles; the best of up to three.

aniposelib's optimization is measured with its own defaults and with those of Anipose's configuration, from the median
of all pairs of cameras (its linear triangulation of all cameras starts too far away where there are outliers), and
after the median filter of Anipose, which takes outliers out of the 2D positions before.
"""

# The other environment has neither of the two packages: what needs them is imported where it is used.

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import xarray as xr

    from calibration.rig import Rig
    from pose3d.skeleton import Skeleton

FLOATS = NDArray[np.float64]
RATE = 100.0  # frames per second
DISTANCE = 700.0  # mm
BONE = (15.0, 37.0)  # shortest and longest, mm
WALK = np.array([90.0, 90.0, 30.0])  # how far the body goes from the middle, mm
TURN = 0.5  # rad, of every joint about each axis
WARM_UP_FRAMES = 20
REPEATS = 3
LONG = 5.0  # s; no repetition once so much has passed

# Anipose's own defaults for the arguments of optim_points (its DEFAULT_CONFIG), and for its filter of 2D positions.
CONFIGURED = {
    "scale_smooth": 2,
    "scale_length": 2,
    "scale_length_weak": 1,
    "reproj_error_threshold": 5,
    "n_deriv_smooth": 3,
}
FILTER_FRAMES = 13
FILTER_OFFSET = 25.0  # px
PACKAGES = ("aniposelib", "jax", "numba", "numpy", "opencv-contrib-python", "scipy")

# Whose figures ours are divided by: first the unfiltered, then the best that aniposelib can.
RIVALS = {
    False: ("anipose optim, configured", "anipose filter + optim, configured"),
    True: ("anipose optim, configured, bones", "anipose filter + optim, configured, bones"),
}


@dataclass(frozen=True)
class Scene:
    """A moving body and what the cameras of a rig saw of it.

    Attributes:
        rig: the cameras.
        skeleton: whose edges are the bones.
        points: (time, keypoint, 3) the truth, mm.
        pixels: (time, keypoint, camera, 2) NaN where missing.
    """

    rig: Rig
    skeleton: Skeleton
    points: FLOATS
    pixels: FLOATS


@dataclass(frozen=True)
class Answer:
    """What one method found: points (time, keypoint, 3), of the first frames or of all; wall and CPU seconds."""

    points: FLOATS
    wall: float
    cpu: float


def make_scene(
    seed: int,
    frames: int,
    keypoints: int = 20,
    cameras: int = 6,
    noise: float = 1.5,
    outliers: float = 0.05,
    missing: float = 0.15,
) -> Scene:
    from calibration.synthetic import make_rig, observe
    from pose3d.skeleton import Skeleton

    rig = make_rig(cameras, distance=DISTANCE, seed=seed)
    parents = parents_of(keypoints)
    names = tuple(f"keypoint_{index}" for index in range(keypoints))
    bones = tuple((names[parent], names[index]) for index, parent in enumerate(parents) if index)
    points = move(parents, frames, np.random.default_rng([seed, 1]))
    seen = observe(rig, points, noise=noise, outlier_rate=outliers, dropout_rate=missing, seed=seed)
    return Scene(rig, Skeleton("body", names, bones, bones=bones), points, seen.pixels)


def parents_of(keypoints: int) -> list[int]:
    """A spine of four keypoints, of which the first is the root, and four limbs, two at each of its thirds."""
    return [max(0, i - 1) if i < 4 else (0, 0, 2, 2)[i - 4] if i < 8 else i - 4 for i in range(keypoints)]


def move(parents: Sequence[int], frames: int, rng: np.random.Generator) -> FLOATS:
    """(time, keypoint, 3) of a body that walks about the origin and turns all its joints smoothly."""
    from scipy.spatial.transform import Rotation

    bones = rng.standard_normal((len(parents), 3))
    bones *= rng.uniform(*BONE, (len(parents), 1)) / np.linalg.norm(bones, axis=1, keepdims=True)
    points = np.empty((frames, len(parents), 3))
    points[:, 0] = WALK * wave(frames, (0.1, 0.7), rng)
    turns: list[Rotation] = []
    for index, parent in enumerate(parents):
        turn = Rotation.from_rotvec(TURN * wave(frames, (0.3, 2.0), rng))
        turns.append(turns[parent] * turn if index else turn)
        if index:
            points[:, index] = points[:, parent] + turns[index].apply(bones[index])
    return points


def wave(frames: int, frequencies: tuple[float, float], rng: np.random.Generator) -> FLOATS:
    """(time, 3) sums of three sines of random frequencies (Hz), within -1 and 1."""
    time_s = np.arange(frames)[:, None] / RATE
    share = rng.dirichlet(np.ones(3))
    phases = [rng.uniform(0, 2 * np.pi, 3) + 2 * np.pi * rng.uniform(*frequencies, 3) * time_s for _ in range(3)]
    return np.einsum("s,sta->ta", share, np.sin(phases))


def timed(call: Callable[[], FLOATS]) -> Answer:
    """Best wall and CPU seconds of up to three calls."""
    wall: list[float] = []
    cpu: list[float] = []
    while not wall or (len(wall) < REPEATS and sum(wall) < LONG):
        start = time.perf_counter(), time.process_time()
        points = call()
        wall.append(time.perf_counter() - start[0])
        cpu.append(time.process_time() - start[1])
    return Answer(points, min(wall), min(cpu))


def framewise(scene: Scene) -> Answer:
    """Every point by itself."""
    from pose3d.reconstruction import triangulate

    poses = poses_of(scene)
    triangulate(poses, scene.rig)  # compiles
    return timed(lambda: points_of(triangulate(poses, scene.rig)))


def ours(scene: Scene, bones: bool) -> Answer:
    """The whole recording at once."""
    from pose3d.reconstruction import TrajectorySettings, reconstruct

    poses, settings = poses_of(scene), TrajectorySettings(bones=bones)

    def call() -> FLOATS:
        return points_of(reconstruct(poses, scene.rig, skeleton=scene.skeleton, settings=settings))

    call()  # compiles
    return timed(call)


def poses_of(scene: Scene) -> xr.Dataset:
    """The Poses2D Dataset of a scene."""
    from pose3d.datasets import poses2d

    return poses2d(
        np.transpose(scene.pixels, (0, 2, 1, 3))[:, :, None],
        cameras=[camera.name for camera in scene.rig],
        individuals=["body"],
        keypoints=scene.skeleton.keypoints,
        frame_rate=RATE,
        image_size=[camera.size for camera in scene.rig],
    )


def points_of(poses3d: xr.Dataset) -> FLOATS:
    """(time, keypoint, 3) of a Poses3D Dataset."""
    return poses3d["position"].isel(individual=0).transpose("time", "keypoint", "space").values


def by_aniposelib(scene: Scene, python: str, ransac_frames: int) -> tuple[dict[str, Answer], dict[str, str]]:
    """What aniposelib finds in the environment of another Python, and the versions there."""
    from calibration.formats import save_rig

    names = scene.skeleton.keypoints
    with TemporaryDirectory() as name:
        folder = Path(name)
        save_rig(scene.rig, folder / "rig.toml")  # a superset of Anipose's file
        np.savez(
            folder / "scene.npz",
            cameras=[camera.name for camera in scene.rig],
            pixels=np.transpose(scene.pixels, (2, 0, 1, 3)),
            bones=[[names.index(first), names.index(second)] for first, second in scene.skeleton.edges],
            ransac_frames=ransac_frames,
        )
        done = subprocess.run(
            [python, __file__, "--worker", str(folder)], capture_output=True, text=True, errors="replace", check=False
        )
        if done.returncode:
            raise SystemExit(f"{python}: aniposelib failed there\n{done.stderr[-2000:]}")
        with np.load(folder / "found.npz", allow_pickle=False) as found:
            rows = zip(found["methods"].tolist(), found["seconds"].tolist(), strict=True)
            answers = {method: Answer(found[method], *seconds) for method, seconds in rows}
            return answers, dict(zip(PACKAGES, found["versions"].tolist(), strict=True))


def work(folder: Path) -> None:
    """In the other environment: all methods of aniposelib on the scene in a folder."""
    with np.load(folder / "scene.npz", allow_pickle=False) as scene:
        pixels, bones, ransac_frames = scene["pixels"], scene["bones"].tolist(), int(scene["ransac_frames"])
        cameras = scene["cameras"].tolist()
    group_type: Any = import_module("aniposelib.cameras").CameraGroup
    group = group_type.load(folder / "rig.toml").subset_cameras_names(cameras)
    answers: dict[str, Answer] = {}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for method, call in anipose_methods(group, bones).items():
            part = pixels[:, :ransac_frames] if method == "anipose RANSAC" else pixels
            if part.shape[1]:
                call(part[:, :WARM_UP_FRAMES] if part is pixels else part[:, :1])
                answers[method] = timed(lambda call=call, part=part: call(part))  # type: ignore[misc]
    found: dict[str, Any] = {method: answer.points for method, answer in answers.items()}
    seconds = [[answer.wall, answer.cpu] for answer in answers.values()]
    versions = [version(package) for package in PACKAGES]
    np.savez(folder / "found.npz", methods=list(answers), seconds=seconds, versions=versions, **found)


def anipose_methods(group: Any, bones: list[list[int]]) -> dict[str, Callable[[FLOATS], FLOATS]]:
    """Functions from pixels (camera, time, keypoint, 2) to points (time, keypoint, 3)."""

    def linear(pixels: FLOATS) -> FLOATS:
        return group.triangulate(flat(pixels)).reshape(*pixels.shape[1:3], 3)

    def pairs(pixels: FLOATS) -> FLOATS:
        return group.triangulate(flat(pixels), fast=True).reshape(*pixels.shape[1:3], 3)

    def ransac(pixels: FLOATS) -> FLOATS:
        return group.triangulate_ransac(flat(pixels))[0].reshape(*pixels.shape[1:3], 3)

    def optimized(pixels: FLOATS, *, configured: bool, held: bool) -> FLOATS:
        settings: Mapping[str, object] = CONFIGURED if configured else {}
        return group.optim_points(pixels, pairs(pixels), constraints=bones if held else [], **settings)

    return {
        "anipose linear": linear,
        "anipose median of pairs": pairs,
        "anipose RANSAC": ransac,
        "anipose optim": lambda pixels: optimized(pixels, configured=False, held=False),
        "anipose optim, bones": lambda pixels: optimized(pixels, configured=False, held=True),
        "anipose optim, configured": lambda pixels: optimized(pixels, configured=True, held=False),
        "anipose optim, configured, bones": lambda pixels: optimized(pixels, configured=True, held=True),
        "anipose filter + median of pairs": lambda pixels: pairs(filtered(pixels)),
        "anipose filter + optim, configured": lambda pixels: optimized(filtered(pixels), configured=True, held=False),
        "anipose filter + optim, configured, bones": lambda pixels: optimized(
            filtered(pixels), configured=True, held=True
        ),
    }


def flat(pixels: FLOATS) -> FLOATS:
    """(camera, point, 2) of (camera, time, keypoint, 2)."""
    return np.ascontiguousarray(pixels.reshape(len(pixels), -1, 2))


def filtered(pixels: FLOATS) -> FLOATS:
    """Pixels (camera, time, keypoint, 2), without those that are far from the running median of their track.

    As Anipose's filter of 2D positions does, which has no missing values to deal with: here they are bridged for the
    median by straight lines. Gaps are not filled, since a filled gap would count as a measurement.
    """
    from scipy.signal import medfilt

    result = pixels.copy()
    frames = np.arange(pixels.shape[1])
    for camera, keypoint in np.ndindex(pixels.shape[0], pixels.shape[2]):
        track = result[camera, :, keypoint]
        known = np.isfinite(track[:, 0])
        if known.sum() < FILTER_FRAMES:
            continue
        bridged = np.stack([np.interp(frames, frames[known], track[known, axis]) for axis in range(2)], axis=1)
        padded = np.pad(bridged, ((FILTER_FRAMES, FILTER_FRAMES), (0, 0)), mode="edge")
        median = medfilt(padded, (FILTER_FRAMES, 1))[FILTER_FRAMES:-FILTER_FRAMES]
        track[np.abs(bridged - median).sum(axis=1) >= FILTER_OFFSET] = np.nan
    return result


def figures(scene: Scene, answer: Answer) -> dict[str, float]:
    """Points per second and errors (mm) of an answer, which may hold the first frames only."""
    error = np.linalg.norm(answer.points - scene.points[: len(answer.points)], axis=-1).ravel()
    known = error[np.isfinite(error)]
    return {
        "points_per_second": len(error) / answer.wall,
        "points_per_cpu_second": len(error) / answer.cpu,
        "mean": float(known.mean()),
        "median": float(np.median(known)),
        "p95": float(np.percentile(known, 95)),
        "missing": 1 - len(known) / len(error),
    }


def ratios(rows: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """How many times as fast ours are as what aniposelib does of the same kind, and their errors as shares of its."""
    result = {}
    for bones, rivals in RIVALS.items():
        mine = rows.get(name_of(bones))
        for rival in rivals:
            if mine is not None and rival in rows:
                theirs = rows[rival]
                result[f"{name_of(bones)} / {rival}"] = {k: mine[k] / theirs[k] for k in mine if k != "missing"}
    return result


def name_of(bones: bool) -> str:
    return "ours, bones" if bones else "ours"


def print_tables(rows: Mapping[str, Mapping[str, float]], shares: Mapping[str, Mapping[str, float]]) -> None:
    heads = ("points/s", "per CPU s", "mean mm", "median", "p95")
    print(f"{'':46s}" + "".join(f"{head:>11s}" for head in (*heads, "missing %")))
    for name, row in rows.items():
        *speeds, mean, median, p95, missing = row.values()
        cells = [f"{speed:11,.0f}" for speed in speeds] + [f"{value:11.3f}" for value in (mean, median, p95)]
        print(f"{name:46s}{''.join(cells)}{100 * missing:11.3f}")
    for name, row in shares.items():
        speeds, errors = list(row.values())[:2], list(row.values())[2:]
        print(f"\n{name}")
        print(f"{'':46s}" + "".join(f"{speed:10,.1f}x" for speed in speeds) + "".join(f"{e:11.3f}" for e in errors))


def rounded(value: object) -> object:
    """The same with numbers of five digits, for a line that can be read."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    return float(f"{value:.5g}") if isinstance(value, float) else value


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anipose-python", metavar="PATH", help="the Python of an environment with aniposelib")
    parser.add_argument("--only", choices=("anipose", "ours"), help="without the other; triangulation always runs")
    parser.add_argument("--frames", type=int, default=150, help="at least 20; aniposelib takes two minutes for 150")
    parser.add_argument(
        "--ransac-frames", type=int, default=10, help="for aniposelib's RANSAC, which does some 15 points a second"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="the line of JSON alone")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.worker)
        return 0
    scene = make_scene(arguments.seed, arguments.frames)
    answers = {"triangulate, frame by frame": framewise(scene)}
    versions: dict[str, str] = {}
    if arguments.only != "anipose":
        answers |= {name_of(bones): ours(scene, bones) for bones in (False, True)}
    if arguments.anipose_python and arguments.only != "ours":
        theirs, versions = by_aniposelib(scene, arguments.anipose_python, arguments.ransac_frames)
        answers |= theirs
    rows = {name: figures(scene, answer) for name, answer in answers.items()}
    shares = ratios(rows)
    speed = np.linalg.norm(np.diff(scene.points, axis=0), axis=-1) * RATE
    if not arguments.json:
        print(f"{len(scene.points)} frames; keypoints at {speed.mean():.0f} mm/s on average, {speed.max():.0f} at most")
        print_tables(rows, shares)
    settings = {"frames": arguments.frames, "seed": arguments.seed, "threads": os.cpu_count(), "versions": versions}
    print(json.dumps(rounded({**settings, "methods": rows, "ratios": shares})))
    return 0


if __name__ == "__main__":
    sys.exit(main())
