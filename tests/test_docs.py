"""The documentation says what the code does: generated pages are up to date and no module is left out."""

from importlib import import_module, util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def _public_parts(package: str) -> set[str]:
    """Public modules and packages right inside a package; a package there exports what its modules offer."""
    files = (*(ROOT / package).glob("*.py"), *(file.parent for file in (ROOT / package).glob("*/__init__.py")))
    names = {file.stem for file in files if not file.name.startswith("_")}
    # The command line is documented by its own --help.
    return {f"{package}.{name}" for name in names - {"cli"}}


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
    assert listed == _public_parts(package)


@pytest.mark.parametrize("package", ["calibration", "pose3d"])
def test_every_format_is_on_the_page_of_formats(package: str) -> None:
    page = (DOCS / "formats.md").read_text(encoding="utf-8")
    for name in import_module(f"{package}.formats").FORMATS:
        assert f"| `{name}` |" in page
