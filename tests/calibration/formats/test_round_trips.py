"""A rig that is written in any format and read back sees every point at the same pixel."""

import shutil
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration import BrownConrady, Camera, Fisheye, InvalidValueError, Rig, RigidTransform, load_rig, save_rig
from calibration.errors import SuiteWarning
from calibration.formats import FORMATS
from calibration.formats.units import METERS, in_unit, scaled


@dataclass(frozen=True)
class Holds:
    """What a format can hold."""

    path: str
    counts: tuple[int, ...]
    fisheye: bool
    unit: str | None = None
    names: tuple[str, ...] = ("top", "cam_10", "cam_2")


FORMATS_THAT_ARE_WRITTEN = {
    "rig-toml": Holds("rig.toml", (0, 4, 5, 8, 12), fisheye=True),
    "anipose": Holds("calibration.toml", (0, 4, 5), fisheye=True),
    "pose2sim": Holds("Calib.toml", (0, 4, 5), fisheye=False, unit="m"),
    "caliscope": Holds("array.toml", (0, 4, 5), fisheye=True, unit="m", names=("cam_0", "cam_2", "cam_10")),
    "opencv": Holds("cameras", (0, 4, 5, 8, 12), fisheye=True, names=("cam_2", "cam_10", "top")),
    "label3d": Holds("dannce.mat", (0, 4, 5), fisheye=False, unit="mm"),
    "kalibr": Holds("camchain.yaml", (0, 4), fisheye=True, unit="m"),
    "easymocap": Holds("easymocap", (0, 4, 5), fisheye=False, unit="m"),
    "jarvis": Holds("jarvis", (0, 4, 5), fisheye=False, unit="mm", names=("cam_2", "cam_10", "top")),
    "colmap": Holds("sparse", (0, 4, 5, 8), fisheye=True),
}


def test_every_format_that_is_written_is_tested_here() -> None:
    assert set(FORMATS_THAT_ARE_WRITTEN) == {name for name, known in FORMATS.items() if known.write is not None}


def _lens(draw: st.DrawFn, holds: Holds) -> BrownConrady | Fisheye:
    focal = draw(st.floats(300.0, 3000.0))
    matrix = [[focal, 0.0, draw(st.floats(100.0, 900.0))], [0.0, focal * draw(st.floats(0.9, 1.1)), 361.9], [0, 0, 1.0]]
    if holds.fisheye and draw(st.booleans()):
        return Fisheye(matrix, draw(st.lists(st.floats(-0.02, 0.02), min_size=4, max_size=4)))
    count = draw(st.sampled_from(holds.counts))
    largest = np.array([0.1, 0.05, 0.003, 0.003, 0.02, 0.02, 0.02, 0.02, 1e-3, 1e-3, 1e-3, 1e-3])[:count]
    return BrownConrady(matrix, largest * draw(st.lists(st.floats(-1.0, 1.0), min_size=count, max_size=count)))


@st.composite
def rigs(draw: st.DrawFn, holds: Holds) -> Rig:
    cameras = []
    for name in holds.names[: draw(st.integers(2, 3))]:
        vector = draw(st.lists(st.floats(-2.0, 2.0), min_size=3, max_size=3))
        # Names tell the cameras apart, and two at one place would be warned about.
        translation = [draw(st.floats(-500.0, 500.0)), 0.0, 300.0 + len(cameras)]
        size = draw(st.tuples(st.integers(1, 4000), st.integers(1, 4000)))
        pose = RigidTransform.from_rotation_vector(vector, translation)
        cameras.append(Camera(name, size, _lens(draw, holds), pose))
    return Rig(tuple(cameras), unit=draw(st.sampled_from(["mm", "m", "in", "um"])))


NORMALIZED = np.array([[0.0, 0.0], [0.1, -0.2], [-0.25, 0.1], [0.2, 0.2]])


def _points(camera: Camera) -> np.ndarray:
    in_camera = np.concatenate([NORMALIZED, np.ones((4, 1))], axis=1) * 700.0
    return camera.cam_from_world.inverse()(in_camera)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("round_trips")


@pytest.mark.parametrize("name", list(FORMATS_THAT_ARE_WRITTEN))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_the_same_pixels(name: str, data: st.DataObject, scratch: Path) -> None:
    holds = FORMATS_THAT_ARE_WRITTEN[name]
    rig = data.draw(rigs(holds))
    path = scratch / holds.path
    shutil.rmtree(path, ignore_errors=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*JARVIS uses k1 and k2", category=SuiteWarning)
        save_rig(rig, path, format=name)
    assert [known for known in FORMATS if FORMATS[known].sniff(path)] == [name]
    again = load_rig(path)
    assert again.unit == (holds.unit or rig.unit)
    assert again.names == rig.names
    assert [camera.size for camera in again] == [camera.size for camera in rig]
    # World points of the original, in the unit of what was read.
    factor = METERS[rig.unit] / METERS[again.unit]
    for camera in rig:
        world = _points(camera)
        np.testing.assert_allclose(
            again[camera.name].project(world * factor), camera.project(world), rtol=0.0, atol=1e-9
        )


@pytest.mark.parametrize(
    ("name", "what"),
    [(name, "skew") for name in FORMATS_THAT_ARE_WRITTEN if name not in ("rig-toml", "label3d")]
    + [(name, "fisheye") for name, holds in FORMATS_THAT_ARE_WRITTEN.items() if not holds.fisheye]
    + [(name, "coefficients") for name in FORMATS_THAT_ARE_WRITTEN if name not in ("rig-toml", "opencv")],
)
def test_what_a_format_cannot_hold_is_refused_and_nothing_is_written(name: str, what: str, tmp_path: Path) -> None:
    holds = FORMATS_THAT_ARE_WRITTEN[name]
    matrix = np.array([[900.0, 3.0 if what == "skew" else 0.0, 640.0], [0.0, 900.0, 360.0], [0.0, 0.0, 1.0]])
    lens = Fisheye(matrix, np.zeros(4)) if what == "fisheye" else BrownConrady(matrix, [])
    if what == "coefficients":
        lens = BrownConrady(matrix, [0.1, 0, 0, 0, 0, 0.01, 0, 0, 1e-4, 0, 0, 0])
    cameras = [
        Camera(holds.names[side], (1280, 720), lens, RigidTransform(np.eye(3), [side, 0.0, 5.0])) for side in (0, 1)
    ]
    with pytest.raises(InvalidValueError, match=f"camera '{holds.names[0]}'") as caught:
        save_rig(Rig(tuple(cameras)), tmp_path / holds.path, format=name)
    assert caught.value.remedy
    assert list(tmp_path.iterdir()) == []


class TestUnits:
    def test_millimeters_come_back_from_meters(self, rig: Rig) -> None:
        meters = in_unit(rig, "m", "this")
        assert meters.unit == "m"
        np.testing.assert_allclose(meters.cameras[0].center, rig.cameras[0].center / 1000.0, rtol=1e-14)
        back = in_unit(meters, "mm", "this")
        np.testing.assert_allclose(back.cameras[1].center, rig.cameras[1].center, rtol=1e-14)

    def test_a_scaled_world_looks_the_same(self, rig: Rig) -> None:
        point = rig.cameras[0].cam_from_world.inverse()([1.0, 2.0, 30.0])
        np.testing.assert_allclose(scaled(rig, 25.0).project(point * 25.0), rig.project(point), atol=1e-9)

    @pytest.mark.parametrize("factor", [0.0, -1.0, np.nan, np.inf])
    def test_no_other_scale(self, factor: float, rig: Rig) -> None:
        with pytest.raises(InvalidValueError, match="scale: expected a positive number"):
            scaled(rig, factor)

    def test_a_unit_that_is_none(self, rig: Rig) -> None:
        with pytest.raises(InvalidValueError, match=r"rig, unit: .* since that is in m, got 'squares'"):
            in_unit(replace(rig, unit="squares"), "m", "that")
