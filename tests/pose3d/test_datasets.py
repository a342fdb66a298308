"""Poses as Datasets: what the constructors make, and what they refuse."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from calibration.schema import Schema, check
from pose3d.datasets import (
    DETECTIONS,
    POSES2D,
    POSES3D,
    detections,
    flag_words,
    poses2d,
    poses2d_of_detections,
    poses3d,
    time_coordinates,
)

NAMES = {"cameras": ["top", "side"], "individuals": ["one"], "keypoints": ["nose", "tail", "paw"]}
NAMES3D = {"individuals": ["one", "two"], "keypoints": ["nose", "tail", "paw"]}


def pixels(frames: int = 4) -> NDArray[np.float64]:
    values = np.random.default_rng(0).uniform(0, 500, (frames, 2, 1, 3, 2))
    values[0, 0, 0, 0] = np.nan
    return values


def positions(frames: int = 4) -> NDArray[np.float64]:
    values = np.random.default_rng(0).uniform(0, 500, (frames, 3, 3, 2))
    values[0, :, 0, 0] = np.nan
    return values


class TestPoses2D:
    def test_it_follows_its_schema(self) -> None:
        dataset = poses2d(pixels(), np.full((4, 2, 1, 3), 0.5), **NAMES, image_size=[[640, 480], [np.nan, np.nan]])
        assert check(dataset, POSES2D) is dataset
        assert dataset["position"].dims == ("time", "camera", "individual", "keypoint", "space")
        assert list(dataset["space"].values) == ["x", "y"]
        assert list(dataset["camera"].values) == NAMES["cameras"]
        assert dataset["position"].attrs["units"] == "px"
        np.testing.assert_array_equal(dataset["position"], pixels())

    def test_confidence_is_one_where_a_position_is_given(self) -> None:
        half = pixels()
        half[1, 1, 0, 1, 0] = np.nan  # x alone is missing
        confidence = poses2d(half, **NAMES)["confidence"].values
        assert confidence[0, 0, 0, 0] == confidence[1, 1, 0, 1] == 0
        assert confidence.sum() == confidence.size - 2

    def test_with_a_frame_rate_time_is_in_seconds(self) -> None:
        dataset = poses2d(pixels(), **NAMES, frames=[0, 1, 5, 10], frame_rate=50)
        np.testing.assert_allclose(dataset["time"], [0, 0.02, 0.1, 0.2])
        np.testing.assert_array_equal(dataset["frame"], [0, 1, 5, 10])
        assert (dataset.attrs["fps"], dataset.attrs["time_unit"]) == (50.0, "seconds")
        assert dataset["time"].attrs["units"] == "s"

    def test_without_a_frame_rate_time_is_the_frame_number(self) -> None:
        dataset = poses2d(pixels(), **NAMES, frames=[3, 4, 5, 9])
        np.testing.assert_array_equal(dataset["time"], [3.0, 4, 5, 9])
        assert "fps" not in dataset.attrs
        assert dataset.attrs["time_unit"] == "frames"

    def test_frames_count_from_zero_by_default(self) -> None:
        np.testing.assert_array_equal(poses2d(pixels(), **NAMES)["frame"], [0, 1, 2, 3])

    def test_where_it_is_from_is_kept(self) -> None:
        dataset = poses2d(pixels(), **NAMES, source_software="DeepLabCut", source_file="a.h5")
        assert (dataset.attrs["source_software"], dataset.attrs["source_file"]) == ("DeepLabCut", "a.h5")
        assert dataset.attrs["ds_type"] == "poses"
        assert poses2d(pixels(), **NAMES).attrs["source_software"].startswith("pose3d ")

    def test_a_recording_without_frames_or_individuals_is_empty_and_whole(self) -> None:
        assert poses2d(np.zeros((0, 2, 1, 3, 2)), **NAMES).sizes["time"] == 0
        assert poses2d(np.zeros((0, 2, 1, 3, 2)), **NAMES, frames=[], frame_rate=30).sizes["time"] == 0
        assert poses2d(np.zeros((4, 2, 0, 3, 2)), **{**NAMES, "individuals": []}).sizes["individual"] == 0

    def test_it_survives_a_netcdf_file(self, tmp_path: Path) -> None:
        dataset = poses2d(pixels(), **NAMES, frame_rate=30, image_size=[[640, 480]] * 2)
        dataset.to_netcdf(tmp_path / "a.nc")
        with xr.open_dataset(tmp_path / "a.nc") as back:
            xr.testing.assert_identical(check(back.load(), POSES2D), dataset)

    @pytest.mark.parametrize(
        ("changes", "part"),
        [
            ({"position": np.zeros((4, 2, 1, 3, 3))}, "(n, 2, 1, 3, 2)"),
            ({"position": np.zeros((4, 3, 1, 2, 2))}, "(n, 2, 1, 3, 2)"),
            ({"position": np.zeros((2, 1, 3, 2))}, "(n, 2, 1, 3, 2)"),
            ({"position": []}, "(n, 2, 1, 3, 2)"),
            ({"position": [[1, 2], [3]]}, "numbers"),
            ({"position": "pixels"}, "numbers"),
            ({"position": np.full((4, 2, 1, 3, 2), np.inf)}, "finite values"),
            ({"confidence": np.zeros((4, 2, 1))}, "(4, 2, 1, 3)"),
            ({"confidence": np.zeros((4, 2, 1, 2))}, "(4, 2, 1, 3)"),
            ({"confidence": np.full((4, 2, 1, 3), 1.5)}, "values from 0.0 to 1.0"),
            ({"confidence": np.full((4, 2, 1, 3), -0.1)}, "values from 0.0 to 1.0"),
            ({"confidence": np.full((4, 2, 1, 3), np.inf)}, "finite values"),
            ({"confidence": "high"}, "numbers"),
            ({"cameras": ["top", "top"]}, "each name once"),
            ({"keypoints": ["nose", "nose", "paw"]}, "each name once"),
            ({"keypoints": ["nose", "", "paw"]}, "not blank"),
            ({"individuals": ["  "]}, "not blank"),
            ({"image_size": [640, 480]}, "(2, 2)"),
            ({"image_size": [[640, 480]] * 3}, "(2, 2)"),
            ({"image_size": [[640, 480], [0, 480]]}, "at least 1"),
            ({"image_size": [[640, 480], [-640, 480]]}, "at least 1"),
            ({"image_size": [[640, 480], [np.inf, 480]]}, "finite values"),
            ({"image_size": ["640 x 480", "large"]}, "numbers"),
            ({"frames": [0, 1, 2]}, "4 increasing whole numbers"),
            ({"frames": [0, 1, 1, 2]}, "4 increasing whole numbers"),
            ({"frames": [-1, 0, 1, 2]}, "4 increasing whole numbers"),
            ({"frame_rate": 0}, "a positive number"),
        ],
    )
    def test_what_does_not_fit_is_refused_with_the_file(self, changes: dict[str, object], part: str) -> None:
        arguments = {"position": pixels(), **NAMES, "source_file": "a.h5", **changes}
        with pytest.raises(InvalidValueError, match=r"expected .+, got .+\. .+") as caught:
            poses2d(**arguments)
        assert caught.value.subject.startswith("a.h5")
        assert part in caught.value.expected


class TestPoses3D:
    def test_it_follows_its_schema(self) -> None:
        dataset = poses3d(positions(), np.full((4, 3, 2), 0.5), **NAMES3D, unit="m")
        assert check(dataset, POSES3D) is dataset
        assert dataset["position"].dims == ("time", "space", "keypoint", "individual")
        assert dataset["position"].attrs["units"] == "m"
        assert list(dataset["space"].values) == ["x", "y", "z"]

    def test_confidence_is_one_where_a_position_is_given(self) -> None:
        confidence = poses3d(positions(), **NAMES3D, unit="mm")["confidence"]
        assert confidence.dims == ("time", "keypoint", "individual")
        assert float(confidence.sum()) == confidence.size - 1
        assert confidence.values[0, 0, 0] == 0

    def test_it_survives_a_netcdf_file(self, tmp_path: Path) -> None:
        dataset = poses3d(positions(), **NAMES3D, unit="mm", frame_rate=30)
        dataset.to_netcdf(tmp_path / "a.nc", group="poses3d")
        with xr.open_dataset(tmp_path / "a.nc", group="poses3d") as back:
            xr.testing.assert_identical(check(back.load(), POSES3D), dataset)

    @pytest.mark.parametrize(
        ("changes", "part"),
        [
            ({"position": np.zeros((4, 2, 3, 2))}, "(n, 3, 3, 2)"),
            ({"position": np.zeros((4, 3, 2, 3))}, "(n, 3, 3, 2)"),
            ({"position": [[1, 2], [3]]}, "numbers"),
            ({"position": np.full((4, 3, 3, 2), -np.inf)}, "finite values"),
            ({"confidence": np.zeros((4, 3))}, "(4, 3, 2)"),
            ({"confidence": np.full((4, 3, 2), 2.0)}, "values from 0.0 to 1.0"),
            ({"individuals": ["one", "one"]}, "each name once"),
            ({"keypoints": ["nose", "", "paw"]}, "not blank"),
            ({"unit": ""}, "length unit"),
            ({"unit": None}, "length unit"),
            ({"frames": [3, 2, 1, 0]}, "4 increasing whole numbers"),
            ({"frame_rate": np.nan}, "a positive number"),
        ],
    )
    def test_what_does_not_fit_is_refused_with_the_file(self, changes: dict[str, object], part: str) -> None:
        arguments = {"position": positions(), **NAMES3D, "unit": "mm", "source_file": "a.h5", **changes}
        with pytest.raises(InvalidValueError, match=r"expected .+, got .+\. .+") as caught:
            poses3d(**arguments)
        assert caught.value.subject.startswith("a.h5")
        assert part in caught.value.expected


class TestTimeCoordinates:
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint64, np.int16, np.int64])
    def test_frames_of_any_whole_type_are_kept_as_int64(self, dtype: type) -> None:
        frame = time_coordinates(3, np.array([1, 2, 200], dtype=dtype), None)["frame"][1]
        assert frame.dtype == np.int64
        np.testing.assert_array_equal(frame, [1, 2, 200])

    @pytest.mark.parametrize(
        "frames",
        [
            [0, 2, 1],
            [0, 0, 1],
            np.array([5, 3, 1], dtype=np.uint8),  # unsigned differences are never negative
            [-1, 0, 1],
            [0, 1],
            [[0, 1, 2]],
            [0.0, 1.0, 2.0],
            [0, 1, np.nan],
            ["0", "1", "2"],
            [0, [1], 2],
            [True, False, True],
            5,
            np.array([0, 1, 2**64 - 1], dtype=np.uint64),
        ],
    )
    def test_frames_that_do_not_increase_are_refused(self, frames: object) -> None:
        with pytest.raises(InvalidValueError, match=r"^frame numbers: expected .+, got .+\. .+"):
            time_coordinates(3, frames, 30.0)

    @pytest.mark.parametrize("rate", [0, -30, np.nan, np.inf, "fast", [30, 30], []])
    def test_a_rate_that_is_no_positive_number_is_refused(self, rate: object) -> None:
        with pytest.raises(InvalidValueError, match=r"^frame rate: expected .+, got .+\. .+"):
            time_coordinates(3, None, rate)

    def test_the_file_is_named(self) -> None:
        with pytest.raises(InvalidValueError, match=r"^a.csv, frame rate: "):
            time_coordinates(3, None, 0, subject="a.csv")
        with pytest.raises(InvalidValueError, match=r"^a.csv, frame numbers: "):
            time_coordinates(3, [0], 30, subject="a.csv")


@pytest.mark.parametrize("schema", [POSES2D, POSES3D])
def test_every_dimension_is_explained(schema: Schema) -> None:
    second_axis_of_covariances = {"space_"}
    optional = {dim for variable in schema.variables.values() if not variable.required for dim in variable.dims}
    explained = set(schema.coordinates)
    assert set(schema.dims) - second_axis_of_covariances - (optional - explained) <= explained
    for name, variable in {**schema.variables, **schema.coordinates}.items():
        assert variable.description, name
        assert variable.kind, name


class TestDetections:
    @staticmethod
    def arrays() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        rng = np.random.default_rng(1)
        position = rng.uniform(0, 500, (4, 2, 3, 3, 2))
        confidence = -np.sort(-rng.uniform(0, 1, (4, 2, 3, 3)), axis=2)
        return position, confidence, np.broadcast_to(4 * np.eye(2), (4, 2, 3, 3, 2, 2)).copy()

    def test_they_follow_their_schema(self) -> None:
        position, confidence, covariance = self.arrays()
        position[1, 0], confidence[1, 0] = np.nan, np.nan  # a frame that could not be decoded
        found = detections(
            position,
            confidence,
            covariance,
            cameras=["top", "side"],
            keypoints=["nose", "tail", "paw"],
            frame_rate=50,
            image_size=[[640, 480], [320, 240]],
        )
        assert check(found, DETECTIONS) is found
        assert found["covariance"].dims == ("time", "camera", "candidate", "keypoint", "space", "space_")
        np.testing.assert_array_equal(found["candidate"], [0, 1, 2])
        assert found.attrs["ds_type"] == "detections"

    def test_the_most_probable_candidates_become_poses_of_one_individual(self) -> None:
        position, confidence, covariance = self.arrays()
        found = detections(position, confidence, covariance, cameras=["top", "side"], keypoints=["nose", "tail", "paw"])
        poses = poses2d_of_detections(found)
        assert check(poses, POSES2D) is poses
        assert list(poses["individual"].values) == ["individual_0"]
        np.testing.assert_array_equal(poses["position"][:, :, 0], position[:, :, 0])
        np.testing.assert_array_equal(poses["confidence"][:, :, 0], confidence[:, :, 0])
        assert "covariance" in poses

    def test_an_array_of_another_shape_is_refused(self) -> None:
        position, confidence, _ = self.arrays()
        with pytest.raises(InvalidValueError, match=r"confidence.*\(4, 2, 3, 3\), got shape \(4, 2, 2, 3\)"):
            detections(position, confidence[:, :, :2], cameras=["top", "side"], keypoints=["nose", "tail", "paw"])

    def test_nothing_follows_from_no_candidate(self) -> None:
        position, confidence, _ = self.arrays()
        names = {"cameras": ["top", "side"], "keypoints": ["nose", "tail", "paw"]}
        with pytest.raises(InvalidValueError, match="at least one candidate"):
            poses2d_of_detections(detections(position[:, :, :0], confidence[:, :, :0], **names))


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (
            {"flag_values": np.array([0, 5], dtype=np.int8), "flag_meanings": "ok too_uncertain"},
            {0: "ok", 5: "too_uncertain"},
        ),
        ({"flag_values": np.int8(1), "flag_meanings": "ok"}, {1: "ok"}),  # a file gives a single value back as a number
        ({"flag_values": [0, 1], "flag_meanings": "ok"}, {}),
        ({"flag_meanings": "ok"}, {}),
        ({}, {}),
    ],
)
def test_codes_have_the_words_of_their_attributes(attributes: dict[str, object], expected: dict[int, str]) -> None:
    assert flag_words(xr.DataArray([0], attrs=attributes)) == expected
