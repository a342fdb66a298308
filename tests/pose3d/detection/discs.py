"""Videos of a white disc on black, and a detector that finds it."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.video import VideoWriter
from pose3d.detection import RawDetections

SIZE = (96, 64)


def center(frame: int) -> tuple[float, float]:
    return 20 + 50 * abs((frame / 40) % 2 - 1), 32 + 16 * float(np.sin(frame / 9))


def picture(frame: int, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    y, x = np.mgrid[: size[1], : size[0]]
    u, v = center(frame)
    disc = np.clip(6.5 - np.hypot(x - u, y - v), 0, 1)
    return np.repeat((255 * disc).astype(np.uint8)[..., None], 3, axis=2)


def film(path: Path, frames: int, *, rate: float = 30.0, encoder: str | None = None) -> Path:
    with VideoWriter(path, rate, quality=10, encoder=encoder) as writer:
        for frame in range(frames):
            writer.write(picture(frame))
    return path


class DiscDetector:
    """Finds the center of what is bright; slow frames and errors can be asked for."""

    keypoints = ("disc", "top")
    gives_covariance = True

    def __init__(self, parallel: int = 1, candidates: int = 1) -> None:
        self.parallel = parallel
        self.candidates = candidates
        self.shapes: list[tuple[int, ...]] = []
        self.restarts = 0

    def restart(self) -> None:
        self.restarts += 1

    def detect(self, images: NDArray[np.uint8]) -> RawDetections:
        self.shapes.append(images.shape)
        found = RawDetections.missing(len(images), self.candidates, 2, covariance=True)
        found.confidence[:] = 0
        for number, image in enumerate(images):
            weight = np.where(image[..., 0] > 60, image[..., 0], 0).astype(float)
            if weight.sum() < 2000:
                continue
            y, x = np.mgrid[: image.shape[0], : image.shape[1]]
            u, v = (x * weight).sum() / weight.sum(), (y * weight).sum() / weight.sum()
            found.position[number, 0] = [[u, v], [u, v - 6]]
            found.confidence[number, 0] = 0.9
            assert found.covariance is not None
            found.covariance[number, 0] = np.eye(2)
        return found
