"""Clocks of cameras: what they say, their file, time stamps, and positions between frames."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.errors import FileFormatError, InvalidValueError, MismatchError
from calibration.synchronization import (
    Clock,
    Synchronization,
    Timing,
    Verification,
    load_synchronization,
    read_timestamps,
    resample_positions,
    resample_values,
    save_synchronization,
    synchronize_timestamps,
    timing_of,
)

DROPS = ((40, 2), (41, 1), (90, 2))


def drawn_stamps(rng, *, count=300, rate=60.0, start=10.0, drift=0.0, drops=(), jitter=0.05):
    timing = Timing(rate, count, drops)
    return start + timing.at() * (1 + drift) + rng.normal(size=count) * jitter / rate


def test_frame_times_count_what_was_dropped():
    timing = Timing(50.0, 100, DROPS)
    numbers = timing.at() * 50
    np.testing.assert_allclose(np.diff(numbers)[[38, 39, 40, 41, 89]], [1, 3, 2, 1, 3])
    assert timing.number_dropped == 5
    np.testing.assert_allclose(timing.at([-2, 99, 101]) * 50, [-2, 104, 106])
    irregular = Timing(10.0, 3, times=np.array([0.0, 0.11, 0.19]))
    np.testing.assert_allclose(irregular.at([-1, 0.5, 2, 3]), [-0.1, 0.055, 0.19, 0.29])


@given(st.floats(-10, 10), st.floats(-1e-3, 1e-3), st.floats(-10, 10), st.floats(-1e-3, 1e-3), st.floats(0, 1000))
def test_clocks_are_lines_and_any_camera_may_be_the_reference(offset, drift, other, other_drift, frame):
    timing = Timing(60.0, 2000, DROPS)
    clocks = (
        Clock("a", timing),
        Clock("b", timing, offset=offset, rate=1 + drift),
        Clock("c", timing, offset=other, rate=1 + other_drift),
    )
    sync = Synchronization(clocks, "a")
    time = sync["b"].reference_time(frame)
    assert sync["b"].camera_time(time) == pytest.approx(timing.at(frame), abs=1e-9)
    moved = sync.with_reference("c")
    # an instant in b is the same instant in c, whoever's clock tells it
    assert sync["c"].camera_time(time) == pytest.approx(moved["b"].reference_time(frame), abs=1e-8)
    back = moved.with_reference("a")
    assert back["b"].offset == pytest.approx(offset, abs=1e-9)
    assert back["b"].rate == pytest.approx(1 + drift, abs=1e-12)


def test_a_fast_clock_has_positive_drift():
    # it counts 1000.1 s while the reference counts 1000
    clock = Clock("b", Timing(60, 10), rate=1000 / 1000.1)
    assert clock.drift == pytest.approx(100)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Timing(0, 10),
        lambda: Timing(60, 0),
        lambda: Timing(60, 10, ((10, 1),)),
        lambda: Timing(60, 10, ((5, 0),)),
        lambda: Timing(60, 10, ((5, 1), (5, 1))),
        lambda: Timing(60, 3, times=np.array([0.0, 2.0, 1.0])),
        lambda: Clock("a", Timing(60, 10), offset=np.nan),
        lambda: Clock("a", Timing(60, 10), rate=2.0),
        lambda: Verification("perhaps"),
        lambda: Synchronization((Clock("a", Timing(60, 10)), Clock("a", Timing(60, 10))), "a"),
    ],
)
def test_impossible_clocks_are_refused(make):
    with pytest.raises(InvalidValueError):
        make()


def test_a_camera_without_a_clock_is_named():
    with pytest.raises(MismatchError, match=r"'top'.*a, b"):
        Synchronization((Clock("a", Timing(60, 10)), Clock("b", Timing(60, 10))), "a")["top"]


# The file


def example():
    times = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.02, 20))
    clocks = (
        Clock("a", Timing(60.0, 100, DROPS), method="reference"),
        Clock(
            "b ü",
            Timing(59.94, 20, times=times - times[0]),
            offset=-0.1 / 3,
            rate=1 + 1e-5 / 3,
            offset_std=1e-4,
            rate_std=1e-6,
            method="audio",
            quality=0.9,
            verification=Verification("verified", 0.01, 0.02, 3.0, 0.5),
        ),
    )
    return Synchronization(clocks, "a")


def test_the_file_loses_nothing(tmp_path):
    sync = example()
    save_synchronization(sync, tmp_path / "sync.toml")
    found = load_synchronization(tmp_path)
    assert found.reference == "a"
    for old, new in zip(sync, found, strict=True):
        assert (old.camera, old.offset, old.rate, old.method, old.quality) == (
            new.camera,
            new.offset,
            new.rate,
            new.method,
            new.quality,
        )
        np.testing.assert_array_equal([old.offset_std, old.rate_std], [new.offset_std, new.rate_std])
        assert (old.timing.frame_rate, old.timing.count, old.timing.dropped) == (
            new.timing.frame_rate,
            new.timing.count,
            new.timing.dropped,
        )
        np.testing.assert_array_equal(old.timing.at(), new.timing.at())
        assert str(old.verification) == str(new.verification)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("pose3d-sync", "anipose", "format"),
        ("format_version = 1", "format_version = 9", "format_version"),
        ('reference = "a"', 'reference = "z"', "one of the synchronized cameras"),
        ("offset_s = 0.0", "offset = 0.0", "offset_s"),
        ("offset_s = 0.0", 'offset_s = "0"', "another type"),
        ("offset_s = 0.0", "offset_s = nan", "finite"),
        ("offset_std_s = nan", "offset_std_s = nan\noffest_s = 1.0", "offest_s"),
        ("frame_rate = 60.0", "frame_rate = -1", "positive"),
        ('status = "not verified"', 'status = "ok"', "a status"),
        ("[[camera]]", "[[camera", "TOML"),
    ],
)
def test_a_damaged_file_is_named_with_its_place(tmp_path, old, new, expected):
    path = tmp_path / "sync.toml"
    save_synchronization(example(), path)
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(FileFormatError, match=expected) as error:
        load_synchronization(path)
    assert "sync.toml" in str(error.value)


def test_a_missing_file_is_said():
    with pytest.raises(FileFormatError, match="can be read"):
        load_synchronization("nowhere/sync.toml")


# Between frames


def test_frames_stay_what_they_are_and_curves_are_followed():
    rng = np.random.default_rng(1)
    times = np.cumsum(rng.uniform(0.9, 1.1, 40))
    cubic = np.stack([times**3 / 400 - times, 5 + times**2 / 7], axis=-1)[:, None]
    np.testing.assert_array_equal(resample_positions(cubic, times, times), cubic)
    inside = rng.uniform(times[1], times[-2], 50)
    truth = np.stack([inside**3 / 400 - inside, 5 + inside**2 / 7], axis=-1)[:, None]
    np.testing.assert_allclose(resample_positions(cubic, times, inside, maximum_gap=2), truth, atol=1e-9)


def test_gaps_are_not_bridged_and_nothing_is_made_up():
    times = np.array([0.0, 1, 2, 3, 6, 7, 8])
    values = np.arange(7.0)[:, None] * [1.0, 2.0]
    values[1] = np.nan
    found = resample_positions(values, times, [-0.1, 0, 0.5, 1.5, 2, 2.5, 4, 6.5, 8, 8.1])[:, 0]
    np.testing.assert_array_equal(np.isfinite(found), [0, 1, 0, 0, 1, 1, 0, 1, 1, 0])
    np.testing.assert_allclose(found[[5, 7]], [2.5, 4.5])
    assert np.isfinite(resample_positions(values, times, [4.0], maximum_gap=4)).all()
    # half a position is none
    values[5, 0] = np.nan
    assert np.isnan(resample_positions(values, times, [7.0])).all()


def test_confidence_stays_within_its_range():
    times = np.arange(30.0)
    scores = np.random.default_rng(2).integers(0, 2, 30).astype(float)
    found = resample_values(scores, times, np.linspace(0, 29, 400))
    assert found.min() >= 0
    assert found.max() <= 1


# Time stamps


@pytest.mark.parametrize("jitter", [0.0, 0.05, 0.15])
def test_dropped_frames_are_located(jitter):
    rng = np.random.default_rng(3)
    drops = ((40, 1), (90, 2), (200, 1), (260, 1))
    timing = timing_of(drawn_stamps(rng, drops=drops, jitter=jitter))
    assert timing.dropped == drops
    assert timing.times is None
    assert timing.frame_rate == pytest.approx(60, rel=3e-4)


def test_a_late_stamp_is_no_dropped_frame():
    stamps = np.arange(100) / 30
    stamps[[20, 60]] += 0.9 / 30
    assert timing_of(stamps).dropped == ()


def test_frames_that_come_irregularly_keep_their_times():
    steps = np.random.default_rng(4).uniform(0.8, 1.2, 400) / 30
    stamps = 5 + np.cumsum(steps)
    timing = timing_of(stamps)
    np.testing.assert_allclose(timing.at(), stamps - stamps[0])


@pytest.mark.parametrize("at", [0, 17])
def test_stamps_that_do_not_increase_name_the_frame(at):
    stamps = np.arange(30.0)
    stamps[at] = np.nan
    with pytest.raises(InvalidValueError, match=f"frame {at}"):
        timing_of(stamps, subject="cam.csv")
    stamps[at] = -5
    if at:
        with pytest.raises(InvalidValueError, match="later than"):
            timing_of(stamps)


def test_offset_drift_and_drops_of_stamped_cameras():
    rng = np.random.default_rng(5)
    drops = ((100, 1), (300, 3), (777, 1))
    stamps = {
        "a": drawn_stamps(rng, count=3600, start=5000.0),
        "b": drawn_stamps(rng, count=3600, start=5000.2345, drift=100e-6, drops=drops),
    }
    sync = synchronize_timestamps(stamps, frame_rates={"a": 60.0, "b": 60.0}, counts={"a": 3600, "b": 3600})
    clock = sync["b"]
    assert clock.timing.dropped == drops
    assert abs(clock.offset - 0.2345) * 60 < 0.02
    # the clock of b counts 60 frames as a second, which take longer: it is slow
    assert clock.drift == pytest.approx(-100, abs=5)
    assert abs(clock.offset - 0.2345) < 4 * np.hypot(clock.offset_std, sync["a"].offset_std)


def test_stamps_of_another_camera_or_recording_are_refused():
    stamps = {"a": np.arange(100) / 30, "b": np.arange(90) / 30}
    with pytest.raises(MismatchError, match=r"camera 'b'.*as many as the video of a|camera 'a'.*of b"):
        synchronize_timestamps(stamps, counts={"a": 90, "b": 100})
    with pytest.raises(MismatchError, match="overlap"):
        synchronize_timestamps({"a": np.arange(100) / 30, "b": 50 + np.arange(90) / 30})


def test_tables_of_stamps(tmp_path):
    path = tmp_path / "timestamps.csv"
    path.write_text("sync_index,cam_id,frame_index,frame_time\n5,1,8,0.5\n5,0,7,0.1\n6,0,8,0.2\n4,1,7,0.4\n")
    found = read_timestamps(path)
    assert {name: times.tolist() for name, times in found.items()} == {"cam_1": [0.4, 0.5], "cam_0": [0.1, 0.2]}
    path.write_text("camera;time_ms\ntop;100\ntop;200\n\n")
    assert read_timestamps(path)["top"].tolist() == [0.1, 0.2]
    single = tmp_path / "side_timestamps.csv"
    single.write_text("0.1\n0.2\n0.3\n")
    assert read_timestamps(single)["side"].tolist() == [0.1, 0.2, 0.3]
    single.write_text("timestamp (ns)\n1000000000\n2000000000\n")
    assert read_timestamps(single)["side"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "empty file"),
        ("camera,time\n", "header alone"),
        ("camera,when\na,1\n", "a column of times"),
        ("camera,time\na,one\n", "a number in line 2"),
        ("camera,time\na,1,2\n", "2 columns in line 2"),
        ("0.1\nx\n", "a number in line 2"),
    ],
)
def test_tables_that_are_none(tmp_path, text, expected):
    path = tmp_path / "timestamps.csv"
    path.write_text(text)
    with pytest.raises(FileFormatError, match=expected):
        read_timestamps(path)
