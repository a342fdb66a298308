"""Pictures that belong together are found by time, by a table, or by number; never by index where times are known."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.boards import Charuco, Chessboard
from calibration.errors import FileFormatError, InvalidValueError, MismatchError, SuiteWarning
from calibration.observations import match_pictures, match_times, read_timestamps
from calibration.observations._common_instants import to_common_instants
from calibration.observations._inventory import Inventory
from calibration.observations.sources import Source
from calibration.synchronization import Clock, Synchronization, Timing


def video(count: int, *, rate: float = 30.0) -> Inventory:
    source = Source("video", (Path("a.mp4"),))
    return Inventory(source, np.arange(count) / rate, np.zeros(1, dtype=np.intp), (64, 48), None)


def images(*numbers: int, named: bool = True) -> Inventory:
    source = Source("images", tuple(Path(f"{number}.png") for number in numbers))
    known = np.array(numbers, dtype=np.int64) if named else None
    return Inventory(source, np.full(len(numbers), np.nan), np.arange(len(numbers)), None, known)


def table(path: Path, header: str, rows: list[tuple[object, ...]]) -> Path:
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


# By presentation time


def assert_law_of_matching(times: list[NDArray[np.float64]]) -> None:
    """Every picture is in at most one instant, instants are in order, and their pictures are of about one time."""
    matched = match_times(times)
    longest = max(np.median(np.diff(each)) for each in times)
    for row in matched.picture:
        used = row[row >= 0]
        assert (np.diff(used) > 0).all()
    assert (matched.picture >= 0).any(axis=0).all()
    shared = (matched.picture >= 0).sum(axis=0) > 1
    together = matched.time[:, shared]
    assert (np.nanmax(together, axis=0) - np.nanmin(together, axis=0) <= longest * (1 + 1e-6)).all()


@pytest.mark.parametrize("seed", range(20))
def test_matching_is_one_to_one_in_order_and_close_in_time(seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = []
    for rate in rng.choice([15, 29.97, 30, 60, 120], size=rng.integers(2, 6)):
        every = np.arange(rng.integers(20, 200)) / rate + rng.uniform(0, 1)
        jitter = rng.normal(0, 0.05 / rate, len(every))
        times.append((every + jitter)[rng.random(len(every)) > 0.1])
    assert_law_of_matching(times)


def test_a_dropped_frame_does_not_shift_those_behind_it() -> None:
    whole = np.arange(20) / 30
    matched = match_times([whole, np.delete(whole, 7)])
    assert matched.picture[1].tolist() == [*range(7), -1, *range(7, 19)]
    np.testing.assert_array_equal(matched.time[0], whole)


def test_a_faster_camera_gives_the_pictures_nearest_to_those_of_the_slower() -> None:
    matched = match_times([np.arange(40) / 60, np.arange(20) / 30 + 0.001])
    assert matched.picture.tolist() == [list(range(0, 40, 2)), list(range(20))]


def test_half_a_frame_of_delay_still_matches_and_more_joins_the_next() -> None:
    whole = np.arange(10) / 10
    assert match_times([whole, whole + 0.049]).picture[1].tolist() == list(range(10))
    late = match_times([whole, whole + 0.06])
    assert late.picture[1, 1:10].tolist() == list(range(9))


def test_a_picture_without_partner_is_an_instant_of_its_own() -> None:
    early = match_times([np.arange(10) / 10, np.arange(10) / 10 + 0.5])
    assert early.picture.tolist() == [[*range(10), *[-1] * 5], [*[-1] * 5, *range(10)]]
    assert len(match_times([np.zeros(1), np.array([5.0])])) == 2


def test_videos_are_matched_from_their_starts_with_offsets_applied() -> None:
    cameras = {"a": video(20), "b": video(20)}
    assert match_pictures(cameras).picture[1].tolist() == list(range(20))
    moved = match_pictures(cameras, offsets={"b": 0.1})
    assert moved.picture[1, 3:20].tolist() == list(range(17))
    np.testing.assert_allclose(moved.time[1, 3], 0.1)
    assert "presentation time" in moved.how


def test_videos_of_other_lengths_are_told() -> None:
    with pytest.warns(
        SuiteWarning, match=r"the video of b ends at 0.50 s, before that of a at 1.00 s\. .*copy it again"
    ):
        match_pictures({"a": video(30), "b": video(15)})
    with pytest.warns(
        SuiteWarning, match="video of b ends at 0.50 s, that of d ends at 0.20 s, before those of a, c at"
    ):
        match_pictures({"a": video(30), "b": video(15), "c": video(29), "d": video(6)})
    match_pictures({"a": video(30), "b": video(15)}, offsets={"b": 0.2})


@pytest.mark.parametrize(("offsets", "message"), [({"c": 1.0}, "one for c"), ({"a": float("nan")}, "nan for a")])
def test_wrong_offsets_are_refused(offsets: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        match_pictures({"a": video(9), "b": video(9)}, offsets=offsets)


# By clocks


def clocks_of(*clocks: Clock) -> Synchronization:
    return Synchronization(clocks, clocks[0].camera)


def test_clocks_match_pictures_with_drift_and_dropped_frames() -> None:
    # 1 % of drift is a frame after 100; b misses 3 pictures before its 200th, which its own presentation times hide
    drifting = Clock("a", Timing(30.0, 300)), Clock("b", Timing(30.0, 300, ((200, 3),)), offset=0.1, rate=1.01)
    matched = match_pictures({"a": video(300), "b": video(300)}, clocks=clocks_of(*drifting))
    both = (matched.picture >= 0).all(axis=0)
    assert both.sum() > 280
    a, b = matched.picture[:, both]
    number = np.arange(300) + 3 * (np.arange(300) >= 200)
    np.testing.assert_array_less(np.abs(a / 30 - (0.1 + 1.01 * number[b] / 30)), 0.5 * 1.01 / 30 + 1e-9)
    assert set(a - b) == {3, 4, 5, 8, 9}, "not one offset, but 3 frames, the drift, and 3 that were dropped"
    np.testing.assert_allclose(matched.time[1, both], 0.1 + 1.01 * number[b] / 30)
    assert "clocks" in matched.how


def test_clocks_know_the_cameras_by_number_too() -> None:
    clocks = clocks_of(Clock("Cam01", Timing(30.0, 9)), Clock("Cam02", Timing(30.0, 9), offset=2 / 30))
    matched = match_pictures({"cam_1": video(9), "cam_2": video(9)}, clocks=clocks)
    assert matched.picture[1, 2:9].tolist() == list(range(7))


@pytest.mark.parametrize(
    ("names", "count", "told"),
    [
        (("left", "top"), 9, "one for each of the cameras left, right, got clocks of left, top"),
        (("left", "right"), 8, "9 frames, as many as its video has, got one of 8 frames.*another recording"),
    ],
)
def test_clocks_of_something_else_are_refused(names: tuple[str, str], count: int, told: str) -> None:
    clocks = clocks_of(Clock(names[0], Timing(30.0, 9)), Clock(names[1], Timing(30.0, count)))
    with pytest.raises(MismatchError, match=told):
        match_pictures({"left": video(9), "right": video(9)}, clocks=clocks)


@pytest.mark.parametrize("other", [{"timestamps": "times.csv"}, {"offsets": {"a": 0.1}}])
def test_clocks_and_another_correction_are_refused(other: dict[str, object]) -> None:
    clocks = clocks_of(Clock("a", Timing(30.0, 9)), Clock("b", Timing(30.0, 9)))
    with pytest.raises(InvalidValueError, match="correct twice"):
        match_pictures({"a": video(9), "b": video(9)}, clocks=clocks, **other)  # type: ignore[arg-type]


def carried(board: Charuco | Chessboard, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """(picture, corner, 2) px of a board on a bent path, 300 px/s."""
    middle = np.stack([200 + 150 * np.sin(2 * times), 150 + 100 * np.cos(2 * times)], axis=-1)
    return board.points[:, :2] + middle[:, None]


@pytest.mark.parametrize("board", [Charuco(5, 4, 20.0), Chessboard(6, 6, 20.0)], ids=str)
def test_corners_half_a_frame_apart_are_moved_to_the_same_instant(board: Charuco | Chessboard) -> None:
    times = np.arange(60) / 30 + np.array([[0.0], [0.5 / 30], [0.3 / 30]])
    seen = np.stack([carried(board, each) for each in times])
    turned = board.symmetries[0] if len(board.symmetries) else slice(None)
    seen[2, 5::7] = seen[2, 5::7][:, turned]  # nobody knows which way up these are
    moved = to_common_instants(seen, times, board, 1 / 30)
    truth = carried(board, times.mean(axis=0))
    inner = slice(2, -2)  # straight lines instead of cubics at the ends
    assert np.abs(seen[:2, inner] - truth[inner]).max() > 2.0
    np.testing.assert_allclose(moved.position[:, inner], np.tile(truth[inner], (3, 1, 1, 1)), atol=0.02)
    np.testing.assert_allclose(moved.time[:, inner], np.tile(times.mean(axis=0)[inner], (3, 1)))
    assert not moved.kept


def test_pictures_of_one_instant_stay_as_they_are_bit_by_bit() -> None:
    board = Charuco(5, 4, 20.0)
    seen = np.random.default_rng(0).uniform(0, 300, (2, 9, len(board.points), 2))
    seen[1, 3:5] = np.nan
    times = np.tile(np.arange(9) / 30, (2, 1))
    np.testing.assert_array_equal(to_common_instants(seen, times, board, 1 / 30).position, seen)


def test_views_without_neighbors_are_left_out_or_kept_where_there_are_no_others() -> None:
    board = Charuco(5, 4, 20.0)
    times = np.arange(30) / 30 + np.array([[0.0], [0.4 / 30]])
    seen = np.stack([carried(board, each) for each in times])
    seen[:, 10] = np.nan
    dense = to_common_instants(seen, times, board, 1 / 30)
    assert not dense.kept
    assert dense.left == 4, "of each camera one beside the gap and one at an end"
    assert np.isnan(dense.position[0, 9]).all()
    seldom = times + 19 * times[:1]  # every 20th picture was looked at
    sparse = to_common_instants(seen, seldom, board, 1 / 30)
    assert sparse.kept
    np.testing.assert_array_equal(sparse.position, seen)
    assert sparse.apart > 0.05 / 30


def test_without_synchronization_every_picture_is_an_instant_of_its_own() -> None:
    matched = match_pictures({"a": video(2), "b": images(1, 5, 9)}, synchronized=False)
    assert matched.picture.tolist() == [[0, 1, -1, -1, -1], [-1, -1, 0, 1, 2]]


def test_videos_beside_images_cannot_be_matched() -> None:
    with pytest.raises(MismatchError, match="videos of a and images of the others"):
        match_pictures({"a": video(3), "b": images(0, 1, 2)})


# By number


def test_images_are_matched_by_the_numbers_in_their_names() -> None:
    matched = match_pictures({"a": images(1, 2, 7), "b": images(1, 2, 7)})
    assert matched.numbers.tolist() == [1, 2, 7]
    assert np.isnan(matched.time).all()


def test_a_missing_image_shifts_nothing() -> None:
    with pytest.warns(SuiteWarning, match="camera 'b' has no image of the number 2, which"):
        matched = match_pictures({"a": images(1, 2, 3), "b": images(1, 3)})
    assert matched.picture.tolist() == [[0, 1, 2], [0, -1, 1]]


@pytest.mark.parametrize("other", [images(11, 12, 13), images(3, 4, 5), images(1, 2, 3, named=False)])
def test_images_without_common_numbers_are_matched_by_order_with_a_warning(other: Inventory) -> None:
    with pytest.warns(SuiteWarning, match="in the order of their names"):
        matched = match_pictures({"a": images(1, 2, 3), "b": other})
    assert matched.picture.tolist() == [[0, 1, 2]] * 2


def test_other_counts_without_common_numbers_cannot_be_matched() -> None:
    with pytest.raises(MismatchError, match="3 of a, 2 of b"):
        match_pictures({"a": images(1, 2, 3), "b": images(11, 12)})


def test_one_camera_needs_no_numbers() -> None:
    assert len(match_pictures({"a": images(1, 2, 3, named=False)})) == 3


# By a table of frame times


def test_a_table_with_sync_index_says_what_belongs_together(tmp_path: Path) -> None:
    rows = [(26, 1, 26, 9.0), (26, 0, 26, 9.01), (27, 0, 27, 9.2), (28, 0, 28, 9.4), (28, 1, 27, 9.41)]
    path = table(tmp_path / "t.csv", "sync_index,cam_id,frame_index,frame_time", rows)
    matched = match_pictures({"cam_0": video(3), "cam_1": video(2)}, timestamps=path)
    assert matched.numbers.tolist() == [26, 27, 28]
    assert matched.picture.tolist() == [[0, 1, 2], [0, -1, 1]]
    np.testing.assert_array_equal(matched.time, [[9.01, 9.2, 9.4], [9.0, np.nan, 9.41]])


def test_a_plain_table_is_matched_by_its_times(tmp_path: Path) -> None:
    rows = [("left", n, 100 + n / 30) for n in range(6)] + [("right", n, 100 + (n + 2) / 30) for n in range(6)]
    path = table(tmp_path / "t.csv", "camera,frame,time", rows)
    matched = match_pictures({"left": video(6), "right": video(6)}, timestamps=path)
    assert matched.picture.tolist() == [[*range(6), -1, -1], [-1, -1, *range(6)]]
    undone = match_pictures({"left": video(6), "right": video(6)}, timestamps=path, offsets={"right": -2 / 30})
    assert undone.picture.tolist() == [list(range(6))] * 2


def test_a_video_that_ends_long_before_its_table_is_named_first(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", "camera,frame,time", [("a", n, 100 + n / 30) for n in range(60)])
    told = (
        r"video of camera 'a': expected 60 pictures.*got 15 pictures: it ends after 0.47 s.*to 1.97 s\. .*copy it again"
    )
    with pytest.raises(MismatchError, match=told):
        match_pictures({"a": video(15)}, timestamps=path)


def test_rows_of_pictures_that_the_video_skipped_are_counted_by_their_frames(tmp_path: Path) -> None:
    rows = [("a", n, n / 30) for n in (0, 1, 4, 5)] + [("b", n, n / 30) for n in range(6)]
    path = table(tmp_path / "t.csv", "camera,frame,time", rows)
    matched = match_pictures({"a": video(6), "b": video(6)}, timestamps=path)
    assert matched.picture.tolist() == [[0, 1, -1, -1, 4, 5], list(range(6))]


def test_a_video_that_ends_early_loses_its_last_rows_with_a_warning(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", "camera;frame;time".replace(";", ","), [("a", n, n / 30) for n in range(50)])
    with pytest.warns(SuiteWarning, match="camera 'a' ends early: its video has 49 pictures; 1 rows"):
        assert len(match_pictures({"a": video(49)}, timestamps=path)) == 49
    with pytest.raises(MismatchError, match=r"expected 50 pictures, .*, got 30 pictures"):
        match_pictures({"a": video(30)}, timestamps=path)


@pytest.mark.parametrize(
    ("header", "rows", "cameras", "message"),
    [
        ("camera,frame,time", [("a", 0, 0), ("a", 1, 33)], {"a": video(2)}, "times in seconds"),
        ("camera,frame,time", [("x", 0, 0)], {"a": video(1)}, "rows of camera 'a', got rows of x"),
        ("camera,time", [("a", 0), ("a", 0.03)], {"a": video(3)}, "a row for each of the 3 pictures, got 2 rows"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(
    header: str, rows: list[tuple[object, ...]], cameras: dict[str, Inventory], message: str, tmp_path: Path
) -> None:
    with pytest.raises(MismatchError, match=message):
        match_pictures(cameras, timestamps=table(tmp_path / "t.csv", header, rows))


def test_cameras_of_the_table_without_pictures_are_told(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", "camera,frame,time", [("a", 0, 0), ("b", 0, 0)])
    with pytest.warns(SuiteWarning, match="camera b has no pictures here"):
        match_pictures({"a": video(1)}, timestamps=path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "got the columns"),
        ("a,b\n1,2\n", "the columns a, b"),
        ("camera,time\n", "rows below the header"),
        ("camera,time\na,x\n", "row 2: expected seconds, got 'x'"),
        ("camera,time\na,nan\n", "row 2: expected seconds"),
        ("camera,frame,time\na,1.5,0\n", "a whole number"),
        ("camera,frame,time\na,1,0\na,1,1\n", "frame 1 repeated"),
        ("camera,frame,time\na,1,5\na,2,4\n", "got 4 after 5"),
        ("sync_index,camera\n3,a\n3,a\n", "sync_index 3 repeated"),
        ("camera,frame,time\na,1\n", "expected 3 cells, got 2"),
    ],
)
def test_a_broken_table_names_the_row_or_the_camera(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(FileFormatError, match=message):
        read_timestamps(path)


def test_other_separators_names_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("\ufeffPort;Frame_Number;Timestamp\n0;0;1.5\n0;1;1.6\n", encoding="utf-8")
    stamps = read_timestamps(path)["0"]
    assert stamps.time is not None
    assert stamps.time.tolist() == [1.5, 1.6]


def test_a_missing_table_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="No such file"):
        read_timestamps(tmp_path / "none.csv")
