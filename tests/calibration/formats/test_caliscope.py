"""caliscope's camera arrays, old and new: meters, matrices or vectors, cameras that were never placed."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from calibration import Camera, FileFormatError, Rig, SuiteWarning, load_rig, save_rig

LENS = """size = [640, 480]
matrix = [[500.0, 0.0, 320.0], [0.0, 500.0, 240.0], [0.0, 0.0, 1.0]]
distortions = [-0.1, 0.01, 0.0, 0.0, 0.0]
"""
VECTOR = "rotation = [0.1, 0.2, {0}.3]\ntranslation = [{0}.0, 2.0, 3.0]\n"
QUARTER_TURN = "rotation = [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]\ntranslation = [1.0, 2.0, 3.0]\n"


def write(path: Path, *tables: str) -> Path:
    path.write_text("\n".join(tables))
    return path


def camera(identifier: int, content: str = LENS, *, pose: str = VECTOR) -> str:
    return f"[cameras.{identifier}]\ncam_id = {identifier}\n{content}{pose.format(identifier)}"


def test_cameras_are_called_by_their_number_in_natural_order(tmp_path: Path) -> None:
    rig = load_rig(write(tmp_path / "camera_array.toml", camera(10), camera(2), camera(0)))
    assert rig.names == ("cam_0", "cam_2", "cam_10")
    assert rig.unit == "m"
    assert [rig[name].cam_from_world.translation[0] for name in rig.names] == [0.0, 2.0, 10.0]


def test_a_rotation_is_a_vector_or_a_matrix(tmp_path: Path) -> None:
    rig = load_rig(write(tmp_path / "camera_array.toml", camera(0), camera(1, pose=QUARTER_TURN)))
    np.testing.assert_allclose(rig["cam_0"].cam_from_world.rotation_vector, [0.1, 0.2, 0.3], atol=1e-15)
    np.testing.assert_allclose(rig["cam_1"].cam_from_world.rotation_vector, [0.0, 0.0, np.pi / 2], atol=1e-15)


def test_a_turned_display_changes_nothing_and_is_kept(tmp_path: Path) -> None:
    turned = camera(1, f"rotation_count = -1\nerror = 0.4\n{LENS}")
    rig = load_rig(write(tmp_path / "camera_array.toml", camera(0), turned))
    plain = load_rig(write(tmp_path / "plain.toml", camera(0), camera(1)))
    assert rig["cam_1"].lens == plain["cam_1"].lens
    assert rig["cam_1"].size == (640, 480)
    assert rig.metadata == {"error": {"cam_1": 0.4}, "rotation_count": {"cam_1": -1}}


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (camera(1, pose=""), "without rotation"),
        (camera(1, pose='rotation = "null"\ntranslation = "null"\n'), "without rotation"),
        (camera(1, pose="rotation = [0.0, 0.0, 0.0]\n"), "without translation"),
        (camera(1, "size = [640, 480]\n"), "without matrix"),
        (camera(1, f"ignore = true\n{LENS}"), "marked to be ignored"),
    ],
)
def test_a_camera_that_is_not_calibrated_is_left_out_with_a_warning(broken: str, reason: str, tmp_path: Path) -> None:
    path = write(tmp_path / "camera_array.toml", camera(0), broken, camera(2))
    with pytest.warns(SuiteWarning, match=rf"cameras left out: 'cam_1' \({reason}\)"):
        assert load_rig(path).names == ("cam_0", "cam_2")
    with pytest.raises(FileFormatError, match=f"at least one camera with a lens and a place, got 'cam_1' .{reason}"):
        load_rig(write(path, broken))


def test_a_fisheye_with_its_coefficients_in_a_column(tmp_path: Path) -> None:
    lens = LENS.replace("[-0.1, 0.01, 0.0, 0.0, 0.0]", "[[-0.1], [0.01], [0.0], [0.0]]") + "fisheye = true\n"
    rig = load_rig(write(tmp_path / "camera_array.toml", camera(0, lens), camera(1)))
    assert [one.lens.model for one in rig] == ["fisheye", "brown_conrady"]
    assert rig["cam_0"].lens.coefficients.tolist() == [-0.1, 0.01, 0.0, 0.0]


@pytest.mark.parametrize("key", ["cam_id", "port"])
def test_the_first_versions_had_sections_at_the_top(key: str, tmp_path: Path) -> None:
    tables = [f"[cam_{number}]\n{key} = {number}\n{LENS}{VECTOR.format(number)}" for number in (1, 0)]
    path = write(tmp_path / "config.toml", "camera_count = 2", *tables, "[charuco]\ncolumns = 4")
    assert load_rig(path).names == ("cam_0", "cam_1")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (camera(0, LENS.replace("size", "sizes")), "camera 'cam_0': expected a value 'size'"),
        (camera(0, LENS.replace("640, 480", "0, 480")), "camera 'cam_0', size: expected width and height"),
        (camera(0, LENS.replace("-0.1", "inf")), "camera 'cam_0', distortion coefficients: expected"),
        (camera(0) + "fisheye = true", "camera 'cam_0', distortion coefficients: expected 4"),
        (camera(0, LENS.replace("-0.1, ", "-0.1, 0.0, ")), "camera 'cam_0', distortion coefficients: expected 0 or 4"),
        (camera(0, pose=VECTOR.replace("0.1, ", "")), "camera 'cam_0', rotation: expected numbers of shape"),
        (camera(0, pose=QUARTER_TURN.replace("-1.0", "1.0")), "camera 'cam_0', rotation: expected a rotation matrix"),
        (camera(0) + '[cameras."cam_0"]\n' + LENS + VECTOR.format(3), "repeated: cam_0"),
        ("[cameras]\n", "expected tables such as"),
    ],
)
def test_a_wrong_value_is_named_with_file_and_camera(content: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "camera_array.toml", content)
    with pytest.raises(FileFormatError) as caught:
        load_rig(path, format="caliscope")
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


class TestWriting:
    def test_caliscope_keeps_its_numbers(self, tmp_path: Path, make_camera: Callable[..., Camera]) -> None:
        rig = Rig(
            (make_camera("cam_0", 0), make_camera("cam_10", 1, fisheye=True)),
            metadata={"rotation_count": {"cam_10": 2}, "error": {"cam_0": 0.25}},
        )
        save_rig(rig, tmp_path / "camera_array.toml", format="caliscope")
        cameras = tomllib.loads((tmp_path / "camera_array.toml").read_text())["cameras"]
        # What `CameraArray.from_toml` of caliscope 0.11.8 reads.
        assert list(cameras) == ["0", "10"]
        assert cameras["10"]["cam_id"] == 10
        assert cameras["10"]["fisheye"] is True
        assert cameras["10"]["rotation_count"] == 2
        assert cameras["0"]["error"] == 0.25
        assert cameras["0"]["size"] == [1280, 720]
        assert np.shape(cameras["0"]["rotation"]) == np.shape(cameras["0"]["translation"]) == (3,)
        np.testing.assert_allclose(cameras["0"]["translation"], rig["cam_0"].cam_from_world.translation / 1000.0)
        assert load_rig(tmp_path / "camera_array.toml").metadata["rotation_count"] == {"cam_0": 0, "cam_10": 2}

    @pytest.mark.parametrize("names", [("left", "cam_1"), ("cam_01", "cam_1")])
    def test_other_names_become_numbers_and_that_is_said(
        self, names: tuple[str, str], tmp_path: Path, make_camera: Callable[..., Camera]
    ) -> None:
        rig = Rig(tuple(make_camera(name, seed) for seed, name in enumerate(names)))
        with pytest.warns(SuiteWarning, match=f"'{names[0]}' becomes cam_0, 'cam_1' becomes cam_1"):
            save_rig(rig, tmp_path / "array.toml", format="caliscope")
        assert load_rig(tmp_path / "array.toml").names == ("cam_0", "cam_1")
