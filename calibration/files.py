"""Writing results so that a killed run never leaves a half file under a final name; endings of pictures and videos."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from calibration.errors import OutputError

__all__ = ["IMAGE_SUFFIXES", "VIDEO_SUFFIXES", "atomic_path", "write_text"]

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
VIDEO_SUFFIXES = frozenset(
    {".avi", ".m2ts", ".m4v", ".mjpeg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ts", ".webm", ".wmv"}
)


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path beside `path` to write to; rename it to `path` when the block ends without an error.

    On any error, KeyboardInterrupt included, the partial file is removed and an existing `path` is left as it was.
    Missing parent folders are created. The yielded path exists, and its name ends as that of `path` does, so writers
    that look at the suffix work. Where `path` is a symbolic link, the file it points to is replaced and the link stays.
    A new file has the permissions of any new file; one that is replaced keeps its own.

    Raises:
        OutputError: the folder cannot be created or written; `path` is a folder or a device; the disk is full or the
            file cannot be replaced.
    """
    given = Path(path)
    final = Path(os.path.realpath(given)) if given.is_symlink() else given
    if final.is_dir():
        raise OutputError(
            given, expected="a file to write", got="a folder", remedy="Name a file inside it, or another path."
        )
    if final.exists() and not final.is_file():  # as root, /dev/null would be replaced by a file
        raise OutputError(
            given, expected="a file to write", got="a device or pipe", remedy="Name a file in a folder of your own."
        )
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        partial = _new_file(final)
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise OutputError(
            given,
            expected="a folder that can be written",
            got=_reason(error),
            remedy="Choose another output folder, or free space and permissions there.",
        ) from error
    try:
        yield partial
        if final.exists():
            shutil.copymode(final, partial)
        os.replace(partial, final)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(
            given,
            expected="to write the file completely",
            got=_reason(error),
            remedy="Check free space and permissions; nothing was changed under the final name.",
        ) from error
    finally:
        # Windows refuses where a writer that failed still holds the file open; the first error matters more.
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text, with line feeds alone at the ends of lines, through `atomic_path`.

    Raises:
        OutputError: see `atomic_path`.
    """
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def _new_file(final: Path) -> Path:
    """An empty file beside `final`, hidden, of a name that no other has."""
    # Not tempfile.mkstemp, which makes private files: results are shared, and only the system knows the umask safely.
    # The end of a long name only: 255 bytes are the limit of most file systems.
    path = final.with_name(f".part-{secrets.token_hex(8)}-{final.name[-40:]}")
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    return path


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
