"""Tables of `pose3d calibrate`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from pose3d.cli._console import console, print_table

if TYPE_CHECKING:
    from calibration.diagnosis import CameraDiagnosis, Diagnosis, Errors
    from calibration.drift import Drift
    from calibration.findings import Verdict
    from calibration.rig import Rig
    from pose3d.pipeline import Refinement

__all__ = ["show_calibration", "show_drift", "show_lenses", "show_refinement", "show_rig", "show_world"]

_STYLES = ("green", "yellow", "yellow", "bold red")


def show_calibration(diagnosis: Diagnosis, verdict: Verdict, written: Iterable[Path]) -> None:
    """Errors per camera, the verdict with next steps, and the files."""
    to = console(result=True)
    table = _table(
        "camera", "frames", "RMS px", "median px", "p95 px", "left-out RMS px", "outliers", "covered", "lens"
    )
    for camera in diagnosis.cameras:
        table.add_row(
            escape(camera.name),
            str(camera.boards),
            *_errors(camera.used),
            _pixels(float("nan") if camera.held_out is None else camera.held_out.rms),
            f"{100 * camera.used.outliers:.1f} %",
            f"{100 * camera.covered:.0f} %",
            "given" if camera.model is None else camera.model.name,
        )
    print_table(table)
    lengths = diagnosis.lengths
    if lengths is not None:
        to.print(
            f"squares of {diagnosis.square:g} {escape(diagnosis.unit)} measure {lengths.mean_length:.3f} on left-out "
            f"frames, RMS error {lengths.rms:.3f}"
        )
    to.print(f"verdict: [{_STYLES[verdict.level]}]{escape(verdict.level.words)}[/]. {escape(verdict.headline)}")
    for finding in verdict.findings:
        if finding.level > 0:
            to.print(f"  {escape(finding.question)} {escape(finding.answer)}")
        if finding.next_step:
            to.print(f"    next: {escape(finding.next_step)}")
    _show_files(written)


def show_lenses(done: Mapping[str, tuple[Diagnosis, Verdict]], written: Iterable[Path]) -> None:
    """Errors per camera, the verdict of each lens, and the files."""
    print_table(_camera_table([diagnosis.cameras[0] for diagnosis, _ in done.values()]))
    to = console(result=True)
    for name, (_, verdict) in done.items():
        to.print(
            f"{escape(name)}: [{_STYLES[verdict.level]}]{escape(verdict.level.words)}[/]. {escape(verdict.headline)}"
        )
    _show_files(written)


def show_refinement(refined: Refinement) -> None:
    """Errors of the 2D poses before and after, how far the cameras moved, and whether they did."""
    unit = escape(refined.rig.unit)
    table = _table("camera", "left-out median px before", "after", "turned degrees", f"moved {unit}")
    for move, before, after in zip(refined.moves, refined.before, refined.after, strict=True):
        turned, error = (math.degrees(value) for value in move.rotation)
        table.add_row(
            escape(move.name),
            _pixels(before),
            _pixels(after),
            f"{turned:.3f} ± {error:.3f}",
            f"{move.distance[0]:.3g} ± {move.distance[1]:.2g}",
        )
    print_table(table)
    to = console(result=True)
    if refined.accepted:
        to.print(f"[green]refined[/] with {refined.points} points: {escape(refined.reason)}")
    else:
        to.print(f"[yellow]not refined[/], the cameras stay as they were: {escape(refined.reason)}")


def show_rig(rig: Rig, refined: Refinement | None, world: str, written: Path) -> None:
    """Where the cameras are now."""
    if refined is not None:
        show_refinement(refined)
    show_world(rig, world)
    _show_files([written])


def show_world(rig: Rig, world: str) -> None:
    """Where the cameras are, and where the origin is and what the axes are, where that was chosen."""
    table = _table("camera", f"x {rig.unit}", "y", "z")
    for camera in rig:
        table.add_row(escape(camera.name), *(f"{value:.1f}" for value in camera.center))
    print_table(table)
    if world:
        console(result=True).print(f"world: {escape(world)}")


def show_drift(drift: Drift, unit: str) -> None:
    """Which camera has moved, when, and how far."""
    to = console(result=True)
    table = _table("camera", "moved", "residual px", "image shift px", "turned degrees", f"moved {unit}", "since row")
    for camera in drift.cameras:
        if not camera.moved:
            table.add_row(escape(camera.name), "no", _pixels(camera.before), "", "", "", "")
            continue
        turned, turned_error = (math.degrees(value) for value in camera.rotation)
        table.add_row(
            escape(camera.name),
            "yes" if camera.certain else "this or another",
            f"{camera.before:.2f} -> {camera.after:.2f}",
            f"{camera.shift:.2f}",
            f"{turned:.3f} ± {turned_error:.3f}",
            f"{camera.distance[0]:.2f} ± {camera.distance[1]:.2f}",
            "before the recording" if camera.start == 0 else str(camera.start),
        )
    print_table(table)
    if drift.moved:
        to.print(f"[bold red]moved[/]: {escape(', '.join(drift.moved))}. Calibrate again before using what came after.")
    else:
        to.print("[green]no camera has moved[/] by more than what is told from noise")


def _camera_table(cameras: Iterable[CameraDiagnosis]) -> Table:
    titles = ("camera", "frames", "RMS px", "median px", "p95 px", "left-out RMS px", "outliers", "covered", "lens")
    table = _table(*titles)
    for camera in cameras:
        table.add_row(
            escape(camera.name),
            str(camera.boards),
            *_errors(camera.used),
            _pixels(float("nan") if camera.held_out is None else camera.held_out.rms),
            f"{100 * camera.used.outliers:.1f} %",
            f"{100 * camera.covered:.0f} %",
            "given" if camera.model is None else camera.model.name,
        )
    return table


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(titles[0])
    for title in titles[1:]:
        table.add_column(title, justify="right")
    return table


def _errors(errors: Errors) -> tuple[str, str, str]:
    return _pixels(errors.rms), _pixels(errors.median), _pixels(errors.p95)


def _pixels(value: float) -> str:
    return f"{value:.2f}" if abs(value) < float("inf") else "-"


def _show_files(written: Iterable[Path]) -> None:
    for path in written:
        console(result=True).print(f"wrote [bold]{escape(str(path))}[/]")
