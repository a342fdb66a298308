"""Clocks from a sound and from a blinking light: signals, and videos that carry them."""

from fractions import Fraction

import av
import numpy as np
import pytest

from calibration.errors import CalibrationError, FileFormatError, InvalidValueError, MismatchError
from calibration.synchronization import (
    FlashSettings,
    Timing,
    find_flashes,
    read_brightness,
    read_sound,
    synchronize_audio,
    synchronize_flashes,
)
from calibration.synchronization.audio import Sound
from calibration.video import VideoWriter

TIMING = {"a": Timing(60.0, 1800), "b": Timing(60.0, 1800)}
FINE = 32_000


@pytest.fixture(scope="module")
def world():
    """50 s of steps, squeaks and rests, at 32 kHz."""
    rng = np.random.default_rng(0)
    sound = np.convolve(rng.normal(size=50 * FINE), np.hanning(16) * np.cos(np.arange(16) * 0.5), "same")
    loud = np.full(len(sound), 0.02)
    for start in rng.integers(0, len(sound) - FINE, 40):
        loud[start : start + FINE // 4] += np.exp(-np.arange(FINE // 4) / (0.03 * FINE))
    return sound * loud / np.std(sound * loud)


def hear(world, offset, drift=0.0, decibel=10.0, seconds=30, seed=0):
    """What a camera records that starts 10 s + offset into the world."""
    times = 10 + offset + (1 + drift) * np.arange(seconds * 8000) / 8000
    heard = np.interp(times * FINE, np.arange(len(world)), world)
    noise = np.random.default_rng(seed).normal(size=len(heard)) * 10 ** (-decibel / 20)
    return Sound((0.1 * (heard + noise)).astype(np.float32), 8000.0, 0.0)


@pytest.mark.parametrize(("decibel", "drift"), [(20, 0.0), (0, 100e-6), (-6, -100e-6)])
def test_the_same_sound_gives_offset_and_drift(world, decibel, drift):
    offset = 2.3456
    sounds = {"a": hear(world, 0, decibel=decibel, seed=1), "b": hear(world, offset, drift, decibel, seed=2)}
    clock = synchronize_audio(sounds, TIMING)["b"]
    assert abs(clock.offset - offset) * 60 < 0.05
    assert abs(clock.rate - 1 - drift) < 25e-6
    assert clock.method == "audio"
    assert abs(clock.offset - offset) < 5 * clock.offset_std


def test_sounds_without_anything_in_common_are_told(world):
    noise = Sound((0.1 * np.random.default_rng(3).normal(size=240_000)).astype(np.float32), 8000.0, 0.0)
    with pytest.raises(CalibrationError, match="the same sounds in both"):
        synchronize_audio({"a": hear(world, 0), "b": noise}, TIMING)


def test_a_sound_that_repeats_is_told(world):
    beat = np.tile(hear(world, 0, seconds=1, decibel=60).samples, 30)
    noise = 0.003 * np.random.default_rng(4).normal(size=(2, len(beat))).astype(np.float32)
    sounds = {"a": Sound(beat + noise[0], 8000.0, 0.0), "b": Sound((beat + noise[1])[3000:], 8000.0, 0.0)}
    with pytest.raises(CalibrationError, match="at another one"):
        synchronize_audio(sounds, TIMING)


def test_silence_is_told(world):
    with pytest.raises(CalibrationError, match=r"'b'.*silence"):
        synchronize_audio({"a": hear(world, 0), "b": Sound(np.zeros(80_000, np.float32), 8000.0, 0.0)}, TIMING)
    with pytest.raises(MismatchError):
        synchronize_audio({"a": hear(world, 0)}, TIMING)


def write_sound(path, samples, rate=16_000, delay=0.0):
    """A short video with a sound track that starts `delay` seconds after the first frame."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10)
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        audio = container.add_stream("pcm_s16le", rate=rate, layout="mono")
        for index in range(20):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64), np.uint8), format="gray")
            frame.pts, frame.time_base = index, Fraction(1, 10)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        for start in range(0, len(samples), 1024):
            piece = (samples[None, start : start + 1024] * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(piece), format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, start + round(delay * rate), Fraction(1, rate)
            container.mux(audio.encode(frame))
        container.mux(audio.encode())


def test_the_sound_of_a_video_is_on_the_clock_of_its_frames(tmp_path, world):
    samples = 0.1 * world[: 8 * FINE : 2]
    write_sound(tmp_path / "a.mkv", samples)
    write_sound(tmp_path / "b.mkv", samples[16_000 * 3 // 2 :], delay=0.25)
    sounds = {name: read_sound(tmp_path / f"{name}.mkv") for name in "ab"}
    assert sounds["b"].start == pytest.approx(0.25, abs=0.002)
    clock = synchronize_audio(sounds, TIMING)["b"]
    assert clock.offset == pytest.approx(1.5 - 0.25, abs=0.0005)


def test_a_video_without_sound_is_told(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 30.0) as video:
        video.write(np.zeros((32, 32), np.uint8))
    with pytest.raises(FileFormatError, match="without a sound track"):
        read_sound(tmp_path / "a.mp4")
    with pytest.raises(FileFormatError, match="sound"):
        read_sound(tmp_path / "none.mp4")


# A light


def blink(seed=5, length=40.0):
    """(event, 2) times on and off, irregular."""
    rng = np.random.default_rng(seed)
    times, now = [], 1.0
    while now < length:
        lit = rng.uniform(0.1, 0.5)
        times.append((now, now + lit))
        now += lit + rng.uniform(0.1, 1.0)
    return np.array(times)


def see(events, offset, *, drift=0.0, exposure=0.7, count=1800, noise=2.0, seed=0):
    """(frame,) brightness of the light, each frame the mean over its exposure."""
    middle = np.arange(count) / 60
    start, end = (offset + (1 + drift) * (middle + side * exposure / 60 / 2) for side in (-1, 1))
    lit = np.clip(np.minimum(end[:, None], events[:, 1]) - np.maximum(start[:, None], events[:, 0]), 0, None).sum(1)
    return 30 + 150 * lit / (end - start) + np.random.default_rng(seed).normal(size=count) * noise


@pytest.mark.parametrize(("exposure", "other"), [(0.9, 0.9), (0.7, 0.4), (0.05, 0.05)])
def test_flashes_give_the_offset_between_frames(exposure, other):
    offset, drift = 2.3456, 100e-6
    flashes = {
        "a": find_flashes(see(blink(), 0, exposure=exposure, seed=1), TIMING["a"]),
        "b": find_flashes(see(blink(), offset, drift=drift, exposure=other, seed=2), TIMING["b"]),
    }
    clock = synchronize_flashes(flashes, TIMING)["b"]
    assert abs(clock.offset - offset) * 60 < (0.1 if exposure > 0.1 else 0.25)
    assert abs(clock.offset - offset) < 4 * clock.offset_std
    assert abs(clock.rate - 1 - drift) < 4 * clock.rate_std
    assert clock.quality > 0.9


def test_a_regular_pattern_is_told_and_a_limit_helps():
    events = np.arange(1, 45)[:, None] + [0.0, 0.5]
    flashes = {name: find_flashes(see(events, offset, seed=3), TIMING["a"]) for name, offset in (("a", 0), ("b", 0.3))}
    with pytest.raises(CalibrationError, match="at one offset only"):
        synchronize_flashes(flashes, TIMING)
    found = synchronize_flashes(flashes, TIMING, settings=FlashSettings(maximum_offset=0.6))
    assert found["b"].offset == pytest.approx(0.3, abs=0.002)


def test_other_flashes_do_not_match():
    flashes = {
        "a": find_flashes(see(blink(1), 0), TIMING["a"]),
        "b": find_flashes(see(blink(2), 0), TIMING["b"]),
    }
    with pytest.raises(CalibrationError):
        synchronize_flashes(flashes, TIMING)


@pytest.mark.parametrize("values", [np.full(100, 40.0), 40 + np.random.default_rng(0).normal(size=100), [1.0, 2.0]])
def test_a_light_that_does_not_blink_is_told(values):
    with pytest.raises(CalibrationError, match="switched"):
        find_flashes(values, Timing(60, len(values)))


def write_blinking(path, offset, where, *, count=240, seed=0):
    """A gray picture with a moving bar, noise, and a light of 12 x 12 px."""
    rng = np.random.default_rng(seed)
    light = see(blink(length=20.0), offset, count=count, noise=0.5)
    with VideoWriter(path, 60.0) as video:
        for index in range(count):
            image = np.full((96, 128), 60.0)
            image[:, (index * 2) % 128 : (index * 2) % 128 + 6] = 150
            x, y = where
            image[y : y + 12, x : x + 12] = light[index]
            video.write(np.clip(image + rng.normal(size=image.shape), 0, 255).astype(np.uint8))


def test_the_light_is_found_in_the_picture(tmp_path):
    flashes = {}
    for name, offset, where in (("a", 0.0, (20, 30)), ("b", 1.1234, (90, 60))):
        path = tmp_path / f"{name}.mp4"
        write_blinking(path, offset, where, count=480)
        brightness, region = read_brightness(path)
        x, y, width, height = region
        assert where[0] - 8 <= x <= x + width <= where[0] + 20
        assert where[1] - 8 <= y <= y + height <= where[1] + 20
        flashes[name] = find_flashes(brightness, Timing(60, 480))
    clock = synchronize_flashes(flashes, {name: Timing(60, 480) for name in "ab"})["b"]
    assert abs(clock.offset - 1.1234) * 60 < 0.1
    with pytest.raises(InvalidValueError, match="within 128 x 96"):
        read_brightness(tmp_path / "a.mp4", (100, 10, 60, 10))
