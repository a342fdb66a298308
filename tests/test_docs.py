"""The documentation says what the code does: generated pages are up to date and no module is left out."""

import shlex
import shutil
from importlib import import_module, util
from pathlib import Path
from types import ModuleType

import click
import pytest

from pose3d.synthetic import sample_folder

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


@pytest.mark.parametrize(("package", "page"), [("calibration", "rig-formats.md"), ("pose3d", "pose-formats.md")])
def test_every_format_is_on_its_page(package: str, page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    for name in import_module(f"{package}.formats").FORMATS:
        assert f"| `{name}` |" in text


def test_every_format_of_labels_is_on_its_page() -> None:
    text = (DOCS / "label-formats.md").read_text(encoding="utf-8")
    for name in import_module("pose3d.formats").LABEL_FORMATS:
        assert f"| `{name}` |" in text


def _blocks(page: Path, language: str) -> list[str]:
    pieces = page.read_text(encoding="utf-8").split("```")[1::2]
    return [piece.partition("\n")[2] for piece in pieces if piece.partition("\n")[0].strip() == language]


def _command_lines() -> list[str]:
    pages = (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))
    lines = (
        line for page in pages for block in (*_blocks(page, ""), *_blocks(page, "bash")) for line in block.split("\n")
    )
    return sorted({line.partition("#")[0].strip() for line in lines if line.startswith("pose3d ")})


@pytest.mark.parametrize("line", _command_lines())
def test_command_lines_in_the_documentation_are_understood(line: str) -> None:
    name, *arguments = shlex.split(line)[1:]
    name = name.replace("-", "_")
    command = import_module(f"pose3d.cli.{name}").__dict__[name]
    context = click.Context(command, info_name=name)
    command.make_parser(context).parse_args(arguments)  # raises NoSuchOption


@pytest.mark.parametrize("page", ["README.md", "docs/triangulate.md", "docs/reconstruct.md"])
def test_programs_in_the_documentation_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = sample_folder()
    (tmp_path / "poses").mkdir()
    shutil.copy(sample / "rig.toml", tmp_path / "calibration.toml")
    shutil.copy(sample / "poses2d.nc", tmp_path / "poses")
    shutil.copy(sample / "skeleton.toml", tmp_path / "mouse.toml")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    blocks = _blocks(ROOT / page, "python")
    assert blocks
    for block in blocks:
        exec(block, names)
    assert (tmp_path / "session.nc").is_file()
