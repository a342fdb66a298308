"""Anipose's table: the columns that Anipose writes, with our values in them."""

import numpy as np
import pandas as pd
import pytest

from pose3d.formats import write_anipose3d

KEYPOINTS = ("nose", "tail_tip", "nan")


def expected_columns() -> list[str]:
    columns = [f"{name}_{part}" for name in KEYPOINTS for part in ("x", "y", "z", "error", "ncams", "score")]
    columns += [f"M_{row}{column}" for row in range(3) for column in range(3)]
    return [*columns, "center_0", "center_1", "center_2", "fnum"]


def test_columns_and_values_are_aniposes(tmp_path, make_solid):
    solid = make_solid(50, KEYPOINTS, ("anna",))
    assert write_anipose3d(solid, tmp_path / "a.csv") == (tmp_path / "a.csv",)
    table = pd.read_csv(tmp_path / "a.csv")
    assert list(table) == expected_columns()
    assert list(table["fnum"]) == list(solid["frame"].values)
    assert table[[f"M_{i}{j}" for i in range(3) for j in range(3)]].drop_duplicates().values.tolist() == [
        [1, 0, 0, 0, 1, 0, 0, 0, 1]
    ]
    assert (table[["center_0", "center_1", "center_2"]] == 0).all(axis=None)
    ours = {"error": "reprojection_error", "ncams": "n_cameras", "score": "confidence"}
    for name in KEYPOINTS:
        one = solid.sel(keypoint=name, individual="anna")
        found = np.isfinite(one["position"]).all("space").values
        np.testing.assert_allclose(
            table[[f"{name}_{axis}" for axis in "xyz"]].values, one["position"].values, rtol=1e-8
        )
        for part, variable in ours.items():
            column = table[f"{name}_{part}"].values
            np.testing.assert_allclose(column[found], one[variable].values[found], rtol=1e-5)
            assert np.isnan(column[~found]).all()
    assert table["nose_ncams"].dtype == np.float64


def test_one_table_for_each_individual(tmp_path, make_solid):
    solid = make_solid(5, KEYPOINTS)
    files = write_anipose3d(solid, tmp_path / "a.csv")
    assert [file.name for file in files] == ["a_anna.csv", "a_ben_2.csv"]
    for name, file in zip(("anna", "ben/2"), files, strict=True):
        expected = solid["position"].sel(individual=name, keypoint="nose", space="x")
        np.testing.assert_allclose(pd.read_csv(file)["nose_x"], expected, rtol=1e-8)


def test_without_errors_and_camera_counts_these_are_empty(tmp_path, make_solid):
    write_anipose3d(make_solid(5, KEYPOINTS, ("anna",))[["position", "confidence"]], tmp_path / "a.csv")
    table = pd.read_csv(tmp_path / "a.csv")
    assert list(table) == expected_columns()
    assert table[["nose_error", "nose_ncams"]].isna().all(axis=None)
    assert table["nose_score"].notna().any()


@pytest.mark.filterwarnings("ignore")
def test_movement_reads_it(tmp_path, make_solid):
    load_poses = pytest.importorskip("movement.io.load_poses")
    solid = make_solid(20, KEYPOINTS, ("anna",))
    write_anipose3d(solid, tmp_path / "a.csv")
    found = load_poses.from_anipose_file(tmp_path / "a.csv", fps=30, individual_name="anna")
    names = {"keypoints": "keypoint", "individuals": "individual"}
    found = found.rename({old: new for old, new in names.items() if old in found.dims})
    order = ("time", "space", "keypoint", "individual")
    expected = solid["position"].transpose(*order)
    np.testing.assert_allclose(
        found["position"].transpose(*order).sel(keypoint=list(KEYPOINTS)).values, expected.values, rtol=1e-8
    )
