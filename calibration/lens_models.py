"""Which parameters of a lens are estimated: a ladder of models, from one focal length to the rational and the fisheye.

The numbers of a lens stand in one vector: fx, fy, cx, cy, then the coefficients in OpenCV's order. A model says which
of them are free; those that it leaves out keep the value they have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.lens import BrownConrady, Fisheye, Lens

__all__ = ["LENS_MODELS", "LensModel", "lens_from_vector", "lens_vector", "parameter_names"]

_CAMERA_MATRIX = ("fx", "fy", "cx", "cy")
_BROWN = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6", "s1", "s2", "s3", "s4", "tau_x", "tau_y")
_FISHEYE = ("k1", "k2", "k3", "k4")


@dataclass(frozen=True)
class LensModel:
    """A choice of free parameters of a lens.

    Attributes:
        name: its name in settings and reports.
        free: free parameters; "f" is one focal length for both axes.
        fisheye: whether it is the equidistant fisheye, else Brown-Conrady.
    """

    name: str
    free: tuple[str, ...]
    fisheye: bool = False

    @property
    def columns(self) -> NDArray[np.intp]:
        """(18,), fisheye (8,): number of the free parameter that moves each number of the lens; -1 where none does."""
        names = parameter_names(fisheye=self.fisheye)
        places = {name: place for place, name in enumerate(self.free)}
        if "f" in places:
            places |= {"fx": places["f"], "fy": places["f"]}
        return np.array([places.get(name, -1) for name in names], dtype=np.intp)

    @property
    def coefficient_count(self) -> int:
        """Length of the coefficients of the lens this model makes, as BrownConrady and Fisheye know it."""
        if self.fisheye:
            return 4
        last = max((place for place, name in enumerate(_BROWN, start=1) if name in self.free), default=0)
        return next(count for count in (0, 4, 5, 8, 12, 14) if count >= last)


LENS_MODELS = {
    model.name: model
    for model in (
        LensModel("f", ("f",)),
        LensModel("f+k1", ("f", "k1")),
        LensModel("pinhole", ("f", "cx", "cy")),
        LensModel("radial1", ("f", "cx", "cy", "k1")),
        LensModel("radial2", ("f", "cx", "cy", "k1", "k2")),
        LensModel("brown4", ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2")),
        LensModel("brown5", ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3")),
        LensModel("brown8", ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")),
        LensModel("fisheye", ("fx", "fy", "cx", "cy", "k1", "k2", "k3", "k4"), fisheye=True),
    )
}


def parameter_names(*, fisheye: bool) -> tuple[str, ...]:
    """Names of the numbers of a lens vector."""
    return _CAMERA_MATRIX + (_FISHEYE if fisheye else _BROWN)


def lens_vector(lens: Lens) -> NDArray[np.float64]:
    """(18,), fisheye (8,): fx, fy, cx, cy and the coefficients, filled with zeros. A skew is left out."""
    matrix = lens.camera_matrix
    coefficients = lens.padded_coefficients if isinstance(lens, BrownConrady) else lens.coefficients
    return np.concatenate([[matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]], coefficients])


def lens_from_vector(vector: NDArray[np.float64], *, fisheye: bool, count: int = 14, skew: float = 0.0) -> Lens:
    """The lens of a vector made by `lens_vector`.

    Args:
        vector: (18,), fisheye (8,).
        fisheye: which of the two lenses.
        count: how many coefficients a Brown-Conrady lens gets.
        skew: element (0, 1) of the camera matrix.

    Raises:
        InvalidValueError: the numbers make no lens.
    """
    fx, fy, cx, cy = vector[:4]
    matrix = np.array([[fx, skew, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    if fisheye:
        return Fisheye(matrix, vector[4:8])
    return BrownConrady(matrix, vector[4 : 4 + count])
