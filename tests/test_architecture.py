"""The import rules of docs/architecture.md, checked on every module by reading its source.

`violations` is fed made-up modules as well, each of which breaks one rule: a checker that cannot fail proves nothing.
"""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("calibration", "pose3d")

# From the ground floor up. A module may import from its own layer and from those before it. A package stands for all
# that is inside it.
LAYERS: tuple[tuple[str, frozenset[str]], ...] = (
    (
        "foundation",
        frozenset(
            {
                "calibration.errors",
                "calibration.extensions",
                "calibration.files",
                "calibration.findings",
                "calibration.kernels",
                "calibration.lazy",
                "calibration.nearest",
                "calibration.pickles",
                "calibration.processors",
                "calibration.schema",
                "calibration.toml_text",
                "calibration.transforms",
                "pose3d.camera_names",
            }
        ),
    ),
    (
        "values",
        frozenset(
            {
                "calibration._inversion",
                "calibration.boards",
                "calibration.camera",
                "calibration.corners",
                "calibration.lens",
                "calibration.lens_models",
                "calibration.rig",
                "pose3d._schemas",
                "pose3d.datasets",
                "pose3d.project",
                "pose3d.rhythm",
                "pose3d.skeleton",
            }
        ),
    ),
    (
        "algorithms",
        frozenset(
            {
                "calibration._bundle_boards",
                "calibration._bundle_checks",
                "calibration._bundle_clusters",
                "calibration._bundle_covariance",
                "calibration._bundle_kernels",
                "calibration._bundle_points",
                "calibration._bundle_points_run",
                "calibration._bundle_prior",
                "calibration._bundle_problem",
                "calibration._bundle_report",
                "calibration._bundle_results",
                "calibration._bundle_robust",
                "calibration._bundle_settings",
                "calibration._bundle_solver",
                "calibration._bundle_start",
                "calibration._bundle_workers",
                "calibration._calibration_values",
                "calibration._camera_findings",
                "calibration._drift_search",
                "calibration._extrinsics_frames",
                "calibration._extrinsics_graph",
                "calibration._extrinsics_kernels",
                "calibration._extrinsics_messages",
                "calibration._extrinsics_pairs",
                "calibration._extrinsics_settings",
                "calibration._extrinsics_views",
                "calibration._intrinsics_checks",
                "calibration._intrinsics_models",
                "calibration._intrinsics_preparation",
                "calibration._intrinsics_settings",
                "calibration._intrinsics_start",
                "calibration._intrinsics_views",
                "calibration._planar_pose",
                "calibration._board_clocks",
                "calibration._held_out",
                "calibration._joint_fit",
                "calibration._lengths",
                "calibration._lens_choice",
                "calibration._rig_findings",
                "calibration._rig_messages",
                "calibration._rig_start",
                "calibration._sampson",
                "calibration._triangulation_engine",
                "calibration._triangulation_kernels",
                "calibration._triangulation_noise",
                "calibration._triangulation_numpy",
                "calibration._triangulation_settings",
                "calibration.alignment",
                "calibration.bundle",
                "calibration.drift",
                "calibration.diagnosis",
                "calibration.extrinsics",
                "calibration.intrinsics",
                "calibration.observations",
                "calibration.rig_calibration",
                "calibration.rig_uncertainty",
                "calibration.synchronization",
                "calibration.synthetic",
                "calibration.triangulation",
                "calibration.verdict",
                "calibration.video",
                "pose3d.detection",
                "pose3d.filtering",
                "pose3d.identity",
                "pose3d.kinematics",
                "pose3d.labeling",
                "pose3d.metrics",
                "pose3d.networks",
                "pose3d.reconstruction",
                "pose3d.synthetic",
            }
        ),
    ),
    (
        "edges",
        frozenset(
            {
                "calibration.formats",
                "calibration.page",
                "calibration.plots",
                "calibration.report",
                "pose3d.doctor",
                "pose3d.formats",
                "pose3d.visualization",
            }
        ),
    ),
    ("runs", frozenset({"pose3d.live", "pose3d.pipeline"})),
    ("top", frozenset({"pose3d.__main__", "pose3d.app", "pose3d.cli"})),
)

# Third-party packages that may be imported only in these rooms.
HOMES: Mapping[str, tuple[str, ...]] = {
    "click": ("pose3d.cli",),
    "rich": ("pose3d.cli",),
    "fastapi": ("pose3d.app",),
    "starlette": ("pose3d.app",),
    "uvicorn": ("pose3d.app",),
    "keras": ("pose3d.networks",),
    "tensorflow": ("pose3d.networks",),
    "onnxruntime": ("pose3d.networks.runtimes",),
    "openvino": ("pose3d.networks.runtimes",),
    "ai_edge_litert": ("pose3d.detection.blazepose", "pose3d.networks.runtimes"),
    "pyarrow": ("pose3d.formats.tables",),
    "cv2": (
        "calibration.boards",
        "calibration.extrinsics",
        "calibration.intrinsics",
        "calibration.lens",
        "calibration.observations._cache",  # its version
        "calibration.observations._worker",
        "calibration.observations.examples",
        "calibration.synthetic._rooms",
        "calibration.synthetic._sheets",
        "calibration.synthetic.rendering",
        "calibration.video",
        "pose3d.detection._blazepose_geometry",
        "pose3d.doctor",  # looks whether it loads, and which
        "pose3d.networks.augmentation",
        "pose3d.networks.batches",
        "pose3d.synthetic.rendering",
        "pose3d.visualization.drawing",
        "pose3d.visualization.overlay",
    ),
}

# A file must never run code. pandas and NumPy can unpickle too, see `_unsafe_calls`.
FORBIDDEN_IMPORTS = frozenset({"_pickle", "cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"})
FORBIDDEN_CALLS = frozenset(
    {
        "__import__",
        "eval",
        "exec",
        "read_pickle",
        "to_pickle",
        "yaml.full_load",
        "yaml.load",
        "yaml.unsafe_load",
    }
)

# Half a second is all that `pose3d --help` may take, so the command line imports these where it uses them.
HEAVY = frozenset(
    {
        "av",
        "cv2",
        "dask",
        "h5py",
        "keras",
        "matplotlib",
        "netCDF4",
        "numba",
        "pandas",
        "plotly",
        "pyarrow",
        "scipy",
        "sklearn",
        "sleap_io",
        "tensorflow",
        "xarray",
    }
)

# What the packages themselves may import: it loads everything else when it is first used.
LAZY = "calibration.lazy"


@dataclass(frozen=True)
class Import:
    """One imported name: `from module import name`, or `import module` with an empty name."""

    module: str
    name: str
    line: int
    in_function: bool
    for_types: bool


def read_sources(root: Path = ROOT) -> dict[str, str]:
    """Module name -> source, of every module of the packages."""
    sources = {}
    for package in PACKAGES:
        for file in sorted((root / package).rglob("*.py")):
            parts = file.relative_to(root).with_suffix("").parts
            sources[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file.read_text(encoding="utf-8")
    return sources


def violations(sources: Mapping[str, str]) -> list[str]:
    """One line per broken rule, each starting with `module:line`."""
    found: list[str] = []
    facades = {package: _facade(sources.get(package, "")) for package in PACKAGES}
    for module, source in sources.items():
        tree = ast.parse(source)
        found += (f"{module}:{line} {text}" for line, text in _unsafe_calls(tree))
        if not _has_all(tree):
            found.append(f"{module}:1 has no __all__")
        if module not in PACKAGES and _layer(module) is None:
            found.append(f"{module}:1 has no layer; give it one in LAYERS")
        for imported in _imports(tree):
            found += (f"{module}:{imported.line} {text}" for text in _broken(module, imported, facades, sources))
    return found


def _broken(
    module: str, imported: Import, facades: Mapping[str, Mapping[str, str]], sources: Mapping[str, str]
) -> Iterator[str]:
    top = imported.module.split(".")[0]
    if top in FORBIDDEN_IMPORTS:
        yield f"imports {top}: a file must never run code"
    if top in HOMES and not any(_inside(module, home) for home in HOMES[top]):
        yield f"imports {top}, which belongs in {', '.join(HOMES[top])}"
    if _inside(module, "pose3d.cli") and top in HEAVY and not (imported.in_function or imported.for_types):
        yield f"imports {top} at the top of a module of the command line; import it in the function"
    if top not in PACKAGES:
        return
    if module.split(".")[0] == "calibration" and top == "pose3d":
        yield "calibration imports pose3d"
    target = _resolve(imported, facades, sources)
    yield from _private(module, target, imported)
    if module in PACKAGES:
        if not (imported.in_function or imported.for_types or target == LAZY):
            yield f"imports {target} when the package is imported; names are loaded when first used"
        return
    if _inside(module, "pose3d.cli") and not (imported.in_function or imported.for_types):
        yield from _lazy_command_line(target)
    here, there = _layer(module), _layer(target)
    if here is not None and there is not None and there > here:
        yield f"imports {target}: {LAYERS[here][0]} may not import {LAYERS[there][0]}"


def _lazy_command_line(target: str) -> Iterator[str]:
    # Modules of the packages import the heavy libraries themselves, so to import them is to import those.
    if not (_inside(target, "pose3d.cli") or target in (*PACKAGES, "calibration.errors", "calibration.files")):
        yield f"imports {target} at the top of a module of the command line; import it in the function"


def _private(module: str, target: str, imported: Import) -> Iterator[str]:
    if imported.name.startswith("_") and not imported.name.startswith("__") and target == imported.module:
        yield f"imports the private {imported.name} of {target}"
    for depth, part in enumerate(target.split(".")):
        owner = ".".join(target.split(".")[:depth])
        if part.startswith("_") and not _inside(module, owner):
            yield f"imports {target}, which is private to {owner}"


def _resolve(imported: Import, facades: Mapping[str, Mapping[str, str]], sources: Mapping[str, str]) -> str:
    """The module a name comes from: `from calibration import Rig` is an import of calibration.rig."""
    whole = f"{imported.module}.{imported.name}"
    if whole in sources or (imported.module in PACKAGES and _layer(whole) is not None):
        return whole
    return facades.get(imported.module, {}).get(imported.name, imported.module)


def _facade(source: str) -> dict[str, str]:
    return {entry.name: entry.module for entry in _imports(ast.parse(source)) if entry.module.startswith(PACKAGES)}


def _layer(module: str) -> int | None:
    for index, (_, members) in enumerate(LAYERS):
        if any(_inside(module, member) for member in members):
            return index
    return None


def _inside(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _imports(node: ast.AST, *, in_function: bool = False, for_types: bool = False) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(alias.name, "", node.lineno, in_function, for_types)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            yield Import(node.module or "", alias.name, node.lineno, in_function, for_types)
    elif isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
        for child in node.body:
            yield from _imports(child, in_function=in_function, for_types=True)
        for child in node.orelse:
            yield from _imports(child, in_function=in_function, for_types=for_types)
    else:
        inner = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from _imports(child, in_function=inner, for_types=for_types)


def _unsafe_calls(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        if name in FORBIDDEN_CALLS or name.split(".")[-1] in FORBIDDEN_CALLS & {"read_pickle", "to_pickle"}:
            yield node.lineno, f"calls {name}: a file must never run code"
        for keyword in node.keywords:
            safe = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
            if keyword.arg == "allow_pickle" and not safe:
                yield node.lineno, f"calls {name} with allow_pickle: a file must never run code"


def _has_all(tree: ast.Module) -> bool:
    targets = [
        target
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    ]
    return any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets)


def test_every_module_keeps_the_rules() -> None:
    assert violations(read_sources()) == []


# Where a package is imported under another name than it is installed.
DISTRIBUTIONS: Mapping[str, str] = {
    "cv2": "opencv-contrib-python-headless",
    "netCDF4": "netcdf4",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}


def undeclared(sources: Mapping[str, str], core: frozenset[str], optional: frozenset[str]) -> list[str]:
    """Imports of packages that pyproject.toml does not name; what is optional may be imported in functions only."""
    found = []
    for module, source in sources.items():
        for imported in _imports(ast.parse(source)):
            top = imported.module.split(".")[0]
            name = DISTRIBUTIONS.get(top, top).replace("_", "-")
            known = core | optional if imported.in_function or imported.for_types else core
            if name not in known and top not in (*PACKAGES, *sys.stdlib_module_names):
                found.append(f"{module}:{imported.line} imports {top}")
    return found


def _names(requirements: list[str]) -> frozenset[str]:
    return frozenset(re.split(r"[^\w.-]", requirement)[0] for requirement in requirements)


def test_what_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    core, extras = _names(project["dependencies"]), project["optional-dependencies"]
    optional = frozenset().union(
        *(_names(extras[name]) for name in ("app", "cluster", "formats", "nn", "runtime", "view"))
    )
    assert undeclared(read_sources(), core, optional) == []


@pytest.mark.parametrize("line", ["import seaborn", "import plotly", "def f():\n    import seaborn"])
def test_an_undeclared_import_is_found(line: str) -> None:
    assert len(undeclared({"pose3d.metrics": line}, frozenset({"numpy"}), frozenset({"plotly"}))) == 1


@pytest.mark.parametrize("line", ["import numpy", "import os", "import cv2", "def f():\n    import plotly"])
def test_a_declared_import_is_not_reported(line: str) -> None:
    core = frozenset({"numpy", "opencv-contrib-python-headless"})
    assert undeclared({"pose3d.metrics": line}, core, frozenset({"plotly"})) == []


def test_every_module_is_looked_at() -> None:
    names = set(read_sources())
    assert {"calibration", "calibration.errors", "pose3d", "pose3d.datasets"} <= names


GOOD = "__all__ = []\n"


@pytest.mark.parametrize(
    ("module", "line", "expected"),
    [
        ("calibration.rig", "import pose3d", "calibration imports pose3d"),
        ("calibration.rig", "from pose3d.skeleton import Skeleton", "calibration imports pose3d"),
        ("calibration.lens", "def f():\n    import pose3d.datasets", "calibration imports pose3d"),
        ("calibration.errors", "from calibration.rig import Rig", "foundation may not import values"),
        ("calibration.camera", "from calibration.triangulation import triangulate", "values may not import algorithms"),
        ("calibration.camera", "from calibration import triangulation", "values may not import algorithms"),
        ("calibration.bundle", "from calibration import load_rig", "algorithms may not import edges"),
        ("calibration.bundle", "from calibration.formats import load_rig", "algorithms may not import edges"),
        ("pose3d.datasets", "from pose3d.reconstruction import triangulate", "values may not import algorithms"),
        ("pose3d.metrics", "import pose3d.formats.trc", "algorithms may not import edges"),
        ("pose3d.formats.trc", "from pose3d.pipeline import run", "edges may not import runs"),
        ("pose3d.pipeline", "def f():\n    from pose3d.cli import main", "runs may not import top"),
        ("pose3d.formats.trc", "import click", "imports click, which belongs in pose3d.cli"),
        ("pose3d.metrics", "from rich.table import Table", "imports rich, which belongs in pose3d.cli"),
        ("pose3d.cli.label", "from fastapi import FastAPI", "imports fastapi, which belongs in pose3d.app"),
        ("pose3d.detection", "def f():\n    import keras", "imports keras, which belongs in pose3d.networks"),
        ("pose3d.detection", "import tensorflow as tf", "imports tensorflow, which belongs in pose3d.networks"),
        ("calibration.triangulation", "import cv2", "imports cv2, which belongs in"),
        ("pose3d.visualization.plots", "import cv2", "imports cv2, which belongs in"),
        ("pose3d.formats.dlc", "import pickle", "imports pickle"),
        ("pose3d.formats.dlc", "import numpy as np\nx = np.load('f', allow_pickle=True)", "allow_pickle"),
        ("pose3d.formats.dlc", "import pandas as pd\nx = pd.read_pickle('f')", "calls pd.read_pickle"),
        ("pose3d.formats.dlc", "x = eval('1')", "calls eval"),
        ("pose3d.formats.dlc", "import yaml\nx = yaml.load('a')", "calls yaml.load"),
        ("pose3d.cli.triangulate", "import xarray as xr", "imports xarray at the top"),
        ("pose3d.cli.triangulate", "from pose3d.formats import load_poses2d", "imports pose3d.formats at the top"),
        ("pose3d.attic", "import numpy", "has no layer"),
        ("pose3d.metrics", "from calibration.lens import _Lens", "imports the private _Lens"),
        ("pose3d.metrics", "from pose3d.reconstruction._kernels import f", "private to pose3d.reconstruction"),
        ("pose3d", "from pose3d.skeleton import Skeleton", "imports pose3d.skeleton when the package is imported"),
    ],
)
def test_a_broken_rule_is_found(module: str, line: str, expected: str) -> None:
    facade = (
        f"{GOOD}from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from calibration.formats import load_rig\n"
    )
    found = violations({"calibration": facade, module: f"{GOOD}{line}\n"})
    assert len(found) == 1
    assert found[0].startswith(f"{module}:")
    assert expected in found[0]


def test_a_missing_export_list_is_found() -> None:
    assert violations({"calibration.lens": "import numpy\n"}) == ["calibration.lens:1 has no __all__"]


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("pose3d.reconstruction.triangulate", "from calibration import Rig"),
        ("pose3d.reconstruction.triangulate", "from pose3d.reconstruction._kernels import solve"),
        ("pose3d.formats.dlc", "import numpy as np\nx = np.load('f', allow_pickle=False)"),
        ("pose3d.formats.dlc", "import yaml\nx = yaml.safe_load('a')"),
        ("pose3d.cli.triangulate", "def run():\n    from pose3d.formats import load_poses2d"),
        ("pose3d.cli.triangulate", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import xarray"),
        ("pose3d.cli", "import click\nfrom calibration.errors import SuiteError\nfrom pose3d.cli import triangulate"),
        ("calibration.video", "def f():\n    import cv2"),
        ("pose3d", "from calibration.lazy import lazy_names"),
        ("pose3d.networks.model", "def f():\n    import keras"),
    ],
)
def test_what_the_rules_allow_is_not_reported(module: str, line: str) -> None:
    facade = f"{GOOD}from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from calibration.rig import Rig\n"
    assert violations({"calibration": facade, module: f"{GOOD}{line}\n"}) == []


def _python(code: str) -> subprocess.CompletedProcess[str]:
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run


@pytest.mark.parametrize("statement", ["import calibration", "import pose3d"])
def test_importing_a_package_loads_nothing_heavy_and_says_nothing(statement: str) -> None:
    run = _python(f"import sys\n{statement}\nprint(sorted({set(HEAVY)} & set(sys.modules)))")
    assert run.stdout.strip() == "[]"
    assert run.stderr == ""


def test_help_of_the_command_line_loads_nothing_heavy() -> None:
    run = _python(
        "import sys\nfrom pose3d.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        f"print('loaded:', sorted({set(HEAVY)} & set(sys.modules)))"
    )
    assert "triangulate" in run.stdout
    assert run.stdout.strip().endswith("loaded: []")


def test_every_module_can_be_imported_quietly_and_has_what_it_exports() -> None:
    # One process for all of them, and not this one: an import with a side effect would change the other tests.
    # To import `__main__` is to run it.
    names = sorted(name for name in read_sources() if not name.endswith("__main__"))
    code = (
        "from importlib import import_module\n"
        f"for name in {names}:\n"
        "    module = import_module(name)\n"
        "    lost = [public for public in module.__all__ if not hasattr(module, public)]\n"
        "    assert not lost, (name, lost)\n"
    )
    run = _python(code)
    assert (run.stdout, run.stderr) == ("", "")
