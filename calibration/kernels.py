"""What numba kernels share. It imports no numba: each module of kernels does, with the options it needs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

__all__ = ["kept"]


def kept(jit: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A decorator that compiles and keeps the machine code on disk; what the function calls is kept with it.

    Numba's cache notices a change of the file that holds such a function, but not of others that it calls into: what
    it calls must stand in the same file.

    Args:
        jit: numba's decorator with its options. They stand in that file, too, so that a change of them is noticed.
    """

    def compile_and_keep(function: Any) -> Any:
        compiled = jit(function)
        with suppress(RuntimeError):  # numba finds no folder that it may write to
            compiled.enable_caching()
        return compiled

    return compile_and_keep
