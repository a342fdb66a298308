"""From simulated videos to 3D with a network trained on simulated videos: `tests/benchmarks/accuracy_simulated.py`.

Networks are trained on some scenes, each with an animal of its own coat in an arena of its own, and tested on others:
keypoints are found in the videos of all cameras, triangulated with the true cameras, and compared with the truth.
`--keep FOLDER` leaves scenes, network and results there; what is there already is not made again.
"""

import argparse
import json
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from calibration import load_rig
from pose3d.cli.simulate import simulate
from pose3d.datasets import poses2d_of_detections
from pose3d.formats import load_detections, open_session
from pose3d.metrics import coverage, summary
from pose3d.networks.confidence import fit_confidence
from pose3d.networks.evaluation import EvaluationSettings, compare, evaluate
from pose3d.networks.predicting import keras_maps
from pose3d.networks.run_files import Split, save_run
from pose3d.networks.settings import AugmentationSettings, NetworkSettings, TrainingSettings
from pose3d.networks.training import Progress, TrainingData, train
from pose3d.pipeline import predict_session
from pose3d.pipeline.training_inputs import labeled_data
from pose3d.project import load_project
from pose3d.reconstruction import triangulate

BODY = 80.0  # mm, nose to tail base
CAMERAS = ["--size", "640", "480", "--focal-length", "700", "--distance", "450"]
TRAINING = TrainingSettings(
    steps=7000,
    batch_size=16,
    crop=(320, 320),
    learning_rate=2e-3,
    evaluate_every=500,
    augmentation=AugmentationSettings(flip=0.5),
)


# backbone -> channels of the head
NETWORKS = {"unet": 64, "unet_wide": 128}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--backbone", choices=NETWORKS, default="unet")
    parser.add_argument("--keep", type=Path, help="folder that scenes, network and results stay in")
    parser.add_argument("--scenes", type=int, default=22, help="to train on; two more decide which weights are kept")
    parser.add_argument("--steps", type=int, default=TRAINING.steps)
    parser.add_argument("--tests", type=int, nargs="+", default=[901, 902], help="seeds of the scenes to test on")
    parser.add_argument("--json", action="store_true", help="print one JSON line only")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as temporary:
        root = arguments.keep or Path(temporary)
        scenes = [scene(root, seed, ["--cameras", "4", "--frame-rate", "2", "--duration", "9", "--labels", "16"])
                  for seed in range(101, 103 + arguments.scenes)]  # fmt: skip
        run = root / "models" / arguments.backbone
        figures = {} if run.exists() else {"training": trained(run, scenes, arguments.backbone, arguments.steps)}
        for seed in arguments.tests:
            place = scene(root, seed, ["--cameras", "6", "--frame-rate", "30", "--duration", "5"])
            figures[f"scene {seed}"] = tested(run, place)
    if arguments.json:
        json.dump(figures, sys.stdout)
        print()
    else:
        for name, row in figures.items():
            print(name, "  ".join(f"{key} {value:.4g}" for key, value in row.items()), flush=True)


def scene(root: Path, seed: int, options: list[str]) -> Path:
    """A simulated recording of one animal."""
    place = root / f"s{seed}"
    if not (place / "truth2d.nc").exists():
        gait = "trot" if seed % 2 == 0 else "walk"
        told = ["-o", str(place), "--videos", "--videos-of", "animals", "--seed", str(seed), "--gait", gait]
        done = CliRunner().invoke(simulate, [*told, *CAMERAS, *options], catch_exceptions=False)
        if done.exit_code:
            sys.exit(done.output)
    return place


def trained(path: Path, scenes: list[Path], backbone: str, steps: int) -> dict[str, float]:
    """Train on all scenes but the last two, and write the network."""
    parts = [labeled_data(load_project(place), TRAINING).data for place in scenes]
    starts = np.cumsum([0, *(len(part.points) for part in parts)])

    def read(index: int):
        part = int(np.searchsorted(starts, index, side="right")) - 1
        return parts[part].read(index - int(starts[part]))

    data = TrainingData(
        read,
        np.concatenate([part.points for part in parts]),
        tuple(size for part in parts for size in part.sizes),
        parts[0].keypoints,
        parts[0].mirrored,
    )
    network = NetworkSettings(data.keypoints, backbone=backbone, stride=4, width=NETWORKS[backbone])
    images = np.arange(starts[-1])
    chosen, held_out = images[: starts[-3]], images[starts[-3] :]
    start, processor = time.perf_counter(), time.process_time()
    settings = TrainingSettings(**{**vars(TRAINING), "steps": steps})
    result = train(data, chosen, held_out, network, settings, checkpoint=path.with_suffix(".npz"), report=tell)
    spent = {"wall s": time.perf_counter() - start, "CPU s": time.process_time() - processor}
    groups = tuple(place.name for place, part in zip(scenes, parts, strict=True) for _ in part.points)
    comparison = compare(keras_maps(result.model), data, held_out, network, groups=groups)
    metrics = evaluate(comparison, EvaluationSettings())
    save_run(
        path,
        result,
        mirrored_pairs=[(data.keypoints[a], data.keypoints[b]) for a, b in data.mirrored],
        sizes=data.sizes,
        split=Split(groups[: starts[-3]], groups[starts[-3] :], "scene"),
        metrics=metrics,
        confidence=fit_confidence(comparison, 4.0),
    )
    path.with_suffix(".npz").unlink(missing_ok=True)
    return {**spent, "step": result.best_step, **result.history[-1]}


def tell(progress: Progress) -> None:
    if progress.step % 250 == 0:
        print(
            f"step {progress.step}: loss {progress.loss:.2f}, error {progress.error:.2f} px",
            file=sys.stderr,
            flush=True,
        )


def tested(run: Path, place: Path) -> dict[str, float]:
    """Errors of the whole way from the videos of a scene."""
    rig = load_rig(place / "rig.toml")
    videos = {name: place / "videos" / f"{name}.mp4" for name in rig.names}
    output = place / "detections.nc"
    predict_session(str(run), videos, output)
    found = poses2d_of_detections(load_detections(output)).load()
    with open_session(place / "truth.nc") as session:
        truth = session.require("poses3d").load()
    with open_session(place / "truth2d.nc") as session:
        pixels = session.require("poses2d").load()
    axes = ("time", "camera", "keypoint", "individual", "space")
    off = np.linalg.norm(
        found["position"].transpose(*axes).values - pixels["position"].transpose(*axes).values, axis=-1
    )
    estimate = triangulate(found, rig)
    over = ("time", "keypoint", "individual")
    errors = summary(estimate, truth, over=over)
    return {
        "median 2D px": float(np.nanmedian(off)),
        "p95 2D px": float(np.nanpercentile(off, 95)),
        "median mm": float(errors["median"]),
        "share of body": float(errors["median"]) / BODY,
        "p95 mm": float(errors["p95"]),
        "missing": float(errors["missing"]),
        "coverage 95": float(coverage(estimate, truth, over=over)),
    }


if __name__ == "__main__":
    main()
