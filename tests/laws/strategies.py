"""What the laws are tried on: lenses as strong as real ones get, poses, cameras and rigs."""

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.lens import BrownConrady, Fisheye, Lens
from calibration.rig import Rig
from calibration.transforms import RigidTransform

COUNTS = (0, 4, 5, 8, 12, 14)

# k1, k2, p1, p2, k3, k4, k5, k6, s1 to s4, tau_x, tau_y: from a mobile phone's to an action camera's, overfitted ones
# with poles and folds in the image included.
_LARGEST = np.array([0.5, 0.3, 0.01, 0.01, 0.1, 0.3, 0.2, 0.1, 0.02, 0.01, 0.02, 0.01, 0.1, 0.1])


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False, allow_subnormal=False)


def vectors(length: int, largest: float) -> st.SearchStrategy[NDArray[np.float64]]:
    return st.lists(numbers(-largest, largest), min_size=length, max_size=length).map(np.array)


def points(length: int, largest: float, *, at_most: int = 20) -> st.SearchStrategy[NDArray[np.float64]]:
    """Arrays (n, length)."""
    return st.lists(vectors(length, largest), min_size=1, max_size=at_most).map(np.array)


@st.composite
def camera_matrices(draw: st.DrawFn) -> NDArray[np.float64]:
    focal_length = draw(numbers(200, 3000))
    aspect, skew = draw(numbers(0.8, 1.25)), draw(st.just(0.0) | numbers(-20, 20))
    center_x, center_y = draw(numbers(100, 2000)), draw(numbers(100, 1500))
    return np.array([[focal_length, skew, center_x], [0, focal_length * aspect, center_y], [0, 0, 1]])


@st.composite
def brown_conrady_lenses(draw: st.DrawFn, counts: tuple[int, ...] = COUNTS) -> BrownConrady:
    shares = draw(vectors(14, 1.0))
    return BrownConrady(draw(camera_matrices()), (shares * _LARGEST)[: draw(st.sampled_from(counts))])


@st.composite
def fisheye_lenses(draw: st.DrawFn) -> Fisheye:
    return Fisheye(draw(camera_matrices()), draw(vectors(4, 1.0)) * [0.3, 0.1, 0.05, 0.02])


def lenses() -> st.SearchStrategy[Lens]:
    return brown_conrady_lenses() | fisheye_lenses()


@st.composite
def inside(draw: st.DrawFn, lens: Lens, share: float = 0.99) -> NDArray[np.float64]:
    """Normalized coordinates (n, 2) up to `share` of the valid radius, and where an image can be.

    Near a pole, or far off the axis, pixels have more digits before the point than float64 can hold to 1e-10.
    """
    radius = np.array(draw(st.lists(numbers(0, 1), min_size=1, max_size=20))) * share * lens.valid_radius
    angle = np.array(draw(st.lists(numbers(0, 2 * np.pi), min_size=len(radius), max_size=len(radius))))
    normalized = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    reach = np.abs(lens.distort(normalized) - lens.camera_matrix[:2, 2]).max(axis=-1)
    return normalized[reach < 20 * lens.camera_matrix[0, 0]]


@st.composite
def transforms(draw: st.DrawFn, batch: tuple[int, ...] = (), reach: float = 1000.0) -> RigidTransform:
    count = int(np.prod(batch))
    vector = np.array(draw(st.lists(vectors(3, 4.0), min_size=count, max_size=count))).reshape(*batch, 3)
    shift = np.array(draw(st.lists(vectors(3, reach), min_size=count, max_size=count))).reshape(*batch, 3)
    return RigidTransform.from_rotation_vector(vector, shift)


@st.composite
def cameras(draw: st.DrawFn, name: str = "camera") -> Camera:
    size = (draw(st.integers(1, 4000)), draw(st.integers(1, 3000)))
    return Camera(name, size, draw(lenses()), draw(transforms()))


@st.composite
def rigs(draw: st.DrawFn) -> Rig:
    text = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
    names = draw(st.lists(text.filter(str.strip), min_size=1, max_size=4, unique=True))
    return Rig(tuple(draw(cameras(name)) for name in names), unit=draw(st.sampled_from(["mm", "m", "inch"])))
