"""caliscope's table of 2D points: one line per point."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from calibration.errors import FileFormatError, InvalidValueError, SuiteWarning
from pose3d.formats import read_corners_csv
from pose3d.formats._registry import detect_format


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    index = pd.MultiIndex.from_product(
        [[7, 8, 10], [0, 2, 10], [0, 1], [3, 11, 5]], names=["sync_index", "cam_id", "object_id", "keypoint_id"]
    )
    points = pd.DataFrame(rng.uniform(0, 700, (len(index), 2)), columns=["img_loc_x", "img_loc_y"], index=index)
    return points.reset_index().sample(frac=1, random_state=1)


def write(path: Path, points: pd.DataFrame) -> Path:
    points.to_csv(path, index=False)
    return path


def test_every_point_stands_at_its_place(tmp_path: Path) -> None:
    points = table()
    path = write(tmp_path / "xy.csv", points)
    assert detect_format(path).name == "corners-csv"
    poses = read_corners_csv(path)
    assert poses.frame.values.tolist() == [7, 8, 10]
    assert poses.camera.values.tolist() == ["cam_0", "cam_2", "cam_10"]
    assert poses.individual.values.tolist() == ["object_0", "object_1"]
    assert poses.keypoint.values.tolist() == ["keypoint_3", "keypoint_5", "keypoint_11"]
    for point in points.itertuples():
        found = poses.position.sel(
            time=point.sync_index,
            camera=f"cam_{point.cam_id}",
            individual=f"object_{point.object_id}",
            keypoint=f"keypoint_{point.keypoint_id}",
        )
        assert found.values.tolist() == [point.img_loc_x, point.img_loc_y]


def test_what_was_not_seen_is_nan(tmp_path: Path) -> None:
    points = table().iloc[5:]
    poses = read_corners_csv(write(tmp_path / "xy.csv", points))
    assert int(np.isnan(poses.position.values[..., 0]).sum()) == 5
    np.testing.assert_array_equal(poses.confidence == 0, np.isnan(poses.position.values[..., 0]))


def test_old_names_of_columns(tmp_path: Path) -> None:
    points = table().query("object_id == 0").drop(columns="object_id")
    old = points.rename(columns={"cam_id": "port", "keypoint_id": "point_id"})
    path = write(tmp_path / "xy.csv", old)
    assert detect_format(path).name == "corners-csv"
    assert read_corners_csv(path).identical(
        read_corners_csv(write(tmp_path / "new.csv", points)).assign_attrs(source_file=str(path))
    )


def test_given_names(tmp_path: Path) -> None:
    path = write(tmp_path / "xy.csv", table())
    assert read_corners_csv(path, keypoints=["a", "b", "c"]).keypoint.values.tolist() == ["a", "b", "c"]
    with pytest.raises(InvalidValueError, match=r"xy\.csv, keypoints: expected 3 names.*got 2"):
        read_corners_csv(path, keypoints=["a", "b"])


# What is refused


def test_a_point_twice(tmp_path: Path) -> None:
    points = table()
    with pytest.raises(
        FileFormatError, match=r"line \d+: expected every point once.*got point \d+ of camera \d+ at \d+ again"
    ):
        read_corners_csv(write(tmp_path / "xy.csv", pd.concat([points, points.iloc[[4]]])))


@pytest.mark.parametrize("column", ["sync_index", "cam_id", "keypoint_id", "img_loc_x", "img_loc_y"])
def test_a_column_missing_or_of_text(tmp_path: Path, column: str) -> None:
    points = table()
    with pytest.raises(FileFormatError, match=rf"xy\.csv: .*got no {column}"):
        read_corners_csv(write(tmp_path / "xy.csv", points.drop(columns=column)))
    with pytest.raises(FileFormatError, match=rf"xy\.csv, {column}: expected numbers, got text"):
        read_corners_csv(write(tmp_path / "xy.csv", points.assign(**{column: "x"})))


@pytest.mark.parametrize("number", [1.5, -1, np.inf])
def test_numbers_that_are_no_ids(tmp_path: Path, number: float) -> None:
    points = table().astype({"cam_id": float})
    points.iloc[3, points.columns.get_loc("cam_id")] = number
    with pytest.raises(FileFormatError, match=r"xy\.csv, line 5, cam_id: expected a whole number"):
        read_corners_csv(write(tmp_path / "xy.csv", points))


def test_infinite_positions(tmp_path: Path) -> None:
    points = table()
    points.iloc[3, points.columns.get_loc("img_loc_x")] = np.inf
    with pytest.raises(InvalidValueError, match="infinite"):
        read_corners_csv(write(tmp_path / "xy.csv", points))


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    path = write(tmp_path / "xy.csv", table())
    text = path.read_text()
    path.write_text(text[: text.rindex(",") + 1])
    with pytest.raises(FileFormatError, match=r"last line: .*cut off"):
        read_corners_csv(path)


def test_a_file_that_is_cut_off_inside_a_number(tmp_path: Path) -> None:
    path = write(tmp_path / "xy.csv", table().assign(obj_loc_x=1.5))
    text = path.read_text()
    path.write_text(text[: text.rindex(",") - 3])
    with pytest.raises(FileFormatError, match=r"line 55: expected 7 cells, as in the header, got 6.*cut off"):
        read_corners_csv(path)
    path.write_text(text[:-2])
    with pytest.warns(SuiteWarning, match=r"xy\.csv: the last line has no line end"):
        read_corners_csv(path)


@pytest.mark.parametrize(
    "text",
    ["", "sync_index,cam_id,keypoint_id,img_loc_x,img_loc_y\n", "a,b\n1,2\n", "a,b\n1,2,3\n4,5,6,7\n", "\x00\xff"],
)
def test_other_files(tmp_path: Path, text: str) -> None:
    (tmp_path / "xy.csv").write_text(text, encoding="latin-1")
    with pytest.raises(FileFormatError, match=r"xy\.csv"):
        read_corners_csv(tmp_path / "xy.csv")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="No such file"):
        read_corners_csv(tmp_path / "xy.csv")
