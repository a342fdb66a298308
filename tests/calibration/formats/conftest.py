"""Rigs and files that the tests of all formats share."""

import pickle
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import savemat
from scipy.spatial.transform import Rotation

from calibration import BrownConrady, Camera, Fisheye, Rig, RigidTransform, save_rig

_COEFFICIENTS = (-0.31, 0.11, 0.0012, -0.0023, 0.017, 0.02, -0.01, 0.003, 1e-4, -2e-4, 3e-4, 1e-5, 0.01, -0.02)


def _make_camera(name: str, seed: int, *, count: int = 5, fisheye: bool = False, skew: float = 0.0) -> Camera:
    generator = np.random.default_rng(seed)
    matrix = np.array([[900.1 + seed, skew, 639.3], [0.0, 905.7, 361.9], [0.0, 0.0, 1.0]])
    lens = Fisheye(matrix, _COEFFICIENTS[:4]) if fisheye else BrownConrady(matrix, _COEFFICIENTS[:count])
    pose = RigidTransform(Rotation.random(rng=generator).as_matrix(), generator.normal(size=3) * 100)
    return Camera(name, (1280, 720), lens, pose)


@pytest.fixture(scope="session")
def make_camera() -> Callable[..., Camera]:
    """Makes a camera: name, seed, and count (of coefficients), fisheye or skew."""
    return _make_camera


@pytest.fixture
def rig() -> Rig:
    """Three cameras with five coefficients, called so that neither position nor sorting is their order."""
    return Rig(tuple(_make_camera(name, seed) for seed, name in enumerate(["top", "cam_10", "cam_2"])))


Writer = Callable[[Path], Path]


def _text_writer(format_name: str, file_name: str, *, name: str = "view {}", count: int = 5) -> Writer:
    def write(folder: Path) -> Path:
        rig = Rig(tuple(_make_camera(name.format(seed), seed, count=count) for seed in range(2)), unit="mm")
        save_rig(rig, folder / file_name, format=format_name)
        return folder / file_name

    return write


def _write_caliscope(folder: Path) -> Path:
    cameras = [_make_camera(f"cam_{seed}", seed) for seed in (2, 10)]
    sections = []
    for camera in cameras:
        identifier = camera.name.removeprefix("cam_")
        sections.append(
            f"[cameras.{identifier}]\ncam_id = {identifier}\nrotation_count = 0\nerror = 0.25\n"
            f"size = [1280, 720]\nmatrix = {camera.lens.camera_matrix.tolist()}\n"
            f"distortions = {camera.lens.coefficients.tolist()}\n"
            f"translation = {camera.cam_from_world.translation.tolist()}\n"
            f"rotation = {camera.cam_from_world.rotation_vector.tolist()}\n"
        )
    path = folder / "camera_array.toml"
    path.write_text("\n".join(reversed(sections)))
    return path


def _matlab_parameters(camera: Camera) -> dict[str, np.ndarray]:
    """A camera as Label3D has it: rows for columns, the first pixel at (1, 1)."""
    matrix = camera.lens.camera_matrix.T.copy()
    matrix[2, :2] += 1.0
    k1, k2, p1, p2, *k3 = camera.lens.coefficients
    return {
        "K": matrix,
        "r": camera.cam_from_world.rotation.T,
        "t": camera.cam_from_world.translation[None],
        "RDistort": np.array([[k1, k2, *k3]]),
        "TDistort": np.array([[p1, p2]]),
    }


def _cells(items: list[object]) -> np.ndarray:
    array = np.empty((len(items), 1), dtype=object)
    for index, item in enumerate(items):
        array[index, 0] = item
    return array


@pytest.fixture(scope="session")
def matlab_parameters() -> Callable[[Camera], dict[str, np.ndarray]]:
    return _matlab_parameters


@pytest.fixture(scope="session")
def cells() -> Callable[[list[object]], np.ndarray]:
    return _cells


def _write_label3d(folder: Path) -> Path:
    cameras = [_make_camera(f"Camera{seed}", seed) for seed in (1, 2)]
    path = folder / "session_dannce.mat"
    savemat(
        path,
        {
            "params": _cells([_matlab_parameters(camera) for camera in cameras]),
            "camnames": _cells([camera.name for camera in cameras]),
            "sync": np.zeros((3, 3)),
        },
    )
    return path


def _write_jarvis(folder: Path) -> Path:
    """As JARVIS has them: transposed matrices and no image size."""
    (folder / "set").mkdir()
    for camera in [_make_camera(f"Camera_{side}", seed) for seed, side in enumerate("BT")]:
        storage = cv2.FileStorage(str(folder / "set" / f"{camera.name}.yaml"), cv2.FILE_STORAGE_WRITE)
        storage.write("intrinsicMatrix", camera.lens.camera_matrix.T.copy())
        storage.write("distortionCoefficients", camera.lens.coefficients[None].copy())
        storage.write("R", camera.cam_from_world.rotation.T.copy())
        storage.write("T", camera.cam_from_world.translation[:, None].copy())
        storage.release()
    return folder / "set"


def _write_deeplabcut(folder: Path) -> Path:
    first, second = _make_camera("camera-1", 1), _make_camera("camera-2", 2)
    pose = second.cam_from_world @ first.cam_from_world.inverse()
    pair = {
        "cameraMatrix1": first.lens.camera_matrix,
        "cameraMatrix2": second.lens.camera_matrix,
        "distCoeffs1": first.lens.coefficients[None],
        "distCoeffs2": second.lens.coefficients[None],
        "R": pose.rotation,
        "T": pose.translation[:, None],
        "roi1": (0, 0, 639, 479),
        "image_shape": [(1280, 720), (1280, 720)],
    }
    path = folder / "stereo_params.pickle"
    path.write_bytes(pickle.dumps({"camera-1-camera-2": pair}, pickle.HIGHEST_PROTOCOL))
    return path


# One good file of every format; each makes its file in a folder and returns its path.
_SAMPLES: dict[str, Writer] = {
    "rig-toml": _text_writer("rig-toml", "rig.toml"),
    "anipose": _text_writer("anipose", "calibration.toml"),
    "pose2sim": _text_writer("pose2sim", "Calib.toml"),
    "caliscope": _write_caliscope,
    "opencv": _text_writer("opencv", "cameras"),
    "label3d": _write_label3d,
    "kalibr": _text_writer("kalibr", "camchain.yaml", count=4),
    "easymocap": _text_writer("easymocap", "cameras", name="view-{}"),
    "jarvis": _write_jarvis,
    "colmap": _text_writer("colmap", "sparse", name="view-{}"),
    "deeplabcut": _write_deeplabcut,
}


@pytest.fixture(params=list(_SAMPLES))
def sample(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """The name of a format and a good file (or folder) of it."""
    return request.param, _SAMPLES[request.param](tmp_path)


def _write_samples(folder: Path) -> dict[str, Path]:
    paths = {}
    for name, write in _SAMPLES.items():
        (folder / f"of {name}").mkdir()
        paths[name] = write(folder / f"of {name}")
    return paths


@pytest.fixture(scope="session")
def write_samples() -> Callable[[Path], dict[str, Path]]:
    return _write_samples


@pytest.fixture
def samples(tmp_path: Path) -> dict[str, Path]:
    """A good file (or folder) of every format, each in a folder of its own."""
    return _write_samples(tmp_path)
