"""How good trajectories are. Run by hand:

    python tests/benchmarks/accuracy_trajectory.py [--only PART ...] [--seeds N ...] [--json]

Trajectories, without and with a skeleton, beside frame-by-frame triangulation, in four parts:

- human: how constant bones are, and the difference to the positions that were published;
- held_out: for every camera of two recordings of mice, 3D from the others, projected into it. One of them is 81 single
  frames, 4 to 1747 frames apart, whose 2D positions are projections of its 3D ones: it gets 2 px of noise as well;
- simulated: errors and the coverage of 95 % ellipsoids where the truth is known, also of the twentieth of the positions
  whose jerk is largest, and of what is bridged;
- motion: what stays constant (velocity, acceleration or jerk), on all of these but the first.

Real recordings are looked for where POSE3D_REAL_DATA says, else in ../shared/data; what is absent is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from bench_trajectory import make_scene, poses_of
from numpy.typing import NDArray

from calibration import load_rig
from calibration.rig import Rig
from calibration.synthetic import observe
from pose3d.datasets import poses2d
from pose3d.formats import load_poses2d
from pose3d.formats.trc import read_trc
from pose3d.metrics import bone_lengths
from pose3d.reconstruction import TrajectorySettings, reconstruct, triangulate
from pose3d.reconstruction._trajectory_settings import Motion
from pose3d.skeleton import PRESETS, Skeleton
from pose3d.synthetic import SimulationSettings, simulate

FLOATS = NDArray[np.float64]
BOOLS = NDArray[np.bool_]
Row = dict[str, float]
Table = dict[str, Row]
Method = Callable[[xr.Dataset, Rig], xr.Dataset]

DATA = Path(os.environ.get("POSE3D_REAL_DATA", Path(__file__).parents[3] / "shared" / "data"))
CHI2_95 = 7.814727903251179  # chi-squared with 3 degrees of freedom
LIMBS = {
    "thigh": ("Hip", "Knee"),
    "shank": ("Knee", "Ankle"),
    "upper arm": ("Shoulder", "Elbow"),
    "forearm": ("Elbow", "Wrist"),
}
MOTIONS: tuple[Motion, ...] = ("velocity", "acceleration", "jerk")
LABEL_NOISE = 2.0  # px
NOTABLE = 0.01  # share of the frames in which a view is refused
FAST = 95.0  # percent of the positions whose jerk is smaller
BENCHMARK_FRAMES = 500

SCENES: Mapping[str, SimulationSettings] = {
    "assumed noise": SimulationSettings(duration=6.0, outlier_rate=0.0, occlusion="none", dropout_rate=0.02),
    "defaults": SimulationSettings(duration=6.0),
    "hard": SimulationSettings(
        duration=6.0, occlusion="drop", dropout_rate=0.3, outlier_rate=0.1, swap_rate=0.05
    ),
    "30 Hz": SimulationSettings(duration=20.0, frame_rate=30.0),
    "25 Hz, trot": SimulationSettings(duration=20.0, frame_rate=25.0, speed=400.0, gait="trot"),
}  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """What cameras saw of one individual, and the truth (time, keypoint, 3)."""

    poses: xr.Dataset
    rig: Rig
    skeleton: Skeleton
    truth: FLOATS


def main() -> None:
    parts: dict[str, Callable[[list[int]], dict[str, Table]]] = {
        "human": lambda _: human(),
        "held_out": lambda _: held_out_tables({"triangulate": triangulate, "trajectory": reconstruct}),
        "simulated": simulated,
        "motion": motion,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=tuple(parts), default=tuple(parts))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3], help="of the simulated scenes")
    parser.add_argument("--json", action="store_true", help="print one JSON line only")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    figures: dict[str, Table] = {}
    for part in arguments.only:
        for name, table in parts[part](arguments.seeds).items():
            figures[name] = table
            if not arguments.json:
                print_table(name, table)
    json.dump(figures, sys.stdout)
    print()


def print_table(name: str, table: Table) -> None:
    heads = list(dict.fromkeys(key for row in table.values() for key in row))
    width = max((len(label) for label in table), default=0)
    print(f"\n{name}\n{'':{width}s}" + "".join(f"{head:>{max(12, len(head) + 2)}s}" for head in heads))
    for label, row in table.items():
        cells = (f"{row.get(head, np.nan):{max(12, len(head) + 2)}.5g}" for head in heads)
        print(f"{label:{width}s}" + "".join(cells), flush=True)


# People


def human() -> dict[str, Table]:
    """Bones and the published positions, which another tool found and filtered at 6 Hz: a comparison, no truth."""
    folder = DATA / "human_4cam"
    if not folder.is_dir():
        return {}
    rig = load_rig(folder / "Calib_qualisys.toml")
    poses = load_poses2d([folder / "openpose_json"], rig=rig, frame_rate=60.0).isel(individual=[0]).load()
    published = read_trc(folder / "Balancing_for_IK.trc")
    skeleton = PRESETS["body_25b"]
    rows: Table = {}
    blamed: Table = {}
    for name, method in methods(skeleton).items():
        estimate = method(poses, rig)
        rows[name] = {**variation(estimate, skeleton), **difference(estimate, published), **shares(estimate)}
        if name == "trajectory, bones":
            blamed = blame(estimate)
    return {"human_4cam": rows, "human_4cam, views refused": blamed}


def methods(skeleton: Skeleton) -> dict[str, Method]:
    return {
        "triangulate": triangulate,
        "trajectory": reconstruct,
        "trajectory, bones": lambda poses, rig: reconstruct(poses, rig, skeleton=skeleton),
    }


def variation(estimate: xr.Dataset, skeleton: Skeleton) -> Row:
    """Standard deviation over mean of the lengths of limbs, in percent, of the side that varies more."""
    length = bone_lengths(estimate, skeleton).isel(individual=0)
    result = {}
    for name, (a, b) in LIMBS.items():
        sides = [length.sel(edge=f"{side}{a}-{side}{b}").values for side in "LR"]
        result[f"{name} %"] = max(float(100 * np.nanstd(side) / np.nanmean(side)) for side in sides)
    return result


def difference(estimate: xr.Dataset, published: xr.Dataset) -> Row:
    names = [str(name) for name in published["keypoint"].values]
    reference = positions(published)[..., [2, 0, 1]]  # its axes are permuted to Y-up
    apart = 1000 * np.linalg.norm(positions(estimate.sel(keypoint=names)) - reference, axis=-1)
    return {"median mm": float(np.nanmedian(apart)), "p95 mm": float(np.nanpercentile(apart, 95))}


def shares(estimate: xr.Dataset) -> Row:
    """Shares of the positions that are missing and bridged, and of the views that were repaired."""
    result = {"missing": float(np.isnan(positions(estimate)).any(-1).mean())}
    if "bridged" in estimate:
        result |= {"bridged": float(estimate["bridged"].mean()), "repaired": float((estimate["repair"] > 0).mean())}
    return result


def blame(estimate: xr.Dataset) -> Table:
    """The cameras and keypoints whose views are more probably lost than of the keypoint, and in which frames."""
    probability = estimate["view_probability"].isel(individual=0).transpose("camera", "keypoint", "time")
    rows: Table = {}
    for camera in probability["camera"].values:
        for keypoint in probability["keypoint"].values:
            refused = np.flatnonzero(probability.sel(camera=camera, keypoint=keypoint).values < 0.5)
            share = len(refused) / probability.sizes["time"]
            if share >= NOTABLE:
                first, last = float(refused[0]), float(refused[-1])
                rows[f"{camera} {keypoint}"] = {"share": share, "first frame": first, "last frame": last}
    return rows


# Cameras held out


def recordings() -> Iterable[tuple[str, xr.Dataset, Rig]]:
    folder = DATA / "mouse_4cam" / "minimal_session"
    if folder.is_dir():
        rig = load_rig(folder / "calibration_3cam.toml")
        yield "mouse_4cam", load_poses2d([folder], rig=rig, format="sleap-analysis").load(), rig
    file = DATA / "labeled_mouse_6cam" / "label3d_dannce.mat"
    if file.is_file():
        rig = load_rig(file)
        poses = load_poses2d([file], rig=rig).load()
        yield "labeled_mouse_6cam", poses, rig
        noisy = poses.copy(deep=True)
        noise = np.random.default_rng(0).normal(0.0, LABEL_NOISE, noisy["position"].shape)
        noisy["position"] = noisy["position"] + noise
        yield f"labeled_mouse_6cam and {LABEL_NOISE:g} px", noisy, rig


def held_out_tables(compared: Mapping[str, Method]) -> dict[str, Table]:
    return {f"{name}, held out": held_out_table(poses, rig, compared) for name, poses, rig in recordings()}


def held_out_table(poses: xr.Dataset, rig: Rig, compared: Mapping[str, Method]) -> Table:
    """Distances in px, in every camera and in all, where all methods have a point; and where the first has none.

    What is constant (a camera that is not quite where the calibration says, a network that means another place) no
    trajectory can mend; `varying` is the median distance once the median over time of every keypoint is taken off.
    """
    found = {name: held_out(poses, rig, method) for name, method in compared.items()}
    first = next(iter(found))
    everywhere = np.asarray(np.isfinite(np.stack(list(found.values()))).all((0, -1)))
    rows: Table = {}
    for number, camera in enumerate((*rig.names, "all")):
        chosen = slice(None) if camera == "all" else slice(number, number + 1)
        for name, off in found.items():
            both = np.where(everywhere[..., None], off, np.nan)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of keypoints that a camera never saw
                varying = np.linalg.norm(both - np.nanmedian(both, axis=1, keepdims=True), axis=-1)[chosen]
            distance = np.linalg.norm(off, axis=-1)[chosen]
            only = distance[np.isfinite(distance) & ~np.isfinite(found[first][chosen, ..., 0])]
            rows[f"{camera} {name}"] = {
                **statistics(distance[everywhere[chosen]], "px"),
                "varying px": float(np.nanmedian(varying)),
                "points": float(everywhere[chosen].sum()),
                "only": float(len(only)),
                "median px of only": float(np.median(only)) if len(only) else np.nan,
            }
    return rows


def held_out(poses: xr.Dataset, rig: Rig, method: Method) -> FLOATS:
    """(camera, time, keypoint, 2) px from what a camera saw to where 3D is that it had no part in."""
    result = []
    for camera in rig:
        others = [name for name in rig.names if name != camera.name]
        points = positions(method(poses.sel(camera=others), rig.select(others)))
        seen = poses.sel(camera=camera.name).isel(individual=0)
        pixels = seen["position"].transpose("time", "keypoint", "space").values
        there = seen["confidence"].transpose("time", "keypoint").values > 0
        off = rig.select([camera.name]).project(points)[..., 0, :] - pixels
        result.append(np.where(there[..., None], off, np.nan))
    return np.stack(result)


# Scenes whose truth is known


def scenes(seeds: list[int]) -> Iterable[tuple[str, Scene]]:
    """All scenes of all seeds."""
    for seed in seeds:
        for name, settings in SCENES.items():
            made = simulate(SimulationSettings(**{**vars(settings), "seed": seed}))
            truth = positions(made.poses3d)
            scene = Scene(made.poses2d, made.rig, made.skeleton, truth)
            if name == "assumed noise":
                yield "Gaussian noise", gaussian(scene, settings, seed)
            yield name, scene
        bench = make_scene(seed, BENCHMARK_FRAMES)
        yield "benchmark", Scene(poses_of(bench), bench.rig, bench.skeleton, bench.points)


def gaussian(scene: Scene, settings: SimulationSettings, seed: int) -> Scene:
    """The same motion, seen with the same noise everywhere and a confidence that says nothing."""
    seen = observe(scene.rig, scene.truth, noise=settings.noise, dropout_rate=settings.dropout_rate, seed=seed)
    poses = poses2d(
        np.transpose(seen.pixels, (0, 2, 1, 3))[:, :, None],
        cameras=scene.rig.names,
        individuals=["animal_1"],
        keypoints=scene.skeleton.keypoints,
        frame_rate=settings.frame_rate,
        image_size=np.array([camera.size for camera in scene.rig]),
    )
    return Scene(poses, scene.rig, scene.skeleton, scene.truth)


def simulated(seeds: list[int]) -> dict[str, Table]:
    return {"simulated": averaged(scenes(seeds), lambda scene: methods(scene.skeleton))}


def averaged(all_scenes: Iterable[tuple[str, Scene]], compared: Callable[[Scene], Mapping[str, Method]]) -> Table:
    """Means over the seeds of what `against_truth` says, and the extremes of the coverage."""
    every: dict[str, list[Row]] = {}
    for name, scene in all_scenes:
        for label, method in compared(scene).items():
            every.setdefault(f"{name}: {label}", []).append(against_truth(method(scene.poses, scene.rig), scene.truth))
    table: Table = {}
    for label, rows in every.items():
        inside = [row["coverage"] for row in rows]
        table[label] = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
        table[label] |= {"least": min(inside), "most": max(inside)}
    return table


def against_truth(estimate: xr.Dataset, truth: FLOATS) -> Row:
    error = np.linalg.norm(positions(estimate) - truth, axis=-1)
    inside = within(estimate, truth)
    row = {
        **statistics(error[np.isfinite(error)], "mm"),
        "missing": float(np.isnan(error).mean()),
        "coverage": share(inside, np.ones(inside.shape, dtype=bool)),
        "of fast": share(inside, fast(truth)),
        "of bridged": np.nan,
    }
    if "bridged" in estimate:
        bridged = estimate["bridged"].isel(individual=0).transpose("time", "keypoint").values.astype(bool)
        row |= {"bridged": float(bridged.mean()), "of bridged": share(inside, bridged)}
    return row


def within(estimate: xr.Dataset, truth: FLOATS) -> FLOATS:
    """(time, keypoint) 1 where the truth is inside the 95 % ellipsoid, else 0; NaN where there is none."""
    off = positions(estimate) - truth
    covariance = estimate["covariance"].isel(individual=0).transpose("time", "keypoint", "space", "space_").values
    known = np.isfinite(off[..., 0]) & np.isfinite(covariance[..., 0, 0])
    squared = np.full(known.shape, np.nan)
    squared[known] = np.einsum("ni,nij,nj->n", off[known], np.linalg.inv(covariance[known]), off[known])
    return np.where(known, (squared <= CHI2_95).astype(float), np.nan)


def share(inside: FLOATS, chosen: BOOLS) -> float:
    values = inside[chosen & np.isfinite(inside)]
    return float(values.mean()) if len(values) else np.nan


def fast(truth: FLOATS) -> BOOLS:
    """(time, keypoint) the positions with the largest jerk."""
    jerk = truth
    for _ in range(3):
        jerk = np.gradient(jerk, axis=0)
    size = np.linalg.norm(jerk, axis=-1)
    return np.asarray(size > np.percentile(size, FAST))


# What stays constant


def motion(seeds: list[int]) -> dict[str, Table]:
    compared: dict[str, Method] = {"triangulate": triangulate}
    compared |= {name: with_motion(name) for name in MOTIONS}
    tables = {f"motion, {name}": table for name, table in held_out_tables(compared).items()}
    return {**tables, "motion, simulated": averaged(scenes(seeds), lambda _: compared)}


def with_motion(name: Motion) -> Method:
    return lambda poses, rig: reconstruct(poses, rig, settings=TrajectorySettings(motion=name))


def positions(poses3d: xr.Dataset) -> FLOATS:
    """(time, keypoint, 3) of the first individual."""
    return np.asarray(poses3d["position"].isel(individual=0).transpose("time", "keypoint", "space").values)


def statistics(values: FLOATS, unit: str) -> Row:
    if not len(values):
        return {f"{name} {unit}": np.nan for name in ("mean", "median", "p95")}
    return {
        f"mean {unit}": float(values.mean()),
        f"median {unit}": float(np.median(values)),
        f"p95 {unit}": float(np.percentile(values, 95)),
    }


if __name__ == "__main__":
    main()
