"""A strict reader of the part of YAML that OpenCV and ROS write for cameras.

Block mappings and sequences, flow lists and mappings, quoted and plain scalars on one line. Anchors, aliases, block
text, tabs and tags that build objects are refused, so a file can neither run code nor grow when it is read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NoReturn

from calibration.errors import FileFormatError

__all__ = ["parse_yaml", "scalar"]

# Deeper nesting than any calibration has; ends a file made to exhaust the stack.
_DEEPEST = 32

_TAGS = {"!!opencv-matrix", "!!opencv-nd-matrix", "!!map", "!!seq", "!!float", "!!int", "!!str"}
_INTEGER = re.compile(r"[-+]?\d{1,18}")
_FLOAT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_WORDS: dict[str, object] = {
    "true": True,
    "false": False,
    "null": None,
    "~": None,
    ".nan": float("nan"),
    ".inf": float("inf"),
    "+.inf": float("inf"),
    "-.inf": float("-inf"),
}
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"' + r"|'((?:[^']|'')*)'")
# Plain text up to the first colon that ends the line or is followed by a space, or the same in quotes.
# The length is limited so that a long line of spaces costs nothing.
_KEY = re.compile(
    r"""(?P<key>"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s"'\[\]{}#&*!|>%@`,][^#]{0,200}?)\s{0,8}:(?:\s+(?P<rest>.*))?"""
)
# Text in quotes where a value or key can begin.
_QUOTED_VALUE = re.compile(rf"(?<![^\s:,\[{{-])(?:{_QUOTED.pattern})")
_TOKEN = re.compile(rf"""\s*((?:{_QUOTED.pattern})(?:\s*:)?|[\[\]{{}},]|[^\s\[\]{{}},"'][^\[\]{{}},]*)\s*""")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}


def parse_yaml(text: str, subject: str) -> Any:
    """The content of a YAML text: mappings as dict, sequences as list, scalars as int, float, bool, str or None.

    Raises:
        FileFormatError: it is not in the part of YAML that is read here; the line is named after `subject`.
    """
    return _Reader(text, subject).document()


def scalar(text: str) -> Any:
    """The value of a scalar: a number, a word such as true or .Nan, text in quotes, or else the text itself."""
    quoted = _QUOTED.fullmatch(text)
    if quoted is not None:
        if quoted[1] is None:
            return quoted[2].replace("''", "'")
        return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), quoted[1])
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


@dataclass(frozen=True)
class _Line:
    number: int
    indent: int
    text: str

    @property
    def is_item(self) -> bool:
        return self.text == "-" or self.text.startswith("- ")


class _Reader:
    def __init__(self, text: str, subject: str) -> None:
        self._subject = subject
        self._lines: list[_Line] = []
        self._next = 0
        for number, raw in enumerate(text.splitlines(), start=1):
            content = _without_comment(raw).rstrip()
            stripped = content.lstrip(" ")
            if stripped and not (len(stripped) == len(content) and re.match(r"%|(---|\.\.\.)$", stripped)):
                self._lines.append(_Line(number, len(content) - len(stripped), stripped))
                if stripped.startswith("\t"):
                    self._fail(self._lines[-1], "spaces, not tabs, at the start of a line")

    def document(self) -> Any:
        if not self._lines:
            return None
        first = self._lines[0]
        if first.text[0] in "[{":
            self._next = 1
            result = self._inline(first, first.text)
        else:
            result = self._block(first, 0)
        rest = self._peek()
        if rest is not None:
            self._fail(rest, "an indentation that fits the lines above")
        return result

    def _peek(self) -> _Line | None:
        return self._lines[self._next] if self._next < len(self._lines) else None

    def _fail(self, line: _Line, expected: str) -> NoReturn:
        raise FileFormatError(
            f"{self._subject}, line {line.number}",
            expected=f"{expected} (in YAML as OpenCV writes it)",
            got=repr(line.text if len(line.text) <= 60 else f"{line.text[:57]}..."),
            remedy="Correct this line, or save or copy the file again if it was cut off.",
        )

    def _block(self, first: _Line, depth: int) -> Any:
        if depth > _DEEPEST:
            self._fail(first, f"at most {_DEEPEST} levels")
        return self._sequence(first.indent, depth) if first.is_item else self._mapping(first.indent, depth)

    def _sequence(self, indent: int, depth: int) -> list[Any]:
        result: list[Any] = []
        while (line := self._peek()) is not None and line.indent == indent and line.is_item:
            rest = line.text[1:].lstrip()
            if _KEY.fullmatch(rest) is not None:
                # "- key: value" opens a mapping; its further keys stand below the first one.
                below = _Line(line.number, indent + len(line.text) - len(rest), rest)
                self._lines[self._next] = below
                result.append(self._block(below, depth + 1))
            else:
                self._next += 1
                result.append(self._value(line, rest, depth))
        return result

    def _mapping(self, indent: int, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        while (line := self._peek()) is not None and line.indent == indent and not line.is_item:
            match = _KEY.fullmatch(line.text)
            if match is None:
                self._fail(line, "'key: value'")
            key = match["key"]
            name = str(scalar(key)) if key[0] in "\"'" else key
            if name in result:
                self._fail(line, f"the key '{name}' only once")
            self._next += 1
            result[name] = self._value(line, (match["rest"] or "").strip(), depth)
        return result

    def _value(self, line: _Line, text: str, depth: int) -> Any:
        tag = re.match(r"!\S*", text)
        if tag is not None:
            if tag[0] not in _TAGS:
                self._fail(line, "no other tag than !!opencv-matrix")
            text = text[tag.end() :].strip()
        if text:
            return self._inline(line, text)
        below = self._peek()
        # A sequence may stand at the indentation of its key.
        if below is not None and (
            below.indent > line.indent or (below.indent == line.indent and below.is_item and not line.is_item)
        ):
            return self._block(below, depth + 1)
        return None

    def _inline(self, line: _Line, text: str) -> Any:
        if text[0] in "&*|>@`%" or text == "-" or text.startswith("- "):
            self._fail(line, "no anchor, alias, block text or list in the same line")
        if text[0] not in "[{":
            if text[0] in "\"'" and _QUOTED.fullmatch(text) is None:
                self._fail(line, "text that ends with the quote it begins with")
            return scalar(text)
        pieces = [text]
        still_open = _open_brackets(text)
        while still_open > 0:
            following = self._peek()
            if following is None:
                self._fail(line, "a closing bracket before the file ends")
            pieces.append(following.text)
            still_open += _open_brackets(following.text)
            self._next += 1
        try:
            tokens = _flow_tokens(" ".join(pieces).strip())
            value, used = _flow(tokens, 0, 0)
        except (ValueError, IndexError):
            self._fail(line, "a list in brackets, such as [ 1., 2. ]")
        if used != len(tokens):
            self._fail(line, "nothing behind the closing bracket")
        return value


def _flow(tokens: list[str], position: int, depth: int) -> tuple[Any, int]:
    """The value that begins at a token, and the position after it; ValueError or IndexError where there is none."""
    piece = tokens[position]
    if depth > _DEEPEST or piece in ("]", "}", ","):
        raise ValueError(piece)
    if piece == "[":
        items = []
        position += 1
        while tokens[position] != "]":
            item, position = _flow(tokens, position, depth + 1)
            items.append(item)
            position = _after_comma(tokens, position, "]")
        return items, position + 1
    if piece == "{":
        entries: dict[str, Any] = {}
        position += 1
        while tokens[position] != "}":
            # OpenCV writes { x:1, y:2 }, where "x:1" is one token; a nested value is a token of its own, as is one
            # behind a key in quotes.
            quoted = tokens[position][0] in "\"'"
            key, colon, rest = tokens[position].rpartition(":") if quoted else tokens[position].partition(":")
            if not colon:
                raise ValueError(piece)
            name = str(scalar(key.strip())) if quoted else key.strip()
            if rest.strip():
                entries[name], position = scalar(rest.strip()), position + 1
            else:
                entries[name], position = _flow(tokens, position + 1, depth + 1)
            position = _after_comma(tokens, position, "}")
        return entries, position + 1
    return scalar(piece), position + 1


def _after_comma(tokens: list[str], position: int, end: str) -> int:
    if tokens[position] == ",":
        return position + 1
    if tokens[position] != end:
        raise ValueError(tokens[position])
    return position


def _flow_tokens(text: str) -> list[str]:
    tokens: list[str] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(text[position])
        tokens.append(match[1].strip())
        position = match.end()
    return tokens


def _masked(line: str) -> str:
    """The line with its quoted texts blotted out, so that signs in them count for nothing."""
    return _QUOTED_VALUE.sub(lambda match: "_" * len(match[0]), line)


def _without_comment(line: str) -> str:
    if "#" not in line:
        return line
    comment = re.search(r"(?:^|(?<=\s))#", _masked(line))
    return line if comment is None else line[: comment.start()]


def _open_brackets(text: str) -> int:
    masked = _masked(text)
    return masked.count("[") + masked.count("{") - masked.count("]") - masked.count("}")
