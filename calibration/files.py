"""Writing results so that a killed run never leaves a half file under a final name."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from calibration.errors import OutputError

__all__ = ["atomic_path", "write_text"]


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path beside `path` to write to; rename it to `path` when the block ends without an error.

    On any error, KeyboardInterrupt included, the partial file is removed and an existing `path` is left as it was.
    Missing parent folders are created. The yielded name ends with the name of `path`, so writers that look at the
    suffix work.

    Raises:
        OutputError: the folder cannot be created or written, or `path` is a folder.
    """
    final = Path(path)
    if final.is_dir():
        raise OutputError(
            final, expected="a file to write", got="a folder", remedy="Name a file inside it, or another path."
        )
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".part-", suffix=f"-{final.name}", dir=final.parent)
        os.close(descriptor)
        os.chmod(name, 0o666 & ~_umask())  # mkstemp makes private files; results are to be shared
    except OSError as error:
        raise OutputError(
            final,
            expected="a folder that can be written",
            got=error.strerror or str(error),
            remedy="Choose another output folder, or free space and permissions there.",
        ) from error
    partial = Path(name)
    try:
        yield partial
        os.replace(partial, final)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(
            final,
            expected="to write the file completely",
            got=error.strerror or str(error),
            remedy="Check free space and permissions; nothing was changed under the final name.",
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text with `\\n` line ends through `atomic_path`.

    Raises:
        OutputError: see `atomic_path`.
    """
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
