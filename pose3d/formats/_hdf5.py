"""Opening HDF5 files of others: a broken file is a clear error, and nothing in it is executed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from calibration.errors import FileFormatError, SuiteError

__all__ = ["DAMAGE", "open_hdf5", "peek_hdf5", "text", "texts"]

# What h5py, and what reads through it, raise for files that are cut off or have bytes changed.
DAMAGE = (
    OSError,
    KeyError,
    ValueError,
    TypeError,
    IndexError,
    AttributeError,
    RuntimeError,
    OverflowError,
    MemoryError,
    NotImplementedError,
)


@contextmanager
def open_hdf5(path: Path, what: str) -> Iterator[h5py.File]:
    """Yield the file, open for reading.

    Args:
        path: the file.
        what: what the file should be, for the error ("a DeepLabCut h5 file").

    Raises:
        FileFormatError: it cannot be opened, or reading inside the block fails: the file is cut off, or compressed in
            an unknown way.
    """
    try:
        with h5py.File(path, "r") as file:
            yield file
    except SuiteError:
        raise
    except DAMAGE as error:
        raise FileFormatError(
            path,
            expected=what,
            got=_reason(path, error),
            remedy="Copy or export the file again, as csv if there is one; only zlib compression can be read.",
        ) from error


def peek_hdf5(path: Path, test: Callable[[h5py.File], bool]) -> bool:
    """`test` of the open file; False where the path is no HDF5 file or cannot be read."""
    try:
        if not path.is_file() or not h5py.is_hdf5(path):
            return False
        with h5py.File(path, "r") as file:
            return test(file)
    except DAMAGE:
        return False


def text(value: object) -> str:
    """An HDF5 string (bytes, text, or an array of one) as text; empty where there is none."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return value if isinstance(value, str) else ""


def texts(dataset: h5py.Dataset) -> list[str]:
    """The strings of a one-dimensional dataset; numbers as they are written."""
    return [text(value) if isinstance(value, bytes | str) else str(value) for value in np.atleast_1d(dataset[()])]


def _reason(path: Path, error: BaseException) -> str:
    if not path.exists():
        return "no such file"
    if path.is_file() and path.stat().st_size == 0:
        return "an empty file"
    return f"a file that is damaged or that HDF5 cannot read ({str(error).splitlines()[0] if str(error) else error!r})"
