"""Running the tasks in worker processes.

Processes, not threads: a damaged video can crash a decoder, which must not take the program with it. They are spawned,
not forked: forking a process that has threads (numba, OpenCV, PyAV) can hang.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from calibration.errors import CalibrationError, InvalidValueError
from calibration.observations._worker import Look, Task, look, start_worker
from calibration.processors import available_processors

__all__ = ["Runner", "runner", "worker_count"]

Runner: TypeAlias = Callable[[Sequence[Task], Callable[[int], None]], list[Look]]

# Starting a process takes about as long as looking at this many pictures.
_PICTURES_PER_WORKER = 24


def worker_count(workers: int | None, pictures: int) -> int:
    """How many processes to work in; 1 is this one alone.

    Args:
        workers: what the user asked for; None takes the cores that this process may use, and fewer for little work.
        pictures: how many pictures are to be looked at.

    Raises:
        InvalidValueError: the number is not positive.
    """
    if workers is None:
        if not _can_spawn():
            return 1
        return max(1, min(available_processors(), pictures // _PICTURES_PER_WORKER))
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
        raise InvalidValueError(
            "workers", expected="a whole number from 1", got=repr(workers), remedy="1 works in this process alone."
        )
    return workers


def _can_spawn() -> bool:
    """Say whether a new process can import what runs here; it cannot where the program comes from standard input."""
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    inside_worker = multiprocessing.parent_process() is not None
    return not inside_worker and (file is None or Path(file).exists())


@contextmanager
def runner(workers: int) -> Iterator[Runner]:
    """A function that runs tasks, in this many processes, and gives their results in the order of the tasks.

    It calls back with the number of pictures of every task that is done. When the block ends in an error or an
    interrupt, the workers stop after the picture they are at.

    Raises:
        CalibrationError: a worker process ended by itself.
    """
    if workers == 1:
        yield _run_here
        return
    with tempfile.TemporaryDirectory(prefix="pose3d-") as folder:
        running = Path(folder) / "running"
        running.touch()
        pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=start_worker)
        try:
            yield lambda tasks, done: _run_in(pool, [replace(task, running=running) for task in tasks], done)
        finally:
            running.unlink()
            pool.shutdown(wait=True, cancel_futures=True)


def _run_here(tasks: Sequence[Task], done: Callable[[int], None]) -> list[Look]:
    looks = []
    for task in tasks:
        looks.append(look(task))
        done(len(task.pictures))
    return looks


def _run_in(pool: ProcessPoolExecutor, tasks: Sequence[Task], done: Callable[[int], None]) -> list[Look]:
    futures: dict[Future[Look], Task] = {}
    try:
        futures.update((pool.submit(look, task), task) for task in tasks)
        for future in as_completed(futures):
            future.result()
            done(len(futures[future].pictures))
    except BrokenProcessPool as error:
        raise _crashed([task for future, task in futures.items() if not _is_done(future)] or list(tasks)) from error
    return [future.result() for future in futures]


def _is_done(future: Future[Look]) -> bool:
    return future.done() and future.exception() is None


def _crashed(tasks: Sequence[Task]) -> CalibrationError:
    first = tasks[0]
    return CalibrationError(
        f"{first.source}, pictures {first.pictures[0]} to {first.pictures[-1]}, or a later one of {len(tasks)} pieces",
        expected="worker processes that look for the board",
        got="one that ended by itself (a damaged picture, too little memory, or a script that cannot be imported)",
        remedy="In a script of your own, call this under `if __name__ == '__main__':`. Otherwise try workers=1, which "
        "shows the cause, and leave out the video that is damaged.",
    )
