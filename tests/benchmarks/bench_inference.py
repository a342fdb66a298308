"""How fast keypoints are found: `python tests/benchmarks/bench_inference.py [--quick]`.

A MobileNetV2-0.35 with maps of stride 8 and random weights, single precision, one image at a time, as many sessions as
processors: the network and the search for peaks, in every runtime; then the whole way from an H.264 video of 640 x 480
to detections on disk. Processor time per frame does not depend on what else the machine does; frames per second do.
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

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from calibration.processors import available_processors
from calibration.video import VideoWriter, open_video
from pose3d.detection import NetworkDetector, PredictionSettings, RawDetections
from pose3d.detection.network import export_run
from pose3d.networks.decoding import decode
from pose3d.networks.model import SIDE_OF_BOUND, build_model
from pose3d.networks.predicting import pad_images
from pose3d.networks.run_files import save_run
from pose3d.networks.runtimes import open_runtime
from pose3d.networks.settings import NetworkSettings, TrainingSettings
from pose3d.networks.training import TrainedNetwork
from pose3d.pipeline import predict_session

SIZES = ((229, 174), (640, 480))
KEYPOINTS = (4, 20)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="a moment per row, and a short video")
    parser.add_argument("--json", action="store_true", help="print one JSON line only")
    parser.add_argument("--runtimes", nargs="+", default=["auto"], help="such as: auto litert")
    parser.add_argument("--width", type=int, default=64, help="channels of the head")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    seconds, frames = (2.0, 400) if arguments.quick else (5.0, 3000)
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        for keypoints in KEYPOINTS:
            run = made_run(Path(folder) / f"run{keypoints}", keypoints, arguments.width)
            for size in SIZES:
                for name, row in rows(run, size, seconds, arguments.runtimes).items():
                    label = f"{size[0]}x{size[1]}, {keypoints} keypoints, {name}"
                    figures[label] = row
                    show(label, row, arguments.json)
            row = whole_way(run, Path(folder), frames)
            figures[f"video to file, {keypoints} keypoints"] = row
            show(f"video to file, {keypoints} keypoints", row, arguments.json)
        row = video_alone(Path(folder), frames)
        figures["video to file without a network"] = row
        show("video to file without a network", row, arguments.json)
    if arguments.json:
        json.dump(figures, sys.stdout)
        print()


def show(label: str, row: object, quiet: bool) -> None:
    if not quiet:
        cells = "  ".join(f"{name} {value:.4g}" for name, value in row.items())  # type: ignore[attr-defined]
        print(f"{label:44s} {cells}", flush=True)


def made_run(path: Path, keypoints: int, width: int):
    settings = NetworkSettings(tuple(f"k{number}" for number in range(keypoints)), width=width)
    import keras

    keras.utils.set_random_seed(0)
    trained = TrainedNetwork(build_model(settings), settings, TrainingSettings(), [], 0, (256, 256))
    return save_run(path, trained, sizes=[(640, 480)])


def rows(run, size: tuple[int, int], seconds: float, runtimes: list[str]) -> dict[str, dict[str, float]]:
    """Runtime -> frames per second with all sessions at once, and milliseconds of processor time per frame."""
    images = np.random.default_rng(0).integers(0, 255, (4, size[1], size[0], 3), dtype=np.uint8)
    for runtime in runtimes:
        export = export_run(run, images, runtime=runtime)
    result = {}
    for name in export.differences:
        if name in export.refused:
            continue
        folder = run.path / "exports" / f"{export.size[0]}x{export.size[1]}"
        sessions = [open_runtime(folder, name) for _ in range(available_processors())]
        result[name] = timed(run.network, sessions, images[:1], seconds)
    return result


def timed(network: NetworkSettings, sessions, image, seconds: float) -> dict[str, float]:
    split = np.zeros((len(sessions), 2))

    def work(number: int) -> int:
        done, end = 0, time.perf_counter() + seconds
        while time.perf_counter() < end:
            begin = time.thread_time()
            maps = sessions[number](pad_images(image, SIDE_OF_BOUND))
            middle = time.thread_time()
            decode(*maps, stride=network.stride, sigma=network.sigma)
            split[number] += middle - begin, time.thread_time() - middle
            done += 1
        return done

    for session in sessions:
        decode(*session(pad_images(image, SIDE_OF_BOUND)), stride=network.stride, sigma=network.sigma)
    start, processor = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(len(sessions)) as pool:
        done = sum(pool.map(work, range(len(sessions))))
    wall, used = time.perf_counter() - start, time.process_time() - processor
    undisturbed = best_fifth(sessions[0], pad_images(image, SIDE_OF_BOUND))
    return {
        "frames/s": done / wall,
        "CPU ms": 1000 * used / done,
        "peaks": 1000 * split[:, 1].sum() / done,
        "at full use": len(sessions) * done / used,
        "network, best fifth, ms": undisturbed,
    }


def best_fifth(session, image, count: int = 60) -> float:
    """Milliseconds of processor time of the network: other programs slow it, so the best calls tell most."""
    spent = []
    for _ in range(count):
        start = time.process_time()
        session(image)
        spent.append(time.process_time() - start)
    return 1000 * float(np.percentile(spent, 20))


def made_video(folder: Path, frames: int) -> Path:
    """Noise that moves, over a gray ramp: about the bit rate of a recording."""
    path = folder / "video.mp4"
    if not path.exists():
        rng = np.random.default_rng(1)
        ground = np.linspace(60, 180, 640)[None, :, None] + rng.normal(0, 6, (480, 640, 1))
        with VideoWriter(path, 60.0) as writer:
            for frame in range(frames):
                image = np.repeat(ground + rng.normal(0, 2, (480, 640, 1)), 3, axis=2)
                x = 100 + frame % 400
                image[200:260, x : x + 60] = 20
                writer.write(np.clip(image, 0, 255).astype(np.uint8))
    return path


def whole_way(run, folder: Path, frames: int) -> dict[str, float]:
    path = made_video(folder, frames)
    detector = NetworkDetector(run)
    with open_video(path) as video:
        detector.detect(video.read(0).image[None])
    start, processor = time.perf_counter(), time.process_time()
    predict_session(run.path, {"a": path}, folder / "a.nc", settings=PredictionSettings(), detector=detector)
    wall, used = time.perf_counter() - start, time.process_time() - processor
    return {
        "frames/s": frames / wall,
        "CPU ms": 1000 * used / frames,
        "at full use": available_processors() * frames / used,
    }


class Nothing:
    """Finds nothing, at once: what is left is the video and the files."""

    keypoints = ("a",)
    candidates = 1
    gives_covariance = True
    parallel = 2

    def restart(self) -> None:
        """Nothing is remembered."""

    def detect(self, images) -> RawDetections:
        return RawDetections.missing(len(images), 1, 1, covariance=True)


def video_alone(folder: Path, frames: int) -> dict[str, float]:
    path = made_video(folder, frames)
    start, processor = time.perf_counter(), time.process_time()
    predict_session("nothing", {"a": path}, folder / "b.nc", detector=Nothing())
    wall, used = time.perf_counter() - start, time.process_time() - processor
    return {"frames/s": frames / wall, "CPU ms": 1000 * used / frames}


if __name__ == "__main__":
    main()
