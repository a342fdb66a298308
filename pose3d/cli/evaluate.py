"""`pose3d evaluate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pose3d.cli._console import console, plain_number, print_json, print_table, progress
from pose3d.cli._networks import prepare_backend, print_folds, print_metrics
from pose3d.cli._reconstruction_tables import digits, percent

if TYPE_CHECKING:
    import xarray as xr
    from rich.table import Table

    from calibration.rig import Rig
    from pose3d.metrics import IdentityScores, IdentitySwitch, TrackingScores
    from pose3d.project import Project
    from pose3d.skeleton import Skeleton

__all__ = ["evaluate"]

# Moments that are shown; --json has all of them.
_MOMENTS = 10
_SHARES = {
    "idf1": ("IDF1", "right pose under the right name, over the whole recording (1 is perfect)"),
    "idp": ("IDP", "of the poses of the result, how many have the right name"),
    "idr": ("IDR", "of the true poses, how many are there under the right name"),
    "hota": ("HOTA", "finding and naming in one number, over strict and loose thresholds"),
    "deta": ("DetA", "its part for finding the animals"),
    "assa": ("AssA", "its part for keeping names"),
    "loca": ("LocA", "how near the poses that were found are"),
    "mota": ("MOTA", "1 - (misses + false poses + switches) / true poses: mostly finding"),
}
_COUNTS = {
    "misses": ("misses", "true poses that nothing is near to"),
    "false_positives": ("false poses", "poses of the result that no animal is near to"),
    "switches": ("switches", "times that another name takes over an animal"),
    "fragmentations": ("fragmentations", "times that an animal is lost and found again"),
}


@click.command(
    epilog="Example: pose3d evaluate mice --run run1\n\n"
    "Who is who, against a truth: pose3d evaluate session.nc --identity truth.nc"
)
@click.argument("path", metavar="PROJECT|RESULT", type=click.Path(path_type=Path))
@click.option("--run", "name", metavar="NAME", help="The network, or the name given to --folds; the newest by default.")
@click.option(
    "--identity", "truth", metavar="TRUTH", type=click.Path(path_type=Path), help="True poses to compare RESULT with."
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, min_open=True),
    help="Largest distance of two poses of one animal, mm (px in 2D).  [default: half the length of the animals]",
)
@click.option(
    "--skeleton", metavar="FILE|NAME", help="What the parts of the body are.  [default: skeleton.toml beside TRUTH]"
)
@click.option("--json", "as_json", is_flag=True, help="Print the metrics as JSON.")
def evaluate(
    path: Path, name: str | None, truth: Path | None, threshold: float | None, skeleton: str | None, as_json: bool
) -> None:
    """Measure a trained network, or how well animals were told apart.

    Of a PROJECT, a network is measured on the images that it was not trained on, and its report is written. Labels that
    were corrected since it was trained count as they are now. Where two people labeled the same images, their distance
    is shown beside the errors of the network.

    Of a RESULT with --identity, every animal is compared with a TRUTH of the same frames: 3D poses with 3D poses, or 2D
    poses with 2D poses, into which a truth in 3D is projected where the result has a rig. In 2D an animal that a camera
    did not report counts as missed there. Animals are matched by where they are, whatever their names.
    """
    if truth is None:
        for option, given in (("--threshold", threshold), ("--skeleton", skeleton)):
            if given is not None:
                raise click.UsageError(f"{option} goes with --identity.")
        if path.is_file() and path.name != "project.toml":
            raise click.UsageError(f"{path} is a file, which is compared with a truth: add --identity TRUTH.")
        _evaluate_network(path, name, as_json=as_json)
        return
    if name is not None:
        raise click.UsageError("--run is for networks, --identity for results: leave one out.")
    if path.is_dir():
        raise click.UsageError(f"{path} is a folder; --identity compares a result file: name one of results/.")
    _evaluate_identity(path, truth, threshold=threshold, skeleton=skeleton, as_json=as_json)


def _evaluate_network(folder: Path, name: str | None, *, as_json: bool) -> None:
    prepare_backend()
    from pose3d.networks.run_files import load_run
    from pose3d.pipeline.evaluation import evaluate_run, find_run, fold_runs
    from pose3d.pipeline.network_report import write_run_report
    from pose3d.project import find_project

    project = find_project(folder)
    if name is not None and fold_runs(project, name):
        told = _folds(project, name)
        page = None
    else:
        path = find_run(project, name)
        with console().status(f"Evaluating {path.name} ..."):
            told, comparison = evaluate_run(project, path)
            page = write_run_report(project, load_run(path), comparison)
    if as_json:
        print_json({**told, "report": None if page is None else str(page)})
        return
    if page is None:
        print_folds(told)
    else:
        print_metrics(told["held_out"], f"Errors of {told['run']} on images that were held out")
    _show_more(told, page)


def _folds(project: Project, name: str) -> dict[str, Any]:
    from pose3d.networks.evaluation import EvaluationSettings
    from pose3d.pipeline.evaluation import compare_run, evaluate_folds, fold_runs, save_folds

    settings = project.settings_of("evaluation", EvaluationSettings)
    done = []
    for path in fold_runs(project, name):
        with console().status(f"Evaluating {path.name} ..."):
            done.append((path.name, compare_run(project, path)[1]))
    told = evaluate_folds(project, name, done, settings)
    save_folds(project, told)
    return told


def _show_more(told: Mapping[str, Any], page: Path | None) -> None:
    to_user = console(result=True)
    if told.get("train") and told["train"]["rmse"]["value"] is not None:
        to_user.print(f"RMSE on images of training: {told['train']['rmse']['value']:.2f} px", markup=False)
    human = told["human"]
    if human is not None:
        text = f"Two people on the same {human['pairs']} images: RMSE {human['overall']['rmse']:.2f} px"
        to_user.print(f"{text}, median {human['overall']['median']:.2f} px", markup=False)
    confidence = told.get("confidence")
    if confidence is not None:
        text = f"Confidence is the probability of an error below {confidence['threshold']:.1f} px; it is off by "
        before, after = confidence["error_before"], confidence["error_after"]
        to_user.print(f"{text}{after:.1%} on average ({before:.1%} before calibration)", markup=False)
    if page is not None:
        to_user.print(f"Report: {page}", markup=False)


def _evaluate_identity(
    result: Path, truth: Path, *, threshold: float | None, skeleton: str | None, as_json: bool
) -> None:
    """Compare a result with a truth, and print the scores.

    Raises:
        FileFormatError: a file is missing, damaged, or has no poses.
        InvalidValueError: see `pose3d.metrics.score_identity`.
        MismatchError: the files do not belong together.
    """
    from pose3d.metrics import score_identity

    with ExitStack() as stack:
        ours, theirs = _matching_kinds(result, truth, stack)
        parts = _skeleton(skeleton, truth)
        total = theirs.sizes["time"] * theirs.sizes.get("camera", 1)
        bar = stack.enter_context(progress("Comparing", total, "frames"))
        scores = score_identity(
            ours,
            theirs,
            threshold=threshold,
            skeleton=parts,
            progress=lambda frames: bar.advance(bar.task_ids[0], frames),
        )
    if as_json:
        print_json(_content(scores))
        return
    _show(scores)


def _matching_kinds(result: Path, truth: Path, stack: ExitStack) -> tuple[xr.Dataset, xr.Dataset]:
    """3D poses of both where both have them, else 2D poses; those of a truth in 3D are projected where it has a rig."""
    from pose3d.metrics import projected_truth

    ours, (theirs, rig) = _read(result, stack)[0], _read(truth, stack)
    for kind in ("poses3d", "poses2d"):
        if kind in ours and kind in theirs:
            return ours[kind], theirs[kind]
    found, true = next(iter(ours.values())), next(iter(theirs.values()))
    if "poses2d" in ours and rig is not None:
        return found, projected_truth(true, rig)
    return found, true  # what is wrong with that, the scores say


def _read(path: Path, stack: ExitStack) -> tuple[dict[str, xr.Dataset], Rig | None]:
    """The poses in a file by kind, 3D first, and the cameras of a result file; `stack` closes what is opened."""
    from calibration.errors import FileFormatError
    from pose3d.formats import FORMATS, load_poses2d, load_poses3d, open_session

    if path.is_file() and _is_session(path):
        session = stack.enter_context(open_session(path))
        found = {"poses3d": session.poses3d, "poses2d": session.poses2d}
        poses = {kind: dataset for kind, dataset in found.items() if dataset is not None}
        if not poses:
            session.require("poses3d")
        return poses, session.rig
    try:
        poses3d = load_poses3d(path)
    except FileFormatError:
        if not path.is_file() or not any(known.sniff(path) for known in FORMATS.values()):
            raise
        poses2d = load_poses2d(path)
        stack.callback(poses2d.close)
        return {"poses2d": poses2d}, None
    stack.callback(poses3d.close)
    return {"poses3d": poses3d}, None


def _is_session(path: Path) -> bool:
    """Whether a file is netCDF with groups of ours."""
    import netCDF4

    try:
        with netCDF4.Dataset(path) as content:
            return bool({"poses3d", "poses2d", "rig", "detections"} & set(content.groups))
    except OSError:
        return False


def _skeleton(name: str | None, truth: Path) -> Skeleton | None:
    from pose3d.skeleton import find_skeleton, load_skeleton

    beside = truth.parent / "skeleton.toml"
    if name is not None:
        return find_skeleton(name)
    return load_skeleton(beside) if beside.is_file() else None


def _content(scores: IdentityScores) -> dict[str, Any]:
    return {
        "unit": scores.unit,
        "thresholds": dict(scores.thresholds),
        "overall": _plain(scores.overall),
        "cameras": {name: _plain(one) for name, one in scores.cameras.items()},
        "mpjpe": plain_number(scores.mpjpe),
        "pcp": plain_number(scores.pcp),
        "individuals": [_plain(one) for one in scores.individuals],
        "unmatched": list(scores.unmatched),
        "switches": [asdict(one) for one in scores.switches],
    }


def _plain(scores: Any) -> dict[str, Any]:
    """A dataclass of numbers and texts as JSON knows it."""
    plain: dict[str, Any] = {}
    for name, value in asdict(scores).items():
        if name.endswith("_levels"):
            plain[name] = [plain_number(one) for one in value.tolist()]
        else:
            plain[name] = plain_number(value) if isinstance(value, float) else value
    return plain


def _show(scores: IdentityScores) -> None:
    from rich.markup import escape

    to = console(result=True)
    print_table(_individuals(scores))
    if scores.unmatched:
        to.print(f"In the result, but no animal of the truth: {escape(', '.join(scores.unmatched))}")
    to.print("")
    print_table(_scores(scores))
    if len(scores.cameras) > 1:
        to.print("\nAll cameras together ask for the same name in all of them; each camera by itself:")
        print_table(_cameras(scores))
    limits = ", ".join(
        f"{camera and camera + ' '}{digits(value)} {scores.unit}" for camera, value in scores.thresholds.items()
    )
    to.print(f"\nTwo poses can be of one animal up to a mean distance of keypoints of {escape(limits)}.")
    _show_moments(scores.switches)


def _individuals(scores: IdentityScores) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_footer=True)
    table.add_column("individual", footer="all")
    table.add_column("in the result")
    table.add_column("poses", justify="right", footer=str(scores.overall.truth_poses))
    table.add_column("seen", justify="right")
    table.add_column("right", justify="right", footer=percent(scores.overall.idr))
    table.add_column(f"MPJPE {scores.unit}", justify="right", footer=digits(scores.mpjpe))
    table.add_column("PCP", justify="right", footer=percent(scores.pcp))
    for one in scores.individuals:
        name = "-" if one.matched is None else escape(one.matched)
        shares = (percent(one.seen), percent(one.right), digits(one.mpjpe), percent(one.pcp))
        table.add_row(escape(one.name), name, str(one.poses), *shares)
    return table


def _scores(scores: IdentityScores) -> Table:
    from rich.table import Table

    overall = scores.overall
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column("score")
    table.add_column("value", justify="right")
    table.add_column("meaning")
    for name, (title, meaning) in _SHARES.items():
        table.add_row(title, _share(getattr(overall, name)), meaning)
    table.add_row("MOTP", f"{digits(overall.motp)} {scores.unit}", "mean distance of the poses that were found")
    for name, (title, meaning) in _COUNTS.items():
        table.add_row(title, str(getattr(overall, name)), meaning)
    table.add_row(
        "per 10,000 frames",
        digits(overall.switches_per_10000),
        f"switches; there are {overall.frames} frames{' of all cameras together' if scores.cameras else ''}",
    )
    return table


def _cameras(scores: IdentityScores) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("camera")
    for title in ("IDF1", "HOTA", "MOTA", "misses", "false poses", "switches"):
        table.add_column(title, justify="right")
    for camera, one in scores.cameras.items():
        table.add_row(escape(camera), *_camera_row(one))
    return table


def _camera_row(one: TrackingScores) -> tuple[str, ...]:
    shares = (_share(one.idf1), _share(one.hota), _share(one.mota))
    return (*shares, str(one.misses), str(one.false_positives), str(one.switches))


def _show_moments(switches: tuple[IdentitySwitch, ...]) -> None:
    from rich.markup import escape

    to = console(result=True)
    if not switches:
        return
    moments = [list(group) for _, group in groupby(switches, key=lambda one: one.frame)]
    moments.sort(key=lambda group: (-len(group), group[0].frame))
    to.print("\nWorst moments, those with most switches first:")
    for group in moments[:_MOMENTS]:
        to.print(f"  frame {group[0].frame}: {escape('; '.join(_told(group)))}")
    if len(moments) > _MOMENTS:
        to.print(f"  and {len(moments) - _MOMENTS} more (--json has all)")


def _told(moment: Sequence[IdentitySwitch]) -> list[str]:
    """What happens in one frame, once for all cameras in which it does."""
    cameras: dict[str, list[str]] = {}
    for one in moment:
        cameras.setdefault(f"{one.individual} was {one.before}, then {one.after}", []).append(one.camera)
    return [f"{told} ({', '.join(names)})" if any(names) else told for told, names in cameras.items()]


def _share(value: float) -> str:
    return f"{value:.3f}" if abs(value) < float("inf") else "-"
