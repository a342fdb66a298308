"""COLMAP's text models: half a pixel, quaternions, models of lenses by name, and what no model may be."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from calibration import Camera, FileFormatError, InvalidValueError, OutputError, Rig, load_rig, save_rig
from calibration.errors import MismatchError, SuiteWarning

# The examples of COLMAP's documentation, with poses that differ, and the points of images as it writes them.
CAMERAS = """# Camera list with one line of data per camera:
#   CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]
# Number of cameras: 3
1 SIMPLE_PINHOLE 3072 2304 2559.81 1536 1152
2 PINHOLE 3072 2304 2560.56 2560.56 1536 1152
3 SIMPLE_RADIAL 3072 2304 2559.69 1536 1152 -0.0218531
"""
IMAGES = """# Image list with two lines of data per image:
#   IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME
#   POINTS2D[] as (X, Y, POINT3D_ID)
# Number of images: 3, mean observations per image: 2
1 0.851773 0.0165051 0.503764 -0.142941 -0.737434 1.02973 3.74354 1 P1180141.JPG
2362.39 248.498 58396 1784.7 268.254 59027 1784.7 268.254 -1
2 0.851773 0.0165051 0.503764 -0.142941 -0.637434 1.02973 3.74354 3 P1180142.JPG

4 1 0 0 0 0 0 0 2 P1180143.JPG
1190.83 663.957 23056
"""


def _write(folder: Path, cameras: str = CAMERAS, images: str = IMAGES) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "cameras.txt").write_text(cameras)
    (folder / "images.txt").write_text(images)
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return _write(tmp_path / "sparse")


class TestReading:
    @pytest.mark.parametrize("file", ["", "cameras.txt", "images.txt"])
    def test_the_example_of_the_documentation(self, file: str, model: Path) -> None:
        rig = load_rig(model / file, unit="m")
        assert rig.names == ("P1180141", "P1180142", "P1180143")
        assert {camera.size for camera in rig} == {(3072, 2304)}
        first, second, third = rig
        # The principal point (1536, 1152) of an image of 3072 x 2304 is its middle: here (1535.5, 1151.5).
        np.testing.assert_array_equal(first.lens.camera_matrix, [[2559.81, 0, 1535.5], [0, 2559.81, 1151.5], [0, 0, 1]])
        assert second.lens.coefficients.tolist() == [-0.0218531, 0.0, 0.0, 0.0]
        assert third.cam_from_world.matrix.tolist() == np.eye(4).tolist()
        # "The coordinates of the camera center are given by -R^t * T"
        pose = first.cam_from_world
        np.testing.assert_allclose(first.center, -pose.rotation.T @ [-0.737434, 1.02973, 3.74354])

    def test_the_quaternion_begins_with_its_real_part(self, tmp_path: Path) -> None:
        half = np.sqrt(0.5)
        images = f"1 {half} 0 0 {half} 1 2 3 1 a.png\n\n"  # a quarter turn about z takes x to y
        (camera,) = load_rig(_write(tmp_path / "m", images=images), unit="m")
        np.testing.assert_allclose(camera.cam_from_world([1.0, 0.0, 0.0]), [1.0, 3.0, 3.0], atol=1e-15)

    def test_the_unit_is_assumed_unless_a_comment_says_it(self, model: Path) -> None:
        with pytest.warns(SuiteWarning, match="mm is assumed"):
            assert load_rig(model).unit == "mm"
        _write(model, cameras=f"# unit: cm\n{CAMERAS}")
        assert load_rig(model).unit == "cm"
        with pytest.raises(MismatchError, match="'cm' in the file"):
            load_rig(model, unit="mm")

    # Pixels of pycolmap 4.2.1, `Camera.img_from_cam([0.3, -0.2, 1])`, minus half a pixel.
    @pytest.mark.parametrize(
        ("lens", "pixel"),
        [
            ("SIMPLE_PINHOLE 1280 720 900 640 360", (909.5, 179.5)),
            ("SIMPLE_RADIAL 1280 720 900 640 360 -0.1", (905.99, 181.84)),
            ("RADIAL 1280 720 900 640 360 -0.1 0.02", (906.08126, 181.779160)),
            ("OPENCV 1280 720 900 910 640 360 -0.1 0.02 0.001 -0.002", (905.41526, 180.213984)),
            (
                "FULL_OPENCV 1280 720 900 910 640 360 -0.1 0.02 0.001 -0.002 0.01 0.02 -0.03 0.01",
                (904.858557940692, 180.589242425163),
            ),
            ("SIMPLE_FISHEYE 1280 720 900 640 360", (898.635605630982, 186.742929579345)),
            ("RADIAL_FISHEYE 1280 720 900 640 360 -0.05 0.01", (897.121210171040, 187.752526552640)),
            (
                "OPENCV_FISHEYE 1280 720 900 910 640 360 -0.1 0.02 0.001 -0.002",
                (895.607153117099, 186.864807898844),
            ),
        ],
    )
    def test_models_of_lenses(self, lens: str, pixel: tuple[float, float], tmp_path: Path) -> None:
        folder = _write(tmp_path / "m", cameras=f"1 {lens}\n", images="1 1 0 0 0 0 0 0 1 a.png\n\n")
        (camera,) = load_rig(folder, unit="m")
        np.testing.assert_allclose(camera.project([0.3, -0.2, 1.0]), pixel, rtol=0.0, atol=1e-9)

    def test_names_are_those_of_folders_where_images_have_none_of_their_own(self, tmp_path: Path) -> None:
        images = "".join(f"{n} 1 0 0 0 {n} 0 0 1 {side}/0001.png\n\n" for n, side in enumerate(["left", "top/b"]))
        assert load_rig(_write(tmp_path / "m", images=images), unit="m").names == ("left", "top/b")

    def test_images_of_a_camera_that_does_not_move_are_one(self, tmp_path: Path) -> None:
        images = "".join(f"{n} 1 0 0 0 0 0 0 1 left/{n}.png\n\n" for n in (1, 2, 3)) + "4 1 0 0 0 5 0 0 2 right/1.png\n"
        assert load_rig(_write(tmp_path / "m", images=images), unit="m").names == ("left", "right")

    @pytest.mark.parametrize(
        ("cameras", "images", "message"),
        [
            ("1 FOV 10 10 9 9 5 5 0.1", IMAGES, r"cameras.txt, line 1: expected one of the models SIMPLE_PINHOLE"),
            ("1 PINHOLE 10 10 9 9 5", IMAGES, r"cameras.txt, line 1: expected 4 numbers fx, fy, cx, cy for PINHOLE"),
            ("1 PINHOLE 10 10 9 9 5 x", IMAGES, r"cameras.txt, line 1"),
            ("1 PINHOLE -10 10 9 9 5 5", IMAGES, r"cameras.txt, line 1: expected CAMERA_ID, MODEL"),
            ("1 PINHOLE 10 10 9 9 5 5\n" * 2, IMAGES, "line 2: expected the CAMERA_ID 1 only once"),
            ("1 PINHOLE 10 10 -9 9 5 5", IMAGES, "camera 'P1180141'"),
            ("# nothing", IMAGES, "cameras.txt: expected at least one camera"),
            (CAMERAS, "# nothing", "images.txt: expected at least one image"),
            (CAMERAS, "1 0 0 0 0 1 2 3 1 a.png", "images.txt, line 1: expected a quaternion"),
            (CAMERAS, "1 1 0 0 0 1 2 nan 1 a.png", "images.txt, line 1: expected a quaternion"),
            (CAMERAS, "1 1 0 0 0 1 2 3 1", "images.txt, line 1: expected IMAGE_ID, QW"),
            (CAMERAS, "1 1 0 0 0 1 2 3 7 a.png", r"image 'a.png': expected a CAMERA_ID that is in cameras.txt, got 7"),
            (CAMERAS, "1 1 0 0 0 1 2 3 1 a.png\n\n2 1 0 0 0 1 2 4 1 a.png", "a: expected|repeated"),
            ("", IMAGES, "an empty file"),
        ],
    )
    def test_what_is_wrong_is_said(self, cameras: str, images: str, message: str, tmp_path: Path) -> None:
        with pytest.raises(FileFormatError, match=message) as caught:
            load_rig(_write(tmp_path / "m", cameras, images), format="colmap", unit="m")
        assert str(tmp_path / "m") in str(caught.value)

    def test_a_binary_model(self, tmp_path: Path) -> None:
        (tmp_path / "cameras.bin").touch()
        with pytest.raises(FileFormatError, match="colmap model_converter --output_type TXT"):
            load_rig(tmp_path, format="colmap")


class TestWriting:
    def test_lenses_are_the_first_model_that_holds_them(
        self, tmp_path: Path, make_camera: Callable[..., Camera]
    ) -> None:
        cameras = [make_camera(f"c{count}", count, count=count) for count in (0, 4, 5, 8)]
        save_rig(Rig((*cameras, make_camera("fish", 1, fisheye=True))), tmp_path / "m", format="colmap")
        lines = [line.split() for line in (tmp_path / "m/cameras.txt").read_text().splitlines() if line[0] != "#"]
        assert [line[1] for line in lines] == ["PINHOLE", "OPENCV", "FULL_OPENCV", "FULL_OPENCV", "OPENCV_FISHEYE"]
        assert lines[0][6:] == ["639.8", "362.4"]  # half a pixel more than the camera's

    def test_every_image_has_its_line_of_points(self, tmp_path: Path, rig: Rig) -> None:
        """COLMAP drops an image at the end of the file without one (seen with pycolmap 4.2.1)."""
        save_rig(rig, tmp_path / "m", format="colmap")
        assert (tmp_path / "m/images.txt").read_text().endswith("3 cam_2.png\n\n")

    def test_a_name_that_colmap_would_cut(self, tmp_path: Path, make_camera: Callable[..., Camera]) -> None:
        with pytest.raises(InvalidValueError, match="camera 'view 1': expected a name without spaces"):
            save_rig(Rig((make_camera("view 1", 1),)), tmp_path / "m", format="colmap")

    def test_nothing_is_written_into_a_model(self, model: Path, rig: Rig) -> None:
        with pytest.raises(OutputError, match="a new or empty folder"):
            save_rig(rig, model, format="colmap")
        assert (model / "cameras.txt").read_text() == CAMERAS

    def test_colmap_itself_reads_it(self, tmp_path: Path, make_camera: Callable[..., Camera]) -> None:
        pycolmap = pytest.importorskip("pycolmap")
        cameras = [make_camera(f"c{count}", count, count=count) for count in (0, 4, 5)]
        rig = Rig((*cameras, make_camera("fish", 1, fisheye=True)))
        save_rig(rig, tmp_path / "m", format="colmap")
        images = pycolmap.Reconstruction(tmp_path / "m").images.values()
        assert {image.name for image in images} == {f"{name}.png" for name in rig.names}
        for image in images:
            camera = rig[image.name.removesuffix(".png")]
            point = camera.cam_from_world.inverse()([30.0, -20.0, 100.0])
            np.testing.assert_allclose(image.project_point(point) - 0.5, camera.project(point), atol=1e-9)
