"""A rig: cameras in a fixed order, found by name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration.camera import Camera
from calibration.errors import InvalidValueError, MismatchError
from calibration.lens import BrownConrady, Fisheye, Lens
from calibration.schema import as_floats
from calibration.transforms import RigidTransform

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Rig"]

_LARGEST_COEFFICIENT_COUNT = 14


@dataclass(frozen=True)
class Rig:
    """Ordered cameras in one world frame.

    Attributes:
        cameras: at least one camera; every name once.
        unit: length unit of the world ("mm", "m", ...).
        metadata: what else the calibration said of itself (error, date, tool); plain values only. Rigs that differ in
            nothing else are equal.

    Raises:
        InvalidValueError: there is no camera, something else is among them, a name is repeated, or the unit is empty.
    """

    cameras: tuple[Camera, ...]
    unit: str = "mm"
    metadata: Mapping[str, object] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cameras", tuple(self.cameras))
        object.__setattr__(self, "metadata", dict(self.metadata))
        strangers = [type(camera).__name__ for camera in self.cameras if not isinstance(camera, Camera)]
        if strangers or not isinstance(self.unit, str) or not self.unit.strip():
            raise InvalidValueError(
                "rig",
                expected="cameras and the name of a length unit",
                got=f"a {strangers[0]} among the cameras" if strangers else f"the unit {self.unit!r}",
                remedy="Give Camera values." if strangers else "Give the unit of the translations, as 'mm' or 'm'.",
            )
        names = self.names
        repeated = sorted({name for name in names if names.count(name) > 1})
        if not names or repeated:
            raise InvalidValueError(
                "rig",
                expected="at least one camera, and every name once",
                got=f"repeated: {', '.join(repeated)}" if repeated else "no camera",
                remedy="Rename the cameras in the calibration file." if repeated else "Add the cameras.",
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the cameras, in order."""
        return tuple(camera.name for camera in self.cameras)

    def __len__(self) -> int:
        return len(self.cameras)

    def __iter__(self) -> Iterator[Camera]:
        return iter(self.cameras)

    def __getitem__(self, name: str) -> Camera:
        for camera in self.cameras:
            if camera.name == name:
                return camera
        raise MismatchError(
            f"camera '{name}'",
            expected=f"one of the rig's cameras: {', '.join(self.names)}",
            got=f"'{name}'",
            remedy="Use the name in the calibration file, or rename the camera there.",
        )

    def select(self, names: Iterable[str]) -> Rig:
        """The rig with these cameras only, in this order.

        Raises:
            MismatchError: the rig has no camera of that name.
            InvalidValueError: no name is given, or one twice.
        """
        return Rig(tuple(self[name] for name in names), unit=self.unit, metadata=self.metadata)

    def project(self, points: ArrayLike) -> NDArray[np.float64]:
        """Pixels (..., camera, 2) of world points (..., 3); NaN where a camera cannot see the point.

        Raises:
            InvalidValueError: the last axis is not 3.
        """
        return np.stack([camera.project(points) for camera in self.cameras], axis=-2)

    def to_dataset(self) -> xr.Dataset:
        """The rig as a Dataset, as it stands in the group /rig of a result file.

        `from_dataset` reverses it exactly, but for values of the metadata that JSON does not have: dates become text.
        """
        import xarray as xr

        coefficients = np.full((len(self), _LARGEST_COEFFICIENT_COUNT), np.nan)
        for row, camera in zip(coefficients, self.cameras, strict=True):
            row[: len(camera.lens.coefficients)] = camera.lens.coefficients
        poses = [camera.cam_from_world for camera in self.cameras]
        attributes = {"unit": self.unit}
        if self.metadata:
            attributes["metadata"] = json.dumps(self.metadata, default=_plain)
        return xr.Dataset(
            {
                "image_size": (("camera", "side"), np.array([camera.size for camera in self.cameras]), {"units": "px"}),
                "lens_model": ("camera", np.array([camera.lens.model for camera in self.cameras])),
                "camera_matrix": (
                    ("camera", "row", "column"),
                    np.stack([camera.lens.camera_matrix for camera in self.cameras]),
                    {"units": "px"},
                ),
                "distortion": (
                    ("camera", "coefficient"),
                    coefficients,
                    {"units": "1", "description": "OpenCV's order; NaN beyond the coefficients of the camera's model"},
                ),
                "rotation": (
                    ("camera", "row", "column"),
                    np.stack([pose.rotation for pose in poses]),
                    {"units": "1", "description": "rotation of cam_from_world"},
                ),
                "translation": (
                    ("camera", "axis"),
                    np.stack([pose.translation for pose in poses]),
                    {"units": self.unit, "description": "translation of cam_from_world"},
                ),
            },
            coords={"camera": list(self.names), "side": ["width", "height"], "axis": ["x", "y", "z"]},
            attrs=attributes,
        )

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset) -> Rig:
        """The rig of a Dataset made by `to_dataset`.

        Raises:
            InvalidValueError: a variable is missing, or a value or shape is wrong; the error names the camera.
        """
        needed = ("camera", "image_size", "lens_model", "camera_matrix", "distortion", "rotation", "translation")
        missing = [name for name in needed if name not in dataset.variables]
        if missing:
            raise InvalidValueError(
                "rig Dataset",
                expected=f"the variables {', '.join(needed)}",
                got=f"a Dataset without {', '.join(missing)}",
                remedy="Make it with Rig.to_dataset, or load the calibration file again.",
            )
        cameras = tuple(_camera(dataset.isel(camera=index)) for index in range(dataset.sizes.get("camera", 0)))
        unit = dataset.attrs.get("unit", dataset["translation"].attrs.get("units", ""))
        return cls(cameras, unit=str(unit), metadata=_metadata(dataset.attrs))


def _camera(one: xr.Dataset) -> Camera:
    """The camera of a Dataset made by `Rig.to_dataset`, cut to one camera."""
    name = str(one["camera"].values)
    coefficients = as_floats(one["distortion"].values, f"rig Dataset, camera '{name}', distortion").ravel()
    known = np.flatnonzero(~np.isnan(coefficients))
    try:
        return Camera(
            name=name,
            size=cast("tuple[int, int]", one["image_size"].values),  # Camera checks it
            # only what stands behind the last coefficient is padding; NaN before it is refused
            lens=_lens(
                str(one["lens_model"].values),
                one["camera_matrix"].values,
                coefficients[: known[-1] + 1 if len(known) else 0],
            ),
            cam_from_world=RigidTransform(one["rotation"].values, one["translation"].values),
        )
    except InvalidValueError as error:
        raise InvalidValueError(
            f"rig Dataset, camera '{name}', {error.subject}",
            expected=error.expected,
            got=error.got,
            remedy=error.remedy,
        ) from error


def _metadata(attributes: Mapping[str, object]) -> dict[str, object]:
    text = attributes.get("metadata", "{}")
    try:
        metadata = json.loads(str(text))
    except ValueError:
        metadata = None
    if not isinstance(metadata, dict):
        raise InvalidValueError(
            "rig Dataset, attribute 'metadata'",
            expected="a JSON object",
            got=str(text)[:80],
            remedy="Remove the attribute, or make the Dataset with Rig.to_dataset.",
        )
    return metadata


def _plain(value: object) -> object:
    """What JSON can hold of a value that it does not know."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


def _lens(model: str, camera_matrix: NDArray[np.float64], coefficients: NDArray[np.float64]) -> Lens:
    for lens in (BrownConrady, Fisheye):
        if lens.model == model:
            return lens(camera_matrix, coefficients)
    raise InvalidValueError(
        "lens model",
        expected=f"'{BrownConrady.model}' or '{Fisheye.model}'",
        got=f"'{model}'",
        remedy="Convert the calibration to one of these models.",
    )
