"""`pose3d predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape

from calibration.errors import InvalidValueError
from pose3d.cli._console import console, plain_number, print_json, progress
from pose3d.cli._paths import check_outputs

if TYPE_CHECKING:
    from pose3d.pipeline import PredictionSummary

__all__ = ["predict"]


@click.command(
    epilog="Examples: pose3d predict models/first cam1=a.mp4 cam2=b.mp4 -o results;  "
    "pose3d predict blazepose:mediapipe/ videos/ -o results"
)
@click.argument("model")
@click.argument("videos", nargs=-1, required=True, metavar="VIDEO...")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder to write into.")
@click.option(
    "--runtime",
    type=click.Choice(["auto", "keras", "onnxruntime", "openvino", "litert"]),
    default="auto",
    show_default=True,
    help="What computes the network; auto measures which is fastest.",
)
@click.option("--batch", type=click.IntRange(1, 1024), help="Frames looked at at once [found by measuring]")
@click.option(
    "--candidates", type=click.IntRange(1, 100), default=1, show_default=True, help="Places of a keypoint to keep."
)
@click.option("--crop", is_flag=True, help="Look at a window that follows the animal.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def predict(
    model: str,
    videos: tuple[str, ...],
    output: Path,
    runtime: str,
    batch: int | None,
    candidates: int,
    crop: bool,
    as_json: bool,
) -> None:
    """Find keypoints in videos with a trained network.

    MODEL is the folder of a trained network, or blazepose:FOLDER with the model files of MediaPipe. Videos that are
    named by camera (CAMERA=VIDEO), or stand in one folder, are those of one session and give one file,
    detections.nc. Other videos give a file each. A run that was stopped goes on when it is started again.
    """
    from pose3d.detection import PredictionSettings, model_path, open_detector
    from pose3d.networks.run_files import CONFIDENCE_FILE
    from pose3d.pipeline import predict_session

    settings = PredictionSettings(runtime=runtime, candidates=candidates, batch_size=batch or 0, crop=crop)
    sessions = _sessions(videos, output)
    inputs = [path for cameras in sessions.values() for path in cameras.values()]
    check_outputs(inputs, {f"-o ({file.name})": file for file in sessions})
    detector = open_detector(model, settings)
    summaries = []
    for file, cameras in sessions.items():
        with progress(f"Finding keypoints: {', '.join(cameras)}", 1, "frames") as bar:

            def show(done: int, total: int, bar=bar) -> None:  # type: ignore[no-untyped-def]
                bar.update(bar.task_ids[0], completed=done, total=total)

            summaries.append(predict_session(model, cameras, file, settings=settings, detector=detector, progress=show))
    if as_json:
        print_json({"sessions": [_as_json(one) for one in summaries]})
        return
    for one in summaries:
        _show(one)
    kind, place = model_path(model)
    if kind == "network" and not (place / CONFIDENCE_FILE).exists():
        text = f"Confidence is not calibrated: {place} has no {CONFIDENCE_FILE}, for want of images that were held out."
        console(result=True).print(text, markup=False)


def _sessions(videos: tuple[str, ...], output: Path) -> dict[Path, dict[str, Path]]:
    """Output file -> camera -> video."""
    from calibration.observations import find_sources

    if (len(videos) == 1 and Path(videos[0]).is_dir()) or any(_is_named(text) for text in videos):
        sources = find_sources(videos[0] if len(videos) == 1 else list(videos))
        images = [name for name, source in sources.items() if source.kind != "video"]
        if images:
            raise InvalidValueError(
                str(sources[images[0]]), expected="a video", got="images", remedy="Make a video of them first."
            )
        return {output / "detections.nc": {name: source.paths[0] for name, source in sources.items()}}
    found: dict[Path, dict[str, Path]] = {}
    for text in videos:
        path = Path(text)
        file = output / f"{path.stem}.nc"
        if file in found:
            raise click.UsageError(f"Two videos are called {path.stem}: name the cameras, as cam1={path}.")
        found[file] = {path.stem: path}
    return found


def _is_named(text: str) -> bool:
    return "=" in text and not Path(text).exists()


def _as_json(summary: PredictionSummary) -> dict[str, object]:
    return {
        "written": str(summary.output),
        "seconds": round(summary.seconds, 3),
        "frames_per_second": plain_number(summary.speed),
        "cameras": {
            one.camera: {
                "frames": one.frames,
                "lost": one.lost,
                "resumed": one.resumed,
                "confidence": plain_number(one.confidence),
            }
            for one in summary.cameras
        },
    }


def _show(summary: PredictionSummary) -> None:
    to = console(result=True)
    for one in summary.cameras:
        notes = [f"mean confidence {one.confidence:.2f}" if one.confidence == one.confidence else "nothing was found"]
        notes += [f"{one.lost} could not be decoded"] if one.lost else []
        notes += [f"{one.resumed} done before"] if one.resumed else []
        to.print(f"{escape(one.camera)}: {one.frames} frames, {', '.join(notes)}")
    speed = f", {summary.speed:.0f} frames/s" if summary.speed == summary.speed else ""
    to.print(f"wrote [bold]{escape(str(summary.output))}[/] in {summary.seconds:.1f} s{speed}")
