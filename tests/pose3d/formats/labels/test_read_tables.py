"""Labels of DeepLabCut and Lightning Pose: the same table in a project folder, in h5 and in csv."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from calibration.errors import FileFormatError, SuiteWarning
from calibration.video import write_png
from pose3d.formats.labels import read_labels
from pose3d.formats.labels._registry import detect_format
from pose3d.labeling import Visibility

SIZE = (64, 48)


def table(images: list[str], scorer: str = "anna", visible: bool = False, seed: int = 0) -> pd.DataFrame:
    coords = ["x", "y", "visible"] if visible else ["x", "y"]
    columns = pd.MultiIndex.from_product([[scorer], ["nose", "tail"], coords], names=["scorer", "bodyparts", "coords"])
    values = np.random.default_rng(seed).uniform(2, 40, (len(images), len(columns)))
    if visible:
        values[:, 2::3] = 2
    return pd.DataFrame(values, index=images, columns=columns)


def to_h5(content: pd.DataFrame, path: Path) -> None:
    pytest.importorskip("tables", reason="pandas writes HDF5 with the package tables")
    with warnings.catch_warnings(action="ignore"):
        content.to_hdf(path, key="df_with_missing", mode="w")


def draw(root: Path, images: list[str]) -> None:
    for name in images:
        write_png(root / name, np.zeros(SIZE[::-1], dtype=np.uint8))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A DeepLabCut project with two labeled videos of three images, h5 and csv."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/trial1.avi").touch()
    (tmp_path / "config.yaml").write_text(
        "Task: test\nscorer: anna\nvideo_sets:\n  ? /a/path/" + "long" * 40 + "/trial1.avi\n  : crop: 0, 64, 0, 48\n"
        "bodyparts:\n- nose\n- tail\nskeleton:\n- - nose\n  - tail\n- - nose\n  - gone\n"
    )
    for seed, video in enumerate(("trial1", "trial2")):
        images = [f"labeled-data/{video}/img{number:03d}.png" for number in (7, 12, 100)]
        draw(tmp_path, images)
        content = table(images, seed=seed)
        content.iloc[1, 2:4] = np.nan
        content.to_csv(tmp_path / f"labeled-data/{video}/CollectedData_anna.csv")
        content.index = pd.MultiIndex.from_tuples([tuple(name.split("/")) for name in images])
        to_h5(content, tmp_path / f"labeled-data/{video}/CollectedData_anna.h5")
    return tmp_path


def test_a_deeplabcut_project_is_read_whole(project: Path) -> None:
    labels = read_labels(project)
    assert detect_format(project).name == "deeplabcut"
    assert labels.keypoints == ("nose", "tail")
    assert labels.annotator == ("anna",) * 6
    assert labels.root == project
    assert [frame.image for frame in labels.frames][:2] == [
        "labeled-data/trial1/img007.png",
        "labeled-data/trial1/img012.png",
    ]
    assert [frame.frame for frame in labels.frames] == [7, 12, 100] * 2
    # The video of the first is in the project, that of the second is not.
    assert {frame.video for frame in labels.frames} == {"videos/trial1.avi", "labeled-data/trial2"}
    assert {frame.size for frame in labels.frames} == {SIZE}
    assert all(path.is_file() for path in labels.image_paths)
    assert labels.visibility[1, 0].tolist() == [Visibility.VISIBLE, Visibility.UNLABELED]
    assert np.isnan(labels.position[1, 0, 1]).all()
    np.testing.assert_array_equal(
        labels.position[3], table(["x"] * 3, seed=1).to_numpy()[0].reshape(1, 2, 2)
    )  # no half pixel is added
    assert labels.skeleton is not None
    assert labels.skeleton.edges == (("nose", "tail"),)


@pytest.mark.parametrize("part", ["labeled-data", "labeled-data/trial1", "labeled-data/trial1/CollectedData_anna.csv"])
def test_parts_of_a_project_are_read_alone(project: Path, part: str) -> None:
    whole, alone = read_labels(project), read_labels(project / part)
    count = len(alone)
    assert count == (6 if part == "labeled-data" else 3)
    assert alone.frames == whole.frames[:count]
    np.testing.assert_array_equal(alone.position, whole.position[:count])


def test_two_scorers_are_two_annotators(project: Path) -> None:
    folder = project / "labeled-data/trial1"
    table([f"labeled-data/trial1/img{number:03d}.png" for number in (7, 12)], "ben", seed=5).to_csv(
        folder / "CollectedData_ben.csv"
    )
    labels = read_labels(folder)
    assert labels.annotator == ("anna",) * 3 + ("ben",) * 2
    assert labels.frames[3] == labels.frames[0]


def test_csv_and_h5_that_differ_are_told(project: Path) -> None:
    file = project / "labeled-data/trial1/CollectedData_anna.csv"
    file.write_text(file.read_text().replace("img100", "img101"))
    with pytest.warns(SuiteWarning, match=r"CollectedData_anna\.csv: differs from the h5 beside it; the h5 is used"):
        labels = read_labels(file.parent)
    assert labels.frames[2].frame == 100


def test_several_animals(tmp_path: Path) -> None:
    names = ["scorer", "individuals", "bodyparts", "coords"]
    animals = pd.MultiIndex.from_product([["anna"], ["mouse1", "mouse2"], ["nose", "tail"], ["x", "y"]], names=names)
    unique = pd.MultiIndex.from_product([["anna"], ["single"], ["corner"], ["x", "y"]], names=names)
    columns = animals.append(unique)
    image = "labeled-data/trial/img001.png"
    draw(tmp_path, [image])
    file = tmp_path / "labeled-data/trial/CollectedData_anna.csv"
    pd.DataFrame([np.arange(10.0)], index=[image], columns=columns).to_csv(file)
    labels = read_labels(tmp_path)
    assert labels.individuals == ("mouse1", "mouse2", "single")
    assert labels.keypoints == ("nose", "tail", "corner")
    assert labels.visibility[0].tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert labels.position[0, 1, 1].tolist() == [6, 7]


def test_names_of_images_of_windows_and_of_other_computers(tmp_path: Path) -> None:
    draw(tmp_path, ["labeled-data/a/img1.png", "labeled-data/a/img2.png"])
    content = table([r"labeled-data\a\img1.png", "/home/x/project/labeled-data/a/img2.png"])
    content.to_csv(tmp_path / "labeled-data/a/CollectedData_anna.csv")
    assert all(path.is_file() for path in read_labels(tmp_path).image_paths)


def lightning_pose(tmp_path: Path, content: pd.DataFrame) -> Path:
    draw(tmp_path, [name for name in content.index if name != "labeled-data/gone.png"])
    file = tmp_path / "CollectedData.csv"
    content.to_csv(file)
    return file


IMAGES = ["labeled-data/img1.png", "labeled-data/img2.png", "labeled-data/img3.png"]


def test_lightning_pose_with_and_without_visibility(tmp_path: Path) -> None:
    file = lightning_pose(tmp_path, table(IMAGES))
    assert detect_format(file).name == "lightning-pose"
    assert (read_labels(file).visibility == Visibility.VISIBLE).all()
    content = table(IMAGES, visible=True)
    content.iloc[0, 2] = 1  # the nose is occluded, and placed
    content.iloc[1, :3] = [np.nan, np.nan, 1]  # the nose is occluded, nobody knows where
    content.iloc[2, :3] = [np.nan, np.nan, 0]
    labels = read_labels(lightning_pose(tmp_path, content))
    assert detect_format(file).name == "lightning-pose"
    assert labels.visibility[:, 0, 0].tolist() == [Visibility.OCCLUDED, Visibility.OCCLUDED, Visibility.UNLABELED]
    assert np.isfinite(labels.position[:, 0, 0, 0]).tolist() == [True, False, False]


def test_labels_outside_of_the_image_are_kept_and_told(tmp_path: Path) -> None:
    content = table(IMAGES)
    content.iloc[0, 0] = -3.0
    content.iloc[2, 1] = 48.2
    content.iloc[1, 0] = 63.4  # within the last pixel
    with pytest.warns(SuiteWarning, match=r"2 labels lie outside of their image and are kept \(first: .*img1\.png"):
        labels = read_labels(lightning_pose(tmp_path, content))
    assert labels.position[0, 0, 0, 0] == -3


def test_missing_images_are_told_and_their_labels_kept(tmp_path: Path) -> None:
    file = lightning_pose(tmp_path, table([*IMAGES, "labeled-data/gone.png"]))
    with pytest.warns(SuiteWarning, match=r"1 of 4 image files are missing.*first: labeled-data/gone\.png"):
        labels = read_labels(file)
    assert labels.frames[3].size is None
    assert np.isfinite(labels.position[3]).all()


def test_rows_that_repeat_are_told_and_rows_that_contradict_refused(tmp_path: Path) -> None:
    content = table(IMAGES)
    file = lightning_pose(tmp_path, pd.concat([content, content.iloc[:1]]))
    with pytest.warns(SuiteWarning, match="1 rows repeat an earlier row exactly"):
        assert len(read_labels(file)) == 3
    other = content.iloc[:1] + 1
    with pytest.raises(FileFormatError, match=r"image 'labeled-data/img1\.png'.*two with different labels.*1 and 4"):
        read_labels(lightning_pose(tmp_path, pd.concat([content, other])))


def test_half_a_position_is_told(tmp_path: Path) -> None:
    content = table(IMAGES)
    content.iloc[0, 0] = np.nan
    with pytest.warns(SuiteWarning, match="1 labels have only one coordinate"):
        labels = read_labels(lightning_pose(tmp_path, content))
    assert labels.visibility[0, 0].tolist() == [Visibility.UNLABELED, Visibility.VISIBLE]


def test_a_visibility_that_contradicts_its_position(tmp_path: Path) -> None:
    content = table(IMAGES, visible=True)
    content.iloc[0, 2] = 0
    with pytest.warns(SuiteWarning, match="1 positions are marked as not labeled"):
        read_labels(lightning_pose(tmp_path, content))
    content.iloc[0, 2] = 3
    with pytest.raises(FileFormatError, match=r"column visible: expected 0 .not labeled.*got 3"):
        read_labels(lightning_pose(tmp_path, content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "got an empty file"),
        (b"\x89HDF\r\n\x1a\nxxxx", "got a file that begins with"),
        (b"frame,x,y\n1,2,3\n", "got a file that begins with b'frame"),
    ],
)
def test_what_is_no_file_of_labels(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "CollectedData.csv"
    file.write_bytes(content)
    with pytest.raises(FileFormatError, match=message):
        read_labels(file)


def test_predictions_are_no_labels(tmp_path: Path) -> None:
    columns = pd.MultiIndex.from_product(
        [["net"], ["nose"], ["x", "y", "likelihood"]], names=["scorer", "bodyparts", "coords"]
    )
    pd.DataFrame([[1.0, 2.0, 0.5]], columns=columns).to_csv(tmp_path / "video.csv")
    with pytest.raises(FileFormatError, match="expected labels in one of the formats deeplabcut"):
        read_labels(tmp_path / "video.csv")


def test_a_project_without_labels_and_one_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="got an empty folder"):
        read_labels(tmp_path)
    with pytest.raises(FileFormatError, match=r"No such file.*Check the path for spelling"):
        read_labels(tmp_path / "gone")
    with pytest.raises(FileFormatError, match="no CollectedData file in it"):
        read_labels(tmp_path, format="deeplabcut")


def test_a_configuration_that_would_run_code_is_refused(project: Path) -> None:
    (project / "config.yaml").write_text("skeleton: !!python/object/apply:os.system ['touch owned']\n")
    with pytest.raises(FileFormatError, match=r"config\.yaml: .*cannot be read as YAML"):
        read_labels(project)
