"""What the commands of networks share: the backend, how training goes, tables of errors."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pose3d.cli._console import console, print_table

if TYPE_CHECKING:
    from pose3d.networks.training import Progress

__all__ = ["TrainingBar", "prepare_backend", "print_folds", "print_metrics"]


def prepare_backend() -> None:
    """Make sure that there is Keras with a backend, and that it says only what matters.

    Raises:
        InvalidValueError: Keras is not installed.
    """
    from pose3d.networks.model import require_keras

    require_keras()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


class TrainingBar:
    """Step, loss, held-out error and time left. Ctrl-C is heard after the step at work, a second one at once."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[told]}"),
        )
        self._bar = Progress(*columns, console=console(), transient=True)
        self._task = self._bar.add_task("Preparing the network", total=None, told="")
        self._asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._ask)
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _frame: object) -> None:
        self._asked = True
        signal.signal(number, signal.default_int_handler)
        self._bar.console.print("Stopping after this step; again to stop at once.", markup=False)

    def tell(self, progress: Progress, what: str) -> None:
        """Show how far training is.

        Raises:
            KeyboardInterrupt: the user asked to stop.
        """
        left = (progress.steps - progress.step) * progress.step_seconds
        told = f"loss {progress.loss:.3f}"
        if abs(progress.error) < float("inf"):
            told += f"  held out {progress.error:.2f} px"
        told += f"  {duration(left)} left"
        self._bar.update(self._task, description=what, completed=progress.step, total=progress.steps, told=told)
        if not self._bar.console.is_terminal and progress.step % 100 == 0:
            self._bar.console.print(f"{what}: step {progress.step} of {progress.steps}, {told}", markup=False)
        if self._asked:
            raise KeyboardInterrupt


def duration(seconds: float) -> str:
    """In hours and minutes, or seconds."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def print_metrics(told: Mapping[str, Any], title: str) -> None:
    """A table of `evaluate`: all keypoints together, then each."""
    from rich.markup import escape
    from rich.table import Table

    pck = list(told["overall"]["pck"])
    drawn = f"{told['count']} {told['drawn']}"
    table = Table(title=f"{title} (95 % intervals from {drawn})", title_justify="left")
    for heading in (
        "keypoint",
        "labels",
        "RMSE px",
        "median px",
        *(f"< {name}".replace(" of the body", " of body") for name in pck),
    ):
        table.add_column(heading, justify="left" if heading == "keypoint" else "right", no_wrap=True)
    for name, one in (("all", told["overall"]), *told["keypoints"].items()):
        cells = [_interval(one["rmse"], "{:.2f}"), _interval(one["median"], "{:.2f}")]
        cells += [_share(one["pck"].get(limit)) for limit in pck]
        table.add_row(escape(name), str(one["labels"]), *cells, end_section=name == "all")
    print_table(table)
    precision = told["overall"].get("oks_map", {}).get("value")
    if precision is not None:
        console(result=True).print(f"Mean average precision (OKS): {precision:.3f}", markup=False)


def _share(value: Mapping[str, float | None] | None) -> str:
    return "–" if value is None or value["value"] is None else f"{value['value']:.0%}"


def _interval(value: Mapping[str, float | None] | None, form: str) -> str:
    if value is None or value["value"] is None:
        return "–"
    text = form.format(value["value"])
    low, high = value["low"], value["high"]
    return text if low is None or high is None else f"{text} ({form.format(low)} to {form.format(high)})"


def print_folds(told: Mapping[str, Any]) -> None:
    """The table of a cross-validation."""
    from rich.table import Table

    table = Table(title=f"Cross-validation {told['run']}", title_justify="left")
    for heading in ("fold", "labels", "RMSE px", "median px"):
        table.add_column(heading, justify="left" if heading == "fold" else "right")
    for name, one in told["folds"].items():
        cells = [_interval(one[key], "{:.2f}") for key in ("rmse", "median")]
        table.add_row(name, str(one["labels"]), *cells)
    print_table(table)
    mean, deviation = told["mean_rmse"], told["deviation_rmse"]
    if mean is not None:
        more = "" if deviation is None else f", standard deviation {deviation:.2f} px"
        text = f"Mean RMSE of {len(told['folds'])} folds: {mean:.2f} px{more}"
        console(result=True).print(text, markup=False)
    print_metrics(told["held_out"], "Errors on all images, each by a network that never saw it")
