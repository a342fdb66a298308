"""DeepLabCut, Lightning Pose and Anipose: the table that they share, in csv and in the HDF5 of pandas."""

import pickle
import warnings
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.errors import FileFormatError, InvalidValueError, SuiteWarning
from pose3d.formats import read_anipose, read_deeplabcut, read_lightning_pose
from pose3d.formats._registry import detect_format

COORDS = ("x", "y", "likelihood")
LEVELS = ("scorer", "bodyparts", "coords")
MULTI = ("scorer", "individuals", "bodyparts", "coords")


def single(rows: int = 5, coords: tuple[str, ...] = COORDS, scorer: str = "net", seed: int = 1) -> pd.DataFrame:
    columns = pd.MultiIndex.from_product([[scorer], ["nose", "tail"], coords], names=LEVELS)
    return pd.DataFrame(np.random.default_rng(seed).random((rows, len(columns))), columns=columns)


def multi(rows: int = 5) -> pd.DataFrame:
    animals = pd.MultiIndex.from_product([["net"], ["mouse1", "mouse2"], ["nose", "tail"], COORDS], names=MULTI)
    unique = pd.MultiIndex.from_product([["net"], ["single"], ["corner"], COORDS], names=MULTI)
    rng = np.random.default_rng(2)
    return pd.DataFrame(rng.random((rows, 12)), columns=animals).join(
        pd.DataFrame(rng.random((rows, 3)), columns=unique)
    )


def to_hdf(
    table: pd.DataFrame, path: Path, layout: str = "fixed", key: str = "df_with_missing", **options: object
) -> None:
    pytest.importorskip("tables", reason="pandas writes HDF5 with the package tables")
    with warnings.catch_warnings(action="ignore"):
        table.to_hdf(path, key=key, format=layout, **options)


def write(table: pd.DataFrame, folder: Path, layout: str) -> Path:
    path = folder / ("cam1.csv" if layout == "csv" else "cam1.h5")
    if layout == "csv":
        table.to_csv(path)
    else:
        to_hdf(table, path, layout)
    return path


layouts = pytest.mark.parametrize("layout", ["csv", "fixed", "table"])


def value(poses: xr.Dataset, frame: int, individual: str, keypoint: str) -> tuple[float, float, float]:
    one = poses.isel(time=int(np.flatnonzero(poses.frame == frame)[0]), camera=0)
    one = one.sel(individual=individual, keypoint=keypoint)
    return (*one.position.values.tolist(), float(one.confidence))


@layouts
def test_one_animal(tmp_path: Path, layout: str) -> None:
    table = single()
    poses = read_deeplabcut(write(table, tmp_path, layout))
    assert dict(poses.sizes) == {"time": 5, "camera": 1, "individual": 1, "keypoint": 2, "space": 2}
    assert poses.camera.values.tolist() == ["cam1"]
    assert poses.individual.values.tolist() == ["individual_0"]
    for frame in range(5):
        for keypoint in ("nose", "tail"):
            assert value(poses, frame, "individual_0", keypoint) == tuple(table.loc[frame, ("net", keypoint)])


@layouts
def test_several_animals_and_unique_bodyparts(tmp_path: Path, layout: str) -> None:
    table = multi()
    poses = read_deeplabcut(write(table, tmp_path, layout))
    assert poses.individual.values.tolist() == ["mouse1", "mouse2", "single"]
    assert poses.keypoint.values.tolist() == ["nose", "tail", "corner"]
    assert value(poses, 3, "mouse2", "tail") == tuple(table.loc[3, ("net", "mouse2", "tail")])
    assert value(poses, 3, "single", "corner") == tuple(table.loc[3, ("net", "single", "corner")])
    assert np.isnan(poses.position.sel(individual="single", keypoint="nose")).all()
    assert (poses.confidence.sel(individual="mouse1", keypoint="corner") == 0).all()


@settings(max_examples=25)  # each writes and reads two files
@given(order=st.permutations(range(12)), rows=st.permutations(range(4)))
def test_the_order_of_columns_and_rows_says_nothing(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], rows: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("order")
    table = multi(4).iloc[:, :12]
    table.iloc[rows, order].to_csv(folder / "shuffled.csv")
    table.to_csv(folder / "plain.csv")
    shuffled, plain = read_deeplabcut(folder / "shuffled.csv"), read_deeplabcut(folder / "plain.csv")
    aligned = shuffled.sel(individual=plain.individual, keypoint=plain.keypoint)
    np.testing.assert_array_equal(aligned.position, plain.position[:, :, :, :])
    np.testing.assert_array_equal(aligned.frame, plain.frame)


@layouts
def test_labels_by_hand_have_no_likelihood_and_are_certain(tmp_path: Path, layout: str) -> None:
    table = single(coords=("x", "y"))
    table.loc[2, ("net", "nose")] = np.nan
    table.loc[3, ("net", "tail", "x")] = np.nan
    table.index = pd.Index([f"labeled-data/m4s1/img{number:04d}.png" for number in (3, 10, 20, 100, 101)])
    poses = read_deeplabcut(write(table, tmp_path, layout))
    assert poses.frame.values.tolist() == [3, 10, 20, 100, 101]
    assert value(poses, 3, "individual_0", "nose")[2] == 1
    assert np.isnan(value(poses, 20, "individual_0", "nose")[:2]).all()
    assert value(poses, 20, "individual_0", "nose")[2] == 0
    assert np.isnan(value(poses, 100, "individual_0", "tail")[:2]).all(), "half a position is none"


@pytest.mark.parametrize("layout", ["csv", "fixed"])
def test_images_named_in_three_columns(tmp_path: Path, layout: str) -> None:
    table = single(coords=("x", "y"))
    table.index = pd.MultiIndex.from_tuples([("labeled-data", "v", f"img{i:03d}.png") for i in (8, 9, 11, 12, 99)])
    poses = read_deeplabcut(write(table, tmp_path, layout))
    assert poses.frame.values.tolist() == [8, 9, 11, 12, 99]


def test_frames_are_by_number_and_not_by_position(tmp_path: Path) -> None:
    table = single()
    table.index = [7, 3, 30, 4, 5]
    table.to_csv(tmp_path / "a.csv")
    poses = read_deeplabcut(tmp_path / "a.csv", frame_rate=10.0)
    assert poses.frame.values.tolist() == [3, 4, 5, 7, 30]
    assert poses.time.values.tolist() == [0.3, 0.4, 0.5, 0.7, 3.0]
    assert value(poses, 30, "individual_0", "nose") == tuple(table.loc[30, ("net", "nose")])


def test_a_named_index_is_no_row(tmp_path: Path) -> None:
    single().rename_axis("frame").to_csv(tmp_path / "a.csv")
    assert read_deeplabcut(tmp_path / "a.csv").frame.values.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("layout", ["fixed", "table"])
def test_blocks_of_different_types(tmp_path: Path, layout: str) -> None:
    table = single()
    table[("net", "nose", "x")] = np.arange(5)
    table[("net", "tail", "y")] = table[("net", "tail", "y")].astype(np.float32)
    poses = read_deeplabcut(write(table, tmp_path, layout))
    assert value(poses, 4, "individual_0", "nose")[0] == 4
    assert value(poses, 4, "individual_0", "tail")[1] == table.loc[4, ("net", "tail", "y")]


def test_values_that_old_versions_stored_the_other_way_round(tmp_path: Path) -> None:
    table = single()
    to_hdf(table, tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        stored = file["df_with_missing/block0_values"]
        attributes = {name: value for name, value in stored.attrs.items() if name != "transposed"}
        turned = stored[()].T
        del file["df_with_missing/block0_values"]
        file["df_with_missing/block0_values"] = turned
        file["df_with_missing/block0_values"].attrs.update(attributes)
    assert pd.read_hdf(tmp_path / "a.h5").equals(table), "pandas must agree that this is such a file"
    assert value(read_deeplabcut(tmp_path / "a.h5"), 4, "individual_0", "nose") == tuple(table.loc[4, ("net", "nose")])


@pytest.mark.parametrize("key", ["tracks", "df_with_missing"])
@pytest.mark.parametrize("layout", ["fixed", "table"])
def test_any_key_and_zlib(tmp_path: Path, key: str, layout: str) -> None:
    to_hdf(single(), tmp_path / "a.h5", layout, key, complevel=5, complib="zlib")
    assert read_deeplabcut(tmp_path / "a.h5").sizes["time"] == 5


def test_the_usual_table_of_several_is_taken(tmp_path: Path) -> None:
    to_hdf(single(), tmp_path / "a.h5")
    to_hdf(single(3), tmp_path / "a.h5", key="other")
    assert read_deeplabcut(tmp_path / "a.h5").sizes["time"] == 5
    to_hdf(single(), tmp_path / "b.h5", key="one")
    to_hdf(single(), tmp_path / "b.h5", key="two")
    with pytest.raises(FileFormatError, match=r"several tables.*csv"):
        read_deeplabcut(tmp_path / "b.h5")


# What is refused


def test_pickled_values_are_refused_and_the_csv_named(tmp_path: Path) -> None:
    to_hdf(single().astype(object), tmp_path / "a.h5")
    with pytest.raises(FileFormatError, match=r"a\.h5: .*pickled objects, which are never loaded.*csv"):
        read_deeplabcut(tmp_path / "a.h5")


class Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.target,)


def test_pickled_names_that_run_code_are_refused_and_not_run(tmp_path: Path) -> None:
    to_hdf(single(), tmp_path / "a.h5", "table")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["df_with_missing/table"].attrs["values_block_0_kind"] = np.bytes_(
            pickle.dumps([Bomb(tmp_path / "ran")], protocol=0)
        )
    assert not detects(tmp_path / "a.h5")
    with pytest.raises(FileFormatError, match="asks to run code"):
        read_deeplabcut(tmp_path / "a.h5")
    assert not (tmp_path / "ran").exists()


def detects(path: Path) -> bool:
    try:
        detect_format(path)
    except FileFormatError:
        return False
    return True


@pytest.mark.parametrize("layout", ["fixed", "table"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_truncated_h5_file(tmp_path: Path, layout: str, part: float) -> None:
    path = write(single(400), tmp_path, layout)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(FileFormatError, match=r"cam1\.h5: expected a table of poses.*got .*(again|csv)"):
        read_deeplabcut(path)


@pytest.mark.parametrize("layout", ["fixed", "table"])
def test_parts_missing_in_the_h5_file(tmp_path: Path, layout: str) -> None:
    path = write(single(), tmp_path, layout)
    with h5py.File(path, "r+") as file:
        del file["df_with_missing"]["table" if layout == "table" else "block0_items_level2"]
    with pytest.raises(FileFormatError, match=r"damaged.*csv"):
        read_deeplabcut(path)


@pytest.mark.parametrize("name", ["a.h5", "a.csv"])
def test_an_empty_or_missing_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileFormatError, match=r"(?i)no such file"):
        read_deeplabcut(tmp_path / name)
    (tmp_path / name).touch()
    with pytest.raises(FileFormatError, match="an empty file"):
        read_deeplabcut(tmp_path / name)


def test_an_h5_file_of_something_else(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["tracks"] = np.zeros(3)
    with pytest.raises(FileFormatError, match="no table of pandas"):
        read_deeplabcut(tmp_path / "a.h5")


def test_a_csv_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("time,x,y\n0,1,2\n")
    with pytest.raises(FileFormatError, match=r"first lines begin with scorer.*begins with b'time"):
        read_deeplabcut(tmp_path / "a.csv")


def test_3d_poses(tmp_path: Path) -> None:
    single(coords=("x", "y", "z")).to_csv(tmp_path / "a.csv")
    with pytest.raises(FileFormatError, match=r"expected 2D poses .* got 3D poses"):
        read_deeplabcut(tmp_path / "a.csv")
    assert not detects(tmp_path / "a.csv")


def test_a_csv_that_is_cut_off(tmp_path: Path) -> None:
    single(50).to_csv(tmp_path / "a.csv")
    text = (tmp_path / "a.csv").read_text()
    (tmp_path / "a.csv").write_text(text[: text.rindex(",", 0, text.rindex(","))])
    with pytest.raises(FileFormatError, match=r"line 53: expected 7 cells.*got 5.*cut off"):
        read_deeplabcut(tmp_path / "a.csv")


def test_a_csv_without_rows(tmp_path: Path) -> None:
    single(0).to_csv(tmp_path / "a.csv")
    with pytest.raises(FileFormatError, match="no rows"):
        read_deeplabcut(tmp_path / "a.csv")


@pytest.mark.parametrize("line", ["2,1,1,1,1,1,1,1,1", "2,1,1,1,1,1,1,1,1,1,1"])
def test_lines_with_too_many_cells(tmp_path: Path, line: str) -> None:
    single().to_csv(tmp_path / "a.csv")
    lines = (tmp_path / "a.csv").read_text().splitlines()
    for place in (3, 5):
        changed = [*lines[:place], line, *lines[place + 1 :]]
        (tmp_path / "a.csv").write_text("\n".join(changed) + "\n")
        with pytest.raises(FileFormatError, match=r"a\.csv"):
            read_deeplabcut(tmp_path / "a.csv")


def test_text_in_a_cell_is_named_with_its_line(tmp_path: Path) -> None:
    single().to_csv(tmp_path / "a.csv")
    lines = (tmp_path / "a.csv").read_text().splitlines()
    cells = lines[5].split(",")
    lines[5] = ",".join([*cells[:2], "l.5", *cells[3:]])
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(
        FileFormatError, match=r"column net / nose / y, line 6: expected a number or nothing, got 'l\.5'"
    ):
        read_deeplabcut(tmp_path / "a.csv")


@pytest.mark.parametrize("bytes_", [b"\xff\xfe\x00", b"scorer,net\xff\nbodyparts,a\ncoords,x\n"])
def test_other_bytes_under_the_name_of_a_csv(tmp_path: Path, bytes_: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(bytes_)
    with pytest.raises(FileFormatError, match="begins with"):
        read_deeplabcut(tmp_path / "a.csv")


def test_bytes_that_are_no_text_after_the_header(tmp_path: Path) -> None:
    single().to_csv(tmp_path / "a.csv")
    with (tmp_path / "a.csv").open("ab") as file:
        file.write(b"5,\xff,1,1,1,1,1\n" * 3)
    with pytest.raises(FileFormatError, match=r"a\.csv"):
        read_deeplabcut(tmp_path / "a.csv")


@layouts
@pytest.mark.parametrize("score", [1.2, -0.1, np.inf, 97.0])
def test_a_likelihood_out_of_range(tmp_path: Path, layout: str, score: float) -> None:
    table = single()
    table.loc[3, ("net", "tail", "likelihood")] = score
    with pytest.raises(
        InvalidValueError, match=r"cam1\..*likelihood: expected scores from 0 to 1, got 1 of 10 outside"
    ):
        read_deeplabcut(write(table, tmp_path, layout))


def test_rounding_of_the_likelihood_is_cut(tmp_path: Path) -> None:
    table = single()
    table.loc[0, ("net", "nose", "likelihood")] = 1 + 1e-7
    table.loc[1, ("net", "nose", "likelihood")] = -1e-9
    table.to_csv(tmp_path / "a.csv")
    confidence = read_deeplabcut(tmp_path / "a.csv").confidence
    assert float(confidence.max()) == 1
    assert float(confidence.min()) == 0


@layouts
def test_infinite_positions(tmp_path: Path, layout: str) -> None:
    table = single()
    table.loc[3, ("net", "tail", "x")] = np.inf
    with pytest.raises(InvalidValueError, match=r"cam1\..*infinite"):
        read_deeplabcut(write(table, tmp_path, layout))


def test_a_frame_twice(tmp_path: Path) -> None:
    table = single()
    table.index = [0, 1, 2, 2, 3]
    table.to_csv(tmp_path / "a.csv")
    with pytest.raises(FileFormatError, match=r"expected every frame number once, from 0, got frame 2 twice"):
        read_deeplabcut(tmp_path / "a.csv")


def test_negative_frames(tmp_path: Path) -> None:
    table = single()
    table.index = [-1, 0, 1, 2, 3]
    table.to_csv(tmp_path / "a.csv")
    with pytest.raises(FileFormatError, match="got frame -1"):
        read_deeplabcut(tmp_path / "a.csv")


def test_images_of_several_videos(tmp_path: Path) -> None:
    table = single()
    table.index = [f"labeled-data/{video}/img1.png" for video in "abcde"]
    table.to_csv(tmp_path / "a.csv")
    with pytest.raises(FileFormatError, match=r"expected the frames of one video, got images of 5 folders"):
        read_deeplabcut(tmp_path / "a.csv")


def test_images_without_a_number(tmp_path: Path) -> None:
    table = single()
    table.index = ["img1.png", "img2.png", "img.png", "img3.png", "img4.png"]
    table.to_csv(tmp_path / "a.csv")
    with pytest.raises(FileFormatError, match=r"got 'img\.png'"):
        read_deeplabcut(tmp_path / "a.csv")


def test_two_scorers(tmp_path: Path) -> None:
    pd.concat([single(), single(scorer="Ann")], axis=1).to_csv(tmp_path / "a.csv")
    with pytest.raises(FileFormatError, match=r"2 scorers: Ann, net"):
        read_deeplabcut(tmp_path / "a.csv")


def test_a_column_twice_or_not_at_all(tmp_path: Path) -> None:
    table = single()
    pd.concat([table, table.iloc[:, :1]], axis=1).to_csv(tmp_path / "a.csv")
    with pytest.raises(FileFormatError, match=r"keypoint 'nose'.*one column 'x'.*twice"):
        read_deeplabcut(tmp_path / "a.csv")
    table.iloc[:, [0, 2, 3, 4, 5]].to_csv(tmp_path / "b.csv")
    with pytest.raises(FileFormatError, match=r"keypoint 'nose'.*no column y"):
        read_deeplabcut(tmp_path / "b.csv")


# Lightning Pose


def test_lightning_pose_predictions_with_their_set(tmp_path: Path) -> None:
    table = single(scorer="heatmap_tracker")
    table[("set", "", "")] = ["train", "test", "validation", "train", "unused"]
    table.index = [f"labeled-data/img{number:08d}.png" for number in range(5)]
    table.to_csv(tmp_path / "a.csv")
    assert detect_format(tmp_path / "a.csv").name == "lightning-pose"
    poses = read_lightning_pose(tmp_path / "a.csv")
    assert poses.keypoint.values.tolist() == ["nose", "tail"]
    assert value(poses, 4, "individual_0", "nose") == tuple(table.iloc[4, :3])


def test_lightning_pose_labels_with_visibility(tmp_path: Path) -> None:
    single(coords=("x", "y", "visible"), scorer="Ann").to_csv(tmp_path / "a.csv")
    assert detect_format(tmp_path / "a.csv").name == "lightning-pose"
    assert (read_lightning_pose(tmp_path / "a.csv").confidence == 1).all()


def test_variances_of_the_kalman_smoother_become_the_covariance(tmp_path: Path) -> None:
    coords = (*COORDS, "x_ens_median", "y_ens_median", "x_ens_var", "y_ens_var", "x_posterior_var", "y_posterior_var")
    table = single(coords=coords, scorer="ensemble-kalman_tracker")
    table.to_csv(tmp_path / "a.csv")
    assert detect_format(tmp_path / "a.csv").name == "lightning-pose"
    covariance = read_lightning_pose(tmp_path / "a.csv").covariance.isel(camera=0, individual=0)
    name = ("ensemble-kalman_tracker", "tail")
    np.testing.assert_array_equal(
        covariance.sel(keypoint="tail").isel(time=2),
        np.diag([table.loc[2, (*name, "x_posterior_var")], table.loc[2, (*name, "y_posterior_var")]]),
    )


# Anipose


@pytest.mark.parametrize("layout", ["fixed", "table"])
def test_the_first_of_several_candidates_is_taken_and_said(tmp_path: Path, layout: str) -> None:
    coords = ("x", "y", "likelihood", "x_2", "y_2", "likelihood_2", "x_3", "y_3", "likelihood_3")
    table = single(coords=coords)
    path = write(table, tmp_path, layout)
    assert detect_format(path).name == "anipose"
    with pytest.warns(SuiteWarning, match=r"cam1\.h5: 3 candidates per keypoint; the first is used"):
        poses = read_anipose(path)
    assert value(poses, 4, "individual_0", "tail") == tuple(table.loc[4, ("net", "tail")])[:3]


@layouts
def test_deeplabcut_is_detected(tmp_path: Path, layout: str) -> None:
    assert detect_format(write(multi(), tmp_path, layout)).name == "deeplabcut"
