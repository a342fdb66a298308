"""Image files are read like the frames of a video: upright, 8 bits, in the order given."""

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from calibration.errors import FileFormatError, InvalidValueError
from calibration.video import ImageSequence, PixelFormat, read_image

GRAY = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
COLOR = np.stack([GRAY, GRAY // 2, 255 - GRAY], axis=-1)  # as OpenCV orders it: blue, green, red


def save(path: Path, image: np.ndarray) -> Path:
    path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_gray_and_color_come_as_asked_for(suffix: str, tmp_path: Path) -> None:
    path = save(tmp_path / f"ä{suffix}", COLOR)
    assert_array_equal(read_image(path, pixel_format="bgr"), COLOR)
    assert_array_equal(read_image(path), COLOR[..., ::-1])
    assert read_image(path, pixel_format="gray").shape == (4, 6)
    assert_array_equal(read_image(save(tmp_path / f"g{suffix}", GRAY), pixel_format="gray"), GRAY)


@pytest.mark.parametrize("top", [1023, 4095, 65535])
def test_sixteen_bits_are_scaled_so_that_the_brightest_is_white(top: int, tmp_path: Path) -> None:
    deep = (GRAY.astype(np.float64) / GRAY.max() * top).astype(np.uint16)
    read = read_image(save(tmp_path / "a.png", deep), pixel_format="gray")
    assert read.dtype == np.uint8
    assert read.max() == 255
    assert np.abs(read - GRAY * (255 / GRAY.max())).max() <= 1


def test_a_black_image_of_sixteen_bits_stays_black(tmp_path: Path) -> None:
    assert read_image(save(tmp_path / "a.png", np.zeros((4, 6), np.uint16)), pixel_format="gray").max() == 0


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, 3), (8, 1)])
@pytest.mark.parametrize("pixel_format", ["gray", "rgb"])
def test_images_are_turned_upright_as_exif_says(
    orientation: int, turns: int, pixel_format: PixelFormat, tmp_path: Path
) -> None:
    smooth = np.tile(np.linspace(0, 250, 48, dtype=np.uint8), (32, 1))
    plain = save(tmp_path / "a.jpg", smooth)
    tiff = b"II*\0" + struct.pack("<IHHHII", 8, 1, 0x0112, 3, 1, orientation) + struct.pack("<I", 0)
    exif = b"Exif\0\0" + tiff
    content = plain.read_bytes()
    turned = tmp_path / "b.jpg"
    turned.write_bytes(content[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + content[2:])
    expected = np.rot90(read_image(plain, pixel_format=pixel_format), turns)
    assert_array_equal(read_image(turned, pixel_format=pixel_format), expected)


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_what_is_no_image_is_told(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"a\.png"):
        read_image(path)


def test_a_sequence_of_images_reads_like_a_video(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{number}.png", GRAY + number) for number in range(3)]
    with ImageSequence(paths, pixel_format="gray") as images:
        assert len(images) == 3
        assert [frame.index for frame in images] == [0, 1, 2]
        assert [frame.image[0, 0] for frame in images.frames([2, 0])] == [2, 0]
        assert np.isnan(images.read(1).time)
        assert np.isnan(images.times).all()
        assert images.key_frames.tolist() == [0, 1, 2]
        with pytest.raises(InvalidValueError, match="from 0 to 2"):
            images.read(3)
    with pytest.raises(InvalidValueError, match="at least one file"):
        ImageSequence([])
