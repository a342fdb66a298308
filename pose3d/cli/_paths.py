"""What a command reads and writes: paths with names, and that they are different files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import click

__all__ = ["check_outputs", "path_of"]


def path_of(text: str) -> Path:
    """The path in what a user named: `NAME=PATH`, or a path, which may have an equals sign in it itself."""
    return Path(text if Path(text).exists() or "=" not in text else text.split("=", 1)[1])


def check_outputs(inputs: Iterable[str | Path | None], outputs: Mapping[str, Path | None]) -> None:
    """Refuse, before any work, to write over an input or twice to the same file.

    Args:
        inputs: files and folders that the command reads; None is passed over.
        outputs: the files it will write, by the option that names them; None is passed over.

    Raises:
        click.UsageError: two outputs are the same file, or an output is an input.
    """
    read = {_identity(path): path for path in inputs if path is not None}
    written: dict[Path, str] = {}
    for option, path in outputs.items():
        if path is None:
            continue
        where = _identity(path)
        if where in read:
            raise click.UsageError(f"{option} {path} would overwrite the input {read[where]}: name another file.")
        if where in written:
            raise click.UsageError(f"{option} and {written[where]} both name {path}: name two files.")
        written[where] = option


def _identity(path: str | Path) -> Path:
    """The file behind links and relative steps, whether it exists or not."""
    return Path(path).expanduser().resolve()
