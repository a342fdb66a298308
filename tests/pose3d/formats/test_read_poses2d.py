"""`load_poses2d`: cameras are found by name, rows by frame number, keypoints and individuals by name."""

import json
import os
import warnings
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from calibration.camera import Camera
from calibration.errors import FileFormatError, InvalidValueError, MismatchError, SuiteWarning
from calibration.extensions import collect as collect_all
from calibration.lens import BrownConrady
from calibration.rig import Rig
from calibration.transforms import RigidTransform
from pose3d.datasets import POSES2D, poses2d
from pose3d.formats import FORMATS, PoseFormat, load_poses2d, save_session

SIZE = (640, 480)


def rig(*names: str, size: tuple[int, int] = SIZE, **metadata: object) -> Rig:
    matrix = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])
    pose = RigidTransform(np.eye(3), np.zeros(3))
    cameras = tuple(Camera(name, size, BrownConrady(matrix, np.zeros(0)), pose) for name in names)
    return Rig(cameras, metadata=metadata)


def table(
    frames: range | list[int] = range(5), keypoints: str = "ab", individuals: tuple[str, ...] = (), seed: int = 0
) -> pd.DataFrame:
    """A DeepLabCut table."""
    levels = [["net"], list(keypoints), ["x", "y", "likelihood"]]
    names = ["scorer", "bodyparts", "coords"]
    if individuals:
        levels.insert(1, list(individuals))
        names.insert(1, "individuals")
    columns = pd.MultiIndex.from_product(levels, names=names)
    values = np.random.default_rng(seed).random((len(frames), len(columns)))
    return pd.DataFrame(values, columns=columns, index=list(frames))


def write(path: Path, content: pd.DataFrame | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (table() if content is None else content).to_csv(path)
    return path


def session(folder: Path, **tables: pd.DataFrame) -> Path:
    for name, content in tables.items():
        write(folder / f"{name}.csv", content)
    return folder


def position(
    poses: xr.Dataset, frame: int, camera: str, keypoint: str, individual: str = "individual_0"
) -> list[float]:
    at = poses.position.sel(camera=camera, keypoint=keypoint, individual=individual)
    return at.values[int(np.flatnonzero(poses.frame.values == frame)[0])].tolist()


def expected(content: pd.DataFrame, frame: int, *name: str) -> list[float]:
    return [content.at[frame, ("net", *name, axis)] for axis in "xy"]


# Where the poses are


def test_a_folder_of_files(tmp_path: Path) -> None:
    tables = {f"cam_{number}": table(seed=number) for number in (10, 9, 1, 2)}
    poses = load_poses2d(session(tmp_path, **tables), rig=rig("cam_1", "cam_2", "cam_9", "cam_10"))
    assert poses.camera.values.tolist() == ["cam_1", "cam_2", "cam_9", "cam_10"]
    assert poses.position.dims == POSES2D.variables["position"].dims
    for name, content in tables.items():
        assert position(poses, 3, name, "b") == expected(content, 3, "b")


def test_the_order_of_the_rig_is_kept_and_files_are_found_by_name(tmp_path: Path) -> None:
    back, top = table(seed=1), table(seed=2)
    folder = session(tmp_path, back=back, top=top)
    poses = load_poses2d(folder, rig=rig("top", "back"))
    assert poses.camera.values.tolist() == ["top", "back"]
    assert position(poses, 0, "back", "a") == expected(back, 0, "a")


def test_folders_per_camera(tmp_path: Path) -> None:
    write(tmp_path / "back" / "poses" / "mouse.csv", table(seed=1))
    write(tmp_path / "top" / "poses" / "mouse.csv", table(seed=2))
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    (tmp_path / "back" / "video.mp4").write_bytes(b"\x00" * 100)
    assert load_poses2d(tmp_path, rig=rig("top", "back")).camera.values.tolist() == ["top", "back"]
    assert load_poses2d(tmp_path).camera.values.tolist() == ["back", "top"]


def test_a_list_of_files(tmp_path: Path) -> None:
    paths = [write(tmp_path / "b" / "right.csv"), str(write(tmp_path / "a" / "left.csv"))]
    assert load_poses2d(paths, rig=rig("left", "right")).sizes["camera"] == 2


@pytest.mark.parametrize("kind", ["mapping", "texts"])
def test_given_names_count(tmp_path: Path, kind: str) -> None:
    left, right = table(seed=1), table(seed=2)
    # The paths say the opposite.
    given = {"left": write(tmp_path / "right.csv", left), "right": write(tmp_path / "left.csv", right)}
    paths = given if kind == "mapping" else [f"{name}={path}" for name, path in given.items()]
    poses = load_poses2d(paths, rig=rig("left", "right"))
    assert position(poses, 1, "left", "a") == expected(left, 1, "a")
    assert load_poses2d(paths).camera.values.tolist() == ["left", "right"]


def test_a_path_may_have_an_equals_sign(tmp_path: Path) -> None:
    paths = [str(write(tmp_path / f"day=1 {name}.csv")) for name in ("left", "right")]
    assert load_poses2d(paths, rig=rig("left", "right")).sizes["camera"] == 2


def test_without_a_rig_cameras_are_called_by_what_distinguishes_the_paths(tmp_path: Path) -> None:
    folder = session(tmp_path, mouse_cam_1_take_3=table(), mouse_cam_2_take_3=table())
    assert load_poses2d(folder).camera.values.tolist() == ["cam_1", "cam_2"]


def test_a_single_file_without_a_rig(tmp_path: Path) -> None:
    poses = load_poses2d(write(tmp_path / "mouse.csv"), frame_rate=5.0)
    assert poses.camera.values.tolist() == ["mouse"]
    assert poses.time.values.tolist() == [0, 0.2, 0.4, 0.6, 0.8]


def test_the_csv_beside_the_same_h5_is_left_out_which_is_said(tmp_path: Path) -> None:
    pytest.importorskip("tables")
    for seed, name in enumerate(("left", "right")):
        write(tmp_path / f"{name}.csv", table(seed=seed))
        with warnings.catch_warnings(action="ignore"):
            table(seed=seed).to_hdf(tmp_path / f"{name}.h5", key="df_with_missing")
    with pytest.warns(SuiteWarning, match=r"(left|right)\.csv: left out; the h5 file"):
        poses = load_poses2d(tmp_path, rig=rig("left", "right"))
    assert poses.attrs["source_file"].endswith("right.h5")


def test_hidden_files_are_no_poses(tmp_path: Path) -> None:
    folder = session(tmp_path, left=table(), right=table())
    write(tmp_path / "._left.csv")
    assert load_poses2d(folder, rig=rig("left", "right")).sizes["camera"] == 2


# Which camera


def test_a_rig_that_lacks_a_camera_leaves_it_out(tmp_path: Path) -> None:
    folder = session(tmp_path, left=table(), right=table(), top=table())
    with pytest.warns(
        SuiteWarning, match=r"the rig has no camera for .*top\.csv; left out \(its cameras are left, right"
    ):
        poses = load_poses2d(folder, rig=rig("left", "right"))
    assert poses.camera.values.tolist() == ["left", "right"]


def test_cameras_of_the_rig_without_poses_are_named(tmp_path: Path) -> None:
    folder = session(tmp_path, left=table(), right=table())
    with pytest.warns(SuiteWarning, match="none for the cameras top, back of the rig"):
        poses = load_poses2d(folder, rig=rig("left", "top", "right", "back"))
    assert poses.camera.values.tolist() == ["left", "right"]


@pytest.mark.parametrize("names", [("left", "top"), ("top", "back"), ("cam_1", "cam_2")])
def test_fewer_than_two_cameras_of_the_rig(tmp_path: Path, names: tuple[str, ...]) -> None:
    folder = session(tmp_path, left=table(), right=table())
    with pytest.raises(
        MismatchError, match=rf"at least two of the rig's cameras: {', '.join(names)}.*right\.csv.*NAME=PATH"
    ):
        load_poses2d(folder, rig=rig(*names))


def test_two_files_for_one_camera(tmp_path: Path) -> None:
    write(tmp_path / "left" / "a.csv")
    write(tmp_path / "left" / "b.csv")
    write(tmp_path / "right" / "a.csv")
    with pytest.raises(
        MismatchError, match=r"camera 'left': expected one file per camera, got 2: .*a\.csv, .*b\.csv\. .*left=.*a\.csv"
    ):
        load_poses2d(tmp_path, rig=rig("left", "right"))


def test_a_path_with_the_names_of_two_cameras(tmp_path: Path) -> None:
    paths = [write(tmp_path / "left" / "right.csv"), write(tmp_path / "top" / "a.csv")]
    with pytest.raises(
        MismatchError, match=r"right\.csv: expected the name of one camera .*'left', 'right'.*left=.*right\.csv"
    ):
        load_poses2d(paths, rig=rig("left", "right", "top"))


def test_a_name_that_is_in_every_path_tells_nothing(tmp_path: Path) -> None:
    folder = session(tmp_path, take_2_cam_1=table(), take_2_cam_3=table())
    assert load_poses2d(folder, rig=rig("1", "3")).sizes["camera"] == 2
    with pytest.warns(SuiteWarning, match="none for the cameras 2 of the rig"):
        assert load_poses2d(folder, rig=rig("1", "2", "3")).camera.values.tolist() == ["1", "3"]


def test_paths_that_nothing_distinguishes(tmp_path: Path) -> None:
    for part in ("a/x", "b/x", "a/y"):
        write(tmp_path / f"{part}.csv")
    with pytest.raises(MismatchError, match=r"expected paths that differ in the camera's name.*NAME=PATH"):
        load_poses2d([tmp_path / f"{part}.csv" for part in ("a/x", "b/x", "a/y")])


def test_a_name_for_a_folder_with_several_files(tmp_path: Path) -> None:
    folder = session(tmp_path, left=table(), right=table())
    with pytest.raises(
        MismatchError, match=r"for camera 'left': expected the poses of one camera, got 2 files: left\.csv"
    ):
        load_poses2d([f"left={folder}"])


# Uneven input


def test_frame_numbers_decide_and_never_row_positions(tmp_path: Path) -> None:
    left, right, top = table(range(3, 9), seed=1), table(range(6), seed=2), table([0, 4, 8], seed=3)
    folder = session(tmp_path, left=left, right=right, top=top)
    with pytest.warns(SuiteWarning) as told:
        poses = load_poses2d(folder, rig=rig("left", "right", "top"))
    assert poses.frame.values.tolist() == [0, 3, 4, 5, 8]
    assert position(poses, 4, "left", "a") == expected(left, 4, "a")
    assert position(poses, 4, "top", "a") == expected(top, 4, "a")
    assert np.isnan(position(poses, 0, "left", "a")).all()
    texts = [str(warning.message) for warning in told]
    assert "2D poses: frames that only one camera has are left out ('left': 6-7; 'right': 1-2)" in texts
    assert any("missing in some cameras ('left' 1: 0; 'right' 1: 8; 'top' 2: 3, 5)" in text for text in texts)


def test_keypoints_meet_by_name(tmp_path: Path) -> None:
    left, right, top = table(keypoints="abc", seed=1), table(keypoints="cad", seed=2), table(keypoints="ea", seed=3)
    folder = session(tmp_path, left=left, right=right, top=top)
    with (
        pytest.warns(SuiteWarning, match=r"keypoints that some cameras lack \('top': c\)"),
        pytest.warns(
            SuiteWarning, match=r"keypoints that only one camera has are left out \('left': b; 'right': d; 'top': e\)"
        ),
    ):
        poses = load_poses2d(folder, rig=rig("left", "right", "top"))
    assert poses.keypoint.values.tolist() == ["a", "c"]
    assert position(poses, 2, "right", "c") == expected(right, 2, "c")
    assert np.isnan(position(poses, 2, "top", "c")).all()
    assert (poses.confidence.sel(camera="top", keypoint="c") == 0).all()


def test_individuals_meet_by_name(tmp_path: Path) -> None:
    left = table(individuals=("m1", "m2"), seed=1)
    right = table(individuals=("m3", "m2", "m1"), seed=2)
    folder = session(tmp_path, left=left, right=right)
    with pytest.warns(SuiteWarning, match=r"individuals that only one camera has are left out \('right': m3\)"):
        poses = load_poses2d(folder, rig=rig("left", "right"))
    assert poses.individual.values.tolist() == ["m1", "m2"]
    assert position(poses, 2, "right", "a", "m1") == expected(right, 2, "m1", "a")


def test_the_only_individual_of_every_camera_is_the_same(tmp_path: Path) -> None:
    folder = session(tmp_path, left=table(individuals=("track_0",)), right=table())
    with pytest.warns(
        SuiteWarning, match="one individual in every camera, called individual_0, track_0; it is taken for"
    ):
        poses = load_poses2d(folder, rig=rig("left", "right"))
    assert poses.individual.values.tolist() == ["individual_0"]
    assert np.isfinite(poses.position).all()


def test_nothing_in_common(tmp_path: Path) -> None:
    folder = session(tmp_path, left=table(range(3)), right=table(range(3, 6)))
    with pytest.raises(MismatchError, match=r"frames: .*none in common \('left': 0-2; 'right': 3-5\)"):
        load_poses2d(folder, rig=rig("left", "right"))
    folder = session(tmp_path, left=table(), right=table(keypoints="cd"))
    with pytest.raises(MismatchError, match=r"keypoints: .*none in common \('left': a, b; 'right': c, d\)"):
        load_poses2d(folder, rig=rig("left", "right"))


def test_variances_come_along(tmp_path: Path) -> None:
    content = table()
    for keypoint in "ab":
        for axis, variance in (("x", 4.0), ("y", 9.0)):
            content[("net", keypoint, f"{axis}_posterior_var")] = variance
    folder = session(tmp_path, left=content, right=table())
    poses = load_poses2d(folder, rig=rig("left", "right"))
    assert poses.covariance.sel(camera="left").isel(time=0, individual=0, keypoint=1).values.tolist() == [
        [4, 0],
        [0, 9],
    ]
    assert np.isnan(poses.covariance.sel(camera="right")).all()


# Frame rates and images


def dataset(
    camera: str, *, rate: float | None = None, size: tuple[int, int] | None = None, scale: float = 400
) -> xr.Dataset:
    return poses2d(
        np.random.default_rng(0).random((5, 1, 1, 2, 2)) * scale,
        cameras=[camera],
        individuals=["m"],
        keypoints=["a", "b"],
        frame_rate=rate,
        image_size=None if size is None else [size],
    )


def files(folder: Path, *datasets: xr.Dataset) -> Path:
    for one in datasets:
        save_session(folder / f"{one.camera.values[0]}.nc", poses2d=one)
    return folder


def test_the_frame_rate_of_the_files(tmp_path: Path) -> None:
    folder = files(tmp_path, dataset("left", rate=50), dataset("right", rate=50))
    poses = load_poses2d(folder, rig=rig("left", "right"))
    assert poses.attrs["fps"] == 50
    assert float(poses.time[1]) == 0.02
    with pytest.warns(SuiteWarning, match="the files say 50 frames per second; the given 25 are used"):
        assert float(load_poses2d(folder, frame_rate=25).time[1]) == 0.04


def test_frame_rates_that_differ(tmp_path: Path) -> None:
    folder = files(tmp_path, dataset("left", rate=50), dataset("right", rate=60))
    with pytest.raises(MismatchError, match="same frame rate in all cameras, got 50 in 'left', 60 in 'right'"):
        load_poses2d(folder, rig=rig("left", "right"))


@pytest.mark.parametrize("rate", [0, -5, np.nan, np.inf])
def test_a_senseless_frame_rate(tmp_path: Path, rate: float) -> None:
    folder = session(tmp_path, left=table(), right=table())
    with pytest.raises(InvalidValueError, match="frame rate"):
        load_poses2d(folder, frame_rate=rate)


def test_images_of_another_size_than_the_calibration(tmp_path: Path) -> None:
    folder = files(tmp_path, dataset("left", size=SIZE), dataset("right", size=(1280, 960)))
    with pytest.raises(
        MismatchError, match=r"camera 'right': expected images of 640 x 480 pixels.*got 1280 x 960. Calibrate"
    ):
        load_poses2d(folder, rig=rig("left", "right"))
    load_poses2d(folder, rig=rig("left", "right", assumed_image_size=["right"]))


def test_positions_far_outside_the_images(tmp_path: Path) -> None:
    folder = files(tmp_path, dataset("left"), dataset("right", scale=2000))
    with pytest.warns(
        SuiteWarning,
        match=r"camera 'right': \d+% of the positions lie far outside .*640 x 480.*cropped, resized or rotated",
    ):
        load_poses2d(folder, rig=rig("left", "right"))
    load_poses2d(folder, rig=rig("left", "right", assumed_image_size=["right"]))
    load_poses2d(folder)


def test_a_few_positions_outside_are_nothing_special(tmp_path: Path) -> None:
    content = table(range(200))
    content.iloc[5, 0] = 5000.0
    load_poses2d(session(tmp_path, left=content, right=table(range(200))), rig=rig("left", "right"))


# Values


def test_nan_everywhere(tmp_path: Path) -> None:
    nothing = table().astype(float)
    nothing[:] = np.nan
    folder = session(tmp_path, left=nothing, right=nothing)
    with pytest.raises(
        InvalidValueError, match=r"left\.csv; .*right\.csv: expected at least one position, got NaN everywhere"
    ):
        load_poses2d(folder, rig=rig("left", "right"))
    with pytest.warns(SuiteWarning, match="no position at all in camera 'left'"):
        load_poses2d(session(tmp_path, right=table()), rig=rig("left", "right"))


def test_infinite_values_name_the_file(tmp_path: Path) -> None:
    content = table()
    content.iloc[0, 0] = np.inf
    with pytest.raises(InvalidValueError, match=r"left\.csv"):
        load_poses2d(session(tmp_path, left=content, right=table()), rig=rig("left", "right"))


# Formats


def test_every_format_has_a_name_of_its_own_and_a_description() -> None:
    tools = {"anipose", "deeplabcut", "label3d", "lightning-pose", "openpose", "sleap", "sleap-analysis"}
    assert set(FORMATS) == tools | {"corners-csv", "netcdf"}
    for name, known in FORMATS.items():
        assert known.name == name
        assert known.description


def test_an_unknown_format(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match=r"format: expected one of netcdf, .*got 'dlc'"):
        load_poses2d(tmp_path, format="dlc")


def test_the_format_that_is_named_is_read(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="expected OpenPose JSON"):
        load_poses2d(write(tmp_path / "a 1.csv"), format="openpose")


def test_a_file_in_no_format(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("time,x\n0,1\n")
    with pytest.raises(
        FileFormatError, match=r"a\.csv: expected 2D poses in one of the formats netcdf, .*begins with b'time,x"
    ):
        load_poses2d(tmp_path / "a.csv")
    (tmp_path / "b.csv").touch()
    with pytest.raises(FileFormatError, match=r"b\.csv: .*got an empty file"):
        load_poses2d(tmp_path / "b.csv")
    with h5py.File(tmp_path / "c.h5", "w"):
        pass
    with pytest.raises(FileFormatError, match=r"c\.h5: .*an HDF5 file that is cut off or has no 2D poses"):
        load_poses2d(tmp_path / "c.h5")


def test_a_folder_without_poses(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"expected a folder with 2D poses.*got an empty folder"):
        load_poses2d(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(FileFormatError, match=r"got a folder with notes\.txt"):
        load_poses2d(tmp_path)


def test_a_missing_path_or_none(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"a\.csv: expected a file or folder of 2D poses, got no such file"):
        load_poses2d(tmp_path / "a.csv")
    with pytest.raises(FileFormatError, match="got an empty list of paths"):
        load_poses2d([])


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read every file")
    with pytest.raises(FileFormatError, match="Permission denied"):
        load_poses2d(path)


def test_keypoints_are_named_only_where_the_file_does_not(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match=r"keypoints: expected none for .*deeplabcut name their keypoints"):
        load_poses2d(write(tmp_path / "a.csv"), keypoints=["a", "b"])


def test_openpose_models_must_agree(tmp_path: Path) -> None:
    for camera, eyes in (("left", (1, 2)), ("right", (15, 16))):
        pose = np.column_stack([np.arange(1.0, 26) * 40, np.full(25, 9.0), np.full(25, 0.5)])
        pose[list(eyes), 0] = 44
        (tmp_path / camera).mkdir()
        (tmp_path / camera / "0.json").write_text(
            json.dumps({"people": [{"pose_keypoints_2d": pose.ravel().tolist()}]})
        )
    with pytest.raises(MismatchError, match=r"body_25b in 'left', body_25 in 'right'\. Say which it is"):
        load_poses2d(tmp_path, rig=rig("left", "right"))
    assert load_poses2d(tmp_path, keypoints="body_25").sizes["keypoint"] == 25


class Entry:
    """An entry point of another package."""

    name, value, group = "mine", "package:FORMAT", "pose3d.pose_formats"

    def __init__(self, found: object) -> None:
        self.found = found

    def load(self) -> object:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


def other(name: str) -> PoseFormat:
    return PoseFormat(name, "of another package", (".x",), lambda _: False, lambda _: xr.Dataset())


def collect(*found: object) -> dict[str, PoseFormat]:
    return collect_all(PoseFormat, FORMATS.values(), [Entry(one) for one in found])


def test_packages_add_formats() -> None:
    assert set(collect(other("mine"))) == {*FORMATS, "mine"}
    with pytest.warns(SuiteWarning, match=r"PoseFormat 'mine' \(package:FORMAT\) left out: no module"):
        assert set(collect(ImportError("no module"))) == set(FORMATS)
    with pytest.raises(InvalidValueError, match="name of its own, got 'openpose', which is already there"):
        collect(other("openpose"))
    with pytest.raises(InvalidValueError, match="expected a PoseFormat, got package:FORMAT, a str"):
        collect("text")


# This project's own files


def whole(cameras: tuple[str, ...] = ("left", "right", "top"), frames: int = 6) -> xr.Dataset:
    rng = np.random.default_rng(5)
    shape = (frames, len(cameras), 2, 3)
    return poses2d(
        rng.random((*shape, 2)) * 400,
        rng.random(shape),
        cameras=cameras,
        individuals=["m", "n"],
        keypoints=["a", "b", "c"],
        frame_rate=20.0,
    )


def test_a_file_of_all_cameras_is_opened_and_not_loaded(tmp_path: Path) -> None:
    poses = whole(frames=50_000)
    save_session(tmp_path / "all.nc", poses2d=poses)
    with warnings.catch_warnings(action="ignore"):
        loaded = load_poses2d(tmp_path / "all.nc", rig=rig("top", "left"))
    with loaded:
        assert not loaded.position.variable._in_memory
        assert loaded.camera.values.tolist() == ["top", "left"]
        np.testing.assert_array_equal(
            loaded.position.isel(time=slice(40, 50)),
            poses.position.sel(camera=["top", "left"]).isel(time=slice(40, 50)),
        )


def test_a_file_of_all_cameras_with_another_frame_rate(tmp_path: Path) -> None:
    save_session(tmp_path / "all.nc", poses2d=whole())
    with pytest.warns(SuiteWarning, match="the given 10 are used"):
        loaded = load_poses2d(tmp_path / "all.nc", frame_rate=10)
    with loaded:
        assert loaded.attrs["fps"] == 10
        assert loaded.time.values.tolist() == [0, 0.1, 0.2, 0.3, 0.4, 0.5]
        assert loaded.camera.values.tolist() == ["left", "right", "top"]


def test_names_in_the_file_are_matched_to_the_rig(tmp_path: Path) -> None:
    save_session(tmp_path / "all.nc", poses2d=whole(("cam_1", "cam_2", "cam_10")))
    with load_poses2d(tmp_path / "all.nc", rig=rig("Camera01", "Camera02", "Camera10")) as loaded:
        assert loaded.camera.values.tolist() == ["Camera01", "Camera02", "Camera10"]
    with pytest.raises(MismatchError, match=r"camera 'cam_1' of .*all.nc"):
        load_poses2d(tmp_path / "all.nc", rig=rig("left", "right"))


def test_a_name_for_a_file_that_names_its_cameras(tmp_path: Path) -> None:
    save_session(tmp_path / "all.nc", poses2d=whole())
    with pytest.raises(
        MismatchError, match=r"all\.nc for camera 'left': .*got those of 3 cameras, which the file names"
    ):
        load_poses2d(f"left={tmp_path / 'all.nc'}")


def test_a_truncated_netcdf_file(tmp_path: Path) -> None:
    save_session(tmp_path / "all.nc", poses2d=whole())
    data = (tmp_path / "all.nc").read_bytes()
    (tmp_path / "all.nc").write_bytes(data[: len(data) // 2])
    with pytest.raises(FileFormatError, match=r"all\.nc"):
        load_poses2d(tmp_path / "all.nc")
    with pytest.raises(FileFormatError, match=r"all\.nc"):
        load_poses2d(tmp_path / "all.nc", format="netcdf")


def test_a_name_that_contradicts_the_camera_in_the_file(tmp_path: Path) -> None:
    for file, inside in (("left", "right"), ("right", "left")):
        save_session(tmp_path / f"{file}.nc", poses2d=whole((inside,)))
    paths = [tmp_path / "left.nc", tmp_path / "right.nc"]
    with pytest.warns(SuiteWarning, match=r"named like camera '(left|right)', but the file says '(left|right)'"):
        load_poses2d(paths, rig=rig("left", "right"))
    with pytest.warns(
        SuiteWarning, match=r"(left|right)\.nc: the file says camera '.*'; it is taken for '.*', as given"
    ):
        load_poses2d([f"left={paths[0]}", f"right={paths[1]}"], rig=rig("left", "right"))
    load_poses2d([f"right={paths[0]}", f"left={paths[1]}"], rig=rig("left", "right"))


@pytest.mark.parametrize(("variable", "value"), [("position", np.inf), ("confidence", 1.5)])
def test_values_of_a_netcdf_file_that_are_out_of_range(tmp_path: Path, variable: str, value: float) -> None:
    poses = whole()
    poses[variable][0, 1] = value
    save_session(tmp_path / "all.nc", poses2d=poses)
    with pytest.raises(InvalidValueError, match=rf"all\.nc, '{variable}'"):
        load_poses2d(tmp_path / "all.nc").load()


def test_a_file_without_frames(tmp_path: Path) -> None:
    save_session(tmp_path / "all.nc", poses2d=whole().isel(time=[]))
    with pytest.raises(InvalidValueError, match=r"expected at least one frame.*got no frame"):
        load_poses2d(tmp_path / "all.nc")


def test_a_rig_of_one_camera(tmp_path: Path) -> None:
    with pytest.raises(MismatchError, match="rig: expected at least two cameras, got one, 'left'"):
        load_poses2d(session(tmp_path, left=table(), right=table()), rig=rig("left"))


def test_a_pdf(tmp_path: Path) -> None:
    (tmp_path / "paper.pdf").write_bytes(b"%PDF-1.7 text")
    with pytest.raises(FileFormatError, match="got a PDF"):
        load_poses2d(tmp_path / "paper.pdf")
