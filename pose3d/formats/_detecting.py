"""Which of the known formats a file is in, and what a file looks like that is in none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

from calibration.errors import FileFormatError

__all__ = ["describe", "detect"]


class _Sniffing(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def sniff(self) -> Callable[[Path], bool]: ...


Kind = TypeVar("Kind", bound=_Sniffing)

# First bytes of files, and what they are.
_STARTS = {
    b"CDF": "a netCDF file of the old kind",
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a ZIP archive, as spreadsheets are",
    b"PathFileType": "a TRC file",
    b"<?xml": "an XML file",
}
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_C3D_KEY = b"\x50"


def detect(known: Mapping[str, Kind], path: Path, what: str) -> Kind:
    """The format of a file or folder, by its content.

    Args:
        known: the formats by name.
        path: the file or folder.
        what: what is wanted, as in "2D poses".

    Raises:
        FileFormatError: it fits none, or two (of which one is another package's).
    """
    fitting = [one for one in known.values() if one.sniff(path)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise FileFormatError(
            path,
            expected=f"{what} in one format",
            got=f"what could be {' or '.join(one.name for one in fitting)}",
            remedy="Name the format.",
        )
    raise FileFormatError(
        path,
        expected=f"{what} in one of the formats {', '.join(known)}",
        got=describe(path, lacking=what),
        remedy="Check the path for spelling."
        if not path.exists()
        else "Check the path; if the file is right, name its format, and the error will say what is missing in it.",
    )


def describe(path: Path, *, lacking: str = "what is wanted") -> str:
    """A few words on what a path looks like, by its first bytes.

    Args:
        path: a file, a folder, or nothing.
        lacking: what was looked for in it, as in "2D poses".
    """
    if path.is_dir():
        return "a folder"
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        return error.strerror or str(error)
    if not head.strip():
        return "an empty file"
    if not head.strip(b"\0"):
        return "a file that begins with zeros"
    if head.startswith(_HDF5_SIGNATURE):
        return f"an HDF5 file that is cut off or has no {lacking}"
    if head.startswith(b"MATLAB"):
        return "a MATLAB file that is cut off or has no labels (labelData)"
    for start, words in _STARTS.items():
        if head.startswith(start):
            return words
    if head[1:2] == _C3D_KEY and head[0] < ord(" "):
        return "a C3D file"
    return f"a file that begins with {head[:40]!r}"
