"""Lists, tuples, texts, numbers and arrays of numbers out of pickled bytes, without unpickling.

DeepLabCut keeps calibrations in pickles; PyTables stores some attributes so, and pandas puts the names of columns
there. To unpickle is to run whatever the file says. This interpreter knows only the opcodes that build plain data; any
other, so every one that imports or calls something, is refused. NumPy's arrays are pickled as calls of a few functions
and classes; where arrays are wanted, these names are recognized as words, nothing behind them is imported or called,
and the array is made of the bytes in the file. The opcodes are those of the standard library's `pickletools`.
"""

from __future__ import annotations

import math
import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["NotPlainDataError", "plain_data"]


class NotPlainDataError(ValueError):
    """The bytes are no pickle, or a pickle of more than plain data."""


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = frozenset(
    {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING"}
    | {"SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
)
_BYTES = frozenset({"BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"})
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_DICT": dict}
_FROM_MARK: dict[str, Callable[[list[Any]], Any]] = {
    "LIST": list,
    "TUPLE": tuple,
    "DICT": lambda items: _mapping(items),
}
_SHORT_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUT = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_GET = frozenset({"GET", "BINGET", "LONG_BINGET"})

# What the pickles of NumPy (1: numpy.core, 2: numpy._core) and Python 2 name when an array is in them.
_WORDS = {
    **{f"numpy.{core}.multiarray {name}": name for core in ("core", "_core") for name in ("_reconstruct", "scalar")},
    **{f"numpy.{core}.numeric _frombuffer": "_frombuffer" for core in ("core", "_core")},
    "numpy ndarray": "ndarray",
    "numpy dtype": "dtype",
    "_codecs encode": "encode",
    "__builtin__ bytes": "bytes",
}
_NUMBERS = re.compile(r"b1|[iu][1248]|f[248]")


def plain_data(data: bytes, *, arrays: bool = False) -> Any:
    """The list, tuple, dictionary, text or number that `data` pickles.

    Args:
        data: a pickle of any protocol.
        arrays: True to accept NumPy's arrays and scalars of numbers, and bytes, too.

    Raises:
        NotPlainDataError: the bytes are damaged, or hold something else than plain data.
    """
    machine = _Machine(arrays=arrays)
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "STOP":
                (result,) = machine.stack
                if isinstance(result, _Word | _Type | _Unfilled):
                    raise NotPlainDataError(f"it is no plain data ({type(result).__name__.strip('_').lower()})")
                return result
            machine.step(opcode.name, argument)
    except NotPlainDataError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        # What genops and an inconsistent stack raise for damaged bytes.
        raise NotPlainDataError(f"damaged: {error}") from error
    raise NotPlainDataError("damaged: it does not end")


@dataclass(frozen=True)
class _Word:
    """A name that stands where a pickle would import something."""

    name: str


@dataclass(frozen=True)
class _Type:
    """The type of numbers, before and after its byte order was said."""

    code: str
    order: str = "="
    keys: list[int] = field(default_factory=list, compare=False)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(f"{self.order}{self.code}")


@dataclass(frozen=True)
class _Unfilled:
    """An array whose numbers are still to come."""

    keys: list[int] = field(default_factory=list, compare=False)


class _Machine:
    """The stack and the memory that pickle's opcodes work on."""

    def __init__(self, *, arrays: bool) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memory: dict[int, Any] = {}
        self.arrays = arrays

    def step(self, name: str, argument: Any) -> None:
        if name in _LITERALS:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            self.stack.append(_EMPTY[name]())
        elif name == "MARK":
            self.marks.append(len(self.stack))
        elif name in _PUT or name == "MEMOIZE":
            self._remember(len(self.memory) if name == "MEMOIZE" else argument)
        elif name in _GET:
            self.stack.append(self.memory[argument])
        elif name not in ("PROTO", "FRAME"):
            self._collect(name, argument)

    def _remember(self, key: int) -> None:
        value = self.stack[-1]
        self.memory[key] = value
        if isinstance(value, _Type | _Unfilled):
            value.keys.append(key)

    def _collect(self, name: str, argument: Any) -> None:
        if name in _FROM_MARK:
            self.stack.append(_FROM_MARK[name](self._since_mark()))
        elif name in _SHORT_TUPLES:
            count = _SHORT_TUPLES[name]
            self.stack[-count:] = [tuple(self.stack[-count:])]
        elif name in ("APPEND", "APPENDS"):
            items = self._since_mark() if name == "APPENDS" else [self.stack.pop()]
            self.stack[-1].extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            pairs = self._since_mark() if name == "SETITEMS" else [self.stack.pop(-2), self.stack.pop()]
            self.stack[-1].update(_mapping(pairs))
        elif self.arrays:
            self._arrays(name, argument)
        else:
            raise NotPlainDataError(f"it asks to run code ({name})")

    def _arrays(self, name: str, argument: Any) -> None:
        if name in _BYTES:
            self.stack.append(bytes(argument))
        elif name == "GLOBAL":
            self.stack.append(_word(argument))
        elif name == "STACK_GLOBAL":
            module, word = self.stack[-2:]
            self.stack[-2:] = [_word(f"{module} {word}")]
        elif name == "REDUCE":
            word, arguments = self.stack[-2:]
            if not isinstance(word, _Word) or not isinstance(arguments, tuple):
                raise NotPlainDataError("it asks to run code (REDUCE)")
            self.stack[-2:] = [_reduced(word.name, arguments)]
        elif name == "BUILD":
            state = self.stack.pop()
            built = self.stack[-1]
            if not isinstance(built, _Type | _Unfilled) or not isinstance(state, tuple):
                raise NotPlainDataError("it asks to run code (BUILD)")
            self.stack[-1] = _built(built, state)
            for key in built.keys:  # what was remembered before it was complete
                self.memory[key] = self.stack[-1]
        else:
            raise NotPlainDataError(f"it asks to run code ({name})")

    def _since_mark(self) -> list[Any]:
        mark = self.marks.pop()
        items = self.stack[mark:]
        del self.stack[mark:]
        return items


def _mapping(pairs: list[Any]) -> dict[Any, Any]:
    # The hash of deeply nested tuples would exhaust the stack of the process.
    if not all(key is None or isinstance(key, str | int | float) for key in pairs[::2]):
        raise NotPlainDataError("it has a dictionary whose keys are neither text nor numbers")
    return dict(zip(pairs[::2], pairs[1::2], strict=True))


def _word(name: str) -> _Word:
    if name not in _WORDS:
        raise NotPlainDataError(f"it asks to run code ({name})")
    return _Word(_WORDS[name])


def _reduced(word: str, arguments: tuple[Any, ...]) -> Any:
    """What stands for the result of the call that a pickle asks for; nothing is called."""
    if word == "dtype":
        code = arguments[0]
        if not isinstance(code, str) or not _NUMBERS.fullmatch(code):
            raise NotPlainDataError(f"it has an array of something else than numbers ({str(code)[:20]})")
        return _Type(code)
    if word == "bytes" and not arguments:
        return b""
    if word == "encode":  # how Python 3 writes bytes in the protocols of Python 2
        text, codec = arguments
        if codec not in ("latin1", "latin-1"):
            raise NotPlainDataError(f"it asks to run code (encode as {str(codec)[:20]})")
        return text.encode("latin-1")
    if word == "_reconstruct" and arguments[0] == _Word("ndarray"):
        return _Unfilled()
    if word == "scalar":
        kind, data = arguments
        return _array(data, kind, (), "C")[()]
    if word == "_frombuffer":
        data, kind, shape, order = arguments
        return _array(data, kind, shape, order)
    raise NotPlainDataError(f"it asks to run code ({word})")


def _built(built: _Type | _Unfilled, state: tuple[Any, ...]) -> Any:
    if isinstance(built, _Type):
        order = state[1]
        if order not in ("<", ">", "|", "="):
            raise NotPlainDataError(f"damaged: the byte order {str(order)[:20]}")
        return replace(built, order=order)
    _, shape, kind, fortran, data = state
    return _array(data, kind, shape, "F" if fortran else "C")


def _array(data: Any, kind: Any, shape: Any, order: Any) -> NDArray[Any]:
    if isinstance(data, str):  # bytes of Python 2
        data = data.encode("latin-1")
    if not isinstance(kind, _Type) or not isinstance(data, bytes) or not isinstance(shape, tuple):
        raise NotPlainDataError("it has an array of something else than numbers")
    if not all(isinstance(length, int) and length >= 0 for length in shape) or order not in ("C", "F"):
        raise NotPlainDataError(f"damaged: an array of shape {str(shape)[:40]}")
    # The bytes must be there, so that a shape alone takes no memory.
    if math.prod(shape) * kind.dtype.itemsize != len(data):
        raise NotPlainDataError(f"damaged: {len(data)} bytes for an array of shape {str(shape)[:40]}")
    return np.frombuffer(data, kind.dtype).reshape(shape, order=order).astype(kind.dtype.newbyteorder("="))
