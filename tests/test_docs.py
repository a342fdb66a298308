"""The documentation says what the code does: generated pages are up to date and no module is left out."""

from importlib import util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def _public_modules(package: str) -> list[str]:
    names = []
    for file in sorted((ROOT / package).rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        # The command line is documented by its own --help, and a package by its modules.
        if name != package and not name.startswith("pose3d.cli") and "._" not in name:
            names.append(name)
    return names


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = util.spec_from_file_location("generate_schemas", DOCS / "generate_schemas.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_schemas_is_what_the_schemas_say(generator: ModuleType) -> None:
    written = (DOCS / "schemas.md").read_text(encoding="utf-8")
    assert written == generator.page(), "run `make schemas`"


def test_every_variable_is_on_the_page_of_schemas(generator: ModuleType) -> None:
    page = generator.page()
    for schema in generator.SCHEMAS:
        for name in (*schema.coordinates, *schema.variables):
            assert f"| `{name}`" in page


@pytest.mark.parametrize("package", ["calibration", "pose3d"])
def test_every_public_module_has_its_place_in_the_api(package: str) -> None:
    page = (DOCS / "api" / f"{package}.md").read_text(encoding="utf-8")
    listed = {line.removeprefix("::: ") for line in page.splitlines() if line.startswith("::: ")}
    assert listed == set(_public_modules(package))
