"""What is in pickled bytes, without unpickling: to unpickle is to run whatever the file says.

This interpreter knows only the opcodes that build plain data. The names of functions and classes that a pickle may
contain are given by whoever reads it; they are recognized as words, nothing behind them is imported or called, and what
stands for the result is made by the reader. Any other name, and any other opcode, is refused. The opcodes are those of
the standard library's `pickletools`.
"""

from __future__ import annotations

import pickletools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

__all__ = ["NotPlainDataError", "Unfinished", "Vocabulary", "Word", "read_pickle_as_data"]


class NotPlainDataError(ValueError):
    """The bytes are no pickle, or a pickle of more than plain data."""


@dataclass(frozen=True)
class Word:
    """A name that stands where a pickle would import something.

    Attributes:
        name: of the function or class.
        make: from the arguments of the call that the pickle asks for to what stands for its result; None for a name
            that is never called.
    """

    name: str
    make: Callable[..., Any] | None = field(default=None, compare=False)


class Unfinished(ABC):
    """What a pickle completes after it was made, by a state."""

    @abstractmethod
    def finished(self, state: Any) -> Any:
        """What it is with that state."""


@dataclass(frozen=True)
class Vocabulary:
    """What a pickle may contain beside lists, tuples, dictionaries, texts and numbers.

    Attributes:
        words: "module name" as in the file, to the word that stands for it.
        binary: whether bytes may be in it.
        persistent: what stands for a value that the pickle keeps elsewhere, from its description.
    """

    words: Mapping[str, Word] = field(default_factory=dict)
    binary: bool = False
    persistent: Callable[[Any], Any] | None = None


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
_PLAIN = Vocabulary()


def read_pickle_as_data(source: bytes | BinaryIO, vocabulary: Vocabulary = _PLAIN) -> Any:
    """The value that a pickle of any protocol describes.

    Args:
        source: the bytes, or a file that is open at the beginning of the pickle, of which no more is read.
        vocabulary: what may be in it beside plain data.

    Raises:
        NotPlainDataError: the bytes are damaged, or hold something else.
    """
    machine = _Machine(vocabulary)
    try:
        for opcode, argument, _ in pickletools.genops(source):
            if opcode.name == "STOP":
                (result,) = machine.stack
                return result
            machine.step(opcode.name, argument)
    except NotPlainDataError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        # What genops and an inconsistent stack raise for damaged bytes.
        raise NotPlainDataError(f"damaged: {error}") from error
    raise NotPlainDataError("damaged: it does not end")


class _Machine:
    """The stack and the memory that pickle's opcodes work on."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memory: dict[int, Any] = {}
        self.vocabulary = vocabulary
        # Where what is unfinished was remembered, by its identity.
        self.places: dict[int, list[int]] = {}

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
        if isinstance(value, Unfinished):
            self.places.setdefault(id(value), []).append(key)

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
        elif name in _BYTES and self.vocabulary.binary:
            self.stack.append(bytes(argument))
        else:
            self._words(name, argument)

    def _words(self, name: str, argument: Any) -> None:
        if name == "GLOBAL":
            self.stack.append(self._word(argument))
        elif name == "STACK_GLOBAL":
            module, word = self.stack[-2:]
            self.stack[-2:] = [self._word(f"{module} {word}")]
        elif name == "REDUCE":
            word, arguments = self.stack[-2:]
            if not isinstance(word, Word) or word.make is None or not isinstance(arguments, tuple):
                raise NotPlainDataError("it asks to run code (REDUCE)")
            self.stack[-2:] = [word.make(*arguments)]
        elif name == "BUILD":
            self._finish()
        elif name == "BINPERSID" and self.vocabulary.persistent is not None:
            self.stack.append(self.vocabulary.persistent(self.stack.pop()))
        else:
            raise NotPlainDataError(f"it asks to run code ({name})")

    def _word(self, name: str) -> Word:
        if name not in self.vocabulary.words:
            raise NotPlainDataError(f"it asks to run code ({name})")
        return self.vocabulary.words[name]

    def _finish(self) -> None:
        state, value = self.stack.pop(), self.stack[-1]
        if not isinstance(value, Unfinished):
            raise NotPlainDataError("it asks to run code (BUILD)")
        self.stack[-1] = value.finished(state)
        for key in self.places.pop(id(value), ()):
            if self.memory[key] is value:
                self.memory[key] = self.stack[-1]

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
