"""How long angles take: `python tests/benchmarks/bench_angles.py [--frames N] [--json]`.

Eight angles of three points each, of 20 keypoints of one animal; wall and processor seconds, the best of five, each
beside the same in plain NumPy. Then the same angles with their standard deviations, three joint coordinates, systems of
four segments and their angular velocity, a tenth of the frames each.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pose3d.datasets import poses3d
from pose3d.kinematics.angles import joint_angles
from pose3d.kinematics.joints import joint_coordinates
from pose3d.kinematics.rotations import angular_velocity
from pose3d.kinematics.segments import segment_frames
from pose3d.skeleton import Anatomy, Angle, Joint, Segment, Skeleton

KEYPOINTS = tuple(f"k{place}" for place in range(20))
TRIPLES = tuple(KEYPOINTS[first : first + 3] for first in range(0, 16, 2))


def skeleton() -> Skeleton:
    segments = tuple(
        Segment(f"s{place}", (a,), ("y", (a,), (b,)), ("z", (b,), (c,))) for place, (a, b, c) in enumerate(TRIPLES[:4])
    )
    joints = tuple(Joint(f"j{place}", f"s{place}", f"s{place + 1}") for place in range(3))
    angles = tuple(Angle(b, ((a,), (b,), (c,))) for a, b, c in TRIPLES)
    return Skeleton("bench", KEYPOINTS, anatomy=Anatomy(angles=angles, segments=segments, joints=joints))


def recording(frames: int, *, uncertain: bool) -> xr.Dataset:
    position = np.random.default_rng(0).normal(size=(frames, 3, 20, 1)) * 100
    poses = poses3d(position, individuals=["a"], keypoints=KEYPOINTS, unit="mm", frame_rate=100.0)
    if uncertain:
        covariance = np.zeros((frames, 3, 3, 20, 1))
        covariance[:, range(3), range(3)] = 1.0
        poses["covariance"] = (("time", "space", "space_", "keypoint", "individual"), covariance, {"units": "mm^2"})
    return poses


def with_numpy(poses: xr.Dataset) -> NDArray[np.float64]:
    position, found = poses["position"].values, np.empty((poses.sizes["time"], 8, 1))
    for place in range(8):
        a, b, c = (position[:, :, 2 * place + step] for step in range(3))
        u, v = a - b, c - b
        across = np.linalg.norm(np.cross(u, v, axis=1), axis=1)
        found[:, place] = np.arctan2(across, (u * v).sum(axis=1))
    return found


def best(work: Callable[[], object], times: int = 5) -> tuple[float, float]:
    """Wall and processor seconds; the first call compiles and does not count."""
    work()
    results = []
    for _ in range(times):
        wall, processor = time.perf_counter(), time.process_time()
        work()
        results.append((time.perf_counter() - wall, time.process_time() - processor))
    return min(results)


def main(frames: int) -> dict[str, dict[str, float]]:
    body, poses, few = skeleton(), recording(frames, uncertain=False), frames // 10
    uncertain = recording(few, uncertain=True)
    systems = segment_frames(uncertain, body)
    assert np.allclose(with_numpy(poses), joint_angles(poses, body)["joint_angle"].values, rtol=0, atol=1e-12)
    cases: dict[str, tuple[int, Callable[[], object]]] = {
        "8 angles": (frames, lambda: joint_angles(poses, body)),
        "8 angles, plain NumPy": (frames, lambda: with_numpy(poses)),
        "8 angles with std": (few, lambda: joint_angles(uncertain, body)),
        "3 joint coordinates": (few, lambda: joint_coordinates(uncertain.drop_vars("covariance"), body)),
        "3 joint coordinates with std": (few, lambda: joint_coordinates(uncertain, body)),
        "systems of 4 segments with covariance": (few, lambda: segment_frames(uncertain, body)),
        "angular velocity of 4 segments with std": (few, lambda: angular_velocity(systems)),
    }
    results = {}
    for name, (count, work) in cases.items():
        wall, processor = best(work)
        results[name] = {"frames": count, "seconds": round(wall, 4), "processor_seconds": round(processor, 4)}
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="How long angles take.")
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    table = main(given.frames)
    if given.json:
        print(json.dumps(table, indent=2))
    else:
        print(f"{'':40}  {'frames':>9}  {'wall (s)':>8}  {'processor (s)':>13}")
        for name, row in table.items():
            print(f"{name:40}  {row['frames']:9d}  {row['seconds']:8.3f}  {row['processor_seconds']:13.3f}")
