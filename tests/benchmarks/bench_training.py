"""Time of a training step, and whether it keeps the processors busy: `python tests/benchmarks/bench_training.py`.

Images of noise with points at random: what is learned does not matter here. The first steps, in which the graph is made
and the frames are decoded, are told apart. Given are processor and wall time per step, how many processors were busy,
and the share of the wall time in which the network waited for a batch.
"""

import argparse
import json
import os
import sys
import time
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from pose3d.networks import training
from pose3d.networks.settings import NetworkSettings, TrainingSettings
from pose3d.networks.targets import VISIBLE
from pose3d.networks.training import Progress, TrainingData, train

ROWS = (("unet", 4, (224, 224)), ("mobilenetv2_0.35", 8, (224, 224)), ("efficientnet_lite0", 8, (224, 224)))
WARM = 5


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--json", action="store_true", help="print one JSON line only")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    figures = {}
    for backbone, stride, crop in ROWS:
        label = f"{backbone}, stride {stride}, 8 x {crop[0]} x {crop[1]}"
        figures[label] = row = measured(backbone, stride, crop, arguments.steps)
        if not arguments.json:
            print(f"{label:48s}", "  ".join(f"{name} {value:.3g}" for name, value in row.items()), flush=True)
    if arguments.json:
        json.dump(figures, sys.stdout)
        print()


def measured(backbone: str, stride: int, crop: tuple[int, int], steps: int) -> dict[str, float]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (24, 480, 640, 3), dtype=np.uint8)
    points = np.full((24, 1, 8, 3), VISIBLE, dtype=np.float32)
    points[..., :2] = rng.uniform((200, 150), (400, 300), (24, 1, 8, 2))
    data = TrainingData(images.__getitem__, points, ((640, 480),) * 24, tuple(f"k{n}" for n in range(8)))
    network = NetworkSettings(data.keypoints, backbone=backbone, stride=stride)
    settings = TrainingSettings(steps=WARM + steps, crop=crop, evaluate_every=10_000)
    marks: list[tuple[float, float, float]] = []
    waited = 0.0
    prefetch = training.prefetch

    def timed_prefetch(*given, **more):
        nonlocal waited
        batches = prefetch(*given, **more)
        while True:
            start = time.perf_counter()
            batch = next(batches, None)
            waited += time.perf_counter() - start
            if batch is None:
                return
            yield batch

    def mark(_progress: Progress) -> None:
        marks.append((time.process_time(), time.perf_counter(), waited))

    training.prefetch = timed_prefetch
    begin = time.process_time()
    try:
        train(data, np.arange(24), np.empty(0, dtype=np.int64), network, settings, report=mark)
    finally:
        training.prefetch = prefetch
    used, wall, idle = (last - first for first, last in zip(marks[WARM - 1], marks[-2], strict=True))
    count = steps - 1  # the last step evaluates, too
    return {
        "CPU ms/step": 1000 * used / count,
        "wall ms/step": 1000 * wall / count,
        "processors busy": used / wall,
        "waiting": idle / wall,
        "first steps, CPU s": marks[WARM - 1][0] - begin,
    }


if __name__ == "__main__":
    main()
