"""From corners to a rig with its diagnosis: `python tests/benchmarks/bench_calibration.py [--large] [--opencv]`.

Beside OpenCV 5's calibrateMultiview where that is installed, on the same corners (in meters: it fails in millimeters),
with the pose errors of both. The best of three runs, wall and CPU seconds; compile first by running it twice.
"""

import argparse
import resource
import time
import warnings

import cv2
import numpy as np

from calibration.boards import Charuco, Chessboard
from calibration.diagnosis import diagnose
from calibration.rig import Rig
from calibration.rig_calibration import calibrate
from calibration.synthetic import BoardScene, make_board_scene, make_rig

BOARD = Charuco(9, 6, 50.0)
# OpenCV takes whole boards only; of this one, all corners that are seen are those of whole boards.
WHOLE = Chessboard(9, 6, 45.0)
SIZES = ((6, 150), (16, 300))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--large", action="store_true", help="24 cameras and 500 frames as well")
    parser.add_argument("--opencv", action="store_true", help="calibrateMultiview on the smallest as well")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    for cameras, frames in (*SIZES, *(((24, 500),) if arguments.large else ())):
        made = make_board_scene(make_rig(cameras, seed=1), BOARD, frames=frames, radius=250.0, seed=1)
        times = [timed(made) for _ in range(3 if cameras < 24 else 1)]
        wall, cpu = (min(column) for column in zip(*times, strict=True))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"{cameras} x {frames}: {wall:.2f} s wall, {cpu:.2f} s CPU, peak {peak:.2f} GB", flush=True)
        if arguments.opencv and cameras == SIZES[0][0] and hasattr(cv2, "calibrateMultiview"):
            beside(make_board_scene(made.rig, WHOLE, frames=frames, radius=200.0, seed=1))


def timed(made: BoardScene) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    diagnose(calibrate(made.corners))
    return time.perf_counter() - wall, time.process_time() - cpu


def beside(made: BoardScene) -> None:
    position = made.corners["position"].values
    cameras, frames = position.shape[:2]
    mask = np.isfinite(position[..., 0]).all(axis=-1)
    pixels = np.where(mask[..., None, None], position, -1.0).astype(np.float32)
    start = time.process_time(), time.perf_counter()
    found = cv2.calibrateMultiview(
        [(made.board.points / 1000).astype(np.float32)] * frames,
        [[pixels[camera, frame] for frame in range(frames)] for camera in range(cameras)],
        [camera.size for camera in made.rig],
        mask.astype(np.uint8),
        np.zeros(cameras, np.uint8),
        # arrays of their own: it writes into them
        [np.eye(3) for _ in range(cameras)],
        [np.zeros(5) for _ in range(cameras)],
        [np.eye(3) for _ in range(cameras)],
        [np.zeros((3, 1)) for _ in range(cameras)],
    )
    cpu, wall = time.process_time() - start[0], time.perf_counter() - start[1]
    turns = [np.asarray(one) if np.size(one) == 9 else cv2.Rodrigues(np.asarray(one))[0] for one in found[3]]
    poses = [(turn, 1000 * np.asarray(shift).ravel()) for turn, shift in zip(turns, found[4], strict=True)]
    print(f"  calibrateMultiview: {wall:.2f} s wall, {cpu:.2f} s CPU, pose errors {errors(made.rig, poses)}")
    wall, cpu = timed(made)
    own = [(c.cam_from_world.rotation, c.cam_from_world.translation) for c in calibrate(made.corners).rig]
    print(f"  this project: {wall:.2f} s wall, {cpu:.2f} s CPU, pose errors {errors(made.rig, own)}", flush=True)


def errors(truth: Rig, poses: list[tuple[np.ndarray, np.ndarray]]) -> str:
    """Largest errors of the poses relative to the first camera."""
    first = truth.cameras[0].cam_from_world.inverse()
    turn, shift = [], []
    for camera, (rotation, translation) in zip(truth, poses, strict=True):
        true = camera.cam_from_world @ first
        relative = rotation @ poses[0][0].T
        moved = translation - relative @ poses[0][1]
        angle = np.arccos(np.clip((np.trace(relative @ true.rotation.T) - 1) / 2, -1, 1))
        turn.append(np.rad2deg(angle))
        shift.append(np.linalg.norm(moved - true.translation))
    return f"{max(turn):.4f} degrees, {max(shift):.3f} mm at most"


if __name__ == "__main__":
    main()
