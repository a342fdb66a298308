"""Labels written in every format and read back: nothing is lost that is not said to be lost."""

import json
import re
import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration.errors import FileFormatError, InvalidValueError, OutputError, SuiteWarning
from calibration.video import read_image, write_png
from pose3d.formats.labels import LABEL_FORMATS, read_labels, write_labels
from pose3d.formats.labels._registry import detect_format
from pose3d.labeling import LabeledImage, Labels, Visibility
from pose3d.skeleton import Skeleton

SIZE = (64, 48)
MOUSE = Skeleton("mouse", ("nose", "ear_l", "ear_r"), (("nose", "ear_l"), ("nose", "ear_r")), (("ear_l", "ear_r"),))
FORMATS = ("deeplabcut", "lightning-pose", "sleap", "coco", "cvat", "cvat-coco")
# Position to the last bit where nothing is added; half a pixel costs at most one rounding.
ROUNDING = {"cvat": 1e-12, "cvat-coco": 1e-12}

FRAMES = (("day1", "left", 3), ("day1", "left", 12), ("day1", "right", 3), ("day2", "left", 3))

every_format = pytest.mark.parametrize("name", FORMATS)


def needs(name: str) -> None:
    if name == "sleap":
        pytest.importorskip("sleap_io")
    if name == "deeplabcut":
        pytest.importorskip("tables")


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Labels]:
    """A maker of labels with images, some of whose keypoints are missing."""

    def made(individuals: tuple[str, ...] = ("individual_0",), annotator: str = "anna") -> Labels:
        rng = np.random.default_rng(0)
        frames = []
        for session, camera, frame in (
            ("day1", "left", 3),
            ("day1", "left", 12),
            ("day1", "right", 3),
            ("day2", "left", 3),
        ):
            image = f"labels/frames/{session}/{camera}/{frame:06d}.png"
            write_png(tmp_path / image, rng.integers(0, 256, SIZE[::-1], dtype=np.uint8))
            frames.append(LabeledImage(image, f"sessions/{session}/{camera}.mp4", frame, session, camera, SIZE))
        position = rng.uniform(0, 47, (4, len(individuals), 3, 2))
        seen = np.full((4, len(individuals), 3), Visibility.VISIBLE, dtype=np.int8)
        seen[1, 0, 2] = Visibility.UNLABELED
        position[1, 0, 2] = np.nan
        return Labels(MOUSE.keypoints, tuple(frames), position, seen, individuals, (annotator,) * 4, tmp_path, MOUSE)

    return made


def with_visibility(labels: Labels, visibility: Visibility, *, placed: bool) -> Labels:
    """Labels whose first nose has this visibility."""
    position, seen = labels.position.copy(), labels.visibility.copy()
    seen[0, 0, 0] = visibility
    if not placed:
        position[0, 0, 0] = np.nan
    return replace(labels, position=position, visibility=seen)


def quietly(function: Callable[..., object], *arguments: object) -> object:
    """Without a warning, or the test fails; those about edges and mirrored pairs are told every time."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(edges of the skeleton|mirrored pairs) are left out")
        return function(*arguments)


def told(function: Callable[..., object], *arguments: object) -> list[str]:
    """The warnings."""
    with warnings.catch_warnings(record=True) as recorded:
        warnings.simplefilter("always")
        function(*arguments)
    texts = [str(warning.message) for warning in recorded if issubclass(warning.category, SuiteWarning)]
    return [text for text in texts if "edges of" not in text and "mirrored pairs" not in text]


def written(labels: Labels, tmp_path: Path, name: str) -> Labels:
    folder = tmp_path / f"export {name}"
    quietly(write_labels, labels, folder, name)
    assert detect_format(folder).name == name
    return quietly(read_labels, folder)  # type: ignore[return-value]


def order_of(found: Labels, labels: Labels) -> list[int]:
    """Rows of `found` in the order of `labels`, matched by the pixels of the images."""
    pictures = [read_image(path, pixel_format="gray").tobytes() for path in found.image_paths]
    return [
        next(
            row
            for row, picture in enumerate(pictures)
            if picture == read_image(path, pixel_format="gray").tobytes() and found.annotator[row] == annotator
        )
        for path, annotator in zip(labels.image_paths, labels.annotator, strict=True)
    ]


def assert_same(found: Labels, labels: Labels, name: str) -> None:
    assert found.keypoints == labels.keypoints
    assert found.individuals == labels.individuals
    found = found.select(order_of(found, labels))
    np.testing.assert_array_equal(found.visibility, labels.visibility)
    np.testing.assert_allclose(found.position, labels.position, rtol=0, atol=ROUNDING.get(name, 0))
    assert [frame.size for frame in found.frames] == [frame.size for frame in labels.frames]
    assert [frame.frame for frame in found.frames] == [frame.frame for frame in labels.frames]


@every_format
def test_one_animal(make: Callable[..., Labels], tmp_path: Path, name: str) -> None:
    needs(name)
    labels = make()
    found = written(labels, tmp_path, name)
    assert_same(found, labels, name)
    assert set(found.annotator) == {"anna"}


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "lightning-pose"])
def test_several_animals(make: Callable[..., Labels], tmp_path: Path, name: str) -> None:
    needs(name)
    labels = make(("individual_0", "individual_1"))
    assert_same(written(labels, tmp_path, name), labels, name)


@pytest.mark.parametrize("name", ["deeplabcut", "sleap", "coco", "cvat-coco"])
def test_names_of_animals(make: Callable[..., Labels], tmp_path: Path, name: str) -> None:
    needs(name)
    labels = make(("whitefoot", "Öhrchen"))
    assert_same(written(labels, tmp_path, name), labels, name)
    assert_same(written(make(("only one",)), tmp_path / "second", name), make(("only one",)), name)


@pytest.mark.parametrize("name", ["deeplabcut", "coco", "cvat-coco"])
def test_several_annotators_of_an_image(make: Callable[..., Labels], tmp_path: Path, name: str) -> None:
    needs(name)
    labels = make()
    twice = replace(
        labels,
        frames=(*labels.frames, *labels.frames[:2]),
        position=np.concatenate([labels.position, labels.position[:2] + 1]),
        visibility=np.concatenate([labels.visibility, labels.visibility[:2]]),
        annotator=(*labels.annotator, "ben", "ben"),
    )
    assert_same(written(twice, tmp_path, name), twice, name)


@pytest.mark.parametrize("name", ["lightning-pose", "sleap", "cvat"])
def test_formats_of_one_annotator_say_so(make: Callable[..., Labels], tmp_path: Path, name: str) -> None:
    needs(name)
    labels = make()
    twice = replace(
        labels, frames=(labels.frames[0],) * 2 + labels.frames[2:], annotator=("anna", "ben", "anna", "anna")
    )
    with pytest.raises(InvalidValueError, match=r"one annotator per image.*anna, ben\. Choose one: --annotator"):
        write_labels(twice, tmp_path / "export", name)
    assert not (tmp_path / "export").exists()
    split = replace(labels, annotator=("anna", "ben", "anna", "ben"))
    assert any("the names anna, ben are lost" in text for text in told(write_labels, split, tmp_path / "export", name))


# What every format holds of the visibilities: occluded with position, occluded without, absent.
HELD = {
    "deeplabcut": (False, False, False),
    "lightning-pose": (True, True, False),
    "sleap": (True, False, False),
    "coco": (True, True, True),
    "cvat": (True, True, True),
    "cvat-coco": (True, True, True),
}
LOST = (
    "1 occluded keypoints are written as visible",
    "1 occluded keypoints without a position are left out",
    "1 absent keypoints are written as not labeled",
)


@every_format
@pytest.mark.parametrize("case", range(3))
def test_visibility_comes_back_or_its_loss_is_told(
    make: Callable[..., Labels], tmp_path: Path, name: str, case: int
) -> None:
    needs(name)
    visibility = Visibility.ABSENT if case == 2 else Visibility.OCCLUDED
    labels = with_visibility(make(), visibility, placed=case == 0)
    if HELD[name][case]:
        assert_same(written(labels, tmp_path, name), labels, name)
        return
    assert told(write_labels, labels, tmp_path / "export", name) == [LOST[case]]
    left = with_visibility(make(), Visibility.VISIBLE if case == 0 else Visibility.UNLABELED, placed=case == 0)
    assert_same(quietly(read_labels, tmp_path / "export"), left, name)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "held"), [("deeplabcut", 1), ("sleap", 2), ("coco", 2), ("cvat-coco", 2)])
def test_edges_and_mirrored_pairs(make: Callable[..., Labels], tmp_path: Path, name: str, held: int) -> None:
    needs(name)
    skeleton = written(make(), tmp_path, name).skeleton
    assert skeleton is not None
    assert skeleton.edges == MOUSE.edges
    assert skeleton.mirrored_pairs == (MOUSE.mirrored_pairs if held == 2 else ())


@pytest.mark.parametrize("name", ["cvat", "lightning-pose"])
def test_formats_without_edges(make: Callable[..., Labels], tmp_path: Path, name: str) -> None:
    skeleton = written(make(), tmp_path, name).skeleton
    assert skeleton is not None
    assert (skeleton.keypoints, skeleton.edges) == (MOUSE.keypoints, ())


def test_coco_keeps_where_images_are_from(make: Callable[..., Labels], tmp_path: Path) -> None:
    labels = make()
    found = written(labels, tmp_path, "coco")
    assert [replace(frame, image="") for frame in found.frames] == [replace(frame, image="") for frame in labels.frames]


def test_cvat_measures_from_the_corner_of_the_image(make: Callable[..., Labels], tmp_path: Path) -> None:
    labels = make()
    position = labels.position.copy()
    position[0, 0, 0] = [0.0, 47.0]  # the center of the lower left pixel
    labels = replace(labels, position=position)
    for name in ("cvat", "cvat-coco", "coco"):
        written(labels, tmp_path, name)
    assert 'points="0.5,47.5"' in (tmp_path / "export cvat/annotations.xml").read_text()
    for name, expected in (("cvat-coco", [0.5, 47.5, 2]), ("coco", [0, 47, 2])):
        content = json.loads((tmp_path / f"export {name}/annotations.json").read_text())
        assert content["annotations"][0]["keypoints"][:3] == expected


def test_a_deeplabcut_project_has_what_deeplabcut_looks_for(make: Callable[..., Labels], tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    needs("deeplabcut")
    written(make(), tmp_path, "deeplabcut")
    folder = tmp_path / "export deeplabcut"
    table = pd.read_hdf(folder / "labeled-data/day1_left/CollectedData_anna.h5")
    assert table.index[0] == ("labeled-data", "day1_left", "img000003.png")
    assert table.columns.names == ["scorer", "bodyparts", "coords"]
    assert table.columns[0] == ("anna", "nose", "x")
    assert (folder / "labeled-data/day1_left/img000003.png").is_file()
    config = (folder / "config.yaml").read_text()
    assert "videos/day1_left.mp4" in config
    assert "multianimalproject: false" in config


def test_unique_bodyparts_of_deeplabcut(make: Callable[..., Labels], tmp_path: Path) -> None:
    needs("deeplabcut")
    labels = make(("mouse1", "single"))
    position, seen = labels.position.copy(), labels.visibility.copy()
    position[:, 0, 2], seen[:, 0, 2] = np.nan, 0  # ear_r is unique
    position[:, 1, :2], seen[:, 1, :2] = np.nan, 0
    labels = replace(labels, position=position, visibility=seen)
    assert_same(written(labels, tmp_path, "deeplabcut"), labels, "deeplabcut")
    config = (tmp_path / "export deeplabcut/config.yaml").read_text()
    assert "uniquebodyparts:\n- ear_r\n" in config
    assert "individuals:\n- mouse1\n" in config


def test_lightning_pose_holds_one_animal(make: Callable[..., Labels], tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="expected one animal, got 2: a, b"):
        write_labels(make(("a", "b")), tmp_path / "export", "lightning-pose")


@every_format
def test_missing_images_are_told_and_their_labels_written(
    make: Callable[..., Labels], tmp_path: Path, name: str
) -> None:
    needs(name)
    labels = make()
    labels.image_paths[2].unlink()
    lost = told(write_labels, labels, tmp_path / "export", name)
    assert "1 image files are missing and cannot be copied" in lost[0]
    with pytest.warns(SuiteWarning, match="1 of 4 image files are missing"):
        found = read_labels(tmp_path / "export")
    np.testing.assert_allclose(np.nansum(found.position), np.nansum(labels.position))


@every_format
def test_nothing_is_overwritten(make: Callable[..., Labels], tmp_path: Path, name: str) -> None:
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="a new or empty folder"):
        write_labels(make(), folder, name)
    assert [item.name for item in folder.iterdir()] == ["mine.txt"]


def test_an_export_that_fails_leaves_nothing(make: Callable[..., Labels], tmp_path: Path, monkeypatch) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", fail)
    before = sorted(tmp_path.iterdir())
    labels = make()
    with pytest.raises(OutputError, match="No space left"):
        write_labels(labels, tmp_path / "export", "coco")
    assert [item.name for item in tmp_path.iterdir() if item not in before] == ["labels"]


def test_every_format_is_tested() -> None:
    assert set(FORMATS) == set(LABEL_FORMATS)


# Files that other tools wrote


def coco(**changes: object) -> dict[str, object]:
    content: dict[str, object] = {
        "images": [{"id": 7, "file_name": "a/frame_000012.png", "width": 64, "height": 48}],
        "categories": [{"id": 1, "name": "mouse", "keypoints": ["nose", "tail"], "skeleton": [[1, 2]]}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 1, "keypoints": [10, 20, 2, 0, 0, 0], "num_keypoints": 1},
            {"id": 2, "image_id": 7, "category_id": 1, "keypoints": [11.5, 20, 1, 30, 40, 2], "num_keypoints": 2},
        ],
    }
    return content | changes


def save(content: object, tmp_path: Path) -> Path:
    write_png(tmp_path / "images/a/frame_000012.png", np.zeros(SIZE[::-1], dtype=np.uint8))
    file = tmp_path / "annotations/person_keypoints_default.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content))
    return file


def test_coco_of_others(tmp_path: Path) -> None:
    labels = read_labels(save(coco(), tmp_path))
    assert labels.individuals == ("individual_0", "individual_1")
    assert labels.visibility[0].tolist() == [[1, 0], [2, 1]]
    assert labels.position[0, 1].tolist() == [[11.5, 20], [30, 40]]
    assert labels.frames[0].frame == 12
    assert labels.frames[0].size == SIZE
    assert labels.skeleton is not None
    assert labels.skeleton.edges == (("nose", "tail"),)


def test_coco_of_cvat_is_shifted_by_half_a_pixel(tmp_path: Path) -> None:
    traces = {
        "licenses": [{"name": "", "id": 0, "url": ""}],
        "info": dict.fromkeys(("contributor", "date_created", "description", "url", "version", "year"), ""),
    }
    file = save(coco(**traces), tmp_path)
    assert detect_format(file).name == "cvat-coco"
    assert read_labels(file).position[0, 1].tolist() == [[11, 19.5], [29.5, 39.5]]


def test_boxes_in_coco_are_told(tmp_path: Path) -> None:
    content = coco()
    content["categories"].append({"id": 2, "name": "box"})
    content["annotations"].append({"id": 3, "image_id": 7, "category_id": 2, "bbox": [1, 2, 3, 4]})
    with pytest.warns(SuiteWarning, match="1 annotations have no keypoints and are left out"):
        read_labels(save(content, tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": 8}, "annotation 1, image_id: expected the id of an image, got 8"),
        ({"keypoints": [1, 2, 2]}, "6 numbers, x, y and visibility of 2 keypoints, got 3 entries"),
        ({"keypoints": [1, 2, 5, 0, 0, 0]}, "keypoint 'nose': expected 0, 1 or 2, got 5"),
        ({"keypoints": [1, "a", 2, 0, 0, 0]}, "annotation 1, keypoints"),
        ({"keypoints": [float("nan"), 2, 2, 0, 0, 0]}, "annotation 1, keypoints"),
    ],
)
def test_coco_that_is_wrong(tmp_path: Path, change: dict[str, object], message: str) -> None:
    content = coco()
    content["annotations"][0].update(change)  # type: ignore[index]
    with pytest.raises(FileFormatError, match=message):
        read_labels(save(content, tmp_path))


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><name>t</name><labels>
    <label><name>tail</name><type>points</type></label><label><name>nose</name><type>points</type></label>
  </labels></task></meta>
  <image id="0" name="frame_000012.png" width="64" height="48">
    <points label="nose" occluded="0" points="10.50,20.50" z_order="0" group_id="1"></points>
    <points label="tail" occluded="1" points="30.5,40.5" z_order="0" group_id="1"></points>
    <points label="nose" occluded="0" points="5.5,6.5" z_order="0" group_id="2"></points>
    <box label="cage" xtl="1" ytl="1" xbr="2" ybr="2" occluded="0"></box>
  </image>
</annotations>
"""


def test_points_of_cvat_without_skeletons(tmp_path: Path) -> None:
    (tmp_path / "annotations.xml").write_text(CVAT)
    write_png(tmp_path / "images/frame_000012.png", np.zeros(SIZE[::-1], dtype=np.uint8))
    with pytest.warns(SuiteWarning, match="1 shapes are no keypoints and are left out"):
        labels = read_labels(tmp_path)
    assert labels.keypoints == ("tail", "nose")
    assert labels.individuals == ("individual_0", "individual_1")
    assert labels.visibility[0].tolist() == [[2, 1], [0, 1]]
    assert labels.position[0, 0].tolist() == [[30, 40], [10, 20]]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<image ", "<track/><image ", "tracks of a video.*CVAT for images 1.1"),
        ("10.50,20.50", "1,2;3,4", "frame_000012.png', 'nose': expected one point x,y, got '1,2;3,4'"),
        ('group_id="2"', 'group_id="1"', "expected one point 'nose' per animal, got two"),
        ("</annotations>", "", "a file that is no XML"),
        ("<annotations>", '<!DOCTYPE a [<!ENTITY b "c">]><annotations>', "XML with definitions of its own"),
        ('name="frame_000012.png"', "", "no image, or one without a name"),
    ],
)
def test_cvat_that_is_wrong(tmp_path: Path, old: str, new: str, message: str) -> None:
    (tmp_path / "annotations.xml").write_text(CVAT.replace(old, new))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SuiteWarning)
        with pytest.raises(FileFormatError, match=message):
            read_labels(tmp_path / "annotations.xml", format="cvat")


def test_sleap_labels_of_a_video_name_its_frames(tmp_path: Path) -> None:
    sio = pytest.importorskip("sleap_io")
    skeleton = sio.Skeleton(["nose", "tail"])
    video = sio.Video(str(tmp_path / "trial.mp4"), open_backend=False)
    (tmp_path / "trial.mp4").touch()
    person = sio.Instance.from_numpy(np.array([[1.0, 2.0], [np.nan, np.nan]]), skeleton)
    network = sio.PredictedInstance.from_numpy(np.ones((2, 2)), skeleton, point_scores=np.ones(2), score=1.0)
    frames = [sio.LabeledFrame(video, 41, [person, network]), sio.LabeledFrame(video, 42, [network])]
    sio.save_slp(sio.Labels(frames), str(tmp_path / "p.slp"), verbose=False)
    with pytest.warns(SuiteWarning) as told:
        labels = read_labels(tmp_path / "p.slp")
    assert re.search(r"2 predicted animals are left out", str(told[0].message))
    assert labels.frames == (LabeledImage("trial/000041.png", str(tmp_path / "trial.mp4"), 41),)
    assert labels.visibility[0, 0].tolist() == [1, 0]


def test_predictions_of_sleap_are_no_labels(tmp_path: Path) -> None:
    sio = pytest.importorskip("sleap_io")
    skeleton = sio.Skeleton(["nose"])
    network = sio.PredictedInstance.from_numpy(np.ones((1, 2)), skeleton, point_scores=np.ones(1), score=1.0)
    frame = sio.LabeledFrame(sio.Video("a.mp4", open_backend=False), 0, [network])
    sio.save_slp(sio.Labels([frame]), str(tmp_path / "p.slp"), verbose=False)
    with pytest.raises(FileFormatError, match="no labels by people, 1 predicted animals"):
        read_labels(tmp_path / "p.slp")
