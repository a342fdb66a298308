"""DeepLabCut's layout: pandas and PyTables read what DeepLabCut's own code would."""

import sys
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.errors import InvalidValueError, OutputError
from pose3d.formats import write_deeplabcut3d

NAMES = st.lists(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip),
    min_size=1,
    max_size=4,
    unique=True,
)


def expected_values(solid) -> np.ndarray:
    order = ("time", "individual", "keypoint", "space")
    return solid["position"].transpose(*order).values.reshape(solid.sizes["time"], -1)


@settings(max_examples=30)
@given(keypoints=NAMES, individuals=NAMES)
def test_the_table_has_deeplabcuts_columns_and_all_values(tmp_path_factory, make_solid, keypoints, individuals):
    solid = make_solid(4, keypoints, individuals)
    path = tmp_path_factory.mktemp("dlc") / "a.csv"
    assert write_deeplabcut3d(solid, path, scorer="DLC_3D") == (path,)
    several = len(individuals) > 1
    table = pd.read_csv(path, header=[*range(3 + several)], index_col=0, keep_default_na=False, na_values=[])
    levels = ["scorer", *(["individuals"] if several else []), "bodyparts", "coords"]
    assert list(table.columns.names) == levels
    lists = [["DLC_3D"], *([individuals] if several else []), keypoints, ["x", "y", "z"]]
    assert list(table.columns) == list(pd.MultiIndex.from_product(lists))
    assert list(table.index) == list(solid["frame"].values)
    values = np.array([[float(cell) if cell != "" else np.nan for cell in row] for row in table.values.tolist()])
    np.testing.assert_allclose(values, expected_values(solid), rtol=1e-8)


def test_pandas_does_not_take_a_first_frame_without_any_point_for_names(tmp_path, make_solid):
    """It takes a first row of empty cells for the names of the index, and drops it."""
    solid = make_solid(individuals=("anna",))
    solid["position"][:2] = np.nan
    write_deeplabcut3d(solid, tmp_path / "a.csv")
    table = pd.read_csv(tmp_path / "a.csv", header=[0, 1, 2], index_col=0)
    assert list(table.index) == list(solid["frame"].values)
    np.testing.assert_allclose(table.values, expected_values(solid), rtol=1e-8)


@pytest.mark.parametrize("individuals", [("anna",), ("anna", "ben")])
def test_read_hdf_opens_what_deeplabcut_would(tmp_path, make_solid, individuals):
    pytest.importorskip("tables")
    solid = make_solid(individuals=individuals)
    write_deeplabcut3d(solid, tmp_path / "a.h5")
    write_deeplabcut3d(solid, tmp_path / "a.csv")
    table = pd.read_hdf(tmp_path / "a.h5", key="df_with_missing")
    np.testing.assert_array_equal(table.values, expected_values(solid))
    text = pd.read_csv(tmp_path / "a.csv", header=[*range(table.columns.nlevels)], index_col=0)
    assert list(text.columns) == list(table.columns)
    assert list(text.index) == list(table.index)
    nose = table["pose3d"]["anna"]["nose"] if len(individuals) > 1 else table["pose3d"]["nose"]
    expected = solid["position"].sel(keypoint="nose", individual="anna", space="y")
    np.testing.assert_array_equal(nose["y"].values, expected)


def test_the_same_poses_give_the_same_bytes(tmp_path, make_solid):
    pytest.importorskip("tables")
    for name in ("a.csv", "a.h5"):
        write_deeplabcut3d(make_solid(), tmp_path / name)
    time.sleep(1.1)  # HDF5 keeps times in seconds
    for name in ("b.csv", "b.h5"):
        write_deeplabcut3d(make_solid(), tmp_path / name)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_another_ending_is_refused(tmp_path, make_solid):
    with pytest.raises(InvalidValueError, match=r"ends with \.csv or \.h5, got '\.txt'"):
        write_deeplabcut3d(make_solid(), tmp_path / "a.txt")


def test_without_pytables_h5_says_what_to_install(tmp_path, make_solid, monkeypatch):
    monkeypatch.setitem(sys.modules, "tables", None)
    monkeypatch.setattr("pandas.io.pytables._table_mod", None)
    with pytest.raises(OutputError, match="expected the package 'tables'") as error:
        write_deeplabcut3d(make_solid(), tmp_path / "a.h5")
    assert "pose3d-suite[formats]" in error.value.remedy
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.csv", "a.h5"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left"), RuntimeError("HDF5 error")])
def test_a_failure_leaves_the_older_file(tmp_path, make_solid, monkeypatch, name, error):
    if name == "a.csv" and isinstance(error, RuntimeError):
        pytest.skip("only PyTables fails so")
    (tmp_path / name).write_text("older")

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("pose3d.formats.deeplabcut3d.format_rows", fail)
    monkeypatch.setattr("pandas.HDFStore.put", fail)
    with pytest.raises(KeyboardInterrupt if error is KeyboardInterrupt else OutputError):
        write_deeplabcut3d(make_solid(), tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "older"
