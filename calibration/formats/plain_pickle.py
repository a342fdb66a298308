"""Lists, tuples, texts, numbers and arrays of numbers out of pickled bytes, without unpickling.

DeepLabCut keeps calibrations in pickles; PyTables stores some attributes so, and pandas puts the names of columns
there. NumPy's arrays are pickled as calls of a few functions and classes; where arrays are wanted, these names are
recognized (see `calibration.pickles`), and the array is made of the bytes in the file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.pickles import NotPlainDataError, Unfinished, Vocabulary, Word, read_pickle_as_data

__all__ = ["NotPlainDataError", "array_of", "array_vocabulary", "plain_data"]

_NUMBERS = re.compile(r"b1|[iu][1248]|f[248]")


def plain_data(data: bytes, *, arrays: bool = False) -> Any:
    """The list, tuple, dictionary, text or number that `data` pickles.

    Args:
        data: a pickle of any protocol.
        arrays: True to accept NumPy's arrays and scalars of numbers, and bytes, too.

    Raises:
        NotPlainDataError: the bytes are damaged, or hold something else than plain data.
    """
    result = read_pickle_as_data(data, _ARRAYS) if arrays else read_pickle_as_data(data)
    if isinstance(result, Word | Unfinished):
        raise NotPlainDataError(f"it is no plain data ({type(result).__name__.strip('_').lower()})")
    return result


@dataclass(frozen=True)
class _Type(Unfinished):
    """The type of numbers, before and after its byte order was said."""

    code: str
    order: str = "="

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(f"{self.order}{self.code}")

    def finished(self, state: Any) -> _Type:
        order = state[1]
        if order not in ("<", ">", "|", "="):
            raise NotPlainDataError(f"damaged: the byte order {str(order)[:20]}")
        return _Type(self.code, order)


@dataclass(frozen=True)
class _Unfilled(Unfinished):
    """An array whose numbers are still to come, and what makes it of them."""

    array: Callable[..., NDArray[Any]]

    def finished(self, state: Any) -> NDArray[Any]:
        _, shape, kind, fortran, data = state
        return self.array(data, kind, shape, "F" if fortran else "C")


def _dtype(code: object, *_: object) -> _Type:
    if not isinstance(code, str) or not _NUMBERS.fullmatch(code):
        raise NotPlainDataError(f"it has an array of something else than numbers ({str(code)[:20]})")
    return _Type(code)


def _encode(text: str, codec: object) -> bytes:
    """How Python 3 writes bytes in the protocols of Python 2."""
    if codec not in ("latin1", "latin-1"):
        raise NotPlainDataError(f"it asks to run code (encode as {str(codec)[:20]})")
    return text.encode("latin-1")


def _no_bytes(*arguments: object) -> bytes:
    if arguments:
        raise NotPlainDataError("it asks to run code (bytes)")
    return b""


def _reconstruct(array: Callable[..., NDArray[Any]], kind: object, *_: object) -> _Unfilled:
    if kind != _NDARRAY:
        raise NotPlainDataError("it asks to run code (_reconstruct)")
    return _Unfilled(array)


def array_of(data: Any, kind: Any, shape: Any, order: Any) -> NDArray[Any]:
    """The array that its pickle describes, in the byte order of this machine.

    Args:
        data: the bytes of its numbers.
        kind: what stands for their type.
        shape, order: of the array.

    Raises:
        NotPlainDataError: it is none of numbers, or the bytes are not as many as the shape says.
    """
    if not isinstance(kind, _Type) or not isinstance(data, bytes) or not isinstance(shape, tuple):
        raise NotPlainDataError("it has an array of something else than numbers")
    if not all(type(length) is int and length >= 0 for length in shape) or order not in ("C", "F"):
        raise NotPlainDataError(f"damaged: an array of shape {str(shape)[:40]}")
    # The bytes must be there, so that a shape alone takes no memory.
    if math.prod(shape) * kind.dtype.itemsize != len(data):
        raise NotPlainDataError(f"damaged: {len(data)} bytes for an array of shape {str(shape)[:40]}")
    return np.frombuffer(data, kind.dtype).reshape(shape, order=order).astype(kind.dtype.newbyteorder("="))


def _array_of_any_python(data: Any, kind: Any, shape: Any, order: Any) -> NDArray[Any]:
    if isinstance(data, str):  # bytes of Python 2
        data = data.encode("latin-1")
    return array_of(data, kind, shape, order)


def array_vocabulary(array: Callable[..., NDArray[Any]], number: Callable[[NDArray[Any]], Any]) -> Vocabulary:
    """What the pickles of NumPy (1: numpy.core, 2: numpy._core) and Python 2 name when an array is in them.

    Args:
        array: makes an array of what describes it, as `array_of` does.
        number: makes a single number of an array without dimensions.
    """

    def single(kind: object, data: object) -> Any:
        return number(array(data, kind, (), "C"))

    unfilled = partial(_reconstruct, array)
    return Vocabulary(
        {
            **{f"numpy.{core}.multiarray _reconstruct": Word("_reconstruct", unfilled) for core in ("core", "_core")},
            **{f"numpy.{core}.multiarray scalar": Word("scalar", single) for core in ("core", "_core")},
            **{f"numpy.{core}.numeric _frombuffer": Word("_frombuffer", array) for core in ("core", "_core")},
            "numpy ndarray": _NDARRAY,
            "numpy dtype": Word("dtype", _dtype),
            "_codecs encode": Word("encode", _encode),
            "__builtin__ bytes": Word("bytes", _no_bytes),
        },
        binary=True,
    )


_NDARRAY = Word("ndarray")
_ARRAYS = array_vocabulary(_array_of_any_python, lambda value: value[()])
