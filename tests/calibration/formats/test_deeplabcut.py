"""DeepLabCut's stereo pickle: read as data in every protocol, never run, and pairs that are chained."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from calibration import Camera, FileFormatError, load_rig
from calibration.errors import SuiteWarning
from calibration.formats import FORMATS

pytestmark = pytest.mark.filterwarnings("ignore:.*in squares of its chessboard:calibration.errors.SuiteWarning")


def _pair(first: Camera, second: Camera) -> dict[str, object]:
    """What DeepLabCut keeps of a pair, with what `cv2.stereoRectify` adds."""
    pose = second.cam_from_world @ first.cam_from_world.inverse()
    return {
        "cameraMatrix1": first.lens.camera_matrix,
        "cameraMatrix2": np.asfortranarray(second.lens.camera_matrix),
        "distCoeffs1": first.lens.coefficients[None],
        "distCoeffs2": second.lens.coefficients[None],
        "R": pose.rotation,
        "T": pose.translation[:, None],
        "E": np.eye(3),
        "F": np.eye(3, dtype=np.float32),
        "roi1": (0, 0, 1279, 719),
        "roi2": (np.int64(0), 0, 0, 0),
        "image_shape": [first.size, second.size],
    }


@pytest.fixture
def cameras(make_camera: Callable[..., Camera]) -> list[Camera]:
    return [make_camera(f"camera-{seed}", seed) for seed in (1, 2, 3)]


@pytest.fixture
def content(cameras: list[Camera]) -> dict[str, object]:
    return {"camera-1-camera-2": _pair(*cameras[:2])}


@pytest.fixture
def file(tmp_path: Path, content: dict[str, object]) -> Path:
    path = tmp_path / "stereo_params.pickle"
    path.write_bytes(pickle.dumps(content))
    return path


class TestReading:
    @pytest.mark.parametrize("protocol", range(6))
    def test_every_protocol(self, protocol: int, file: Path, content: dict[str, object], cameras: list[Camera]) -> None:
        file.write_bytes(pickle.dumps(content, protocol))
        for path in (file, file.parent):
            rig = load_rig(path, unit="mm")
            assert rig.names == ("camera-1", "camera-2")
            for found, known in zip(rig, cameras, strict=False):
                assert found.lens == known.lens
                assert found.size == (1280, 720)
            world = cameras[0].cam_from_world.inverse()
            np.testing.assert_allclose(
                rig["camera-2"].cam_from_world.matrix, (cameras[1].cam_from_world @ world).matrix, atol=1e-12
            )

    def test_numpy_1_calls_its_modules_otherwise(self, file: Path, content: dict[str, object]) -> None:
        file.write_bytes(pickle.dumps(content, 2).replace(b"numpy._core", b"numpy.core"))
        assert len(load_rig(file, unit="mm")) == 2

    def test_lengths_are_squares_and_that_is_said(self, file: Path) -> None:
        with pytest.warns(SuiteWarning) as caught:
            assert load_rig(file).unit == "mm"
        texts = [str(warning.message) for warning in caught]
        assert any("in squares of its chessboard; multiply" in text for text in texts)
        assert any("mm is assumed" in text for text in texts)

    def test_pairs_are_chained(self, file: Path, cameras: list[Camera]) -> None:
        one, two, three = cameras
        pairs = {"camera-1-camera-2": _pair(one, two), "camera-3-camera-2": _pair(three, two)}
        file.write_bytes(pickle.dumps(pairs))
        rig = load_rig(file, unit="mm")
        assert rig.names == ("camera-1", "camera-2", "camera-3")
        expected = three.cam_from_world @ one.cam_from_world.inverse()
        np.testing.assert_allclose(rig["camera-3"].cam_from_world.matrix, expected.matrix, atol=1e-10)
        file.write_bytes(pickle.dumps({**pairs, "camera-1-camera-3": _pair(one, three)}))
        with pytest.warns(
            SuiteWarning, match="not needed to place the cameras and left out: camera-3-camera-2|camera-1"
        ):
            load_rig(file, unit="mm")
        file.write_bytes(pickle.dumps({"a-b": _pair(one, two), "c-d": _pair(two, three)}))
        with pytest.raises(
            FileFormatError, match="pairs that connect every camera with 'a', got none that leads to c, d"
        ):
            load_rig(file, unit="mm")

    @pytest.mark.parametrize(
        ("key", "beside", "names"),
        [
            ("left-right", [], ("left", "right")),
            ("camera-1-camera-2", [], ("camera-1", "camera-2")),
            ("top-view-side", ["top-view", "side"], ("top-view", "side")),
            ("a-b-c-d", ["a", "b-c-d"], ("a", "b-c-d")),
        ],
    )
    def test_names(
        self, key: str, beside: list[str], names: tuple[str, str], file: Path, cameras: list[Camera]
    ) -> None:
        for name in beside:
            (file.parent / f"{name}_intrinsic_params.pickle").touch()
        file.write_bytes(pickle.dumps({key: _pair(*cameras[:2])}))
        assert load_rig(file, unit="mm").names == names

    def test_a_name_that_cannot_be_cut(self, file: Path, cameras: list[Camera]) -> None:
        file.write_bytes(pickle.dumps({"top-view-side": _pair(*cameras[:2])}))
        with pytest.raises(FileFormatError, match="2 places where the first name may end"):
            load_rig(file, unit="mm")

    def test_without_the_shape_of_images(self, file: Path, cameras: list[Camera]) -> None:
        pair = _pair(*cameras[:2])
        del pair["image_shape"]
        file.write_bytes(pickle.dumps({"a-b": pair}))
        with pytest.warns(SuiteWarning, match="no image size"):
            assert load_rig(file, unit="mm").metadata == {"assumed_image_size": ["a", "b"]}


class TestBadFiles:
    @pytest.mark.parametrize("missing", ["distCoeffs1", "cameraMatrix2", "R", "T"])
    def test_what_is_missing_is_said(self, missing: str, file: Path, cameras: list[Camera]) -> None:
        pair = _pair(*cameras[:2])
        del pair[missing]
        file.write_bytes(pickle.dumps({"a-b": pair}))
        with pytest.raises(FileFormatError, match=rf"entry 'a-b': expected a value '{missing}'") as caught:
            load_rig(file, unit="mm")
        assert str(file) in str(caught.value)

    @pytest.mark.parametrize("value", [None, "x", np.zeros((2, 2)), np.full((3, 3), np.nan), {"a": 1}, [[1], [1, 2]]])
    def test_a_wrong_value(self, value: object, file: Path, cameras: list[Camera]) -> None:
        file.write_bytes(pickle.dumps({"a-b": {**_pair(*cameras[:2]), "R": value}}))
        with pytest.raises(FileFormatError, match="entry 'a-b', "):
            load_rig(file, unit="mm")

    def test_the_intrinsics_of_a_camera_have_no_pose(self, tmp_path: Path) -> None:
        path = tmp_path / "camera-1_intrinsic_params.pickle"
        path.write_bytes(pickle.dumps({"camera-1": {"mtx": np.eye(3), "dist": np.zeros(5)}, "camera-2": []}))
        with pytest.raises(FileFormatError, match=r"only 'camera-1', 'camera-2'.*Give stereo_params\.pickle"):
            load_rig(path, format="deeplabcut")

    @pytest.mark.parametrize("data", [pickle.dumps([1, 2]), pickle.dumps({}), pickle.dumps(np.eye(3)), b"text", b""])
    def test_another_pickle(self, data: bytes, file: Path) -> None:
        file.write_bytes(data)
        with pytest.raises(FileFormatError, match=r"stereo_params\.pickle"):
            load_rig(file, format="deeplabcut")

    def test_an_array_of_objects_is_refused(self, file: Path) -> None:
        file.write_bytes(pickle.dumps({"a-b": {"cameraMatrix1": np.array([print], dtype=object)}}))
        with pytest.raises(FileFormatError, match=r"an array of something else than numbers|it asks to run code"):
            load_rig(file, format="deeplabcut")


class Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_runs_code_is_refused_and_not_run(protocol: int, file: Path, content: dict[str, object]) -> None:
    target = file.parent / "ran"
    data = pickle.dumps({**content, "cameraMatrix1": Bomb(target)}, protocol)
    file.write_bytes(data)
    assert FORMATS["deeplabcut"].sniff(file)
    with pytest.raises(FileFormatError, match="it asks to run code") as caught:
        load_rig(file)
    assert str(file) in str(caught.value)
    assert not target.exists()
    pickle.loads(data)
    assert target.exists(), "the bomb must be live for this test to prove anything"
