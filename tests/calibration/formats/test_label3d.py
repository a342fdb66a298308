"""Label3D's and DANNCE's cameras: MATLAB's rows and its pixel (1, 1) become columns and (0, 0)."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import loadmat, savemat

from calibration import Camera, FileFormatError, InvalidValueError, Rig, SuiteWarning, load_rig, save_rig
from calibration.formats.label3d import read_label3d

Parameters = Callable[[Camera], dict[str, np.ndarray]]
Cells = Callable[[list[object]], np.ndarray]

no_size = pytest.mark.filterwarnings("ignore:.*no image size:calibration.errors.SuiteWarning")


@pytest.fixture
def cameras(make_camera: Callable[..., Camera]) -> list[Camera]:
    return [
        make_camera("Camera10", 1),
        make_camera("Camera2", 2, skew=-5.8),
        make_camera("side", 3, count=4),
    ]


def check(rig: Rig, cameras: list[Camera]) -> None:
    """The cameras are those that were stored, to the rounding of adding and subtracting one pixel."""
    assert rig.unit == "mm"
    for camera in cameras:
        found = rig[camera.name]
        np.testing.assert_allclose(found.lens.camera_matrix, camera.lens.camera_matrix, rtol=0, atol=1e-12)
        assert np.array_equal(found.lens.coefficients, camera.lens.coefficients)
        assert np.array_equal(found.cam_from_world.matrix, camera.cam_from_world.matrix)


def matlab_projection(parameters: dict[str, np.ndarray], points: np.ndarray) -> np.ndarray:
    """MATLAB's worldToImage, written out from its documentation: row vectors and pixels that begin at (1, 1)."""
    in_camera = points @ parameters["r"] + parameters["t"]
    x, y = (in_camera[:, :2] / in_camera[:, 2:]).T
    r2 = x**2 + y**2
    radial = 1 + sum(k * r2 ** (power + 1) for power, k in enumerate(parameters["RDistort"].ravel()))
    p1, p2 = parameters["TDistort"].ravel()
    bent = np.stack(
        [x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x**2), y * radial + p1 * (r2 + 2 * y**2) + 2 * p2 * x * y, x**0],
        axis=-1,
    )
    return (bent @ parameters["K"])[:, :2]


@no_size
def test_projections_are_matlabs_less_one_pixel(
    cameras: list[Camera], matlab_parameters: Parameters, cells: Cells, tmp_path: Path
) -> None:
    structs = [matlab_parameters(camera) for camera in cameras]
    names = [camera.name for camera in cameras]
    savemat(tmp_path / "dannce.mat", {"params": cells(structs), "camnames": cells(names)})
    rig = load_rig(tmp_path / "dannce.mat")
    for camera, struct in zip(rig, structs, strict=True):
        points = camera.center + camera.ray(np.random.default_rng(0).uniform(300, 500, (20, 2)))[1] * 50
        np.testing.assert_allclose(camera.project(points), matlab_projection(struct, points) - 1, rtol=0, atol=1e-9)


class TestLayouts:
    @no_size
    @pytest.mark.parametrize("compressed", [False, True])
    @pytest.mark.parametrize("key", ["params", "camParams"])
    def test_a_cell_of_structs(
        self,
        key: str,
        compressed: bool,
        cameras: list[Camera],
        matlab_parameters: Parameters,
        cells: Cells,
        tmp_path: Path,
    ) -> None:
        structs = [matlab_parameters(camera) for camera in cameras]
        names = cells([camera.name for camera in cameras]).T  # a row or a column, both occur
        savemat(tmp_path / "a.mat", {key: cells(structs), "camnames": names}, do_compression=compressed)
        rig = load_rig(tmp_path / "a.mat")
        assert rig.names == ("Camera10", "Camera2", "side")
        check(rig, cameras)

    @no_size
    def test_an_array_of_structs_and_one_struct(
        self, cameras: list[Camera], matlab_parameters: Parameters, cells: Cells, tmp_path: Path
    ) -> None:
        structs = [matlab_parameters(camera) for camera in cameras[:2]]
        array = np.empty((1, 2), dtype=[(name, object) for name in structs[0]])
        for index, struct in enumerate(structs):
            array[0, index] = tuple(struct.values())
        savemat(tmp_path / "two.mat", {"params": array, "camnames": cells(["Camera10", "Camera2"])})
        check(load_rig(tmp_path / "two.mat"), cameras[:2])
        savemat(tmp_path / "one.mat", {"params": structs[0], "camnames": "Camera10"})
        check(load_rig(tmp_path / "one.mat"), cameras[:1])

    @no_size
    def test_names_in_a_matrix_of_characters(
        self, cameras: list[Camera], matlab_parameters: Parameters, cells: Cells, tmp_path: Path
    ) -> None:
        structs = [matlab_parameters(camera) for camera in cameras]
        savemat(
            tmp_path / "a.mat", {"params": cells(structs), "camnames": np.array(["Camera10", "Camera2 ", "side    "])}
        )
        check(load_rig(tmp_path / "a.mat"), cameras)

    def test_a_session_knows_the_size(
        self, cameras: list[Camera], matlab_parameters: Parameters, cells: Cells, tmp_path: Path
    ) -> None:
        structs = [matlab_parameters(camera) for camera in cameras]
        sizes = np.array([[720, 1280], [720, 1280], [1024, 1280]])  # height, width
        content = {"camParams": cells(structs), "imageSize": sizes, "camnames": cells([one.name for one in cameras])}
        savemat(tmp_path / "session.mat", content)
        rig = load_rig(tmp_path / "session.mat")
        assert [camera.size for camera in rig] == [(1280, 720), (1280, 720), (1280, 1024)]
        assert rig.metadata == {}

    @no_size
    def test_a_folder_of_dannce_in_natural_order(
        self, cameras: list[Camera], matlab_parameters: Parameters, tmp_path: Path
    ) -> None:
        for camera, number in zip(cameras, (10, 2, 3), strict=True):
            savemat(tmp_path / f"hires_cam{number}_params.mat", matlab_parameters(camera))
        savemat(tmp_path / "sync.mat", {"data_frame": np.arange(3)})
        rig = load_rig(tmp_path)
        assert rig.names == ("Camera2", "Camera3", "Camera10")
        check(rig, cameras[:2])

    @no_size
    def test_one_camera_of_such_a_folder(
        self, cameras: list[Camera], matlab_parameters: Parameters, tmp_path: Path
    ) -> None:
        content = matlab_parameters(cameras[0])
        content["R"] = content.pop("r")  # both spellings occur
        savemat(tmp_path / "left_params.mat", content)
        assert load_rig(tmp_path / "left_params.mat").names == ("left",)

    @no_size
    @pytest.mark.parametrize("header", [True, False])
    def test_version_73(
        self, header: bool, cameras: list[Camera], matlab_parameters: Parameters, tmp_path: Path
    ) -> None:
        path = tmp_path / "session_dannce.mat"
        write_version_73(
            path, [matlab_parameters(camera) for camera in cameras], [camera.name for camera in cameras], header
        )
        rig = load_rig(path)
        assert rig.names == ("Camera10", "Camera2", "side")
        check(rig, cameras)
        content = path.read_bytes()
        for length in range(600, len(content), len(content) // 20):
            path.write_bytes(content[:length])
            with pytest.raises(FileFormatError) as caught:
                load_rig(path, format="label3d")
            assert str(path) in str(caught.value)


def write_version_73(path: Path, structs: list[dict[str, np.ndarray]], names: list[str], header: bool) -> None:
    """As MATLAB's `save -v7.3`: HDF5 behind 512 bytes, everything transposed, cells as references."""
    with h5py.File(path, "w", userblock_size=512 if header else 0) as file:
        store = file.create_group("#refs#")
        cells: dict[str, list[object]] = {"params": [], "camnames": []}
        for index, (struct, name) in enumerate(zip(structs, names, strict=True)):
            group = store.create_group(f"struct{index}")
            group.attrs["MATLAB_class"] = np.bytes_("struct")
            for key, value in struct.items():
                group.create_dataset(key, data=value.T).attrs["MATLAB_class"] = np.bytes_("double")
            cells["params"].append(group.ref)
            characters = store.create_dataset(
                f"name{index}", data=np.array([[ord(sign)] for sign in name], dtype=np.uint16)
            )
            characters.attrs["MATLAB_class"] = np.bytes_("char")
            cells["camnames"].append(characters.ref)
        for key, references in cells.items():
            cell = file.create_dataset(key, (1, len(references)), dtype=h5py.ref_dtype)
            cell[0] = references
            cell.attrs["MATLAB_class"] = np.bytes_("cell")
    if header:
        with path.open("r+b") as raw:
            raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64, HDF5 schema 1.00 .")


class TestWhatIsAssumed:
    def test_names(self, cameras: list[Camera], matlab_parameters: Parameters, cells: Cells, tmp_path: Path) -> None:
        savemat(tmp_path / "a.mat", {"params": cells([matlab_parameters(camera) for camera in cameras])})
        with pytest.warns(SuiteWarning) as caught:
            rig = load_rig(tmp_path / "a.mat")
        assert rig.names == ("Camera1", "Camera2", "Camera3")
        assert "no 'camnames' in it; the cameras are called Camera1, Camera2, Camera3" in str(caught[0].message)

    def test_the_size(self, cameras: list[Camera], matlab_parameters: Parameters, tmp_path: Path) -> None:
        path = tmp_path / "hires_cam1_params.mat"
        savemat(path, matlab_parameters(cameras[0]))
        with pytest.warns(SuiteWarning, match="no image size.*Camera1 1280 x 725"):
            rig = load_rig(path)
        assert rig.metadata == {"assumed_image_size": ["Camera1"]}
        told = read_label3d(path, size=(1280, 1024))
        assert told["Camera1"].size == (1280, 1024)
        assert told.metadata == {}

    def test_not_a_size_around_nothing(
        self, cameras: list[Camera], matlab_parameters: Parameters, tmp_path: Path
    ) -> None:
        content = matlab_parameters(cameras[0])
        content["K"][2, 0] = -3.0
        savemat(tmp_path / "hires_cam1_params.mat", content)
        with pytest.raises(FileFormatError, match="camera 'Camera1': expected an image size, or a principal point"):
            load_rig(tmp_path / "hires_cam1_params.mat")


@no_size
class TestBadInput:
    @pytest.mark.parametrize(
        ("key", "value", "message"),
        [
            ("K", None, "expected a value 'K'"),
            ("r", None, "expected a value 'r'"),
            ("t", None, "expected a value 't'"),
            ("RDistort", None, "expected a value 'RDistort'"),
            ("K", np.eye(2), "K: expected numbers of shape (3, 3), got shape (2, 2)"),
            ("K", "eye", "K: expected numbers"),
            ("K", np.array([[900.0, 0, 640], [0, 900, 360], [0, 0, 1]]), "got the column-vector convention of OpenCV"),
            ("K", np.diag([900.0, np.inf, 1.0]), "camera matrix: expected [[fx"),
            ("r", -np.eye(3), "rotation: expected a rotation matrix"),
            ("r", np.eye(3) * 2, "rotation: expected a rotation matrix"),
            ("r", np.zeros((1, 3)), "r: expected numbers of shape (3, 3)"),
            ("t", np.zeros((3, 3)), "translation: expected numbers of shape (3,)"),
            ("t", np.array([[0.0, np.nan, 0.0]]), "translation: expected finite numbers"),
            ("RDistort", np.zeros((1, 4)), "RDistort: expected numbers of shape (2,) or (3,)"),
            ("RDistort", np.array([[np.inf, 0.0]]), "distortion coefficients: expected"),
            ("TDistort", np.zeros((1, 3)), "TDistort: expected numbers of shape (2,)"),
            ("m", 1.0, "m: expected a camera that sees the animal directly"),
        ],
    )
    def test_a_wrong_value_is_named_with_file_and_camera(
        self,
        key: str,
        value: object,
        message: str,
        cameras: list[Camera],
        matlab_parameters: Parameters,
        cells: Cells,
        tmp_path: Path,
    ) -> None:
        path = tmp_path / "a.mat"
        structs: list[dict[str, object]] = [dict(matlab_parameters(camera)) for camera in cameras[:2]]
        if value is None:
            del structs[1][key]
        else:
            structs[1][key] = value
        savemat(path, {"params": cells(list(structs)), "camnames": cells(["A", "B"])})
        with pytest.raises(FileFormatError) as caught:
            read_label3d(path, size=(1280, 720))
        assert f"{path}, camera 'B'" in str(caught.value)
        assert message in str(caught.value)

    @pytest.mark.parametrize("names", [["A"], ["A", "A"], ["A", "B", "C"], ["A", 1.0]])
    def test_names_that_do_not_fit(
        self, names: list[object], cameras: list[Camera], matlab_parameters: Parameters, cells: Cells, tmp_path: Path
    ) -> None:
        structs = [matlab_parameters(camera) for camera in cameras[:2]]
        savemat(tmp_path / "a.mat", {"params": cells(list(structs)), "camnames": cells(names)})
        with pytest.raises(FileFormatError, match="camnames: expected 2 different names"):
            load_rig(tmp_path / "a.mat")

    @pytest.mark.parametrize("params", [np.eye(3), "text", np.zeros((0, 0))])
    def test_params_of_another_kind(self, params: object, tmp_path: Path) -> None:
        savemat(tmp_path / "a.mat", {"params": params})
        with pytest.raises(FileFormatError, match=r"expected a cell 'params'.*got a variable of another kind"):
            load_rig(tmp_path / "a.mat")

    def test_another_mat_file(self, tmp_path: Path) -> None:
        savemat(tmp_path / "a.mat", {"data": np.eye(3)})
        with pytest.raises(FileFormatError, match=r"expected a cell 'params'.*got no such variable"):
            load_rig(tmp_path / "a.mat", format="label3d")

    def test_an_empty_folder(self, tmp_path: Path) -> None:
        with pytest.raises(FileFormatError, match=r"expected files such as hires_cam1_params\.mat"):
            load_rig(tmp_path, format="label3d")

    def test_two_files_of_one_camera(
        self, cameras: list[Camera], matlab_parameters: Parameters, tmp_path: Path
    ) -> None:
        for name in ("hires_cam1_params.mat", "Camera1.mat"):
            savemat(tmp_path / name, matlab_parameters(cameras[0]))
        with pytest.raises(FileFormatError, match="camera 'Camera1': expected one file per camera"):
            load_rig(tmp_path)


class TestWriting:
    def test_matlab_finds_what_label3d_writes(
        self,
        tmp_path: Path,
        make_camera: Callable[..., Camera],
        matlab_parameters: Callable[[Camera], dict[str, np.ndarray]],
    ) -> None:
        camera = make_camera("left", 1, skew=2.0)
        save_rig(Rig((camera, make_camera("right", 2, count=0))), tmp_path / "dannce.mat")
        content = loadmat(tmp_path / "dannce.mat")
        assert content["params"].shape == content["camnames"].shape == (2, 1)
        struct = content["params"][0, 0]
        for name, value in matlab_parameters(camera).items():
            np.testing.assert_array_equal(struct[name][0, 0], value)
        assert content["params"][1, 0]["RDistort"][0, 0].shape == (1, 2)
        assert content["camnames"][1, 0].tolist() == ["right"]
        assert content["imageSize"].tolist() == [[720, 1280], [720, 1280]]
        again = load_rig(tmp_path / "dannce.mat")
        assert (again.names, again.unit, again["left"].size) == (("left", "right"), "mm", (1280, 720))
        np.testing.assert_allclose(again["left"].lens.camera_matrix, camera.lens.camera_matrix, atol=1e-12)

    def test_the_folder_of_dannce(self, tmp_path: Path, make_camera: Callable[..., Camera]) -> None:
        rig = Rig(tuple(make_camera(f"Camera{number}", number) for number in (1, 2, 10)), unit="m")
        save_rig(rig, tmp_path / "calibration", format="label3d")
        files = {file.name for file in (tmp_path / "calibration").iterdir()}
        assert files == {f"hires_cam{number}_params.mat" for number in (1, 2, 10)}
        assert set(loadmat(tmp_path / "calibration/hires_cam1_params.mat")) >= {"K", "r", "t", "RDistort", "TDistort"}
        again = load_rig(tmp_path / "calibration")
        assert (again.names, again.unit) == (rig.names, "mm")
        point = rig.cameras[2].cam_from_world.inverse()([0.02, 0.01, 0.2])
        np.testing.assert_allclose(again.project(point * 1000.0), rig.project(point), atol=1e-9)

    def test_a_folder_has_no_names(self, tmp_path: Path, make_camera: Callable[..., Camera]) -> None:
        with pytest.raises(InvalidValueError, match=r"camera 'left': .*that file keeps the names"):
            save_rig(Rig((make_camera("left", 1),)), tmp_path / "calibration", format="label3d")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("name", ["dannce.mat", "calibration"])
    def test_a_size_that_was_assumed_is_not_written(
        self, name: str, tmp_path: Path, make_camera: Callable[..., Camera]
    ) -> None:
        rig = Rig((make_camera("Camera1", 1),), metadata={"assumed_image_size": ["Camera1"]})
        save_rig(rig, tmp_path / name, format="label3d")
        with pytest.warns(SuiteWarning, match="no image size"):
            load_rig(tmp_path / name)
