"""Errors of networks trained on real labels: `python tests/benchmarks/accuracy_networks.py RECORDING [--folds N]`.

RECORDING is openfield (116 images, 4 keypoints) or mirror_mouse (90 images, 17 keypoints, two views in one image),
looked for where POSE3D_REAL_DATA says, else in ../shared/data. One network per fold is trained from scratch on the
other folds, for a fixed number of steps, and measured on the images of its fold; then the first network looks at the
video of the recording, where keypoints that jump away and back are counted. With `--keep FOLDER` the project stays
there, and a run that was stopped goes on.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from pose3d.datasets import poses2d_of_detections
from pose3d.formats import load_detections
from pose3d.metrics import body_length, jump_limits, jumps
from pose3d.networks.evaluation import EvaluationSettings, evaluate, joined_comparisons
from pose3d.networks.settings import AugmentationSettings, NetworkSettings, TrainingSettings
from pose3d.pipeline import predict_session
from pose3d.pipeline.labels import import_labels
from pose3d.pipeline.training import train_folds
from pose3d.pipeline.training_inputs import TrainingOptions
from pose3d.project import Project, create_project, load_project
from pose3d.skeleton import Skeleton

DATA = Path(os.environ.get("POSE3D_REAL_DATA", Path(__file__).parents[3] / "shared" / "data"))
LEGS = ("paw1LH", "paw2LF", "paw3RF", "paw4RH")


@dataclass(frozen=True)
class Recording:
    """Labels and video, relative to the folder of recordings, and how a network is trained on them."""

    labels: str
    video: str
    keypoints: tuple[str, ...]
    mirrored: tuple[tuple[str, str], ...]
    scale: float
    training: TrainingSettings


RECORDINGS = {
    "openfield": Recording(
        "openfield/openfield-Pranav-2018-10-30",
        "openfield/openfield-Pranav-2018-10-30/videos/m3v1mp4.mp4",
        ("snout", "leftear", "rightear", "tailbase"),
        (("leftear", "rightear"),),
        0.85,
        TrainingSettings(
            steps=1200,
            crop=(224, 224),
            learning_rate=2e-3,
            evaluate_every=400,
            augmentation=AugmentationSettings(flip=0.5),
        ),
    ),
    "mirror_mouse": Recording(
        "mirror_mouse",
        "mirror_mouse/videos/test_vid.mp4",
        (
            *(f"{leg}_top" for leg in LEGS), "tailBase_top", "tailMid_top", "nose_top", "obs_top",
            *(f"{leg}_bot" for leg in LEGS), "tailBase_bot", "tailMid_bot", "nose_bot", "obsHigh_bot", "obsLow_bot",
        ),
        (),
        # Whole images: which paw it is, and in which of the two views, is told by what is far from it.
        0.5,
        TrainingSettings(
            steps=800,
            learning_rate=2e-3,
            evaluate_every=400,
            augmentation=AugmentationSettings(rotation=8, scale=(0.88, 1.12), translation=0.06),
        ),
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recording", choices=RECORDINGS)
    parser.add_argument("--folds", type=int, default=10)
    parser.add_argument("--steps", type=int, help="instead of those that belong to the recording")
    parser.add_argument("--keep", type=Path, help="folder of the project")
    parser.add_argument("--json", action="store_true", help="print one JSON line only")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    recording = RECORDINGS[arguments.recording]
    steps = arguments.steps or recording.training.steps
    with tempfile.TemporaryDirectory() as folder:
        project = made_project(arguments.keep or Path(folder) / arguments.recording, recording)
        figures = cross_validated(project, recording, arguments.folds, steps)
        figures["video"] = on_video(project, recording)
    if arguments.json:
        json.dump(figures, sys.stdout)
        print()
        return
    for name, row in figures.items():
        print(f"{name:10s}", "  ".join(f"{key} {value:.4g}" for key, value in row.items()), flush=True)


def made_project(folder: Path, recording: Recording) -> Project:
    if (folder / "project.toml").exists():
        return load_project(folder)
    skeleton = Skeleton("recorded", recording.keypoints, (), recording.mirrored)
    project = create_project(folder, cameras=("camera",), skeleton=skeleton)
    import_labels(project, DATA / recording.labels, session="recorded", camera="camera")
    return load_project(folder)


def cross_validated(project: Project, recording: Recording, folds: int, steps: int) -> dict[str, dict[str, float]]:
    """Errors of every fold, their mean, and those of all folds as one; processor and wall time of the training."""
    options = TrainingOptions(
        NetworkSettings(recording.keypoints, backbone="unet", stride=4, scale=recording.scale),
        replace(recording.training, steps=steps),
        EvaluationSettings(),
    )
    resume = any(project.models_folder.glob("cv_fold*")) or any(project.models_folder.glob(".cv_fold*"))
    clock = Clock()
    done = train_folds(project, "cv", options, folds, resume=resume, report=clock)
    figures = {}
    for number, (_, comparison) in enumerate(done, start=1):
        metrics = evaluate(comparison, options.evaluation)["overall"]
        figures[f"fold {number}"] = row(metrics) | clock.row(number)
    names = ("rmse", "median")
    figures["mean"] = {name: float(np.mean([figures[f"fold {n + 1}"][name] for n in range(folds)])) for name in names}
    figures["together"] = row(evaluate(joined_comparisons([one for _, one in done]), options.evaluation)["overall"])
    return figures


def row(metrics: dict) -> dict[str, float]:
    names = ("2 px", "5 px", "10 px")
    found = {"rmse": metrics["rmse"], "median": metrics["median"], **{name: metrics["pck"][name] for name in names}}
    return {name: value["value"] for name, value in found.items()}


class Clock:
    """Processor and wall time of every fold that was trained in this run."""

    def __init__(self) -> None:
        self.begin: dict[int, tuple[float, float]] = {}
        self.end: dict[int, tuple[float, float]] = {}

    def __call__(self, fold: int, progress) -> None:
        now = time.process_time(), time.perf_counter()
        self.begin.setdefault(fold, now)
        self.end[fold] = now
        if progress.step % 100 == 0:
            used = now[0] - self.begin[fold][0]
            print(
                f"fold {fold}, step {progress.step}, loss {progress.loss:.2f}, {used:.0f} CPU s",
                file=sys.stderr,
                flush=True,
            )

    def row(self, fold: int) -> dict[str, float]:
        if fold not in self.begin:
            return {}
        used, wall = (end - begin for begin, end in zip(self.begin[fold], self.end[fold], strict=True))
        return {"CPU s": used, "wall s": wall}


def on_video(project: Project, recording: Recording) -> dict[str, float]:
    """Share of positions that jump away and back in the video, by the network of the first fold."""
    output = project.root / "video.nc"
    predict_session(str(project.models_folder / "cv_fold1"), {"camera": DATA / recording.video}, output)
    found = poses2d_of_detections(load_detections(output)).load()
    place = found["position"].transpose("time", "camera", "individual", "keypoint", "space").values[:, 0, 0]
    view = [
        name.endswith("_bot") or not name.endswith("_top") for name in recording.keypoints
    ]  # one of two in a mirror
    length = body_length(place[:, view])
    away = jumps(place, jump_limits(place, length))
    confidence = found["confidence"].transpose("time", "camera", "individual", "keypoint").values[:, 0, 0]
    figures = {"frames": len(place), "body px": length, "jumps": float(away.mean())}
    for name, lowest in (("found", 0.1), ("sure", 0.5)):  # `pose3d video` draws nothing below 0.1
        there = confidence >= lowest
        figures |= {name: float(there.mean()), f"jumps where {name}": float(away[there].mean())}
    return figures


if __name__ == "__main__":
    main()
