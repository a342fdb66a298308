"""A rig finds its cameras by name and survives as a Dataset, in memory and in netCDF."""

import pickle
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from calibration.camera import Camera
from calibration.errors import InvalidValueError, MismatchError
from calibration.lens import BrownConrady, Fisheye
from calibration.rig import Rig
from calibration.transforms import RigidTransform

MATRIX = np.array([[900.0, 0.5, 640.0], [0.0, 880.0, 360.0], [0.0, 0.0, 1.0]])
COEFFICIENTS = np.array([-0.2, 0.1, 1e-3, -2e-3, 0.02, 0.1, -0.05, 0.01, 1e-3, -2e-3, 1e-3, 2e-3, 0.02, -0.03])


def make_camera(name: str, count: int | None = 5, number: int = 0) -> Camera:
    lens = Fisheye(MATRIX, [0.1, 0.01, 0, 0]) if count is None else BrownConrady(MATRIX, COEFFICIENTS[:count])
    return Camera(
        name, (1280, 720 + number), lens, RigidTransform.from_rotation_vector([0.1, number, 0], [number, 0, 9])
    )


@pytest.fixture
def rig() -> Rig:
    names = ("cam_2", "cam_10", "top view", "Übersicht", "5", "f", "g")
    counts = (0, 4, 5, 8, 12, 14, None)
    return Rig(
        tuple(make_camera(name, count, i) for i, (name, count) in enumerate(zip(names, counts, strict=True))), unit="m"
    )


def test_cameras_keep_the_given_order_and_are_found_by_name(rig: Rig) -> None:
    assert rig.names == ("cam_2", "cam_10", "top view", "Übersicht", "5", "f", "g")
    assert [camera.name for camera in rig] == list(rig.names)
    assert len(rig) == 7
    assert rig["cam_10"].name == "cam_10"


def test_selection_follows_the_given_order(rig: Rig) -> None:
    assert rig.select(["5", "cam_2"]).names == ("5", "cam_2")
    assert rig.select(["5"]).unit == "m"
    assert rig.select(iter(["5"])).names == ("5",)


@pytest.mark.parametrize("name", ["cam_1", "", "CAM_2", 0, None])
def test_an_unknown_camera_is_named_beside_the_known_ones(rig: Rig, name: object) -> None:
    with pytest.raises(MismatchError, match=rf"^camera '{name}': expected .*cam_2, cam_10, .*, got .+\. .+"):
        rig[name]
    with pytest.raises(MismatchError):
        rig.select(["cam_2", name])


def test_projection_has_a_camera_axis(rig: Rig) -> None:
    pixels = rig.project(np.zeros((4, 5, 3)))
    assert pixels.shape == (4, 5, 7, 2)
    assert rig.project([0, 0, 0]).shape == (7, 2)
    assert rig.project(np.zeros((0, 3))).shape == (0, 7, 2)
    np.testing.assert_array_equal(pixels[0, 0, 1], rig["cam_10"].project([0, 0, 0]))
    with pytest.raises(InvalidValueError, match=r"^points: expected"):
        rig.project(np.zeros((4, 2)))


@pytest.mark.parametrize(
    ("cameras", "got"),
    [
        ((), "no camera"),
        ((make_camera("a"), make_camera("b"), make_camera("a", 4)), "repeated: a"),
        ((make_camera("a"), "b"), "a str among the cameras"),
        ((None,), "a NoneType among the cameras"),
    ],
)
def test_what_is_no_rig_is_refused(cameras: tuple[Camera, ...], got: str) -> None:
    with pytest.raises(InvalidValueError, match=r"^rig: expected .+, got .+\. .+") as caught:
        Rig(cameras)
    assert caught.value.got == got


@pytest.mark.parametrize("unit", ["", " ", None, 1.0])
def test_a_rig_has_a_unit(unit: object) -> None:
    with pytest.raises(InvalidValueError, match=r"^rig: expected .+ length unit, got the unit .+\. .+"):
        Rig((make_camera("a"),), unit=unit)


def test_selecting_nothing_or_one_camera_twice_is_refused(rig: Rig) -> None:
    with pytest.raises(InvalidValueError, match="no camera"):
        rig.select([])
    with pytest.raises(InvalidValueError, match="repeated: 5"):
        rig.select(["5", "5"])


def test_a_rig_is_a_value(rig: Rig) -> None:
    again = Rig(list(rig.cameras), unit="m", metadata={"tool": "another"})
    assert again == rig  # metadata say where it is from, not what it is
    assert hash(again) == hash(rig)
    assert rig != Rig(rig.cameras, unit="mm")
    assert rig != rig.select(rig.names[::-1])
    assert pickle.loads(pickle.dumps(rig)) == rig


def test_metadata_given_are_not_shared() -> None:
    metadata = {"error": 0.3}
    rig = Rig((make_camera("a"),), metadata=metadata)
    metadata["error"] = 5.0
    assert rig.metadata == {"error": 0.3}


def test_every_kind_of_lens_survives_as_a_dataset(rig: Rig) -> None:
    dataset = rig.to_dataset()
    assert dict(dataset.sizes)["camera"] == 7
    assert dataset["translation"].attrs["units"] == "m"
    back = Rig.from_dataset(dataset)
    assert back == rig
    assert [len(camera.lens.coefficients) for camera in back] == [0, 4, 5, 8, 12, 14, 4]


@pytest.mark.parametrize("engine", ["netcdf4"])
def test_a_rig_survives_in_a_netcdf_file(rig: Rig, tmp_path: Path, engine: str) -> None:
    stored = Rig(rig.cameras, unit=rig.unit, metadata={"error": 0.25, "frames": [1, 2], "note": "Übung"})
    stored.to_dataset().to_netcdf(tmp_path / "rig.nc", group="rig", engine=engine)
    with xr.open_dataset(tmp_path / "rig.nc", group="rig", engine=engine) as dataset:
        back = Rig.from_dataset(dataset)
    assert back == stored
    assert back.metadata == stored.metadata


def test_metadata_survive_as_plain_values() -> None:
    metadata = {
        "error": np.float32(0.5),
        "frames": np.arange(3),
        "count": np.int64(3),
        "date": date(2026, 1, 2),
        "missing": None,
        "nested": {"a": [True, "b"]},
    }
    back = Rig.from_dataset(Rig((make_camera("a"),), metadata=metadata).to_dataset())
    assert back.metadata == {
        "error": 0.5,
        "frames": [0, 1, 2],
        "count": 3,
        "date": "2026-01-02",
        "missing": None,
        "nested": {"a": [True, "b"]},
    }


@pytest.mark.parametrize("name", ["camera", "image_size", "lens_model", "camera_matrix", "distortion", "translation"])
def test_a_missing_variable_is_named(rig: Rig, name: str) -> None:
    with pytest.raises(InvalidValueError, match=rf"^rig Dataset: expected .+, got a Dataset without {name}\. .+"):
        Rig.from_dataset(rig.to_dataset().drop_vars(name))


def spoiled(rig: Rig, name: str, index: tuple[int, ...], value: object) -> xr.Dataset:
    dataset = rig.to_dataset()
    values = dataset[name].values.copy()
    if values.dtype.kind == "i" and isinstance(value, float):
        values = values.astype(float)
    values[index] = value
    dataset[name] = (dataset[name].dims, values)
    return dataset


@pytest.mark.parametrize(
    ("name", "index", "value", "part"),
    [
        ("image_size", (1, 0), -5, "size"),
        ("image_size", (1, 0), np.nan, "size"),
        ("lens_model", (1,), "thick", "lens model"),
        ("camera_matrix", (1, 0, 0), 0.0, "camera matrix"),
        ("camera_matrix", (1, 0, 0), np.nan, "camera matrix"),
        ("distortion", (1, 1), np.nan, "distortion"),  # a hole is not the end
        ("distortion", (1, 3), np.inf, "distortion"),
        ("distortion", (1, 3), np.nan, "distortion"),  # three coefficients
        ("rotation", (1, 0, 0), 7.0, "rotation"),
        ("rotation", (1, 0, 0), np.nan, "rotation"),
        ("translation", (1, 0), np.inf, "translation"),
    ],
)
def test_a_wrong_value_is_told_with_its_camera(
    rig: Rig, name: str, index: tuple[int, ...], value: object, part: str
) -> None:
    with pytest.raises(
        InvalidValueError, match=rf"^rig Dataset, camera 'cam_10', .*{part}.*: expected .+, got .+\. .+"
    ):
        Rig.from_dataset(spoiled(rig, name, index, value))


def test_a_hole_among_the_coefficients_does_not_make_another_lens(rig: Rig) -> None:
    # of five coefficients four are left, which is a count that lenses have
    with pytest.raises(InvalidValueError, match=r"^rig Dataset, camera 'top view', distortion coefficients: "):
        Rig.from_dataset(spoiled(rig, "distortion", (2, 1), np.nan))


def test_repeated_names_and_no_cameras_are_refused(rig: Rig) -> None:
    dataset = rig.to_dataset()
    with pytest.raises(InvalidValueError, match="repeated: a"):
        Rig.from_dataset(dataset.assign_coords(camera=["a", "a", "b", "c", "d", "e", "f"]))
    with pytest.raises(InvalidValueError, match="no camera"):
        Rig.from_dataset(dataset.isel(camera=slice(0, 0)))


def test_arrays_of_another_shape_are_refused(rig: Rig) -> None:
    dataset = rig.to_dataset()
    with pytest.raises(InvalidValueError, match="rig Dataset"):
        Rig.from_dataset(dataset.isel(row=slice(0, 2)))
    with pytest.raises(InvalidValueError, match="rig Dataset"):
        Rig.from_dataset(dataset.isel(axis=0))
    with pytest.raises(InvalidValueError, match="rig Dataset"):
        Rig.from_dataset(dataset.rename(camera="view"))
    with pytest.raises(InvalidValueError, match="rig Dataset"):
        Rig.from_dataset(dataset.isel(side=0))


@pytest.mark.parametrize("text", ["{", "[1]", "5", "", 3.5])
def test_broken_metadata_are_told(rig: Rig, text: object) -> None:
    dataset = rig.to_dataset()
    dataset.attrs["metadata"] = text
    with pytest.raises(InvalidValueError, match=r"^rig Dataset, attribute 'metadata': expected .+, got .*\. .+"):
        Rig.from_dataset(dataset)


def test_a_unit_is_never_assumed() -> None:
    dataset = Rig((make_camera("a"),), unit="m").to_dataset()
    del dataset.attrs["unit"]
    assert Rig.from_dataset(dataset).unit == "m"  # the translations have it too
    del dataset["translation"].attrs["units"]
    with pytest.raises(InvalidValueError, match="got the unit ''"):
        Rig.from_dataset(dataset)
