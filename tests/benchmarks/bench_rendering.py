"""How long a picture of the simulated animals takes: `python tests/benchmarks/bench_rendering.py [FRAMES]`.

Processor seconds of one thread, per picture of 640x480, in a low and a high camera: the rendering alone, and with the
encoding of the video.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import cv2

from calibration.video import VideoWriter
from pose3d.synthetic import SimulationSettings, simulate
from pose3d.synthetic.videos import pictures

CASES = ((1, None), (1, 700.0), (2, 700.0), (2, 1100.0))


def main(frames: int) -> None:
    cv2.setNumThreads(1)
    print("animals  distance  body (px)  camera  render (ms)  with video (ms)  frames/s")
    for individuals, distance in CASES:
        scene = simulate(
            SimulationSettings(
                individuals=individuals,
                paths="shared",
                duration=frames / 50,
                frame_rate=50.0,
                cameras=2,
                size=(640, 480),
                focal_length=700.0,
                distance=distance,
            )
        )
        for camera in scene.rig:
            made = pictures(scene, camera.name)
            next(made)  # what is computed once, and compiled
            start, count = time.process_time(), 0
            for _ in made:
                count += 1
            alone = (time.process_time() - start) / count
            made = pictures(scene, camera.name)
            first = next(made)
            with tempfile.TemporaryDirectory() as folder:
                start = time.process_time()
                with VideoWriter(Path(folder) / "a.mp4", 50.0, quality=18) as video:
                    video.write(first)
                    for image in made:
                        video.write(image)
                whole = (time.process_time() - start) / (count + 1)
            away = float((camera.center**2).sum() ** 0.5)
            print(
                f"{individuals:7d}  {away:8.0f}  {80 * 700 / away:9.0f}  {camera.name:>6}  {1000 * alone:11.1f}"
                f"  {1000 * whole:15.1f}  {1 / whole:8.1f}"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
