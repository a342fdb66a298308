"""Lists, tuples, texts and numbers out of pickled bytes, without unpickling.

PyTables stores some attributes as pickles, and pandas puts the names of columns there. To unpickle is to run whatever
the file says. This interpreter knows only the opcodes that build plain data; any other, so every one that imports or
calls something, is refused. The opcodes are those documented in the standard library's `pickletools`.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import Any

__all__ = ["NotPlainDataError", "plain_data"]


class NotPlainDataError(ValueError):
    """The bytes are no pickle, or a pickle of more than plain data."""


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = frozenset(
    {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING"}
    | {"SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
)
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_DICT": dict}
_FROM_MARK: dict[str, Callable[[list[Any]], Any]] = {
    "LIST": list,
    "TUPLE": tuple,
    "DICT": lambda items: dict(zip(items[::2], items[1::2], strict=True)),
}
_SHORT_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUT = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_GET = frozenset({"GET", "BINGET", "LONG_BINGET"})


def plain_data(data: bytes) -> Any:
    """The list, tuple, dictionary, text or number that `data` pickles.

    Raises:
        NotPlainDataError: the bytes are damaged, or hold something else than plain data.
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "STOP":
                (result,) = machine.stack
                return result
            machine.step(opcode.name, argument)
    except NotPlainDataError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        # What genops and an inconsistent stack raise for damaged bytes.
        raise NotPlainDataError(f"damaged: {error}") from error
    raise NotPlainDataError("damaged: it does not end")


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
        elif name in _PUT or name == "MEMOIZE":
            self.memory[len(self.memory) if name == "MEMOIZE" else argument] = self.stack[-1]
        elif name in _GET:
            self.stack.append(self.memory[argument])
        elif name not in ("PROTO", "FRAME"):
            self._collect(name)

    def _collect(self, name: str) -> None:
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
            self.stack[-1].update(zip(pairs[::2], pairs[1::2], strict=True))
        else:
            raise NotPlainDataError(f"it asks to run code ({name})")

    def _since_mark(self) -> list[Any]:
        mark = self.marks.pop()
        items = self.stack[mark:]
        del self.stack[mark:]
        return items
