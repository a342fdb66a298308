"""OpenCV's FileStorage: its YAML and XML are read as OpenCV reads them, in the layouts people use."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration import Camera, FileFormatError, InvalidValueError, OutputError, Rig, SuiteWarning, load_rig, save_rig
from calibration.formats._opencv_storage import read_storage
from calibration.formats._yaml_subset import parse_yaml

K = np.array([[500.5, 0.0, 319.25], [0.0, 510.125, 240.75], [0.0, 0.0, 1.0]])
D = np.array([[-0.1, 0.01, 0.001, -0.002, 0.003]])
R = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
T = np.array([[1.0], [2.0], [3.0]])


def store(path: Path, **values: object) -> Path:
    """Write with OpenCV's own FileStorage."""
    path.parent.mkdir(exist_ok=True)
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    for name, value in values.items():
        if isinstance(value, dict):
            storage.startWriteStruct(name, cv2.FILE_NODE_MAP)
            for inner, item in value.items():
                storage.write(inner, item)
            storage.endWriteStruct()
        else:
            storage.write(name, value)
    storage.release()
    return path


SIZE = {"image_width": 640, "image_height": 480}
POSE = {"R": R, "T": T}


def check(camera: Camera, *, fisheye: bool = False) -> None:
    assert camera.size == (640, 480)
    assert np.array_equal(camera.lens.camera_matrix, K)
    assert camera.lens.model == ("fisheye" if fisheye else "brown_conrady")
    assert camera.lens.coefficients.tolist() == D.ravel().tolist()[: 4 if fisheye else 5]
    np.testing.assert_allclose(camera.cam_from_world.rotation, R, atol=1e-15)
    assert np.array_equal(camera.cam_from_world.translation, T.ravel())


RVEC = cv2.Rodrigues(R)[0]

LAYOUTS: dict[str, dict[str, object]] = {
    "OpenCV's calibration sample": {**SIZE, "camera_matrix": K, "distortion_coefficients": D.T, **POSE},
    "camel case": {"cameraMatrix": K, "distCoeffs": D, "imageSize": np.array([[640, 480]]), "rvec": RVEC, "tvec": T},
    "letters": {"K": K, "D": D, "width": 640, "height": 480, "R": R, "t": T.T},
    "snake case": {"camera_matrix": K, "dist_coeffs": D, **SIZE, "rotation_matrix": R, "translation_vector": T},
    "with much else": {
        "calibration_time": "now: 5",
        "flags": 0,
        **SIZE,
        "camera_matrix": K,
        "dist_coeff_0": 1.0,
        "D": D,
        **POSE,
    },
}


@pytest.mark.parametrize("suffix", ["yml", "yaml", "xml"])
@pytest.mark.parametrize("values", LAYOUTS.values(), ids=LAYOUTS)
def test_one_camera_by_the_usual_names(values: dict[str, object], suffix: str, tmp_path: Path) -> None:
    rig = load_rig(store(tmp_path / f"left.{suffix}", **values), unit="m")
    assert (rig.names, rig.unit) == (("left",), "m")
    check(rig["left"])


@pytest.mark.parametrize(
    "sign", [{"fisheye_model": 1}, {"distortion_model": "equidistant"}, {"camera_model": "fisheye"}]
)
def test_a_fisheye(sign: dict[str, object], tmp_path: Path) -> None:
    values = {**SIZE, "K": K, "D": D[:, :4], **POSE, **sign}
    check(load_rig(store(tmp_path / "left.yml", **values), unit="m")["left"], fisheye=True)


def test_a_camera_without_a_pose_is_its_own_world(tmp_path: Path) -> None:
    path = store(tmp_path / "left.yml", camera_matrix=K, distortion_coefficients=D, **SIZE)
    with pytest.warns(SuiteWarning, match="camera 'left' has no pose"):
        rig = load_rig(path, unit="mm")
    assert np.array_equal(rig["left"].cam_from_world.matrix, np.eye(4))


def test_a_size_that_is_not_said_is_assumed(tmp_path: Path) -> None:
    path = store(tmp_path / "left.yml", camera_matrix=K, distortion_coefficients=D, **POSE)
    with pytest.warns(SuiteWarning, match="no image size.*left 640 x 483"):
        rig = load_rig(path, unit="mm")
    assert rig["left"].size == (640, 483)
    assert rig.metadata == {"assumed_image_size": ["left"]}


def test_ros(tmp_path: Path) -> None:
    path = tmp_path / "head.yaml"
    path.write_text(
        "image_width: 640\nimage_height: 480\ncamera_name: narrow_stereo\n"
        "camera_matrix:\n  rows: 3\n  cols: 3\n  data: [500.5, 0., 319.25,\n         0., 510.125, 240.75, 0., 0., 1.]\n"
        "distortion_model: plumb_bob\ndistortion_coefficients:\n  rows: 1\n  cols: 5\n"
        "  data: [-0.1, 0.01, 0.001, -0.002, 0.003]\n"
        "rectification_matrix:\n  rows: 3\n  cols: 3\n  data: [1, 0, 0, 0, 1, 0, 0, 0, 1]\n"
    )
    with pytest.warns(SuiteWarning, match="camera 'head' has no pose"):
        rig = load_rig(path, unit="m")
    assert rig["head"].lens.coefficients.tolist() == D.ravel().tolist()


class TestSeveralCameras:
    def test_a_folder_in_natural_order(self, tmp_path: Path) -> None:
        for number in (10, 2, 1):
            store(tmp_path / "rig" / f"cam_{number}.xml", K=K, D=D, R=R, T=T + number, **SIZE)
        rig = load_rig(tmp_path / "rig", unit="mm")
        assert rig.names == ("cam_1", "cam_2", "cam_10")
        assert [camera.cam_from_world.translation[0] for camera in rig] == [2.0, 3.0, 11.0]

    def test_other_files_and_unplaced_cameras_are_left_out_with_a_warning(self, tmp_path: Path) -> None:
        store(tmp_path / "rig" / "a.yml", K=K, D=D, **SIZE, **POSE)
        store(tmp_path / "rig" / "b.yml", K=K, D=D, **SIZE)
        store(tmp_path / "rig" / "board.yml", squares=5)
        with pytest.warns(SuiteWarning) as caught:
            assert load_rig(tmp_path / "rig", unit="mm").names == ("a",)
        messages = " ".join(str(warning.message) for warning in caught)
        assert "no camera matrix in board.yml" in messages
        assert "without a pose (R and T) left out: b" in messages

    def test_no_camera_has_a_pose(self, tmp_path: Path) -> None:
        for name in "ab":
            store(tmp_path / "rig" / f"{name}.yml", K=K, D=D, **SIZE)
        with pytest.raises(FileFormatError, match=r"expected at least one camera with a pose.*got none in a, b"):
            load_rig(tmp_path / "rig")

    def test_two_files_of_one_camera(self, tmp_path: Path) -> None:
        for suffix in ("yml", "xml"):
            store(tmp_path / "rig" / f"a.{suffix}", K=K, D=D, **SIZE, **POSE)
        with pytest.raises(FileFormatError, match=r"camera 'a': expected every camera in one file.*a\.xml, a\.yml"):
            load_rig(tmp_path / "rig")

    def test_a_broken_file_among_them(self, tmp_path: Path) -> None:
        for name in "ab":
            store(tmp_path / "rig" / f"{name}.yml", K=K, D=D, **SIZE, **POSE)
        broken = tmp_path / "rig" / "b.yml"
        broken.write_text(broken.read_text()[:120])
        with pytest.raises(FileFormatError, match="closing bracket") as caught:
            load_rig(tmp_path / "rig")
        assert str(broken) in str(caught.value)

    def test_a_mapping_for_each_camera_in_one_file(self, tmp_path: Path) -> None:
        cameras = {"left": {"K": K, "D": D, **POSE}, "Cam_10": {"K": K, "D": D, "R": R, "T": T + 1}}
        rig = load_rig(store(tmp_path / "rig.yml", image_width=640, image_height=480, **cameras), unit="mm")
        assert rig.names == ("left", "Cam_10")
        check(rig["left"])


class TestStereo:
    PAIR: ClassVar[dict[str, np.ndarray]] = {"M1": K, "D1": D, "M2": K + np.diag([1.0, 1.0, 0.0]), "D2": D * 2}

    def _check(self, rig: Rig, names: tuple[str, str]) -> None:
        first, second = rig[names[0]], rig[names[1]]
        assert rig.names == names
        assert np.array_equal(first.cam_from_world.matrix, np.eye(4))
        assert np.array_equal(second.cam_from_world.rotation, R)
        assert np.array_equal(second.cam_from_world.translation, T.ravel())
        assert second.lens.camera_matrix[0, 0] == first.lens.camera_matrix[0, 0] + 1.0
        assert np.array_equal(second.lens.coefficients, 2 * first.lens.coefficients)

    def test_one_file(self, tmp_path: Path) -> None:
        self._check(
            load_rig(store(tmp_path / "stereo.yml", **self.PAIR, **POSE, **SIZE), unit="mm"), ("cam_1", "cam_2")
        )

    def test_the_two_files_of_opencvs_stereo_sample(self, tmp_path: Path) -> None:
        store(tmp_path / "rig" / "intrinsics.yml", **self.PAIR)
        # R1 and R2 are rectifications, of no use here.
        store(tmp_path / "rig" / "extrinsics.yml", **POSE, R1=np.eye(3), R2=np.eye(3), P1=np.zeros((3, 4)), Q=np.eye(4))
        with pytest.warns(SuiteWarning, match="no image size"):
            self._check(load_rig(tmp_path / "rig", unit="mm"), ("cam_1", "cam_2"))
        with pytest.raises(FileFormatError, match="expected R and T, from camera 1 to camera 2"):
            load_rig(tmp_path / "rig" / "intrinsics.yml")

    def test_left_and_right(self, tmp_path: Path) -> None:
        names = {
            "M1": "cameraMatrix_left",
            "M2": "cameraMatrix_right",
            "D1": "distCoeffs_left",
            "D2": "distCoeffs_right",
        }
        values = {names[key]: value for key, value in self.PAIR.items()}
        rig = load_rig(store(tmp_path / "stereo.xml", **values, **POSE, imageSize=np.array([640, 480])), unit="mm")
        self._check(rig, ("left", "right"))

    def test_k1_and_k2_of_one_lens_are_no_pair(self, tmp_path: Path) -> None:
        rig = load_rig(store(tmp_path / "a.yml", k1=-0.1, k2=0.01, K=K, D=D, **SIZE, **POSE), unit="mm")
        check(rig["a"])

    def test_distortion_of_one_camera_does_not_stand_in_for_the_other(self, tmp_path: Path) -> None:
        values = {**self.PAIR, **POSE, **SIZE}
        del values["D2"]
        with pytest.raises(FileFormatError, match="camera 'cam_2': expected distortion coefficients"):
            load_rig(store(tmp_path / "stereo.yml", **values), unit="mm")


class TestWriting:
    def test_opencv_reads_what_is_written(self, make_camera: Callable[..., Camera], tmp_path: Path) -> None:
        counts = (0, 4, 5, 8, 12, 14)
        rig = Rig(tuple(make_camera(f"cam_{count}", count, count=count) for count in counts), unit="cm")
        save_rig(rig, tmp_path / "rig", format="opencv")
        for camera in rig:
            storage = cv2.FileStorage(str(tmp_path / "rig" / f"{camera.name}.yml"), cv2.FILE_STORAGE_READ)
            assert np.array_equal(storage.getNode("camera_matrix").mat(), camera.lens.camera_matrix)
            coefficients = storage.getNode("distortion_coefficients").mat().ravel()
            assert len(coefficients) in (5, 8, 12, 14)
            assert np.array_equal(np.pad(coefficients, (0, 14 - len(coefficients))), camera.lens.padded_coefficients)
            assert np.array_equal(storage.getNode("R").mat(), camera.cam_from_world.rotation)
            assert np.array_equal(storage.getNode("T").mat().ravel(), camera.cam_from_world.translation)
            assert (storage.getNode("image_width").real(), storage.getNode("image_height").real()) == camera.size

    def test_a_folder_survives_but_for_zeros(self, make_camera: Callable[..., Camera], tmp_path: Path) -> None:
        lenses = [{"count": count} for count in (0, 4, 5, 8, 12, 14)] + [{"fisheye": True}]
        rig = Rig(tuple(make_camera(f"view {n}", n, **lens) for n, lens in enumerate(lenses)), unit="cm")
        save_rig(rig, tmp_path / "rig", format="opencv")
        again = load_rig(tmp_path / "rig")
        assert (again.names, again.unit) == (rig.names, "cm")
        for before, after in zip(rig, again, strict=True):
            count = len(before.lens.coefficients)
            assert np.array_equal(before.lens.coefficients, after.lens.coefficients[:count])
            assert not after.lens.coefficients[count:].any()
            assert np.array_equal(before.cam_from_world.matrix, after.cam_from_world.matrix)

    def test_one_camera_is_a_file_that_keeps_its_name(self, make_camera: Callable[..., Camera], tmp_path: Path) -> None:
        rig = Rig((make_camera('täglich "1": #a', 1),), unit="mm")
        save_rig(rig, tmp_path / "one.yml")
        assert load_rig(tmp_path / "one.yml") == replace(rig)

    def test_files_and_cameras_must_fit(self, make_camera: Callable[..., Camera], rig: Rig, tmp_path: Path) -> None:
        with pytest.raises(InvalidValueError, match=r"expected a \.yml file for one camera, got 3 cameras"):
            save_rig(rig, tmp_path / "rig.yml")
        with pytest.raises(InvalidValueError, match=r"got 'rig' for one camera.*end with \.yml"):
            save_rig(Rig((make_camera("a", 1),)), tmp_path / "rig", format="opencv")
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_with_files_is_left_as_it_is(self, rig: Rig, tmp_path: Path) -> None:
        (tmp_path / "rig").mkdir()
        save_rig(rig, tmp_path / "rig", format="opencv")
        with pytest.raises(OutputError, match="expected a new or empty folder"):
            save_rig(rig, tmp_path / "rig", format="opencv")
        assert len(load_rig(tmp_path / "rig")) == 3
        assert [entry.name for entry in tmp_path.iterdir()] == ["rig"]

    @pytest.mark.parametrize("name", ["a/b", "..", "a\\b", "a:b", " a", "a\nb", "a\0b"])
    def test_names_that_cannot_be_files(self, name: str, make_camera: Callable[..., Camera], tmp_path: Path) -> None:
        with pytest.raises(InvalidValueError, match="Rename"):
            save_rig(Rig((make_camera(name, 1), make_camera("b", 2))), tmp_path / "rig", format="opencv")
        assert list(tmp_path.iterdir()) == []


GOOD = {**SIZE, "camera_matrix": K, "distortion_coefficients": D, **POSE}


@pytest.mark.parametrize("suffix", ["yml", "xml"])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({**GOOD, "camera_matrix": K[:2]}, "camera matrix: expected numbers of shape (3, 3) or (9,), got shape (2, 3)"),
        ({**GOOD, "camera_matrix": -K}, "camera matrix: expected [[fx"),
        ({**GOOD, "camera_matrix": "none"}, "camera matrix: expected numbers"),
        ({**GOOD, "distortion_coefficients": D[:, :3]}, "distortion coefficients: expected 0 or 4"),
        ({**GOOD, "distortion_coefficients": D * np.inf}, "distortion coefficients: expected numbers up to"),
        ({**GOOD, "distortion_coefficients": D * np.nan}, "distortion coefficients: expected 0 or 4"),
        ({**GOOD, "R": -R}, "rotation: expected a rotation matrix"),
        ({**GOOD, "R": np.ones((2, 2))}, "rotation: expected numbers of shape"),
        ({**GOOD, "T": T[:2]}, "translation: expected numbers of shape (3,)"),
        ({**GOOD, "T": T * np.nan}, "translation: expected finite numbers"),
        ({**GOOD, "image_width": 0}, "size: expected width and height"),
        ({**GOOD, "image_width": 640.5}, "size: expected width and height"),
        ({key: value for key, value in GOOD.items() if key != "R"}, "expected rotation, called r or"),
        ({key: value for key, value in GOOD.items() if key[0] != "d"}, "expected distortion coefficients, called"),
        (
            {key: value for key, value in GOOD.items() if key != "camera_matrix"},
            "expected a camera matrix (camera_matrix",
        ),
        (
            {
                **{key: value for key, value in GOOD.items() if key != "image_width"},
                "camera_matrix": K - 2 * np.eye(3, k=2) * 400,
            },
            "expected an image size, or a principal point",
        ),
    ],
)
def test_a_wrong_value_is_named_with_file_and_camera(
    values: dict[str, object], message: str, suffix: str, tmp_path: Path
) -> None:
    path = store(tmp_path / f"left.{suffix}", **values)
    with pytest.raises(FileFormatError) as caught:
        load_rig(path, format="opencv")
    assert str(path) in str(caught.value)
    assert message in str(caught.value)
    if "camera_matrix" in values:
        assert "camera 'left'" in str(caught.value)


class TestXml:
    BOMB = '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;">]><opencv_storage>&c;</opencv_storage>'
    EXTERNAL = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><opencv_storage><K>&b;</K></opencv_storage>'

    @pytest.mark.parametrize(
        ("content", "got"),
        [
            (BOMB, "a document type 'a'"),
            (EXTERNAL, "a document type 'a'"),
            ("<opencv_storage><K>", "XML that breaks off"),
            ("<opencv_storage><K></D></opencv_storage>", "XML that breaks off or is wrong"),
            ("<calibration></calibration>", "the root <calibration>"),
            ("<opencv_storage><K>1</K><K>2</K></opencv_storage>", "<K> more than once"),
            ("<opencv_storage>" + "<a>" * 50, "more than 32 levels"),
            ("<opencv_storage></opencv_storage>", "None"),
            ("<opencv_storage><_>1</_><_>2</_></opencv_storage>", "a list"),
        ],
    )
    def test_what_opencv_does_not_write_is_refused(self, content: str, got: str, tmp_path: Path) -> None:
        path = tmp_path / "a.xml"
        path.write_text(content)
        with pytest.raises(FileFormatError) as caught:
            read_storage(path)
        assert got in caught.value.got
        assert str(path) in caught.value.subject


class TestYaml:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("a: 1", {"a": 1}),
            ("%YAML:1.0\n---\na: 1\n...\n", {"a": 1}),
            (
                "a: -1.5e-3\nb: .5\nc: 3.\nd: .Inf\ne: -.inf",
                {"a": -1.5e-3, "b": 0.5, "c": 3.0, "d": np.inf, "e": -np.inf},
            ),
            ("a: true\nb: ~\nc:\nd: yes", {"a": True, "b": None, "c": None, "d": "yes"}),
            ("a: one two\nb: \"x: \\\"y\\\" # z\"\nc: 'it''s'", {"a": "one two", "b": 'x: "y" # z', "c": "it's"}),
            ("# first\na: 1 # last\nb: 'c # d'", {"a": 1, "b": "c # d"}),
            ('"a b": 1\n"c:d": 2', {"a b": 1, "c:d": 2}),
            ('a: [ 1, 2.5, x y, "3, 4" ]', {"a": [1, 2.5, "x y", "3, 4"]}),
            ("a: [ 1,\n  2,\n3 ]\nb: 1", {"a": [1, 2, 3], "b": 1}),
            ('a: { x:1, y: [1, 2], "z w": 3 }', {"a": {"x": 1, "y": [1, 2], "z w": 3}}),
            ("a: []\nb: {}", {"a": [], "b": {}}),
            ("a:\n   b: 1\n   c:\n      d: 2\ne: 3", {"a": {"b": 1, "c": {"d": 2}}, "e": 3}),
            ("a:\n   - 1\n   - x y\n   - [ 1, 2 ]\nb: 2", {"a": [1, "x y", [1, 2]], "b": 2}),
            ("a:\n- 1\n- 2\nb: 2", {"a": [1, 2], "b": 2}),
            ("a:\n   -\n      b: 1\n      c: 2\n   -\n      b: 3", {"a": [{"b": 1, "c": 2}, {"b": 3}]}),
            ("- b: 1\n  c: 2\n- b: 3", [{"b": 1, "c": 2}, {"b": 3}]),
            ("[1, [2, 3]]", [1, [2, 3]]),
            ("a: it's 5 o'clock", {"a": "it's 5 o'clock"}),
            ("", None),
        ],
    )
    def test_what_opencv_and_ros_write(self, text: str, value: object) -> None:
        assert parse_yaml(text, "a.yml") == value

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("a: &x 1\nb: *x", "no anchor, alias"),
            ("a: |\n  text", "no anchor, alias, block text"),
            ("- - 1", "list in the same line"),
            ("a: !!python/object/apply:os.system ['ls']", "no other tag"),
            ("a: [ 1, 2", "a closing bracket"),
            ("a: [ 1, 2 ]]", "nothing behind the closing bracket"),
            ("a: [ 1, , 2 ]", "a list in brackets"),
            ("a: { x }", "a list in brackets"),
            ('a: "open', "ends with the quote"),
            ("a: 1\na: 2", "the key 'a' only once"),
            ("a: 1\n   b: 2", "indentation"),
            ("a: 1\nplain text", "'key: value'"),
            ("a:\n\tb: 1", "spaces, not tabs"),
            ("\n".join(f"{' ' * level}a:" for level in range(50)), "at most 32 levels"),
            ("a: " + "[" * 50 + "]" * 50, "a list in brackets"),
        ],
    )
    def test_what_they_do_not_write_is_refused_with_its_line(self, text: str, expected: str) -> None:
        with pytest.raises(FileFormatError, match=r"a\.yml, line \d+") as caught:
            parse_yaml(text, "a.yml")
        assert expected in caught.value.expected

    @given(st.text("ab:-#[]{},\"'\n \t.&!|1", max_size=40))
    def test_any_text_is_read_or_refused(self, text: str) -> None:
        try:
            parse_yaml(text, "a.yml")
        except FileFormatError:
            return

    def test_a_long_line_costs_no_time(self) -> None:
        with pytest.raises(FileFormatError):
            parse_yaml("a" + " " * 1_000_000 + "b", "a.yml")


FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(
    rows=st.lists(st.lists(FINITE, min_size=3, max_size=3), min_size=1, max_size=4),
    suffix=st.sampled_from(["yml", "xml"]),
)
def test_matrices_are_those_that_opencv_wrote(
    rows: list[list[float]], suffix: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    matrix = np.array(rows)
    path = store(tmp_path_factory.getbasetemp() / f"matrix.{suffix}", camera_matrix=matrix, vector=matrix[0])
    content = read_storage(path)
    assert np.array_equal(content["camera_matrix"], matrix)
    # One axis in OpenCV 5, a column in OpenCV 4
    assert np.array_equal(content["vector"].ravel(), matrix[0])


@pytest.mark.parametrize(
    "fields",
    ["rows: 3\n  cols: 3\n  data: [1., 2.]", "rows: -1\n  cols: 3\n  data: [1.]", "rows: 1\n  cols: 1\n  data: [x]"],
)
def test_a_matrix_that_does_not_fit_together(fields: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_text(f"camera_matrix: !!opencv-matrix\n  {fields}\n")
    with pytest.raises(FileFormatError, match="'camera_matrix': expected a matrix: rows, cols"):
        load_rig(path)
