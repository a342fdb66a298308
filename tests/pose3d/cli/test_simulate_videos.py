"""`pose3d simulate --videos`: videos of the animals and of a board in the simulated rig."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from calibration import load_rig
from calibration.boards.files import load_board, save_board
from calibration.boards.geometry import Chessboard
from calibration.corners import CORNERS, board_of
from calibration.schema import check
from calibration.synthetic.recordings import RecordingSettings, fitting_board
from calibration.synthetic.rendering import RenderSettings
from calibration.video import open_video
from pose3d.cli import main
from pose3d.cli.simulate import simulate as command
from pose3d.datasets import POSES2D
from pose3d.formats import open_session
from pose3d.labeling import LabelStore
from pose3d.project import load_project
from pose3d.synthetic import SAMPLE_FILES
from pose3d.synthetic.rendering import PictureSettings

SMALL = ("--duration", "0.1", "--frame-rate", "40", "--cameras", "2", "--size", "160", "120", "--focal-length", "175")
BOARD = ("--board-frames", "6", "--board-rate", "3")
VIDEOS = (*SMALL, "--videos", "--videos-of", "board", *BOARD)
BOTH = (*SMALL, "--videos", *BOARD)
ANIMALS = (*SMALL, "--videos", "--videos-of", "animals")


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as exit_:
        main(["simulate", *map(str, arguments)])
    assert isinstance(exit_.value.code, int)
    return exit_.value.code


def contents(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_it_writes_what_a_calibration_needs_and_the_truth_beside_it(tmp_path: Path) -> None:
    assert run("-o", tmp_path, "--seed", "3", *VIDEOS) == 0
    videos = {"calibration/board.toml", "calibration/timestamps.csv", "calibration/cam_1.mp4", "calibration/cam_2.mp4"}
    assert set(contents(tmp_path)) == {*SAMPLE_FILES, *videos, "board_truth.nc"}
    rig = load_rig(tmp_path / "rig.toml")
    board = load_board(tmp_path / "calibration" / "board.toml")
    assert board == fitting_board(rig)
    with xr.open_dataset(tmp_path / "board_truth.nc") as file:
        truth = check(file.load(), CORNERS)
    assert board_of(truth) == board
    assert tuple(truth["camera"].values.tolist()) == rig.names
    assert json.loads(truth.attrs["simulation"])["seed"] == 3
    for camera, pictures in zip(rig, truth["source_frame"].to_numpy(), strict=True):
        with open_video(tmp_path / "calibration" / f"{camera.name}.mp4") as video:
            assert video.size == camera.size
            assert len(video) == np.isfinite(pictures).sum()


def test_it_films_the_animals_too_and_tells_their_true_pixels(tmp_path: Path) -> None:
    assert run("-o", tmp_path, "--seed", "3", "--individuals", "2", *BOTH) == 0
    films = {"videos/cam_1.mp4", "videos/cam_2.mp4", "truth2d.nc"}
    boards = {"board.toml", "timestamps.csv", "cam_1.mp4", "cam_2.mp4"}
    assert set(contents(tmp_path)) == {
        *SAMPLE_FILES, *films, "instances.nc", "board_truth.nc", *(f"calibration/{name}" for name in boards)
    }  # fmt: skip
    for name in ("cam_1", "cam_2"):
        with open_video(tmp_path / "videos" / f"{name}.mp4") as video:
            assert video.size == (160, 120)
            assert len(video) == 4
    with open_session(tmp_path / "truth2d.nc") as pixels, open_session(tmp_path / "truth.nc") as truth:
        poses2d = check(pixels.require("poses2d").load(), POSES2D)
        expected = load_rig(tmp_path / "rig.toml").project(
            truth.require("poses3d")["position"].transpose("time", "individual", "keypoint", "space").values
        )
    np.testing.assert_allclose(poses2d["position"], np.moveaxis(expected, 3, 1), atol=1e-6)
    with xr.open_dataset(tmp_path / "truth2d.nc", group="visibility") as file:
        seen = file["visibility"].load()
    assert seen.dims == poses2d["confidence"].dims
    assert set(np.unique(seen)) <= {1, 2, 3}
    assert {1, 2} <= set(np.unique(seen))


def test_with_labels_the_folder_is_a_project_that_can_be_trained(tmp_path: Path) -> None:
    assert run("-o", tmp_path / "scene", *ANIMALS, "--labels", "2") == 0
    project = load_project(tmp_path / "scene")
    assert project.cameras == ("cam_1", "cam_2")
    assert project.video("simulated", "cam_2") == tmp_path / "scene" / "videos" / "cam_2.mp4"
    with LabelStore(project.labels_file, project.skeleton, read_only=True) as store:
        labels = store.labels()
        assert store.check() == ()
    assert len(labels) == 4
    assert all(path.is_file() and project.frames_folder in path.parents for path in labels.image_paths)
    assert set(labels.annotator) == {"truth"}
    assert labels.has_position.mean() > 0.5


def test_labels_of_an_earlier_simulation_are_replaced_but_not_those_of_a_person(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("-o", tmp_path, *ANIMALS, "--labels", "1") == 0
    assert run("-o", tmp_path, *ANIMALS, "--labels", "2", "--force") == 0
    with LabelStore(tmp_path / "labels.sqlite", author="anna") as store:
        labels = store.labels()
        assert len(labels) == 4
        store.write(dataclasses.replace(labels, annotator=("anna",) * 4))
    before = (tmp_path / "labels.sqlite").read_bytes()
    assert run("-o", tmp_path, *ANIMALS, "--labels", "1", "--force") == 1
    assert "anna" in capsys.readouterr().err
    assert (tmp_path / "labels.sqlite").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((*SMALL, "--labels", "2"), "--videos"),
        ((*VIDEOS, "--labels", "2"), "--videos"),
        ((*ANIMALS, "--labels", "5"), "1 to 4 frames"),
        ((*ANIMALS, "--labels", "0"), "labels"),
        ((*ANIMALS, "--clutter", "101"), "clutter"),
        ((*ANIMALS, "--exposure", "26"), "25 ms"),
        ((*ANIMALS, "--videos-of", "cats"), "videos-of"),
    ],
)
def test_bad_options_of_animal_videos_are_wrong_usage_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], named: str
) -> None:
    assert run("-o", tmp_path, *arguments) == 2
    assert named in capsys.readouterr().err
    assert contents(tmp_path) == {}


def test_the_animals_are_the_same_with_and_without_videos(tmp_path: Path) -> None:
    assert run("-o", tmp_path / "with", *BOTH) == 0
    assert run("-o", tmp_path / "without", *SMALL) == 0
    first, second = contents(tmp_path / "with"), contents(tmp_path / "without")
    assert set(second) == set(SAMPLE_FILES)
    assert all(first[name] == second[name] for name in second)


def test_the_same_options_give_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        assert run("-o", tmp_path / name, *BOTH) == 0
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_board_of_ones_own_and_what_was_recorded_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    board = Chessboard(6, 5, 60.0)
    save_board(board, tmp_path / "mine.toml")
    assert run("-o", tmp_path / "scene", "--board", tmp_path / "mine.toml", "--json", *VIDEOS) == 0
    result = json.loads(capsys.readouterr().out)
    assert load_board(tmp_path / "scene" / "calibration" / "board.toml") == board
    assert result["videos"]["board"]["type"] == "chessboard"
    assert result["videos"]["settings"]["frames"] == 6
    assert 0 < result["videos"]["pictures"] <= 12
    written = {file["name"]: file["bytes"] for file in result["files"]}
    assert set(written) == set(contents(tmp_path / "scene"))
    assert all(size > 0 for size in written.values())


def test_it_prints_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("-o", tmp_path, *BOTH) == 0
    printed = capsys.readouterr().out
    assert all(str(tmp_path / name) in printed for name in contents(tmp_path))
    assert "pictures of a charuco of 7 x 5" in printed


def test_options_change_the_pictures(tmp_path: Path) -> None:
    plain = ("--hand", "0", "--image-noise", "0", "--exposure", "0", "--defocus", "0", "--lost-frames", "0")
    assert run("-o", tmp_path / "plain", *VIDEOS, *plain) == 0
    reference = contents(tmp_path / "plain")["calibration/cam_1.mp4"]
    for number, option in enumerate(
        (("--image-noise", "5"), ("--defocus", "2"), ("--exposure", "40"), ("--bend", "30"), ("--hand", "0.9"))
    ):
        folder = tmp_path / str(number)
        assert run("-o", folder, *VIDEOS, *plain, *option) == 0
        assert contents(folder)["calibration/cam_1.mp4"] != reference, option


def test_files_of_an_earlier_simulation_are_kept_unless_forced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("-o", tmp_path, *VIDEOS) == 0
    before = contents(tmp_path)
    assert run("-o", tmp_path, "--seed", "9", *VIDEOS) == 1
    assert "--force" in capsys.readouterr().err
    assert contents(tmp_path) == before
    assert run("-o", tmp_path, "--seed", "9", "--force", *VIDEOS) == 0
    assert contents(tmp_path)["calibration/cam_1.mp4"] != before["calibration/cam_1.mp4"]


def test_a_video_of_another_camera_would_be_calibrated_too_and_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "calibration").mkdir()
    (tmp_path / "calibration" / "cam_7.mp4").write_bytes(b"old")
    assert run("-o", tmp_path, "--force", *VIDEOS) == 1
    assert "cam_7.mp4" in capsys.readouterr().err
    assert set(contents(tmp_path)) == {"calibration/cam_7.mp4"}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--board-frames", "0"), "board-frames"),
        (("--board-rate", "0"), "board-rate"),
        (("--board-rate", "nan"), "board-rate"),
        (("--exposure", "2000"), "exposure"),
        (("--exposure", "-1"), "exposure"),
        (("--hand", "1.1"), "hand"),
        (("--lost-frames", "1"), "lost-frames"),
        (("--image-noise", "300"), "image-noise"),
        (("--defocus", "nan"), "defocus"),
        (("--bend", "inf"), "bend"),
    ],
)
def test_bad_values_are_wrong_usage_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, str], named: str
) -> None:
    assert run("-o", tmp_path, *VIDEOS, *arguments) == 2
    assert named in capsys.readouterr().err
    assert contents(tmp_path) == {}


def test_a_board_without_videos_and_a_board_that_is_none_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("-o", tmp_path / "a", "--board", tmp_path / "none.toml", *SMALL) == 2
    assert "--videos" in capsys.readouterr().err
    assert run("-o", tmp_path / "a", "--board", tmp_path / "none.toml", *VIDEOS) == 1
    assert "none.toml" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


def test_an_interrupt_leaves_no_half_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("calibration.synthetic.rendering.BoardRenderer.render", interrupt)
    assert run("-o", tmp_path, *VIDEOS) == 1
    assert not list((tmp_path / "calibration").glob("*.mp4"))
    assert not list(tmp_path.rglob(".part-*"))


def test_defaults_of_the_options_are_those_of_the_settings() -> None:
    defaults = {parameter.name: parameter.default for parameter in command.params}
    recording, rendering = RecordingSettings(), RenderSettings()
    assert defaults["board_frames"] == recording.frames
    assert defaults["board_rate"] == recording.frame_rate
    assert defaults["exposure"] == 1000 * recording.exposure
    assert defaults["hand"] == recording.hand
    assert defaults["bend"] == recording.bend
    assert defaults["lost_frames"] == recording.drop_rate
    assert defaults["defocus"] == rendering.defocus
    assert defaults["image_noise"] == rendering.noise
    pictures = PictureSettings()
    assert defaults["clutter"] == pictures.clutter
    assert defaults["exposure"] == 1000 * pictures.exposure
    assert defaults["defocus"] == pictures.defocus
    assert defaults["image_noise"] == pictures.noise
