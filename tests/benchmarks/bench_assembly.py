"""How fast keypoint candidates become animals, and how many of them the right ones. Run by hand on a quiet machine:

python tests/benchmarks/bench_assembly.py [--frames N] [--cameras N] [--accuracy] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "pose3d" / "identity"))
from assembly_scenes import SKELETON, grouped, scene

from pose3d.identity.assembly import assemble, assemble_pieces, learn_assembly

# How much smaller the area is in which animals walk: side by side, crossing, one upon the other.
CROWDS = {"loose": 1.0, "crossing": 4.0, "huddling": 16.0}


def speed(frames: int, cameras: int, animals: int, crowd: float) -> dict[str, float]:
    """Of one process, without learning; the time of the processor."""
    found, _ = scene(frames, animals, cameras=cameras, seed=1, crowd=crowd)
    start = time.process_time()
    planned = learn_assembly(found, SKELETON, individuals=animals)
    learned = time.process_time() - start
    times = []
    for _ in range(3):
        start = time.process_time()
        for _ in assemble_pieces(planned, found):
            pass
        times.append(time.process_time() - start)
    return {"learning_s": learned, "frames_per_s": frames / min(times)}


def accuracy(frames: int, animals: int, crowd: float, seed: int) -> dict[str, float]:
    """Share of the keypoints that are with their animal, by geometry alone and with affinities."""
    found, truth = scene(frames, animals, seed=seed, crowd=crowd, affinities=True)
    plain = found.drop_vars(["affinity", "edge_keypoint"])
    return {
        "geometry": grouped(plain, truth, assemble(plain, individuals=animals)),
        "with_skeleton": grouped(plain, truth, assemble(plain, SKELETON, individuals=animals)),
        "with_affinities": grouped(found, truth, assemble(found, individuals=animals)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--cameras", type=int, default=6)
    parser.add_argument("--accuracy", action="store_true", help="also the table of accuracy, which takes minutes")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    speed(50, 2, 2, 1.0)  # compiles
    rows: dict[str, dict[str, float]] = {}
    for name, crowd in CROWDS.items():
        rows[f"speed, 4 animals, {chosen.cameras} views, {name}"] = speed(chosen.frames, chosen.cameras, 4, crowd)
    for animals in (2, 4, 6) if chosen.accuracy else ():
        for name, crowd in CROWDS.items():
            runs = [accuracy(300, animals, crowd, seed) for seed in (11, 12, 13)]
            rows[f"accuracy, {animals} animals, {name}"] = {
                key: float(np.mean([run[key] for run in runs])) for key in runs[0]
            }
    if chosen.json:
        json.dump(rows, sys.stdout, indent=1)
        return
    for title, values in rows.items():
        print(f"{title:40s}", "  ".join(f"{name} {value:.4g}" for name, value in values.items()))


if __name__ == "__main__":
    main()
