"""How long it takes to find a board in videos, against decoding them. By hand:

    python tests/benchmarks/bench_detection.py [--frames 1800] [--gaps 30 250] [--json]

Two films of a ChArUco board, 1280 x 720, which is in the picture for a third of the time, are written to a temporary
folder: one with a key frame in every second, one with as few as the encoder likes. Prints a table, and last one line of
JSON (with --json that line alone). Wall seconds, and processor seconds of all processes: on a machine that others use
too, the second is the figure to compare.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import av
import cv2
import numpy as np

from calibration.boards import Charuco
from calibration.observations import detect_corners, statistics_of
from calibration.video import open_video

SIZE = (1280, 720)
BOARD = Charuco(columns=8, rows=6, square=30.0, dictionary="DICT_4X4_50")


def make_film(path: Path, frames: int, key_frames: int, seed: int) -> None:
    """A board that comes in from the left every 10 s, is moved about for 3 s and leaves again, before a noisy wall."""
    rng = np.random.default_rng(seed)
    walls = [np.clip(120 + rng.normal(0, 4, SIZE[::-1]), 0, 255).astype(np.uint8) for _ in range(8)]
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50)
    pattern = cv2.aruco.CharucoBoard((BOARD.columns, BOARD.rows), BOARD.square, BOARD.marker, dictionary)
    sheet = pattern.generateImage((BOARD.columns * 60, BOARD.rows * 60))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "21"}
        stream.codec_context.gop_size = key_frames
        for number in range(frames):
            image = walls[number % 8].copy()
            phase = number % 300
            if phase < 100:
                angle = 0.3 * np.sin(phase / 15)
                matrix = np.array(
                    [
                        [np.cos(angle), -np.sin(angle), 150 + 5 * phase],
                        [np.sin(angle), np.cos(angle), 150 + 60 * np.sin(phase / 20)],
                    ]
                )
                cv2.warpAffine(sheet, matrix, SIZE, dst=image, borderMode=cv2.BORDER_TRANSPARENT)
            frame = av.VideoFrame.from_ndarray(image, format="gray")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def decode(path: Path) -> int:
    """Decode all frames, without turning them into arrays of color."""
    with open_video(path, pixel_format="gray") as video:
        return sum(1 for _ in video)


def decode_in(paths: Sequence[Path], workers: int) -> int:
    if workers == 1:
        return sum(map(decode, paths))
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        return sum(pool.map(decode, paths))


def timed(work: Callable[[], object]) -> tuple[dict[str, float], object]:
    before = os.times()
    result = work()
    after = os.times()
    cpu = sum(after[:4]) - sum(before[:4])
    wall = after.elapsed - before.elapsed
    return {"wall": round(wall, 2), "cpu": round(cpu, 2), "cores": round(cpu / wall, 2)}, result


def measure(folder: Path, frames: int, key_frames: int, workers: int) -> dict[str, object]:
    """Figures for two films with this many frames between key frames."""
    paths = [folder / f"{name}-{key_frames}.mp4" for name in ("left", "right")]
    for seed, path in enumerate(paths):
        make_film(path, frames, key_frames, seed)
    sources = {"left": paths[0], "right": paths[1]}
    report: dict[str, object] = {}
    report["decode all, 1 process"], _ = timed(lambda: decode_in(paths, 1))
    report[f"decode all, {workers} processes"], _ = timed(lambda: decode_in(paths, workers))
    report["detect, 1 process"], _ = timed(lambda: detect_corners(sources, BOARD, workers=1, cache=False))
    kept = folder / "cache"
    report[f"detect, {workers} processes"], corners = timed(
        lambda: detect_corners(sources, BOARD, workers=workers, cache=kept)
    )
    report["from the cache"], _ = timed(lambda: detect_corners(sources, BOARD, cache=kept))
    found = statistics_of(corners)["left"]
    report["looked at, with board, kept"] = [found.looked_at, found.with_board, found.kept]
    report["megabytes"] = round(sum(path.stat().st_size for path in paths) / 1e6, 1)
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=1800, help="frames of each film")
    parser.add_argument("--gaps", type=int, nargs="+", default=[30, 250], help="frames from key frame to key frame")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="the line of JSON alone")
    arguments = parser.parse_args()
    started = time.time()
    with tempfile.TemporaryDirectory() as folder:
        report = {
            f"a key frame in {gap} frames": measure(Path(folder), arguments.frames, gap, arguments.workers)
            for gap in arguments.gaps
        }
    report["seconds"] = round(time.time() - started)
    if not arguments.json:
        for title, figures in report.items():
            print(title)
            for name, value in figures.items() if isinstance(figures, dict) else ():
                print(f"  {name:36s} {value}")
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
