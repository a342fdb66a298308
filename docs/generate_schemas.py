"""Write docs/schemas.md from the schema objects, so that the page cannot say anything but what is checked.

Run it with `make schemas` after a change to a schema; a test compares the page with what this script would write.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from calibration.corners import CORNERS
from calibration.files import write_text
from calibration.schema import Schema, Variable
from pose3d.datasets import DETECTIONS, IDENTITY, INSTANCES, KINEMATICS, POSES2D, POSES3D

__all__ = ["SCHEMAS", "page"]

PAGE = Path(__file__).with_name("schemas.md")
SCHEMAS = (CORNERS, DETECTIONS, INSTANCES, POSES2D, IDENTITY, POSES3D, KINEMATICS)

_KINDS = {"f": "float", "i": "integer", "b": "boolean", "U": "text"}

_INTRODUCTION = """\
<!-- Made by docs/generate_schemas.py from the schema objects (`make schemas`). Do not edit. -->

# Schemas

What flows through the suite are xarray Datasets. The tables below are the schemas that
`calibration.schema.check` checks them against, in memory and when a file is opened. Missing is NaN and is allowed in
every float variable; infinities are refused. Variables that a schema does not name are allowed and kept.
"""


def page() -> str:
    """The whole page as Markdown."""
    return "\n".join([_INTRODUCTION, *(_section(schema) for schema in SCHEMAS)])


def _section(schema: Schema) -> str:
    return "\n".join(
        [
            f"## {schema.name}",
            "",
            schema.description,
            "",
            f"Dimensions: {', '.join(f'`{dim}`' for dim in schema.dims)}",
            "",
            *_table("Coordinate", schema.coordinates),
            "",
            *_table("Variable", schema.variables),
            "",
        ]
    )


def _table(title: str, variables: Mapping[str, Variable]) -> list[str]:
    return [
        f"| {title} | Dimensions | Type | Units | Range | Meaning |",
        "|---|---|---|---|---|---|",
        *(f"| {' | '.join(_row(name, variable))} |" for name, variable in variables.items()),
    ]


def _row(name: str, variable: Variable) -> tuple[str, ...]:
    return (
        f"`{name}`" + ("" if variable.required else " (optional)"),
        ", ".join(variable.dims),
        " or ".join(_KINDS[kind] for kind in variable.kind),
        _units(variable.units),
        _range(variable),
        variable.description,
    )


def _units(units: str | None) -> str:
    if units is None:
        return ""
    return units.replace("rig", "unit of the rig").replace("^2", "²")


def _range(variable: Variable) -> str:
    low, high = variable.minimum, variable.maximum
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    if low is not None:
        return f"at least {low:g}"
    return "" if high is None else f"at most {high:g}"


if __name__ == "__main__":
    write_text(PAGE, page())
    sys.stdout.write(f"{PAGE}\n")
