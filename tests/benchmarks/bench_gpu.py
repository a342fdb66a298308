"""How fast networks are on a GPU: `KERAS_BACKEND=jax python tests/benchmarks/bench_gpu.py [--quick]`.

Networks with random weights and maps of stride 8: images in memory to keypoints (the network and the search for peaks,
as `pose3d predict` runs them), then the whole way from an H.264 video to detections on disk; a step of training, and
the share of the time in which the network waited for its batch. Needs Keras with JAX or PyTorch, and a GPU.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np

from calibration.processors import available_processors
from calibration.video import VideoWriter
from pose3d.detection import NetworkDetector, PredictionSettings, find_batch_size
from pose3d.networks.devices import has_gpu
from pose3d.networks.model import build_model
from pose3d.networks.run_files import save_run
from pose3d.networks.settings import NetworkSettings, TrainingSettings
from pose3d.networks.training import TrainedNetwork
from pose3d.pipeline import predict_session

# backbone, width and height, keypoints
ROWS = (
    ("mobilenetv2_0.35", (256, 256), 20),
    ("resnet50", (278, 278), 20),
    ("unet", (640, 480), 20),
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="a moment per row, and a short video")
    parser.add_argument("--json", action="store_true", help="print one JSON line only")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    import keras

    if not has_gpu():
        sys.exit(f"Keras with {keras.backend.backend()} finds no GPU here.")
    seconds, frames = (2.0, 2000) if arguments.quick else (6.0, 10_000)
    figures: dict[str, dict[str, float]] = {}
    for backbone, size, keypoints in ROWS:
        label = f"{backbone}, {size[0]}x{size[1]}, {keypoints} keypoints, {keras.backend.backend()}"
        with tempfile.TemporaryDirectory() as folder:
            figures[label] = row = measured(Path(folder), backbone, size, keypoints, seconds, frames)
        if not arguments.json:
            print(f"{label:52s}", "  ".join(f"{name} {value:.4g}" for name, value in row.items()), flush=True)
    if arguments.json:
        json.dump(figures, sys.stdout)
        print()


def measured(
    folder: Path, backbone: str, size: tuple[int, int], keypoints: int, seconds: float, frames: int
) -> dict[str, float]:
    settings = NetworkSettings(tuple(f"k{number}" for number in range(keypoints)), backbone=backbone)
    trained = TrainedNetwork(build_model(settings), settings, TrainingSettings(), [], 0, size)
    detector = NetworkDetector(save_run(folder / "run", trained, sizes=[size]))
    images = np.random.default_rng(0).integers(0, 255, (64, size[1], size[0], 3), dtype=np.uint8)
    start = time.perf_counter()
    detector.detect(images[:1])
    first = time.perf_counter() - start
    batch = find_batch_size(detector, images[0])
    start, processor = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(detector.parallel) as pool:
        end = start + seconds
        done = sum(pool.map(lambda _: repeated(detector, images[:batch], end), range(detector.parallel)))
    wall, used = time.perf_counter() - start, time.process_time() - processor
    video = made_video(folder / "video.mp4", size, frames)
    begin = time.perf_counter()
    predict_session(folder / "run", {"a": video}, folder / "a.nc", settings=PredictionSettings(), detector=detector)
    return {
        "first image, s": first,
        "batch": batch,
        "frames/s": done / wall,
        "processors busy": used / wall,
        "of": available_processors(),
        "video to file, frames/s": frames / (time.perf_counter() - begin),
    }


def repeated(detector: NetworkDetector, images, end: float) -> int:
    done = 0
    while time.perf_counter() < end:
        detector.detect(images)
        done += len(images)
    return done


def made_video(path: Path, size: tuple[int, int], frames: int) -> Path:
    """Noise that moves, over a gray ramp; eight pictures in turn, for the encoder is not what is timed."""
    rng = np.random.default_rng(1)
    ground = np.linspace(60, 180, size[0])[None, :, None] + rng.normal(0, 6, (8, size[1], size[0], 1))
    pictures = np.clip(np.repeat(ground, 3, axis=3), 0, 255).astype(np.uint8)
    with VideoWriter(path, 60.0) as writer:
        for frame in range(frames):
            writer.write(pictures[frame % 8])
    return path


if __name__ == "__main__":
    main()
