"""Threads for kernels that release the interpreter lock."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

from calibration.processors import available_processors

__all__ = ["Workers"]


@dataclass(eq=False)
class Workers:
    """A pool of threads; without threads where one is enough. Use as a context.

    Attributes:
        count: how many.
    """

    count: int
    _pool: ThreadPoolExecutor | None = None

    @classmethod
    def for_work(cls, wanted: int | None, items: int, at_least: int) -> Workers:
        """As many as wanted (None: as there are processors), but each with `at_least` items to do."""
        available = wanted or available_processors()
        return cls(max(1, min(available, items // at_least)))

    def __enter__(self) -> Workers:
        if self.count > 1:
            self._pool = ThreadPoolExecutor(self.count)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def each(self, work: Callable[[int], None], count: int) -> None:
        """Call `work` with 0 to count - 1."""
        if self._pool is None or count < 2:
            for index in range(count):
                work(index)
        else:
            threads = min(self.count, count)

            def share(thread: int) -> None:
                for index in range(thread, count, threads):
                    work(index)

            # One task for each thread: to hand one over costs as much as a thousand observations.
            for _ in self._pool.map(share, range(threads)):
                pass

    def split(self, work: Callable[[int, int], None], count: int) -> None:
        """Call `work` with ranges that cover 0 to count - 1: a few for each thread, so that none waits for long."""
        pieces = 1 if self._pool is None else min(4 * self.count, max(count, 1))

        def piece(index: int) -> None:
            work(count * index // pieces, count * (index + 1) // pieces)

        self.each(piece, pieces)
