"""Arrays out of a weight file of PyTorch's older format, without unpickling.

Such a file is five pickles in a row (a magic number, a version, the sizes of types, the names and shapes of the arrays,
the order in which their numbers follow), and then the numbers. The few names that such files need are recognized as
words (see `calibration.pickles`); any other is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from calibration.errors import FileFormatError
from calibration.pickles import Unfinished, Vocabulary, Word, read_pickle_as_data

__all__ = ["read_torch_weights"]

_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGES: dict[str, np.dtype[Any]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _NotWeightsError(ValueError):
    """The bytes are damaged, or hold something else."""


class _Dictionary(dict[Any, Any], Unfinished):
    def finished(self, _state: object) -> _Dictionary:
        return self  # the state is notes on the layers, which have no numbers


def _dictionary() -> _Dictionary:
    return _Dictionary()


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


def _storage(description: Any) -> _Storage:
    _, kind, key, _, count, _ = description
    return _Storage(key, _STORAGES[kind.name], int(count))


def _tensor(storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object) -> _Tensor:
    if not isinstance(storage, _Storage):
        raise _NotWeightsError("an array without numbers")
    return _Tensor(storage, int(offset), tuple(shape), tuple(strides))


_VOCABULARY = Vocabulary(
    {
        "collections OrderedDict": Word("OrderedDict", _dictionary),
        "torch._utils _rebuild_tensor_v2": Word("tensor", _tensor),
        **{f"torch {name}": Word(name) for name in _STORAGES},
    },
    persistent=_storage,
)


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
    read = partial(read_pickle_as_data, stream, _VOCABULARY)
    if read() != _MAGIC:
        raise _NotWeightsError("another kind of file")
    read()
    if read().get("little_endian") is not True:
        raise _NotWeightsError("numbers of another byte order")
    tensors = {name: value for name, value in read().items() if isinstance(value, _Tensor)}
    kinds = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    numbers: dict[str, NDArray[Any]] = {}
    for key in read():
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
