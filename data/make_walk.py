"""Makes the sample `data/walk` anew: `python data/make_walk.py NETWORK`, where NETWORK is the folder of a trained run.

The network of the sample was trained by `python tests/benchmarks/accuracy_simulated.py --keep FOLDER`, which leaves it
in FOLDER/models/unet; it was called "simulated" then. Only what was exported of it for ONNX Runtime is kept, and the
videos are compressed more.
"""

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from calibration import load_rig
from calibration.video import VideoWriter, open_video
from pose3d.cli.simulate import simulate
from pose3d.detection.network import export_run
from pose3d.networks.run_files import load_run
from pose3d.networks.runtimes import read_export
from pose3d.project import add_session, create_project
from pose3d.skeleton import load_skeleton

PLACE = Path(__file__).parent / "walk"
SCENE = (
    "--cameras 4 --size 640 480 --focal-length 700 --distance 450 --frame-rate 30 --duration 3 --seed 2026 "
    "--image-noise 1 --videos --videos-of animals"
)
QUALITY = 24  # 0.3 MB per camera; at 31 the median error of the poses is half as large again


def main() -> None:
    """Make it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("network", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scene = Path(folder) / "scene"
        done = CliRunner().invoke(simulate, ["-o", str(scene), *SCENE.split()], catch_exceptions=False)
        if done.exit_code:
            sys.exit(done.output)
        shutil.rmtree(PLACE, ignore_errors=True)
        rig = load_rig(scene / "rig.toml")
        skeleton = load_skeleton(scene / "skeleton.toml")
        project = create_project(PLACE, cameras=rig.names, skeleton=skeleton, name="Walking mouse")
        small = Path(folder) / "small"
        small.mkdir()
        for name in rig.names:
            compress(scene / "videos" / f"{name}.mp4", small / f"{name}.mp4")
        add_session(project, "walk", {name: small / f"{name}.mp4" for name in rig.names})
        (PLACE / "calibration").mkdir()
        shutil.copy(scene / "rig.toml", PLACE / "calibration" / "rig.toml")
        shutil.copy(scene / "truth.nc", PLACE / "truth.nc")
        with open_video(small / f"{rig.names[0]}.mp4") as video:
            frames = np.stack([frame.image for frame in video][:4])
        keep_network(arguments.network, frames)


def compress(source: Path, target: Path) -> None:
    """Write a video smaller."""
    with open_video(source) as video, VideoWriter(target, video.frame_rate, quality=QUALITY) as writer:
        for frame in video:
            writer.write(frame.image)


def keep_network(network: Path, frames: np.ndarray) -> None:
    """Settings and calibration of confidence, and what was exported for ONNX Runtime alone."""
    target = PLACE / "models" / network.name
    target.mkdir(parents=True)
    for file in network.iterdir():
        if file.is_file() and file.suffix in (".toml", ".json", ".csv"):
            shutil.copy(file, target / file.name)
    run = load_run(network)
    export = export_run(run, frames, runtime="onnxruntime")
    place = f"exports/{export.size[0]}x{export.size[1]}"
    (target / place).mkdir(parents=True)
    shutil.copy(network / place / "network.onnx", target / place / "network.onnx")
    kept = read_export(network / place)
    kept = replace(
        kept, differences={"onnxruntime": kept.differences["onnxruntime"]}, refused={}, chosen="onnxruntime", speeds={}
    )
    (target / place / "export.json").write_text(json.dumps(asdict(kept), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
