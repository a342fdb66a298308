"""Memory that runs out, in the words of whichever library asked for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from calibration.errors import OutOfMemoryError

__all__ = ["enough_memory"]

# TensorFlow and JAX; ONNX Runtime and the allocators below it; PyTorch and OpenVINO
_WORDS = ("RESOURCE_EXHAUSTED", "OOM when allocating", "Failed to allocate memory", "bad_alloc", "out of memory")


@contextmanager
def enough_memory(subject: str, remedy: str) -> Iterator[None]:
    """Say in words that memory ran out in this block; other errors pass as they are.

    Args:
        subject: what needed it.
        remedy: how to need less.

    Raises:
        OutOfMemoryError: memory ran out.
    """
    try:
        yield
    except Exception as error:
        words = f"{type(error).__name__} {error}"
        if not isinstance(error, MemoryError) and not any(word.lower() in words.lower() for word in _WORDS):
            raise
        raise OutOfMemoryError(
            subject,
            expected="enough free memory",
            got=f"none left ({str(error).partition(chr(10))[0][:120] or type(error).__name__})",
            remedy=remedy,
        ) from error
