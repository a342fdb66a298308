"""From real videos to 3D without training: `python tests/benchmarks/accuracy_blazepose.py MODELS [--pictures FOLDER]`.

MODELS is the folder of BlazePose's model files (npm pack @mediapipe/pose), or one of its landmark models. The videos
are those of human_4cam, looked for where POSE3D_REAL_DATA says, else in ../shared/data. Bone lengths are compared with
those of the published positions, which another tool made of OpenPose's and smoothed at 6 Hz.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import xarray as xr

from calibration import load_rig
from calibration.video import open_video, write_png
from pose3d.datasets import poses2d, poses3d
from pose3d.detection import PredictionSettings
from pose3d.detection.blazepose import LANDMARKS
from pose3d.formats import load_poses2d
from pose3d.formats.trc import read_trc
from pose3d.metrics import bone_statistics
from pose3d.pipeline import predict_session
from pose3d.reconstruction import triangulate
from pose3d.skeleton import Skeleton

DATA = Path(os.environ.get("POSE3D_REAL_DATA", Path(__file__).parents[3] / "shared" / "data")) / "human_4cam"
JOINTS = ("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle")
BONES = (("Shoulder", "Elbow"), ("Elbow", "Wrist"), ("Hip", "Knee"), ("Knee", "Ankle"), ("Shoulder", "Hip"))
RATE = 60.0
NAMES = {side + joint: f"{word}_{joint.lower()}" for side, word in (("L", "left"), ("R", "right")) for joint in JOINTS}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("models", type=Path)
    parser.add_argument("--pictures", type=Path, help="folder for pictures of what was found")
    parser.add_argument("--json", action="store_true", help="print one JSON line only")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    videos = {path.stem: path for path in sorted((DATA / "videos").glob("*.mp4"))}
    start, processor = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "detections.nc"
        settings = PredictionSettings(batch_size=4)
        summary = predict_session(f"blazepose:{arguments.models}", videos, output, settings=settings)
        found = load_poses2d(output).load()
    frames = sum(one.frames for one in summary.cameras)
    seconds, used = time.perf_counter() - start, time.process_time() - processor
    if arguments.pictures:
        draw(found, videos, arguments.pictures)
    rig = load_rig(DATA / "Calib_qualisys.toml")
    ours = renamed(triangulate(of_the_rig(found, rig), rig))
    openpose = triangulate(load_poses2d([DATA / "openpose_json"], rig=rig, frame_rate=RATE), rig)
    published = upright(read_trc(DATA / "Balancing_for_IK.trc"))
    rows = {"BlazePose": ours, "OpenPose": openpose, "published": published}
    figures: dict[str, object] = {name: constancy(poses) for name, poses in rows.items()}
    figures["distance to published"] = {name: distances(rows[name], published) for name in ("BlazePose", "OpenPose")}
    figures["reprojection_px"] = {
        name: float(np.nanmedian(rows[name]["reprojection_error"].isel(individual=0)))
        for name in ("BlazePose", "OpenPose")
    }
    figures["missing"] = float(np.isnan(ours.sel(keypoint=list(NAMES))["position"].values).mean())
    figures["milliseconds per frame"] = {"wall": 1000 * seconds / frames, "CPU": 1000 * used / frames}
    if not arguments.json:
        for name, values in figures.items():
            print(name, values)
    json.dump(figures, sys.stdout)
    print()


def of_the_rig(found: xr.Dataset, rig) -> xr.Dataset:
    """2D poses in the images that were calibrated: two videos were shrunk to 1080 pixels, with bars above and below."""
    position, size = found["position"].values.copy(), found["image_size"].values
    for camera, name in enumerate(rig.names):
        width, height = rig[name].size
        factor = width / size[camera, 0]
        bar = (height - height / factor) / 2
        position[:, camera] = (position[:, camera] - np.array([0, bar]) + 0.5) * factor - 0.5
    sizes = [rig[name].size for name in rig.names]
    return poses2d(
        position,
        found["confidence"].values,
        cameras=rig.names,
        individuals=["person"],
        keypoints=LANDMARKS,
        frame_rate=RATE,
        image_size=sizes,
    )


def renamed(poses: xr.Dataset) -> xr.Dataset:
    back = {name: key for key, name in NAMES.items()}
    return poses.assign_coords(keypoint=[back.get(str(name), str(name)) for name in poses["keypoint"].values])


def upright(published: xr.Dataset) -> xr.Dataset:
    """The published positions in the axes of the rig."""
    position = published["position"].values[:, [2, 0, 1]]
    names = [str(name) for name in published["keypoint"].values]
    return poses3d(position, individuals=["person"], keypoints=names, unit="m", frame_rate=RATE)


def constancy(poses: xr.Dataset) -> dict[str, dict[str, float]]:
    """Coefficient of variation of the bones of both sides, and their median length."""
    result = {}
    for one, other in BONES:
        edges = tuple((side + one, side + other) for side in "LR")
        names = tuple(dict.fromkeys(name for edge in edges for name in edge))
        found = bone_statistics(poses, Skeleton("bones", keypoints=names, edges=edges))
        variation = (found["sd"] / found["median"]).isel(individual=0)
        result[f"{one}-{other}"] = {
            "variation_percent": float(100 * variation.mean()),
            "length_mm": float(1000 * found["median"].isel(individual=0).mean()),
        }
    return result


def distances(poses: xr.Dataset, published: xr.Dataset) -> dict[str, float]:
    names = [name for name in NAMES if name in published["keypoint"].values]
    one, other = (
        each.sel(keypoint=names)["position"].isel(individual=0).transpose("time", "keypoint", "space").values
        for each in (poses, published)
    )
    distance = 1000 * np.linalg.norm(one - other, axis=-1)
    return {"median_mm": float(np.nanmedian(distance)), "p95_mm": float(np.nanpercentile(distance, 95))}


def draw(found: xr.Dataset, videos: dict[str, Path], folder: Path) -> None:
    """A picture per camera of a few frames, with a dot per landmark: bright where it is in sight."""
    for camera, path in enumerate(videos.values()):
        with open_video(path) as video:
            for frame in video.frames([10, 40, 60, 90]):
                image = frame.image.copy()
                points = found["position"].values[frame.index, camera, 0]
                sight = found["confidence"].values[frame.index, camera, 0]
                for (x, y), confidence in zip(points, sight, strict=True):
                    if np.isfinite(x):
                        rows, columns = np.ogrid[: image.shape[0], : image.shape[1]]
                        near = np.hypot(columns - x, rows - y) < 6
                        image[near] = (0, 255, 255) if confidence > 0.5 else (255, 160, 0)
                write_png(folder / f"{path.stem}_{frame.index:03d}.png", image)


if __name__ == "__main__":
    main()
