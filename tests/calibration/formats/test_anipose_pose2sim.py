"""Anipose's and Pose2Sim's TOML: the same keys, other units; what cannot be held without loss is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration import Camera, FileFormatError, InvalidValueError, Rig, SuiteWarning, load_rig, save_rig
from calibration.formats import FORMATS

CAMERA = """
[{section}]
name = "{name}"
size = [{width}, 480]
matrix = [[500.0, 0.0, 320.0], [0.0, 500.0, 240.0], [0.0, 0.0, 1.0]]
distortions = [-0.1, 0.01, 0.0, 0.0{k3}]
rotation = [0.1, 0.2, {number}.3]
translation = [{number}.0, 2.0, 3.0]
{fisheye}
"""


def text(sections: list[str], names: list[str], *, width: str = "640", k3: str = "", fisheye: str = "") -> str:
    return "".join(
        CAMERA.format(section=section, name=name, width=width, k3=k3, number=number, fisheye=fisheye)
        for number, (section, name) in enumerate(zip(sections, names, strict=True))
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        # Anipose: numbered sections, the name inside
        (text(["cam_0", "cam_1"], ["left", "right"], k3=", 0.0"), "anipose"),
        (text(["cam_0", "cam_1"], ["A", "B"]) + "[metadata]\nadjusted = false\nerror = 0.5", "anipose"),
        (text(["cam_0", "cam_1"], ["A", "B"], width="640.0", fisheye="fisheye = true"), "anipose"),
        # Anipose whose cameras have the names of its sections
        (text(["cam_0", "cam_1"], ["cam_0", "cam_1"], k3=", 0.0"), "anipose"),
        (text(["cam_0", "cam_1"], ["cam_0", "cam_1"], fisheye="fisheye = true"), "anipose"),
        # Pose2Sim: the section is the name, and one further sign of it
        (text(["cam_01", "cam_02"], ["cam_01", "cam_02"]), "pose2sim"),
        (text(["int_left_img", "int_right_img"], ["int_left_img", "int_right_img"]), "pose2sim"),
        (text(["cam_0", "cam_1"], ["cam_0", "cam_1"], width="640.0"), "pose2sim"),
        # caliscope's export for Pose2Sim
        (text(["cam_0", "cam_1"], ["cam_0", "cam_1"], k3=", 0.0", fisheye="fisheye = false"), "pose2sim"),
    ],
)
def test_the_two_are_told_apart(content: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "calibration.toml"
    path.write_text(content)
    assert [name for name in FORMATS if FORMATS[name].sniff(path)] == [expected]
    assert load_rig(path).unit == {"anipose": "mm", "pose2sim": "m"}[expected]


def test_cameras_keep_their_names_and_the_order_of_the_file(tmp_path: Path) -> None:
    sections = [f"cam_{index}" for index in range(12)]
    names = [f"view {index}" for index in range(12)]
    (tmp_path / "calibration.toml").write_text(text(sections, names))
    rig = load_rig(tmp_path / "calibration.toml")
    assert rig.names == tuple(names)
    # The name goes with its values: sorted as text, cam_10 would be the third.
    for index, name in enumerate(names):
        assert rig[name].cam_from_world.translation[0] == index


def test_the_conventions(tmp_path: Path) -> None:
    (tmp_path / "calibration.toml").write_text(text(["cam_0", "cam_1"], ["A", "B"]) + "[metadata]\nerror = 0.5\n")
    rig = load_rig(tmp_path / "calibration.toml")
    assert rig.metadata == {"error": 0.5}
    np.testing.assert_allclose(rig["A"].cam_from_world.rotation_vector, [0.1, 0.2, 0.3], atol=1e-15)
    assert rig["A"].lens.coefficients.tolist() == [-0.1, 0.01, 0.0, 0.0]
    assert rig["A"].size == (640, 480)


def test_the_unit_of_the_metadata_is_taken(tmp_path: Path) -> None:
    content = text(["cam_01", "cam_02"], ["cam_01", "cam_02"]) + '[metadata]\nunit = "cm"\n'
    (tmp_path / "calibration.toml").write_text(content)
    assert load_rig(tmp_path / "calibration.toml").unit == "cm"


def test_a_table_that_is_no_camera_is_left_out_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "calibration.toml").write_text(text(["cam_0", "cam_1"], ["A", "B"]) + "[board]\nsquares = 5\n")
    with pytest.warns(SuiteWarning, match="'board' left out"):
        assert load_rig(tmp_path / "calibration.toml").names == ("A", "B")


@pytest.mark.parametrize("missing", ["name", "size", "matrix", "distortions", "rotation", "translation"])
def test_a_missing_key_is_named(missing: str, tmp_path: Path) -> None:
    path = tmp_path / "calibration.toml"
    lines = text(["cam_0", "cam_1"], ["A", "B"]).splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith(missing))
    path.write_text("\n".join(lines[:first] + lines[first + 1 :]))
    with pytest.raises(FileFormatError, match=f"expected a value '{missing}'") as caught:
        load_rig(path)
    assert str(path) in str(caught.value)
    assert ("camera 'A'" if missing != "name" else "section [cam_0]") in str(caught.value)


class TestWriting:
    @pytest.mark.parametrize("name", ["anipose", "pose2sim"])
    @pytest.mark.parametrize("count", [8, 12, 14])
    def test_more_coefficients_are_refused(
        self, name: str, count: int, make_camera: Callable[..., Camera], tmp_path: Path
    ) -> None:
        rig = Rig((make_camera("top", 1, count=count),))
        with pytest.raises(
            InvalidValueError, match=f"camera 'top', distortion coefficients: expected at most 5.*got {count}"
        ):
            save_rig(rig, tmp_path / "calibration.toml", format=name)
        assert list(tmp_path.iterdir()) == []

    def test_coefficients_that_are_zero_are_no_loss(self, make_camera: Callable[..., Camera], tmp_path: Path) -> None:
        camera = make_camera("top", 1, count=5)
        padded = replace(camera.lens, coefficients=camera.lens.padded_coefficients)
        save_rig(Rig((replace(camera, lens=padded),)), tmp_path / "calibration.toml", format="anipose")
        assert load_rig(tmp_path / "calibration.toml").cameras[0].lens == camera.lens

    @pytest.mark.parametrize("name", ["anipose", "pose2sim", "opencv"])
    def test_skew_is_refused(self, name: str, make_camera: Callable[..., Camera], tmp_path: Path) -> None:
        rig = Rig((make_camera("top", 1, skew=-5.8),))
        with pytest.raises(
            InvalidValueError, match=r"camera 'top', camera matrix: expected no skew.*got the skew -5\.8"
        ):
            save_rig(rig, tmp_path / "calibration.yml", format=name)

    def test_anipose_holds_a_fisheye_and_pose2sim_does_not(
        self, make_camera: Callable[..., Camera], tmp_path: Path
    ) -> None:
        rig = Rig((make_camera("top", 1, fisheye=True), make_camera("side", 2)))
        save_rig(rig, tmp_path / "calibration.toml", format="anipose")
        assert load_rig(tmp_path / "calibration.toml")["top"].lens == rig["top"].lens
        with pytest.raises(InvalidValueError, match="camera 'top', lens: expected no fisheye"):
            save_rig(rig, tmp_path / "calibration.toml", format="pose2sim")

    def test_pose2sim_gets_meters(self, rig: Rig, tmp_path: Path) -> None:
        save_rig(rig, tmp_path / "Calib.toml", format="pose2sim")
        again = load_rig(tmp_path / "Calib.toml")
        assert again.unit == "m"
        for name in rig.names:
            np.testing.assert_allclose(again[name].center * 1000, rig[name].center, rtol=1e-12)
        points = np.random.default_rng(0).normal(size=(20, 3)) * 50
        np.testing.assert_allclose(again.project(points / 1000), rig.project(points), rtol=1e-9)

    def test_pose2sim_needs_a_unit_that_is_a_length(self, rig: Rig, tmp_path: Path) -> None:
        with pytest.raises(InvalidValueError, match="got 'board squares'"):
            save_rig(replace(rig, unit="board squares"), tmp_path / "Calib.toml", format="pose2sim")

    def test_pose2sim_has_a_section_called_metadata(self, make_camera: Callable[..., Camera], tmp_path: Path) -> None:
        with pytest.raises(InvalidValueError, match="camera 'metadata': expected another name"):
            save_rig(Rig((make_camera("metadata", 1),)), tmp_path / "Calib.toml", format="pose2sim")
