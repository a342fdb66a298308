"""What is installed, what is missing, and how to get it."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distributions, metadata, requires, version
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.requirements import Requirement

from calibration.errors import SuiteError

__all__ = ["DISTRIBUTION", "Finding", "examine"]

DISTRIBUTION = "pose3d-suite"

_PURPOSES = {
    "nn": "train and run 2D pose networks",
    "runtime": "run networks faster on a CPU",
    "app": "label and proofread in the browser",
    "view": "interactive 3D pictures",
    "cluster": "run on several machines",
    "formats": "read and write .slp, C3D and NWB files",
    "bench": "compare speed with other packages",
    "docs": "build the documentation",
    "dev": "run the tests",
}
_OPENCV_WHEELS = (
    "opencv-contrib-python-headless",
    "opencv-contrib-python",
    "opencv-python-headless",
    "opencv-python",
)


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        group: "system", "core", "optional" or "check".
        name: what was looked at.
        state: "ok", "missing" (an optional part that is not there) or "broken".
        detail: version or value.
        remedy: what to type or do; empty where nothing is to be done.
    """

    group: str
    name: str
    state: str
    detail: str
    remedy: str = ""


def examine() -> list[Finding]:
    """Look at this installation. Nothing is changed, nothing is downloaded."""
    return [*_system(), *_packages(), _opencv(), _kernels(), _encoder(), _temporary_folder()]


def _system() -> list[Finding]:
    try:
        own = version(DISTRIBUTION)
    except PackageNotFoundError:
        own = "run from a checkout, not installed"
    return [
        Finding("system", "pose3d", "ok", own),
        Finding("system", "Python", "ok", f"{platform.python_version()} in {sys.prefix}"),
        Finding("system", "platform", "ok", f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"),
    ]


def _packages() -> list[Finding]:
    """One finding for each requirement of the core, and one for each extra that adds something."""
    try:
        own = metadata(DISTRIBUTION)
        requirements = [Requirement(line) for line in requires(DISTRIBUTION) or []]
    except PackageNotFoundError:
        remedy = "python -m pip install -e ."
        return [Finding("core", DISTRIBUTION, "broken", "the list of requirements is not installed", remedy)]
    core = {item.name: item for item in requirements if item.marker is None or item.marker.evaluate({"extra": ""})}
    findings = [_core_package(requirement) for _, requirement in sorted(core.items())]
    for extra in sorted(own.get_all("Provides-Extra") or []):
        names = {item.name for item in requirements if item.marker and item.marker.evaluate({"extra": extra})}
        findings.append(_extra(extra, sorted(names - set(core) - {DISTRIBUTION})))
    return findings


def _core_package(requirement: Requirement) -> Finding:
    remedy = f'python -m pip install "{requirement.name}{requirement.specifier}"'
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return Finding("core", requirement.name, "broken", "not installed", remedy)
    if not requirement.specifier.contains(found, prereleases=True):
        return Finding("core", requirement.name, "broken", f"{found}, needed {requirement.specifier}", remedy)
    return Finding("core", requirement.name, "ok", found)


def _extra(extra: str, names: list[str]) -> Finding:
    present, missing = [], []
    for name in names:
        try:
            present.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    purpose = _PURPOSES.get(extra, "optional")
    if not missing:
        return Finding("optional", extra, "ok", f"{purpose}: {', '.join(present)}")
    detail = f"{purpose}: without {', '.join(missing)}"
    return Finding("optional", extra, "missing", detail, f"python -m pip install {' '.join(missing)}")


def _opencv() -> Finding:
    installed = {found.name.lower().replace("_", "-") for found in distributions() if found.name}
    wheels = [name for name in _OPENCV_WHEELS if name in installed]
    if len(wheels) > 1:
        remedy = f"python -m pip uninstall -y {' '.join(wheels)}; python -m pip install {_OPENCV_WHEELS[0]}"
        return Finding("check", "OpenCV", "broken", f"two builds overwrite each other: {', '.join(wheels)}", remedy)
    try:
        import cv2
    except ImportError as error:
        return Finding("check", "OpenCV", "broken", str(error), f"python -m pip install {_OPENCV_WHEELS[0]}")
    return Finding("check", "OpenCV", "ok", f"{cv2.__version__}, one build")


def _kernels() -> Finding:
    """Compiles the geometry kernels if they are not in the cache, and says where the cache is."""
    from time import perf_counter

    from calibration.triangulation import kernel_cache, prepare

    started = perf_counter()
    try:
        prepare()
    except (SuiteError, ImportError, RuntimeError, OSError) as error:
        return Finding("check", "geometry kernels", "broken", str(error), "python -m pip install --upgrade numba")
    seconds = perf_counter() - started
    folder = kernel_cache()
    if folder is None:
        remedy = "Set NUMBA_CACHE_DIR to a folder that can be written."
        return Finding(
            "check", "geometry kernels", "missing", f"no cache: compiled at each start, {seconds:.1f} s", remedy
        )
    return Finding("check", "geometry kernels", "ok", f"ready in {seconds:.1f} s, cached in {folder}")


def _encoder() -> Finding:
    import av
    import av.codec

    if "libx264" in av.codec.codecs_available:
        return Finding("check", "video", "ok", f"PyAV {av.__version__}, writes H.264")
    return Finding("check", "video", "ok", f"PyAV {av.__version__}, writes MPEG-4 (no H.264 encoder in this build)")


def _temporary_folder() -> Finding:
    try:
        with TemporaryDirectory() as folder:
            (Path(folder) / "probe").write_bytes(b"probe")
    except OSError as error:
        return Finding(
            "check", "temporary folder", "broken", str(error), "Free space, or set TMPDIR to another folder."
        )
    return Finding("check", "temporary folder", "ok", "can be written")
