"""Videos are read back frame by frame with the number that was drawn into each of them as a bar code."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.errors import FileFormatError, InvalidValueError, OutputError, SuiteWarning
from calibration.video import VideoWriter, image_size, open_video, read_frames, read_image, write_png

WIDTH, HEIGHT = 64, 48


def bar_code(number: int, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """An image whose eight vertical bars spell the number in binary; survives any codec."""
    bits = (number >> np.arange(8)) & 1
    row = np.repeat(bits * 200 + 25, width // 8)
    return np.broadcast_to(row[None, :, None], (height, width, 3)).astype(np.uint8)


def number_in(image: NDArray[np.uint8]) -> int:
    gray = image.mean(axis=-1) if image.ndim == 3 else image
    bars = gray[:, : WIDTH // 8 * 8].mean(axis=0).reshape(8, -1).mean(axis=1) > 125
    return int((bars << np.arange(8)).sum())


def encode(path: Path, stamps: list[int], *, rate: int = 30, codec: str = "libx264", gop: int = 10) -> Path:
    """Write bar codes 0, 1, 2, ... at these time stamps (in units of 1 / rate) without the code under test."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.gop_size = gop
        stream.codec_context.time_base = Fraction(1, rate)
        for number, stamp in enumerate(stamps):
            frame = av.VideoFrame.from_ndarray(bar_code(number), format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def irregular(count: int) -> list[int]:
    steps = np.random.default_rng(3).integers(1, 6, count)
    return [int(stamp) for stamp in np.cumsum(steps) - steps[0]]


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        ("mp4", "libx264"),
        ("mkv", "libx264"),
        ("ts", "libx264"),
        ("avi", "libx264"),
        ("avi", "mpeg4"),
        ("avi", "ffv1"),
        ("mpg", "mpeg2video"),
        ("webm", "libvpx-vp9"),
    ],
)
def test_every_frame_is_found_by_its_number_in_any_order(tmp_path: Path, suffix: str, codec: str) -> None:
    count = 75
    path = encode(tmp_path / f"a.{suffix}", list(range(count)), codec=codec)
    with open_video(path) as video:
        assert len(video) == count
        assert [number_in(frame.image) for frame in video] == list(range(count))
        order = np.random.default_rng(1).permutation(count)[:40].tolist()
        assert [number_in(frame.image) for frame in video.frames(order)] == order
        assert [number_in(video.read(n).image) for n in (count - 1, 0, 0, count - 1)] == [count - 1, 0, 0, count - 1]
        np.testing.assert_allclose(video.times, np.arange(count) / 30, atol=1.1e-3)  # Matroska rounds to milliseconds
        assert video.frame_rate == pytest.approx(30, rel=1e-2)


def test_times_of_a_variable_frame_rate_are_those_of_the_file(tmp_path: Path) -> None:
    stamps = irregular(60)
    with open_video(encode(tmp_path / "a.mp4", stamps, rate=120)) as video:
        np.testing.assert_allclose(video.times, np.array(stamps) / 120, atol=1e-9)
        for index in (41, 7, 8, 59, 23):
            frame = video.read(index)
            assert (number_in(frame.image), frame.index, frame.time) == (index, index, video.times[index])


def test_a_random_access_gives_the_same_pixels_as_reading_from_the_start(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.ts", list(range(60)), gop=7)
    whole = {frame.index: frame.image for frame in read_frames(path)}
    with open_video(path) as video:
        for index in np.random.default_rng(2).permutation(60)[:25].tolist():
            np.testing.assert_array_equal(video.read(index).image, whole[index])


@pytest.mark.parametrize("shape", [(48, 64, 3), (47, 63, 3), (48, 64), (33, 40)])
def test_written_images_come_back(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "out.mp4"
    image = np.full(shape, 130, np.uint8)
    image[: shape[0] // 2] = 40
    with VideoWriter(path, 29.97, quality=10) as writer:
        for _ in range(5):
            writer.write(image)
    assert writer.count == 5
    with open_video(path) as video:
        assert len(video) == 5
        assert video.size == (shape[1] + shape[1] % 2, shape[0] + shape[0] % 2)
        assert video.frame_rate == pytest.approx(29.97, abs=1e-3)
        back = video.read(4).image[: shape[0], : shape[1]]
    np.testing.assert_allclose(back, image if image.ndim == 3 else image[..., None].repeat(3, -1), atol=4)


def test_browsers_can_play_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with VideoWriter(path, 25) as writer:
        writer.write(bar_code(1))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_the_channels_are_in_the_order_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "red.mp4"
    with VideoWriter(path, 10, quality=5) as writer:
        writer.write(np.full((32, 32, 3), (250, 10, 20), np.uint8))
    colors = {layout: next(read_frames(path, pixel_format=layout)).image for layout in ("rgb", "bgr", "gray")}
    np.testing.assert_allclose(colors["rgb"].mean((0, 1)), (250, 10, 20), atol=6)
    np.testing.assert_array_equal(colors["bgr"], colors["rgb"][..., ::-1])
    assert colors["gray"].shape == (32, 32)
    assert colors["gray"].dtype == np.uint8


@pytest.mark.parametrize("encoder", ["mpeg4", "libx264"])
def test_an_encoder_can_be_named(tmp_path: Path, encoder: str) -> None:
    with VideoWriter(tmp_path / "a.mp4", 30, encoder=encoder) as writer:
        for number in range(20):
            writer.write(bar_code(number))
    assert [number_in(frame.image) for frame in read_frames(tmp_path / "a.mp4")] == list(range(20))


def test_the_fall_back_to_mpeg4_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calibration.video.writing._has_encoder", lambda name: name == "mpeg4")
    with pytest.warns(SuiteWarning, match=r"no H\.264 encoder"):
        VideoWriter(tmp_path / "a.mp4", 30)


def rotated(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Put a display matrix into the track header of an MP4 file."""
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 4 + 40
    a, b, c, d = matrix
    one = 1 << 16
    content[start : start + 36] = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("matrix", "turn"), [((0, 1, -1, 0), 270), ((-1, 0, 0, -1), 180), ((0, -1, 1, 0), 90), ((1, 0, 0, 1), 0)]
)
def test_the_rotation_in_the_file_is_honored_as_opencv_does(
    tmp_path: Path, matrix: tuple[int, int, int, int], turn: int
) -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    image[:10, :20] = 255  # a corner that tells all four rotations apart
    path = tmp_path / "phone.mp4"
    with VideoWriter(path, 30, quality=5) as writer:
        writer.write(image)
    capture = cv2.VideoCapture(str(rotated(path, matrix)))
    _, independent = capture.read()
    capture.release()
    with open_video(path, pixel_format="bgr") as video:
        assert video.rotation == turn
        upright = video.read(0).image
        assert video.size == (upright.shape[1], upright.shape[0])
    np.testing.assert_allclose(upright, independent, atol=12)


# Bad input


def assert_four_parts(error: pytest.ExceptionInfo[FileFormatError | InvalidValueError | OutputError]) -> None:
    value = error.value
    assert all((value.subject, value.expected, value.got, value.remedy))


@pytest.mark.parametrize(
    ("content", "got"),
    [(b"", "Invalid data"), (b"frame,x,y\n1,2,3\n" * 50, "Invalid data"), (bytes(range(256)) * 40, "Invalid data")],
)
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes, got: str) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=got) as error:
        open_video(path)
    assert_four_parts(error)
    assert str(path) in str(error.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="no such file"):
        open_video(tmp_path / "none.mp4")
    with pytest.raises(FileFormatError, match="a folder"):
        open_video(tmp_path)


def test_a_recording_cut_off_before_its_index_is_refused(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", list(range(60)))  # the index stands at the end
    path.write_bytes(path.read_bytes()[:-800])
    with pytest.raises(FileFormatError, match="cut off"):
        open_video(path)


def test_of_a_recording_cut_off_after_its_index_the_rest_is_used_and_the_loss_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with VideoWriter(path, 30) as writer:
        for number in range(120):
            writer.write(np.random.default_rng(number).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.warns(SuiteWarning, match=r"promises 120 frames, \d+ can be found"):
        video = open_video(path)
    with video:
        assert 30 < len(video) < 90
        assert [video.read(n).index for n in (3, 20)] == [3, 20]


def test_a_video_without_frames_is_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        container.start_encoding()
    with pytest.raises(FileFormatError, match="copy it again"):
        open_video(tmp_path / "a.mkv")


def test_a_sound_track_is_no_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(FileFormatError, match="without a video stream"):
        open_video(tmp_path / "a.wav")


def test_damage_costs_the_frames_up_to_the_next_key_frame_and_shifts_none(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", list(range(80)), codec="mpeg4", gop=10)
    content = bytearray(path.read_bytes())
    middle = content.index(b"mdat") + (content.index(b"moov") - content.index(b"mdat")) // 2
    content[middle : middle + 60] = b"\x00" * 60
    path.write_bytes(content)
    with open_video(path) as video, pytest.warns(SuiteWarning, match=r"\d+ frames could not be decoded"):
        found = {frame.index: number_in(frame.image) for frame in video}
    assert 1 <= 80 - len(found) <= 20
    assert all(index == number for index, number in found.items())
    assert {0, 79} <= set(found)


def test_a_recording_without_a_frame_count_that_ends_early_is_said(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mkv", list(range(80)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.warns(SuiteWarning, match="promises 73 frames"):
        video = open_video(path)
    with video:
        assert number_in(video.read(10).image) == 10


@pytest.mark.parametrize("index", [-1, 60, 10**6])
def test_a_frame_out_of_range_is_refused(tmp_path: Path, index: int) -> None:
    with open_video(encode(tmp_path / "a.mp4", list(range(60)))) as video, pytest.raises(InvalidValueError) as error:
        video.read(index)
    assert_four_parts(error)
    assert "0 to 59" in str(error.value)


def test_an_unknown_pixel_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="rgb, bgr, gray"):
        open_video(tmp_path / "a.mp4", pixel_format="yuv")  # type: ignore[arg-type]  # what is tested


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"before")

    def interrupted() -> None:
        with VideoWriter(path, 30) as writer:
            writer.write(bar_code(0))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_video_without_images_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="at least one image"), VideoWriter(tmp_path / "a.mp4", 30):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "image",
    [np.zeros((48, 64), np.float64), np.zeros((48, 64, 4), np.uint8), np.zeros((24, 64, 3), np.uint8)],
    ids=["type", "channels", "size"],
)
def test_an_image_that_does_not_fit_is_refused_with_its_frame(tmp_path: Path, image: NDArray[np.uint8]) -> None:
    with VideoWriter(tmp_path / "a.mp4", 30) as writer:
        writer.write(bar_code(0))
        with pytest.raises(InvalidValueError, match="frame 1") as error:
            writer.write(image)
    assert_four_parts(error)


@pytest.mark.parametrize("rate", [0.0, -3.0, np.nan, np.inf])
def test_an_impossible_frame_rate_is_refused(tmp_path: Path, rate: float) -> None:
    with pytest.raises(InvalidValueError, match="frame rate"):
        VideoWriter(tmp_path / "a.mp4", rate)


def test_an_unknown_container_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match=r"\.mp4"):
        VideoWriter(tmp_path / "a.gif", 30)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError), VideoWriter(tmp_path / "file" / "a.mp4", 30) as writer:
        writer.write(bar_code(0))


def test_a_png_is_written_whole_and_its_size_is_read_from_the_header(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    file = tmp_path / "new folder" / "ä.png"
    write_png(file, picture)
    np.testing.assert_array_equal(read_image(file), picture)
    assert [item.name for item in file.parent.iterdir()] == ["ä.png"]
    file.write_bytes(file.read_bytes()[:24])  # the rest is not needed
    assert image_size(file) == (7, 5)
    with pytest.raises(InvalidValueError, match=r"uint8 of shape \(height, width\).*got float64"):
        write_png(file, picture / 2)


def test_the_size_of_what_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="No such file"):
        image_size(tmp_path / "gone.png")
    (tmp_path / "bad.png").write_bytes(b"not a picture, but long enough")
    with pytest.raises(FileFormatError, match="an image that OpenCV can read"):
        image_size(tmp_path / "bad.png")
