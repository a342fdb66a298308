"""Which camera each file of poses belongs to, and which of them the rig has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from warnings import warn

import xarray as xr

from calibration.errors import MismatchError, SuiteWarning
from calibration.rig import Rig
from pose3d.camera_names import distinguishing_names, matching_cameras, path_parts
from pose3d.formats._sources import Source

__all__ = ["CameraPoses", "name_cameras"]


@dataclass(frozen=True)
class CameraPoses:
    """The poses of one camera in a file.

    Attributes:
        source: the file.
        whole: Poses2D, Instances or Detections of all cameras in the file.
        index: which of them it is.
        label: its name in the file; None where the file does not name it.
    """

    source: Source
    whole: xr.Dataset
    index: int
    label: str | None

    @property
    def dataset(self) -> xr.Dataset:
        """What is in the file of this camera alone."""
        return self.whole.isel(camera=[self.index])

    @property
    def has_siblings(self) -> bool:
        """True if the file has poses of other cameras too."""
        return self.whole.sizes["camera"] > 1

    def __str__(self) -> str:
        return f"camera '{self.label}' of {self.source.path}" if self.label is not None else str(self.source.path)


def name_cameras(found: Sequence[CameraPoses], rig: Rig | None, *, fewest: int = 2) -> dict[str, CameraPoses]:
    """The poses by the name of their camera: in the rig's order, or as found without a rig.

    Poses of cameras that the rig lacks are left out with a SuiteWarning, and cameras without poses are named in one.

    Args:
        found: the poses of each camera in the files.
        rig: the cameras; None where they are not known.
        fewest: how many of the rig's cameras must have poses, 1 or 2.

    Raises:
        MismatchError: it is not clear which camera a file belongs to, two files belong to one camera, or fewer cameras
            of the rig have poses.
    """
    for one in found:
        if one.source.name is not None and one.has_siblings:
            raise MismatchError(
                f"{one.source.path} for camera '{one.source.name}'",
                expected="the poses of one camera",
                got=f"those of {one.whole.sizes['camera']} cameras, which the file names",
                remedy="Leave the name out.",
            )
    if rig is None:
        own = _own_names(found)
        named = _grouped(found, own)
        _warn_of_contradictions(found, own, own)
        return {name: ones[0] for name, ones in named.items()}
    chosen = _rig_names(found, rig.names)
    named = _grouped(found, chosen)
    _check_rig(named, found, rig, fewest)
    _warn_of_contradictions(found, chosen, rig.names)
    return {name: named[name][0] for name in rig.names if name in named}


def _grouped(found: Sequence[CameraPoses], names: Sequence[str | None]) -> dict[str, list[CameraPoses]]:
    named: dict[str, list[CameraPoses]] = {}
    for one, name in zip(found, names, strict=True):
        if name is not None:
            named.setdefault(name, []).append(one)
    for name, ones in named.items():
        if len(ones) > 1:
            raise MismatchError(
                f"2D poses, camera '{name}'",
                expected="one file per camera",
                got=f"{len(ones)}: {', '.join(str(one) for one in ones[:4])}",
                remedy=f"Name the right one, {name}={ones[0].source.path}, or choose by format ("
                f"{', '.join(sorted({one.source.format.name for one in ones}))}).",
            )
    return named


def _own_names(found: Sequence[CameraPoses]) -> list[str]:
    """Names without a rig: as given, else as in the file, else what distinguishes the paths."""
    unnamed = [one for one in found if one.source.name is None and one.label is None]
    from_paths = dict(zip(map(id, unnamed), distinguishing_names(_paths(unnamed)), strict=True)) if unnamed else {}
    if "" in from_paths.values():
        raise MismatchError(
            "2D poses",
            expected="paths that differ in the camera's name",
            got=", ".join(_paths(unnamed)[:4]),
            remedy="Name the cameras as NAME=PATH, or give the calibration.",
        )
    return [one.source.name or one.label or from_paths[id(one)] for one in found]


def _rig_names(found: Sequence[CameraPoses], names: Sequence[str]) -> list[str | None]:
    """The rig's camera of each; None where the rig has none of that name."""
    unnamed = [one for one in found if one.source.name is None and one.label is None]
    parts = path_parts(_paths(unnamed)) if unnamed else []
    matches = [matching_cameras(part, names) for part in parts]
    if len(matches) > 1:
        # A name that is in every path tells none of them from the others.
        everywhere = set.intersection(*map(set, matches))
        matches = [[name for name in match if name not in everywhere] or match for match in matches]
    by_path = {id(one): match for one, match in zip(unnamed, matches, strict=True)}
    return [_one_match(one, by_path.get(id(one)), names) for one in found]


def _one_match(one: CameraPoses, by_path: list[str] | None, names: Sequence[str]) -> str | None:
    given = one.source.name or one.label
    matches = by_path if by_path is not None else matching_cameras([given or ""], names)
    if given in names:
        return given
    if len(matches) > 1:
        raise MismatchError(
            one,
            expected="the name of one camera of the rig in it",
            got=f"those of {', '.join(map(repr, matches))}",
            remedy=f"Say which it is: {matches[0]}={one.source.path}",
        )
    return matches[0] if matches else None


def _warn_of_contradictions(found: Sequence[CameraPoses], chosen: Sequence[str | None], names: Sequence[str]) -> None:
    """Warn where a name that is given, or the name of a file, is another camera's than the file itself says."""
    for one, name in zip(found, chosen, strict=True):
        if name is None or one.label is None or one.has_siblings:
            continue
        if one.source.name is not None:
            if one.label != name and name not in matching_cameras([one.label], [name]):
                warn(
                    f"{one.source.path}: the file says camera '{one.label}'; it is taken for '{name}', as given",
                    SuiteWarning,
                    stacklevel=4,
                )
            continue
        by_path = matching_cameras(path_parts(_paths([one]))[0][-1:], names)
        if by_path and name not in by_path:
            warn(
                f"{one.source.path}: named like camera '{by_path[0]}', but the file says '{one.label}', which counts",
                SuiteWarning,
                stacklevel=4,
            )


def _check_rig(named: Mapping[str, Sequence[CameraPoses]], found: Sequence[CameraPoses], rig: Rig, fewest: int) -> None:
    used = {id(one) for ones in named.values() for one in ones}
    left_out = [_shown(one) for one in found if id(one) not in used]
    missing = [name for name in rig.names if name not in named]
    if len(rig) < fewest:
        raise MismatchError(
            "rig",
            expected="at least two cameras",
            got=f"one, '{rig.names[0]}'",
            remedy="Give the calibration of all cameras; one camera cannot tell where in space a point is.",
        )
    if len(named) < fewest:
        raise MismatchError(
            "2D poses",
            expected=f"poses of at least {('one', 'two')[fewest - 1]} of the rig's cameras: {', '.join(rig.names)}",
            got=f"those of {', '.join(named) or 'none'}"
            + (f"; no camera's name was found in {', '.join(left_out[:4])}" if left_out else ""),
            remedy=f"Name the cameras as NAME=PATH, such as {(missing or rig.names)[0]}={found[0].source.path}",
        )
    if left_out:
        warn(
            f"2D poses: the rig has no camera for {', '.join(left_out)}; left out (its cameras are "
            f"{', '.join(rig.names)})",
            SuiteWarning,
            stacklevel=4,
        )
    if missing:
        warn(f"2D poses: none for the cameras {', '.join(missing)} of the rig", SuiteWarning, stacklevel=4)


def _shown(one: CameraPoses) -> str:
    return f"'{one.source.name}' ({one.source.path})" if one.source.name is not None else str(one)


def _paths(cameras: Sequence[CameraPoses]) -> list[str]:
    return [Path(one.source.path).absolute().as_posix() for one in cameras]
