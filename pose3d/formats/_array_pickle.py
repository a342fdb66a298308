"""Pickles of NumPy's arrays in lists and dictionaries, read without unpickling.

NumPy's arrays are pickled as calls of a few functions and classes, under `numpy.core` before NumPy 2 and `numpy._core`
since. These names are recognized (see `calibration.pickles`), and the arrays are made of the bytes in the file. A
single number of NumPy becomes a number of Python, so that it can be the key of a dictionary.
"""

from __future__ import annotations

import math
import mmap
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from calibration.errors import FileFormatError
from calibration.pickles import NotPlainDataError, Unfinished, Vocabulary, Word, read_pickle_as_data

__all__ = ["read_array_pickle"]

_NUMBERS = re.compile(r"b1|[iu][1248]|f[248]")


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


@dataclass(frozen=True)
class _Type(Unfinished):
    """The type of numbers, before and after its byte order was said."""

    code: str
    order: str = "="

    def finished(self, state: Any) -> _Type:
        if state[1] not in ("<", ">", "|", "="):
            raise NotPlainDataError(f"damaged: the byte order {str(state[1])[:20]}")
        return _Type(self.code, state[1])


class _Unfilled(Unfinished):
    """An array whose numbers are still to come."""

    def finished(self, state: Any) -> NDArray[Any]:
        _, shape, kind, fortran, data = state
        return _array(data, kind, shape, "F" if fortran else "C")


def _type(code: object, *_: object) -> _Type:
    if not isinstance(code, str) or not _NUMBERS.fullmatch(code):
        raise NotPlainDataError(f"it has an array of something else than numbers ({str(code)[:20]})")
    return _Type(code)


def _array(data: Any, kind: Any, shape: Any, order: Any) -> NDArray[Any]:
    if not isinstance(kind, _Type) or not isinstance(data, bytes) or not isinstance(shape, tuple):
        raise NotPlainDataError("it has an array of something else than numbers")
    if not all(type(length) is int and length >= 0 for length in shape) or order not in ("C", "F"):
        raise NotPlainDataError(f"damaged: an array of shape {str(shape)[:40]}")
    dtype = np.dtype(f"{kind.order}{kind.code}")
    # The bytes must be there, so that a shape alone takes no memory.
    if math.prod(shape) * dtype.itemsize != len(data):
        raise NotPlainDataError(f"damaged: {len(data)} bytes for an array of shape {str(shape)[:40]}")
    return np.frombuffer(data, dtype).reshape(shape, order=order)


def _unfilled(kind: object, *_: object) -> _Unfilled:
    if kind != _NDARRAY:
        raise NotPlainDataError("it asks to run code (_reconstruct)")
    return _Unfilled()


def _number(kind: object, data: object) -> Any:
    return _array(data, kind, (), "C").item()


def _bytes_of_text(text: str, codec: object) -> bytes:
    """How Python 3 writes bytes in the protocols of Python 2."""
    if codec not in ("latin1", "latin-1"):
        raise NotPlainDataError(f"it asks to run code (encode as {str(codec)[:20]})")
    return text.encode("latin-1")


def _no_bytes(*arguments: object) -> bytes:
    if arguments:
        raise NotPlainDataError("it asks to run code (bytes)")
    return b""


_NDARRAY = Word("ndarray")
_ARRAYS = Vocabulary(
    {
        **{f"numpy.{core}.multiarray _reconstruct": Word("array", _unfilled) for core in ("core", "_core")},
        **{f"numpy.{core}.multiarray scalar": Word("number", _number) for core in ("core", "_core")},
        **{f"numpy.{core}.numeric _frombuffer": Word("buffer", _array) for core in ("core", "_core")},
        "numpy ndarray": _NDARRAY,
        "numpy dtype": Word("dtype", _type),
        "_codecs encode": Word("encode", _bytes_of_text),
        "__builtin__ bytes": Word("bytes", _no_bytes),
    },
    binary=True,
)
