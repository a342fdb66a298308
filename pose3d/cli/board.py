"""`pose3d board`."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from calibration.errors import FileFormatError, OutputError, SuiteWarning
from pose3d.cli._console import console, print_json, print_table
from pose3d.cli._paths import check_outputs

if TYPE_CHECKING:
    from calibration.boards import Board, Printout

__all__ = ["board"]

# which options belong to which type of board only
_ONLY = {
    "marker": ("charuco",),
    "legacy": ("charuco",),
    "dictionary": ("charuco", "aprilgrid"),
    "inverted": ("charuco", "aprilgrid"),
    "spacing": ("aprilgrid",),
    "first_id": ("aprilgrid",),
}
# Below it a tenth of a millimeter in the print is more than 3 % of a square.
_SMALL_SQUARE = 3.0
_A0 = (841.0, 1189.0)
_POSITIVE = click.FloatRange(0, min_open=True)

# Numbers that calibrations were seen to need: the tilt separates focal length from distance, the corners of the image
# hold the lens distortion, and pairs of cameras are joined by what both see at the same instant.
_FILMING = (
    "Print at 100 % (no 'fit to page'). The ruler must be 100 mm long, to 0.3 mm; if it is not, write the "
    "measured size of a square into the board file.",
    "Glue the print on something flat and stiff (glass, aluminum composite); paper alone bends.",
    "Lock focus, zoom and exposure; switch off autofocus and stabilization. Do not touch them after this film.",
    "Bright, even light and a short exposure (1/500 s); no reflections on the board.",
    "Each camera: 30 to 60 s, moving slowly. Tilt the board by 30 to 45 degrees to all sides, near and far, and "
    "bring it into every corner of the image.",
    "All cameras: another 60 s through the whole volume. At least two cameras see the board at once, each pair of "
    "neighbors in 20 places or more; hold it still for a moment at each.",
)


@click.command(
    epilog="Example: pose3d board --type charuco --columns 8 --rows 11 --square 24 -o board.pdf",
)
@click.option(
    "--type",
    "kind",
    type=click.Choice(["charuco", "chessboard", "aprilgrid"]),
    default="charuco",
    show_default=True,
    help="Kind of board.",
)
@click.option("--columns", type=int, required=True, help="Squares side by side (aprilgrid: tags).")
@click.option("--rows", type=int, required=True, help="Squares one below the other (aprilgrid: tags).")
@click.option("--square", type=_POSITIVE, required=True, help="Edge of a square (aprilgrid: of a tag).")
@click.option("--unit", default="mm", show_default=True, help="Length unit of --square and --marker.")
@click.option("--marker", type=_POSITIVE, help="charuco: edge of a marker [3/4 of a square]")
@click.option("--dictionary", metavar="NAME", help="Markers, as OpenCV calls them [the fewest cells]")
@click.option("--legacy", is_flag=True, help="charuco: the pattern of OpenCV before 4.6.")
@click.option("--inverted", is_flag=True, help="Black and white exchanged.")
@click.option(
    "--spacing",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="aprilgrid: gap between tags, as a share of their edge [0.3]",
)
@click.option("--first-id", type=click.IntRange(0), help="aprilgrid: id of the tag at the lower left [0]")
@click.option("--page", metavar="NAME", help="A4 ... A0, letter, legal, tabloid, or WIDTHxHEIGHT in mm [chosen]")
@click.option("--dpi", type=click.FloatRange(20), default=300.0, show_default=True, help="Resolution of a PNG.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="File to print: .pdf or .png; the board file is written beside it.",
)
@click.option("--force", is_flag=True, help="Overwrite files of another board.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def board(
    kind: str,
    columns: int,
    rows: int,
    square: float,
    unit: str,
    marker: float | None,
    dictionary: str | None,
    legacy: bool,
    inverted: bool,
    spacing: float | None,
    first_id: int | None,
    page: str | None,
    dpi: float,
    output: Path,
    force: bool,
    as_json: bool,
) -> None:
    """Make a calibration board to print, at true scale and with a ruler on it, and say how to film it.

    ChArUco boards and AprilGrids are found also where a part of them is hidden or out of the picture; chessboards only
    whole.
    """
    from calibration.boards import write_board_pdf, write_board_png

    options = {
        "marker": marker,
        "dictionary": dictionary,
        "legacy": legacy or None,
        "inverted": inverted or None,
        "spacing": spacing,
        "first_id": first_id,
    }
    suffix = output.suffix.lower()
    if suffix not in (".pdf", ".png"):
        raise click.UsageError(f"-o {output}: name a .pdf or a .png.")
    check_outputs([], {"-o": output, "the board file": output.with_suffix(".toml")})
    chosen = _board(
        kind, columns, rows, square, unit, {name: value for name, value in options.items() if value is not None}
    )
    _check_other(output.with_suffix(".toml"), chosen, force=force)
    if suffix == ".pdf":
        printout = write_board_pdf(chosen, output, page=page)
    else:
        printout = write_board_png(chosen, output, page=page, dpi=dpi)
    notes = _notes(chosen, printout.page_size)
    for note in notes:
        warnings.warn(note, SuiteWarning, stacklevel=1)
    if as_json:
        print_json(_as_json(printout, notes))
    else:
        _show(printout)


def _check_other(file: Path, chosen: Board, *, force: bool) -> None:
    """Refuse to replace the file of another board: users write the size that they measured on the print into it."""
    if force or not file.exists():
        return
    from calibration.boards import load_board

    try:
        known = load_board(file)
        present = "" if known == chosen else str(known)
    except FileFormatError:
        present = "a file of another kind"
    if present:
        raise OutputError(
            file,
            expected=f"no file, or that of this board ({chosen})",
            got=present,
            remedy="Choose another name with -o, or overwrite it with --force.",
        )


def _board(kind: str, columns: int, rows: int, square: float, unit: str, options: dict[str, object]) -> Board:
    """The board of the options that were given."""
    from calibration.boards import AprilGrid, Charuco, Chessboard

    for name in options:
        if kind not in _ONLY[name]:
            raise click.UsageError(f"--{name.replace('_', '-')} belongs to {' and '.join(_ONLY[name])}, not to {kind}.")
    if kind == "charuco" and "dictionary" not in options:
        options["dictionary"] = _smallest_dictionary(columns * rows)
    kinds: dict[str, type[Board]] = {"charuco": Charuco, "chessboard": Chessboard, "aprilgrid": AprilGrid}
    return kinds[kind](columns, rows, square, unit, **options)


def _smallest_dictionary(squares: int) -> str:
    """Large markers are read from farther away, so those of fewest cells of which there are enough."""
    needed = (squares + 1) // 2
    return next((f"DICT_4X4_{size}" for size in (50, 100, 250) if size >= needed), "DICT_4X4_1000")


def _notes(chosen: Board, page: tuple[float, float]) -> list[str]:
    """What is unwise about a board on a page (mm)."""
    from calibration.boards import millimeters

    notes = []
    if len(chosen.symmetries):
        turns = "quarter turns" if len(chosen.symmetries) > 1 else "half a turn"
        notes.append(
            f"The {chosen} looks the same after {turns}: cameras can mistake its corners for each other, and some "
            f"recordings cannot be resolved. Make it {chosen.columns + 1} x {chosen.rows}, or a charuco."
        )
    edge = chosen.square * millimeters(chosen)
    if edge < _SMALL_SQUARE:
        notes.append(
            f"Squares of {edge:g} mm are very small: a tenth of a millimeter in the print is {10 / edge:.0f} % of "
            "them. Check --square and --unit, or have the board made by photolithography."
        )
    if min(page) > _A0[0] or max(page) > _A0[1]:
        notes.append(
            f"A page of {page[0]:g} x {page[1]:g} mm is larger than A0, which few printers take. Check --square and "
            "--unit; fewer squares, or an A0 board that comes closer to the cameras, often serve as well."
        )
    return notes


def _show(printout: Printout) -> None:
    """The summary as a table, and how to film."""
    from rich.markup import escape
    from rich.table import Table

    chosen = printout.board
    table = Table(box=None, pad_edge=False, show_header=False)
    corners = f"{len(chosen.points)} corners"
    if chosen.kind != "aprilgrid":
        corners += f", {chosen.columns - 1} x {chosen.rows - 1} between the squares"
    rows = {
        "board": f"{chosen}: {corners}",
        "pattern": f"{printout.pattern_size[0]:g} x {printout.pattern_size[1]:g} mm, outer edge to outer edge",
        "paper": f"{printout.page.upper()}, {printout.page_size[0]:g} x {printout.page_size[1]:g} mm"
        + ("" if printout.dpi is None else f", {printout.dpi:g} dpi"),
    }
    for name in ("marker", "dictionary", "spacing", "first_id", "legacy", "inverted"):
        value = getattr(chosen, name, None)
        if value is not None and value is not False:
            unit = f" {chosen.unit}" if name == "marker" else ""
            rows[name.replace("_", " ")] = (
                "yes" if value is True else f"{value:g}{unit}" if name != "dictionary" else value
            )
    for name, text in rows.items():
        table.add_row(name, escape(str(text)))
    print_table(table)
    to = console(result=True)
    to.print(f"wrote [bold]{escape(str(printout.path))}[/] to print")
    to.print(f"wrote [bold]{escape(str(printout.board_path))}[/] for `pose3d calibrate --board`")
    to.print("How to film it:")
    for number, line in enumerate(_FILMING, start=1):
        to.print(f"  {number}. {line}")


def _as_json(printout: Printout, notes: list[str]) -> dict[str, object]:
    return {
        "board": {"type": printout.board.kind, **asdict(printout.board)},
        "corners": len(printout.board.points),
        "path": str(printout.path),
        "board_path": str(printout.board_path),
        "page": printout.page,
        "page_size_mm": list(printout.page_size),
        "pattern_size_mm": [round(length, 6) for length in printout.pattern_size],
        "dpi": printout.dpi,
        "warnings": notes,
        "filming": list(_FILMING),
    }
