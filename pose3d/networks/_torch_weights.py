"""Arrays out of a weight file of PyTorch's older format, without unpickling.

Such a file is five pickles in a row (a magic number, a version, the sizes of types, the names and shapes of the arrays,
the order in which their numbers follow), and then the numbers. To unpickle is to run whatever the file says. This
interpreter knows only the opcodes that such files need; the few names in them are recognized as words, nothing behind
them is imported or called, and any other is refused.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from calibration.errors import FileFormatError

__all__ = ["read_torch_weights"]

_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGES: dict[str, np.dtype[Any]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
_WORDS = {
    "collections OrderedDict": "OrderedDict",
    "torch._utils _rebuild_tensor_v2": "tensor",
    **{f"torch {name}": name for name in _STORAGES},
}
_LITERALS = frozenset({"BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE"})
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _NotWeightsError(ValueError):
    """The bytes are damaged, or hold something else."""


@dataclass(frozen=True)
class _Word:
    name: str


@dataclass(frozen=True)
class _Storage:
    key: str
    kind: np.dtype[Any]
    count: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_torch_weights(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays in a file, by their names.

    Raises:
        FileFormatError: the file is missing, damaged, or holds anything but arrays of numbers.
    """
    try:
        with path.open("rb") as stream:
            return _read(stream)
    except (OSError, ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        # What genops and an inconsistent stack raise for damaged bytes.
        raise FileFormatError(
            path,
            expected="weights in PyTorch's older format: arrays of numbers and their names",
            got="no such file" if isinstance(error, FileNotFoundError) else str(error) or type(error).__name__,
            remedy="Install or copy the file again; nothing in it was run.",
        ) from error


def _read(stream: BinaryIO) -> dict[str, NDArray[Any]]:
    if _interpret(stream) != _MAGIC:
        raise _NotWeightsError("another kind of file")
    _interpret(stream)
    if _interpret(stream).get("little_endian") is not True:
        raise _NotWeightsError("numbers of another byte order")
    tensors = {name: value for name, value in _interpret(stream).items() if isinstance(value, _Tensor)}
    kinds = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    numbers: dict[str, NDArray[Any]] = {}
    for key in _interpret(stream):
        (count,) = np.frombuffer(stream.read(8), dtype="<i8")
        storage = kinds[key]
        if count != storage.count:
            raise _NotWeightsError(f"{count} numbers where {storage.count} should be")
        numbers[key] = np.frombuffer(stream.read(storage.count * storage.kind.itemsize), dtype=storage.kind)
        if len(numbers[key]) != storage.count:
            raise _NotWeightsError("the file ends too early")
    return {name: _array(tensor, numbers[tensor.storage.key]) for name, tensor in tensors.items()}


def _array(tensor: _Tensor, numbers: NDArray[Any]) -> NDArray[Any]:
    """The part of the numbers that a tensor is, as an array of its own."""
    shape, strides = tensor.shape, tensor.strides
    whole = len(shape) == len(strides) and all(type(one) is int and one >= 0 for one in (*shape, *strides))
    last = tensor.offset + sum((length - 1) * step for length, step in zip(shape, strides, strict=False))
    if not whole or 0 in shape or not 0 <= tensor.offset <= last < len(numbers):
        raise _NotWeightsError(f"an array of shape {shape} in {len(numbers)} numbers")
    start = numbers[tensor.offset :]
    return np.lib.stride_tricks.as_strided(start, shape, tuple(step * numbers.itemsize for step in strides)).copy()


def _interpret(stream: BinaryIO) -> Any:
    machine = _Machine()
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name == "STOP":
            (result,) = machine.stack
            return result
        machine.step(opcode.name, argument)
    raise _NotWeightsError("the file ends too early")


class _Machine:
    """The stack and the memory that pickle's opcodes work on."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memory: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        if name in _LITERALS:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            self.stack.append(_EMPTY[name]())
        elif name == "MARK":
            self.marks.append(len(self.stack))
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memory[argument] = self.stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            self.stack.append(self.memory[argument])
        elif name == "TUPLE":
            self.stack.append(tuple(self._since_mark()))
        elif name in _TUPLES:
            self.stack[-_TUPLES[name] :] = [tuple(self.stack[-_TUPLES[name] :])]
        elif name != "PROTO":
            self._build(name, argument)

    def _build(self, name: str, argument: Any) -> None:
        if name in ("SETITEM", "SETITEMS"):
            items = self._since_mark() if name == "SETITEMS" else [self.stack.pop(-2), self.stack.pop()]
            if not all(isinstance(key, str | int) for key in items[::2]):
                raise _NotWeightsError("names that are no text")
            self.stack[-1].update(zip(items[::2], items[1::2], strict=True))
        elif name in ("APPEND", "APPENDS"):
            more = self._since_mark() if name == "APPENDS" else [self.stack.pop()]
            self.stack[-1].extend(more)
        elif name == "GLOBAL":
            if argument not in _WORDS:
                raise _NotWeightsError(f"it asks to run code ({argument})")
            self.stack.append(_Word(_WORDS[argument]))
        elif name == "BINPERSID":
            _, kind, key, _, count, _ = self.stack.pop()
            self.stack.append(_Storage(key, _STORAGES[kind.name], int(count)))
        elif name == "REDUCE":
            arguments, word = self.stack.pop(), self.stack.pop()
            self.stack.append(_made(word, arguments))
        elif name == "BUILD" and isinstance(self.stack[-2], dict):
            self.stack.pop()  # notes on the layers, which have no numbers
        else:
            raise _NotWeightsError(f"it asks to run code ({name})")

    def _since_mark(self) -> list[Any]:
        mark = self.marks.pop()
        items = self.stack[mark:]
        del self.stack[mark:]
        return items


def _made(word: object, arguments: tuple[Any, ...]) -> Any:
    """What stands for the result of the call that the file asks for; nothing is called."""
    if word == _Word("OrderedDict") and arguments == ():
        return {}
    if word == _Word("tensor") and isinstance(arguments[0], _Storage):
        return _Tensor(arguments[0], int(arguments[1]), tuple(arguments[2]), tuple(arguments[3]))
    raise _NotWeightsError("it asks to run code (REDUCE)")
