"""From videos and images with known corners to Corners, with any number of workers and all that can go wrong."""

import json
import multiprocessing
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

from calibration.boards import Charuco, Chessboard
from calibration.boards.detection import DetectionSettings
from calibration.corners import board_of
from calibration.errors import CalibrationError, FileFormatError, InvalidValueError, MismatchError, SuiteWarning
from calibration.observations import ObservationSettings, detect_corners, find_sources, statistics_of, write_examples
from calibration.observations import _rounds as rounds
from calibration.observations._pool import runner, worker_count
from calibration.observations._worker import Task
from calibration.observations.sources import Source
from calibration.video import VideoWriter
from tests.calibration.observations.films import BOARD, SIZE, Place, moving, picture, truth

Film = Callable[..., Path]
ALL = ObservationSettings(still=0)
HASTY = ObservationSettings(detection=DetectionSettings(patient=False))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSE3D_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def film(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a video of the board at these places."""

    def write(name: str, places: Sequence[Place], *, rate: float = 30.0, board: Charuco = BOARD) -> Path:
        path = tmp_path / f"{name}.mp4"
        with VideoWriter(path, rate, quality=8) as writer:
            for place in places:
                writer.write(picture(place, board=board))
        return path

    return write


@pytest.fixture
def photos(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a folder of images of the board at these places."""

    def write(name: str, places: Sequence[Place], *, suffix: str = "png") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for number, place in enumerate(places):
            (folder / f"{number:03}.{suffix}").write_bytes(cv2.imencode(f".{suffix}", picture(place))[1].tobytes())
        return folder

    return write


def assert_right(corners: xr.Dataset, camera: str, places: list[object], *, within: float = 0.15) -> None:
    """Every corner of a camera is where it is known to be in the picture it was found in."""
    chosen = corners.sel(camera=camera)
    for position, source in zip(chosen["position"].values, chosen["source_frame"].values, strict=True):
        if np.isfinite(position).any():
            assert_allclose(position, truth(places[int(source)]), atol=within)


def test_corners_of_videos_are_where_they_are_known_to_be(film: Film) -> None:
    places = {"a": moving(20), "b": moving(20, seen=range(5, 20), start=60)}
    corners = detect_corners({name: film(name, each) for name, each in places.items()}, BOARD, settings=ALL, workers=1)
    assert corners["camera"].values.tolist() == ["a", "b"]
    assert corners["frame"].values.tolist() == list(range(20))
    assert board_of(corners) == BOARD
    assert corners["image_size"].values.tolist() == [list(SIZE)] * 2
    for name, each in places.items():
        assert_right(corners, name, each)
    seen = np.isfinite(corners["position"].values).all(axis=(-1, -2)).sum(axis=1)
    assert seen.tolist() == [20, 15]
    assert_allclose(corners["time"].values, np.tile(np.arange(20) / 30, (2, 1)))
    assert "presentation time" in corners.attrs["matched_by"]


def test_the_number_of_workers_changes_nothing(film: Film) -> None:
    sources = {"a": film("a", moving(40)), "b": film("b", moving(40, seen=range(10, 30)))}
    settings = ObservationSettings(coarse=12, target=20, limit=30)
    one, two = (detect_corners(sources, BOARD, settings=settings, workers=n, cache=False) for n in (1, 2))
    xr.testing.assert_identical(one, two)


def test_videos_are_matched_by_time_and_offset_not_by_index(film: Film) -> None:
    places = moving(30)
    sources = {"a": film("a", places), "b": film("b", places[12:])}
    corners = detect_corners(sources, BOARD, offsets={"a": 0.0, "b": 0.4}, settings=ALL, workers=1)
    both = np.isfinite(corners["position"].values).all(axis=(0, -1, -2))
    assert both.sum() == 18
    first, second = corners["position"].values[:, both]
    assert_allclose(first, second, atol=0.15)
    assert_array_equal(np.diff(corners["source_frame"].values[:, both], axis=0), -12)


def test_a_table_of_frame_times_matches_the_pictures(film: Film, tmp_path: Path) -> None:
    places = moving(10)
    rows = [(7 + n, 0, n, n / 30) for n in range(10)] + [(7 + n, 1, i, n / 30) for i, n in enumerate(range(2, 10))]
    table = tmp_path / "t.csv"
    table.write_text("sync_index,cam_id,frame_index,frame_time\n" + "\n".join(",".join(map(str, row)) for row in rows))
    sources = {"cam_0": film("cam_0", places), "cam_1": film("cam_1", places[2:])}
    corners = detect_corners(sources, BOARD, timestamps=table, settings=ALL, workers=1)
    assert corners["frame"].values.tolist() == list(range(7, 17))
    assert corners["source_frame"].values[1].tolist()[2:] == list(range(8))
    assert_right(corners, "cam_1", places[2:])


def test_images_are_matched_by_number_and_16_bits_of_color_are_fine(photos: Film) -> None:
    left, right = photos("left", moving(4)), photos("right", moving(4), suffix="bmp")
    deep = cv2.cvtColor(picture(moving(4)[2]), cv2.COLOR_GRAY2BGR).astype(np.uint16) * 15
    (left / "002.png").unlink()
    (left / "002.tif").write_bytes(cv2.imencode(".tif", deep)[1].tobytes())
    corners = detect_corners(find_sources([left, right]), BOARD, workers=1)
    assert corners["frame"].values.tolist() == [0, 1, 2, 3]
    assert np.isnan(corners["time"].values).all()
    for name in ("left", "right"):
        assert_right(corners, name, list(moving(4)))
    assert np.isfinite(corners["position"].values).all()


def test_unsynchronized_pictures_are_instants_of_their_own(photos: Film) -> None:
    sources = {"a": photos("a", moving(3)), "b": photos("b", moving(2))}
    corners = detect_corners(sources, BOARD, settings=ObservationSettings(synchronized=False), workers=1)
    assert np.isfinite(corners["position"].values).all(axis=(-1, -2)).tolist() == [
        [True, True, True, False, False],
        [False, False, False, True, True],
    ]


def test_a_board_held_still_gives_one_view(film: Film) -> None:
    places = [moving(3)[0]] * 8 + [moving(3)[1]] * 8 + [None] * 3 + [moving(3)[1]] * 3
    source = {"a": film("a", places)}
    assert detect_corners(source, BOARD, workers=1)["source_frame"].values[0].tolist() == [0, 8]
    assert detect_corners(source, BOARD, settings=ALL, workers=1).sizes["frame"] == 19


def test_a_long_recording_is_looked_at_where_the_board_is(film: Film) -> None:
    places = moving(300, seen=range(150, 225))
    sources = {"a": film("a", places), "b": film("b", places)}
    settings = ObservationSettings(coarse=20, target=30, limit=200, still=0)
    corners = detect_corners(sources, BOARD, settings=settings, workers=1)
    statistics = statistics_of(corners)
    assert 25 <= corners.sizes["frame"] <= 40
    assert statistics["a"].looked_at <= 70
    assert_right(corners, "a", places)
    assert statistics["a"].unchanged > 0  # nothing but wall


def test_statistics_say_what_was_looked_at_and_found(film: Film) -> None:
    corners = detect_corners({"a": film("a", moving(10, seen=range(4)))}, BOARD, settings=ALL, workers=1)
    found = statistics_of(corners)["a"]
    assert (found.pictures, found.looked_at, found.with_board, found.kept) == (10, 10, 4, 4)
    assert (found.corners, found.fewest_corners, found.unreadable) == (12, 12, 0)
    assert found.tried[0] == "markers"
    assert statistics_of(corners.drop_attrs()) == {}


def test_progress_is_told(film: Film) -> None:
    steps: list[tuple[int, int]] = []
    sources = {"a": film("a", moving(8)), "b": film("b", moving(8))}
    detect_corners(sources, BOARD, progress=lambda *step: steps.append(step), workers=1)
    assert steps[0] == (0, 16)
    assert steps[-1] == (16, 16)
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)


# The cache


def test_the_same_question_is_answered_from_the_cache(film: Film, monkeypatch: pytest.MonkeyPatch) -> None:
    source = {"a": film("a", moving(6))}
    first = detect_corners(source, BOARD, workers=1)
    monkeypatch.setattr("calibration.observations.detection.observe", lambda *_: pytest.fail("looked again"))
    xr.testing.assert_identical(detect_corners(source, BOARD), first)
    moved = Path(source["a"]).rename(source["a"].with_name("other.mp4"))
    again = detect_corners({"a": moved}, BOARD)
    assert_array_equal(again["position"].values, first["position"].values)
    assert json.loads(again.attrs["sources"]) == [str(moved)]


@pytest.mark.parametrize(
    "change",
    [
        {"board": replace(BOARD, square=21.0)},
        {"settings": ObservationSettings(coarse=3)},
        {"offsets": {"b": 0.1}},
        {"cache": False},
    ],
)
def test_another_question_is_not(change: dict[str, object], film: Film, monkeypatch: pytest.MonkeyPatch) -> None:
    source = {"a": film("a", moving(6)), "b": film("b", moving(6))}
    arguments = {"board": BOARD, "workers": 1, **change}
    detect_corners(source, BOARD, workers=1)
    asked = []
    observe = rounds.observe
    monkeypatch.setattr("calibration.observations.detection.observe", lambda *a: asked.append(1) or observe(*a))
    detect_corners(source, **arguments)
    assert asked


def test_a_file_that_changed_is_looked_at_again(film: Film) -> None:
    detect_corners({"a": film("a", moving(6))}, BOARD, workers=1)
    assert detect_corners({"a": film("a", moving(6)[::-1])}, BOARD, workers=1).sizes["frame"] == 6


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no archive", None])
def test_a_damaged_cache_is_ignored_and_made_again(damage: bytes | None, film: Film, tmp_path: Path) -> None:
    source = {"a": film("a", moving(6))}
    first = detect_corners(source, BOARD, workers=1)
    (kept,) = (tmp_path / "cache").rglob("*.npz")
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-200] if damage is None else damage)
    xr.testing.assert_identical(detect_corners(source, BOARD, workers=1), first)
    assert kept.stat().st_size == len(whole)


def test_a_cache_that_cannot_be_written_costs_a_warning(film: Film, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.warns(SuiteWarning, match="not kept for the next time"):
        detect_corners({"a": film("a", moving(3))}, BOARD, workers=1, cache=tmp_path / "file")


# No board


def test_no_board_says_what_was_tried_and_shows_it(film: Film, tmp_path: Path) -> None:
    sources = {"a": film("a", moving(3)), "b": film("b", [None] * 3)}
    other = Chessboard(columns=9, rows=6, square=20.0)
    with pytest.raises(CalibrationError, match=r"3 of 3 pictures of a, 3 of 3 pictures of b \(tried: quad") as caught:
        detect_corners(sources, other, settings=HASTY, workers=1, examples=tmp_path / "examples")
    assert str(tmp_path / "examples") in caught.value.remedy
    shown = sorted(path.name for path in (tmp_path / "examples").iterdir())
    assert shown == [f"{camera}-{number:06}.png" for camera in "ab" for number in (0, 1, 2)]
    assert cv2.imread(str(tmp_path / "examples" / shown[0])).shape == (SIZE[1], SIZE[0], 3)


def test_a_camera_without_a_board_is_named(film: Film) -> None:
    sources = {"a": film("a", moving(5)), "b": film("b", [None] * 5)}
    with pytest.warns(SuiteWarning, match="camera 'b': no board in any of the 5 pictures"):
        corners = detect_corners(sources, BOARD, workers=1)
    assert np.isnan(corners["position"].values[1]).all()


def test_examples_show_the_corners_that_were_found(photos: Film, tmp_path: Path) -> None:
    (path,) = write_examples({"a": photos("a", moving(1))}, BOARD, tmp_path / "out", count=1)
    shown = cv2.imread(str(path)).astype(int)
    assert ((shown[..., 1] - shown[..., 2]) > 80).sum() > 100  # green circles


@pytest.mark.parametrize("told", [False, True])
def test_a_print_other_than_told_is_found_and_told(told: bool, film: Film) -> None:
    source = {"a": film("a", moving(6), board=replace(BOARD, inverted=not told))}
    with pytest.warns(SuiteWarning, match=f"set inverted = {str(not told).lower()}"):
        corners = detect_corners(source, replace(BOARD, inverted=told), workers=1)
    assert np.isfinite(corners["position"].values).all()
    assert_right(corners, "a", list(moving(6)))


# Bad pictures


def test_damaged_images_are_counted_and_left_out(photos: Film) -> None:
    folder = photos("a", moving(5))
    (folder / "001.png").write_bytes(b"no image")
    (folder / "003.png").write_bytes(b"")
    with pytest.warns(SuiteWarning, match="camera 'a': 2 pictures of 5 could not be decoded"):
        corners = detect_corners({"a": folder}, BOARD, workers=1)
    assert corners["source_frame"].values.tolist() == [[0, 2, 4]]
    assert statistics_of(corners)["a"].unreadable == 2


def test_a_video_that_was_cut_off_gives_the_pictures_it_has(film: Film, tmp_path: Path) -> None:
    whole = film("whole", moving(30))
    cut = tmp_path / "cut.mp4"  # the index is in front, so that the file opens
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.6)])
    with pytest.warns(SuiteWarning) as caught:
        corners = detect_corners({"a": cut, "b": whole}, BOARD, settings=ALL, workers=1)
    assert any("cut off" in str(each.message) or "could not be decoded" in str(each.message) for each in caught)
    seen = np.isfinite(corners["position"].values).all(axis=(-1, -2)).sum(axis=1)
    assert 5 < seen[0] < 30 == seen[1]
    assert_right(corners, "a", list(moving(30)))


def test_pictures_of_one_camera_have_one_size(photos: Film) -> None:
    folder = photos("a", moving(4))
    small = picture(moving(4)[2])[:-10]
    (folder / "002.png").write_bytes(cv2.imencode(".png", small)[1].tobytes())
    with pytest.raises(MismatchError, match=r"002\.png: expected 320 x 240 as in most of its pictures, got 320 x 230"):
        detect_corners({"a": folder}, BOARD, workers=1)


def test_a_camera_without_a_readable_picture_is_named(photos: Film) -> None:
    folder = photos("a", moving(2))
    for path in folder.iterdir():
        path.write_bytes(b"no image")
    with pytest.raises(FileFormatError, match=r"camera 'a'.*none among 2"):
        detect_corners({"a": folder}, BOARD, workers=1)


def test_no_camera_and_wrong_numbers_are_refused(film: Film) -> None:
    with pytest.raises(InvalidValueError, match="at least one camera"):
        detect_corners({}, BOARD)
    for workers in (0, True, 1.5):
        with pytest.raises(InvalidValueError, match="workers"):
            detect_corners({"a": film("a", moving(1))}, BOARD, workers=workers)  # type: ignore[arg-type]
    for wrong in ({"coarse": 0}, {"target": 1.5}, {"limit": -1}, {"still": float("nan")}, {"still": -0.1}):
        with pytest.raises(InvalidValueError, match=next(iter(wrong))):
            ObservationSettings(**wrong)


# Worker processes


def test_little_work_stays_in_this_process() -> None:
    assert worker_count(None, 10) == 1
    assert worker_count(3, 10) == 3
    assert 1 <= worker_count(None, 10_000) <= (os.cpu_count() or 1)


def test_an_interrupt_stops_the_workers(film: Film) -> None:
    def interrupt(done: int, _total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        detect_corners({"a": film("a", moving(90))}, BOARD, progress=interrupt, workers=2)
    assert multiprocessing.active_children() == []


class Bomb:
    """Ends the process that reads it."""

    def __reduce__(self) -> tuple[object, ...]:
        return os._exit, (3,)


def test_a_worker_that_crashes_is_an_error_that_names_the_pictures() -> None:
    source = Source("images", (Path("bad.png"),))
    task = Task(0, source, np.arange(3), Bomb(), ObservationSettings().detection, np.zeros(3, bool))  # type: ignore[arg-type]
    with pytest.raises(CalibrationError, match=r"bad.png, pictures 0 to 2.*ended by itself"), runner(2) as run:
        run([task], lambda _: None)
    assert multiprocessing.active_children() == []


def test_charuco_is_the_board_of_these_tests() -> None:
    assert isinstance(BOARD, Charuco)


def test_a_board_that_looks_the_same_after_a_turn_is_told(film: Film) -> None:
    symmetric = Chessboard(columns=8, rows=6, square=20.0)
    with (
        pytest.warns(SuiteWarning, match="looks the same after a turn"),
        pytest.raises(CalibrationError),
    ):
        detect_corners({"a": film("a", moving(3))}, symmetric, settings=HASTY, workers=1)
