"""Pickles of NumPy's arrays in lists and dictionaries, read without unpickling.

NumPy's arrays are pickled as calls of a few functions and classes, under `numpy.core` before NumPy 2 and `numpy._core`
since. These names are recognized (see `calibration.pickles`), and the arrays are made of the bytes in the file. A
single number of NumPy becomes a number of Python, so that it can be the key of a dictionary.
"""

from __future__ import annotations

import mmap
import warnings
from pathlib import Path
from typing import Any, BinaryIO, cast

from calibration.errors import FileFormatError
from calibration.formats.plain_pickle import array_of, array_vocabulary
from calibration.pickles import NotPlainDataError, read_pickle_as_data

__all__ = ["read_array_pickle"]


def read_array_pickle(path: Path, *, what: str, remedy: str) -> Any:
    """What a file pickles: arrays of numbers, lists, tuples, dictionaries, texts and numbers.

    Args:
        path: the file.
        what: what it should be, for the errors.
        remedy: what to do if it is not.

    Raises:
        FileFormatError: the file is missing, cut off or damaged, or holds anything else; nothing in it is run.
    """
    try:
        with (
            path.open("rb") as stream,
            # mapped, so that a damaged length asks for no more than there is
            mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content,
            # damaged texts would be said to have odd escapes
            warnings.catch_warnings(action="ignore", category=DeprecationWarning),
        ):
            return read_pickle_as_data(cast(BinaryIO, content), _ARRAYS)
    except OSError as error:
        raise FileFormatError(
            path, expected=what, got=error.strerror or str(error), remedy="Check the path and its permissions."
        ) from error
    except NotPlainDataError as error:
        raise FileFormatError(path, expected=what, got=f"a file that is not read: {error}", remedy=remedy) from error
    except ValueError as error:
        # an empty file cannot be mapped
        raise FileFormatError(path, expected=what, got="an empty file", remedy=remedy) from error


_ARRAYS = array_vocabulary(array_of, lambda value: value.item())
