"""Videos of the simulated animals, one per camera, all of the same instants."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.processors import available_processors
from calibration.video import VideoWriter
from pose3d.synthetic.pixel_truth import arena_of, poses_of
from pose3d.synthetic.rendering import AnimalRenderer, PictureSettings
from pose3d.synthetic.scene import Scene

__all__ = ["pictures", "write_animal_videos"]

# Constant rate factor of H.264.
_QUALITY = 18


def pictures(
    scene: Scene, camera: str, settings: PictureSettings | None = None, *, frames: range | None = None
) -> Iterator[NDArray[np.uint8]]:
    """What one camera sees, frame by frame.

    Args:
        scene: the recording.
        camera: name of the camera.
        settings: how the cameras take pictures.
        frames: numbers of the frames, all of them by default.

    Yields:
        (height, width, 3) RGB, or (height, width) gray.
    """
    chosen, pose = settings or PictureSettings(), poses_of(scene)
    index = scene.rig.names.index(camera)
    renderer = AnimalRenderer(
        scene.rig[camera],
        arena_of(scene, chosen),
        individuals=pose.shape[1],
        body_length=scene.body_length,
        settings=chosen,
        seed=scene.settings.seed,
        index=index,
    )
    for frame in range(len(pose)) if frames is None else frames:
        # Motion during the exposure is straight, and even about the time of the picture.
        before, after = max(frame - 1, 0), min(frame + 1, len(pose) - 1)
        between = max(after - before, 1) / scene.settings.frame_rate
        yield renderer.render(pose[frame], (pose[after] - pose[before]) / between, number=frame)


def write_animal_videos(
    scene: Scene,
    folder: str | os.PathLike[str],
    settings: PictureSettings | None = None,
    *,
    quality: int = _QUALITY,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write `<camera>.mp4` of every camera: frame n of each shows row n of the truth.

    Args:
        scene: the recording.
        folder: where to; it is made where it is missing.
        settings: how the cameras take pictures; the defaults of `PictureSettings` where None.
        quality: constant rate factor of H.264, see `VideoWriter`.
        workers: cameras rendered at the same time; as many as there are processors where None.
        on_progress: called with the number of pictures done and of all pictures.

    Returns:
        The files.

    Raises:
        OutputError: a file cannot be written.
    """
    total, done = scene.settings.frame_count * len(scene.rig), 0
    lock, stopped = threading.Lock(), threading.Event()

    def film(name: str) -> Path:
        nonlocal done
        file = Path(folder) / f"{name}.mp4"
        with VideoWriter(file, scene.settings.frame_rate, quality=quality) as video:
            for image in pictures(scene, name, settings):
                if stopped.is_set():
                    raise KeyboardInterrupt  # so that no half video appears under its name
                video.write(image)
                with lock:
                    done += 1
                    if on_progress is not None:
                        on_progress(done, total)
        return file

    with ThreadPoolExecutor(workers or available_processors()) as pool:
        films = [pool.submit(film, name) for name in scene.rig.names]
        try:
            wait(films, return_when=FIRST_EXCEPTION)
        finally:
            # All are done, or one of them failed, or the user stopped.
            stopped.set()
            for each in films:
                each.cancel()
        failed = [each.exception() for each in films if each.done() and not each.cancelled()]
        for error in failed:
            if error is not None:
                raise error
        return [each.result() for each in films]
