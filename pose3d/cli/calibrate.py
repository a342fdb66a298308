"""`pose3d calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from calibration.errors import OutputError
from pose3d.cli._calibration_detection import look_for_board
from pose3d.cli._calibration_inputs import Inputs
from pose3d.cli._console import console, print_json
from pose3d.cli._paths import check_outputs

if TYPE_CHECKING:
    import xarray as xr

    from calibration.boards import Board
    from calibration.lens import Lens
    from calibration.lens_models import LensModel
    from calibration.observations import Source

__all__ = ["calibrate"]

_FILE = click.Path(path_type=Path)
# Names in calibration.lens_models.LENS_MODELS (a test compares them); they stand here so that --help loads nothing.
_MODELS = ("f", "f+k1", "pinhole", "radial1", "radial2", "brown4", "brown5", "brown8", "fisheye")


@click.command(
    epilog="Example: pose3d calibrate calibration/ --board board.toml -o calibration\n\n"
    "Has a camera moved since?  pose3d calibrate --rig calibration/rig.toml --check later/ --board board.toml"
)
@click.argument("sources", nargs=-1, metavar="[CAMERA=PATH... | FOLDER]")
@click.option(
    "--board", "board_path", type=_FILE, help="The board: TOML of `pose3d board`  [board.toml beside the videos]"
)
@click.option("-o", "--output", type=_FILE, help="Folder for rig.toml, corners.nc and report.html.")
@click.option("--corners", "corners_path", type=_FILE, help="corners.nc of an earlier run, instead of pictures.")
@click.option("--timestamps", type=_FILE, help="CSV of frame times  [a timestamps.csv beside the videos]")
@click.option("--sync", "sync_path", type=_FILE, help="Clocks of the cameras, as `pose3d sync` writes them.")
@click.option("--lens-from", "own", multiple=True, metavar="CAMERA=PATH", help="More pictures for one lens alone.")
@click.option("--lenses-only", is_flag=True, help="Each lens by itself, of pictures of any instants; no poses.")
@click.option("--lenses", "lenses_path", type=_FILE, help="Calibration with known lenses, to start from.")
@click.option("--fix-lenses", is_flag=True, help="Keep the lenses of --lenses (or of --rig) as they are.")
@click.option(
    "--lens-model", "models", multiple=True, metavar="[CAMERA=]MODEL", help=f"One of {', '.join(_MODELS)}  [chosen]"
)
@click.option("--bend", is_flag=True, help="Estimate how far the board is from flat.")
@click.option("--max-frames", default=400, type=click.IntRange(3), help="Frames used.", show_default=True)
@click.option("--rig", "rig_path", type=_FILE, help="A calibration to align, refine or check, instead of making one.")
@click.option("--align", metavar="HOW", help="World: board=FRAME, points=A,B,C, ground=..., gravity=... (see the docs)")
@click.option("--align-with", multiple=True, metavar="PATH...", help="Poses with the points that --align names.")
@click.option("--refine-with", multiple=True, metavar="PATH...", help="2D poses that refine the cameras.")
@click.option("--length", "lengths", multiple=True, metavar="A-B[=LENGTH]", help="Rigid distance of two keypoints.")
@click.option("--check", "check_paths", multiple=True, metavar="PATH...", help="Pictures or poses: has a camera moved?")
@click.option("--keypoints", metavar="NAME", help="Keypoint set of OpenPose files: body_25, body_25b, coco_18 ...")
@click.option("--min-confidence", type=click.FloatRange(0, 1), default=0.0, show_default=True, help="Of 2D poses.")
@click.option("--frame-rate", type=click.FloatRange(0, min_open=True), help="Of 2D poses that do not say it.")
@click.option("--workers", type=click.IntRange(1), help="Processes that look for the board  [one per core]")
@click.option("--no-cache", is_flag=True, help="Look for the board again, although the same was asked before.")
@click.option("--force", is_flag=True, help="Overwrite an earlier calibration in the folder.")
@click.option("--json", "as_json", is_flag=True, help="Print all numbers as JSON.")
def calibrate(as_json: bool, force: bool, **options: object) -> None:
    """Calibrate cameras from pictures of a board, and say how good it is.

    The videos (or folders of images) of all cameras are searched for the board. Frames are matched by time. Written are
    rig.toml, corners.nc and report.html. With --rig an existing calibration is aligned, refined by 2D poses, or
    checked.
    """
    inputs = Inputs(**options)  # type: ignore[arg-type]  # click has converted and named them
    inputs.check_usage()
    inputs.check_existence()
    if inputs.check_paths:
        from pose3d.cli._calibration_check import check_rig

        check_rig(inputs, as_json=as_json)
        return
    assert inputs.output is not None  # usage was checked
    _check_folder(inputs, force=force)
    if inputs.rig_path is not None:
        from pose3d.cli._calibration_change import change_rig

        change_rig(inputs, as_json=as_json)
        return
    if inputs.lenses_only:
        _calibrate_lenses(inputs, as_json=as_json)
        return
    _calibrate(inputs, as_json=as_json)


def _check_folder(inputs: Inputs, *, force: bool) -> None:
    """Refuse to overwrite an input, or an earlier calibration that was not meant."""
    assert inputs.output is not None  # usage was checked
    names = ("rig.toml", "report.html") if inputs.rig_path is not None else ("rig.toml", "corners.nc", "report.html")
    check_outputs(inputs.files(), {f"-o {name}": inputs.output / name for name in names})
    present = [name for name in names if (inputs.output / name).exists()]
    if present and not force:
        raise OutputError(
            inputs.output,
            expected="a folder without an earlier calibration",
            got=", ".join(present),
            remedy="Choose another folder, or overwrite it with --force.",
        )


def _calibrate(inputs: Inputs, *, as_json: bool) -> None:
    from calibration.alignment import move_rig
    from calibration.bundle import BundleSettings
    from calibration.diagnosis import diagnose
    from calibration.rig_calibration import CalibrationSettings
    from calibration.rig_calibration import calibrate as run
    from calibration.verdict import judge
    from pose3d.cli._calibration_change import choose_world, refine, refinement_as_json, words_of_world
    from pose3d.formats.provenance import provenance_of
    from pose3d.pipeline import save_calibration

    assert inputs.output is not None  # usage was checked
    corners, board, sources = _read(inputs)
    own = _detect_own(inputs, board)
    lenses, models = _lenses(inputs, corners), _models(inputs, corners)
    settings = CalibrationSettings(bundle=BundleSettings(bend=inputs.bend), maximum_frames=inputs.max_frames)
    with console().status("Calibrating (the first time kernels are compiled: one to two minutes) ..."):
        outcome = run(
            corners,
            own_corners=own,
            lenses=lenses,
            fixed_lenses=tuple(lenses) if inputs.fix_lenses else (),
            models=models,
            settings=settings,
        )
        diagnosis = diagnose(outcome)
        verdict = judge(diagnosis, outcome)
    refined = refine(inputs, outcome.rig, outcome) if inputs.refine_with else None
    rig = outcome.rig if refined is None else refined.rig
    new_from_world, aligned_by = choose_world(inputs, rig, corners)
    with console().status("Writing the report ..."):
        files = save_calibration(
            inputs.output,
            outcome,
            diagnosis,
            verdict,
            corners=corners,
            new_from_world=new_from_world,
            aligned_by=aligned_by,
            refined=refined,
            sources=sources,
            provenance=provenance_of(inputs.files(), settings),
        )
    if as_json:
        from calibration.verdict import to_dict

        changed: dict[str, object] = {} if refined is None else {"refinement": refinement_as_json(refined)}
        changed |= {"world": words_of_world(inputs, rig)} if inputs.align else {}
        print_json(
            to_dict(outcome, diagnosis, verdict) | changed | {"written": [str(path) for path in files.written()]}
        )
        return
    from pose3d.cli._calibration_tables import show_calibration, show_refinement, show_world

    show_calibration(diagnosis, verdict, files.written())
    if refined is not None:
        show_refinement(refined)
    if new_from_world is not None:
        show_world(move_rig(rig, new_from_world), words_of_world(inputs, rig))


def _calibrate_lenses(inputs: Inputs, *, as_json: bool) -> None:
    """Every camera by itself: a report for each, and one file with all lenses."""
    from calibration.diagnosis import diagnose
    from calibration.rig_calibration import CalibrationSettings
    from calibration.rig_calibration import calibrate as run
    from calibration.verdict import judge
    from pose3d.formats.provenance import provenance_of
    from pose3d.pipeline import save_calibration, save_lenses

    assert inputs.output is not None  # usage was checked
    corners, board, sources = _read(inputs)
    lenses, models = _lenses(inputs, corners), _models(inputs, corners)
    settings = CalibrationSettings(maximum_frames=inputs.max_frames)
    provenance = provenance_of(inputs.files(), settings)
    done = {}
    for name in map(str, corners["camera"].values):
        with console().status(f"Calibrating {name} (the first time kernels are compiled: one to two minutes) ..."):
            own = corners.sel(camera=[name])
            own = own.isel(frame=own["position"].notnull().any(("camera", "corner", "space")).values)
            outcome = run(
                own,
                lenses={key: lens for key, lens in lenses.items() if key == name},
                models={key: model for key, model in models.items() if key == name},
                settings=settings,
            )
            diagnosis = diagnose(outcome)
            verdict = judge(diagnosis, outcome, lenses_only=True)
            done[name] = outcome, diagnosis, verdict
            save_calibration(
                inputs.output / name, outcome, diagnosis, verdict, corners=own, sources=sources, provenance=provenance
            )
    target = save_lenses(inputs.output, [outcome.rig.cameras[0] for outcome, _, _ in done.values()], board.unit)
    written = [target, *(inputs.output / name / "report.html" for name in done)]
    if as_json:
        from calibration.verdict import to_dict

        cameras = {name: to_dict(*each) for name, each in done.items()}
        print_json({"lenses": cameras, "written": [str(path) for path in written]})
        return
    from pose3d.cli._calibration_tables import show_lenses

    show_lenses({name: (diagnosis, verdict) for name, (_, diagnosis, verdict) in done.items()}, written)


def _read(inputs: Inputs) -> tuple[xr.Dataset, Board, dict[str, Source] | None]:
    """The corners, their board, and the pictures they were found in; None where corners were given instead."""
    from calibration.corners import board_of

    sources = inputs.sources_of_cameras()
    if sources is None:
        corners = inputs.load_corners()
        return corners, board_of(corners) if inputs.board_path is None else inputs.board(), None
    assert inputs.output is not None  # usage was checked
    board = inputs.board()
    corners = look_for_board(
        inputs,
        sources,
        board,
        timestamps=inputs.table_of_times(inputs.sources),
        clocks=inputs.clocks(),
        synchronized=not inputs.lenses_only,
        examples=inputs.output / "examples",
    )
    return corners, board, sources


def _detect_own(inputs: Inputs, board: Board) -> xr.Dataset | None:
    """The corners in pictures that serve single lenses; none of them is of the same instant as another."""
    if not inputs.own:
        return None
    from calibration.observations import find_sources

    what = "Looking for the board (single lenses)"
    return look_for_board(inputs, find_sources(inputs.own), board, synchronized=False, what=what)


def _lenses(inputs: Inputs, corners: xr.Dataset) -> dict[str, Lens]:
    if inputs.lenses_path is None:
        return {}
    from calibration.formats import load_rig

    names = {str(name) for name in corners["camera"].values}
    known = {camera.name: camera.lens for camera in load_rig(inputs.lenses_path) if camera.name in names}
    if not known:
        raise click.UsageError(f"--lenses {inputs.lenses_path} has none of the cameras {', '.join(sorted(names))}.")
    return known


def _models(inputs: Inputs, corners: xr.Dataset) -> dict[str, LensModel]:
    from calibration.lens_models import LENS_MODELS

    models: dict[str, LensModel] = {}
    for text in inputs.models:
        camera, equals, model = text.rpartition("=")
        if model not in LENS_MODELS:
            raise click.UsageError(f"--lens-model {text}: '{model}' is none of {', '.join(LENS_MODELS)}.")
        names = [camera] if equals else [str(name) for name in corners["camera"].values]
        models |= dict.fromkeys(names, LENS_MODELS[model])
    return models
