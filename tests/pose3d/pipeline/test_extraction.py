"""Frames to label, from videos to images and the database; the number of each frame is drawn into it."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from calibration.errors import FileFormatError, InvalidValueError, MismatchError
from calibration.synchronization import Clock, Synchronization, Timing, save_synchronization
from calibration.video import VideoWriter, read_image
from pose3d.labeling import LabelStore
from pose3d.labeling.selection import ExtractionSettings
from pose3d.pipeline.extraction import extract_frames
from pose3d.project import Project, add_session, create_project
from pose3d.skeleton import Skeleton

WIDTH, HEIGHT = 64, 48
MOUSE = Skeleton("mouse", ("nose", "tail"))


def bar_code(number: int) -> np.ndarray:
    """Eight vertical bars spell the number in binary; survives any codec."""
    row = np.repeat(((number >> np.arange(8)) & 1) * 200 + 25, WIDTH // 8)
    return np.broadcast_to(row[None, :, None], (HEIGHT, WIDTH, 3)).astype(np.uint8)


def number_in(path: Path) -> int:
    bars = read_image(path, pixel_format="gray").mean(axis=0).reshape(8, -1).mean(axis=1) > 125
    return int((bars << np.arange(8)).sum())


def encode(path: Path, numbers: list[int], rate: int = 30, codec: str = "libx264") -> Path:
    """A video whose frame at t = n / 30 s shows n, of these n only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.gop_size = 10
        stream.codec_context.time_base = Fraction(1, 30)
        for number in numbers:
            frame = av.VideoFrame.from_ndarray(bar_code(number), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def encode_shown(path: Path, shown: list[int]) -> Path:
    """A video of 30 frames per second that shows these numbers, one after the other."""
    with VideoWriter(path, 30.0) as writer:
        for number in shown:
            writer.write(bar_code(number))
    return path


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two sessions; in the first the right camera has every second frame, in the second it is alone."""
    made = create_project(tmp_path / "mice", cameras=("left", "right"), skeleton=MOUSE)
    left = encode(tmp_path / "left.mp4", list(range(120)))
    right = encode(tmp_path / "right.mp4", list(range(0, 120, 2)), rate=15)
    made = add_session(made, "day1", {"left": left, "right": right})
    return add_session(made, "day2", {"right": right})


def numbers(project: Project, session: str, camera: str) -> list[int]:
    """What the images of a camera show."""
    return [number_in(path) for path in sorted((project.frames_folder / session / camera).glob("*.png"))]


@pytest.mark.parametrize("method", ["uniform", "kmeans"])
def test_all_cameras_show_the_same_instants(project: Project, method: str) -> None:
    first, second = extract_frames(project, ExtractionSettings(count=6, method=method))
    assert (first.instants, first.added, first.present, first.notes) == (6, 12, 0, ())
    assert (second.cameras, second.added) == (("right",), 6)
    assert numbers(project, "day1", "left") == numbers(project, "day1", "right")
    assert len(set(numbers(project, "day1", "left"))) == 6


def test_clocks_beside_the_videos_say_which_frames_belong_together(tmp_path: Path) -> None:
    """The right camera started 7 frames later and lost one: its frame n shows n + 7, and one more from frame 20 on."""
    made = create_project(tmp_path / "mice", cameras=("left", "right"), skeleton=MOUSE)
    left = encode(tmp_path / "left.mp4", list(range(120)))
    late = [number for number in range(7, 120) if number != 27]
    right = encode_shown(tmp_path / "right.mp4", late)
    made = add_session(made, "day1", {"left": left, "right": right})
    clocks = (
        Clock("left", Timing(30.0, 120), method="reference"),
        Clock("right", Timing(30.0, 112, dropped=((20, 1),)), offset=7 / 30),
    )
    save_synchronization(Synchronization(clocks, "left"), made.sync_file("day1"))
    (found,) = extract_frames(made, ExtractionSettings(count=12, method="uniform"))
    assert (found.instants, found.notes) == (12, ())
    assert numbers(made, "day1", "left") == numbers(made, "day1", "right")
    assert min(numbers(made, "day1", "left")) >= 7


def test_clocks_of_other_videos_are_refused(project: Project) -> None:
    clocks = (Clock("left", Timing(30.0, 120)), Clock("right", Timing(15.0, 59)))
    save_synchronization(Synchronization(clocks, "left"), project.sync_file("day1"))
    with pytest.raises(MismatchError, match=r"'right'.*60 frames.*59 frames"):
        extract_frames(project, ExtractionSettings(count=3))
    save_synchronization(Synchronization(clocks[:1], "left"), project.sync_file("day1"))
    with pytest.raises(MismatchError, match="right"):
        extract_frames(project, ExtractionSettings(count=3))


def test_images_are_registered_with_all_that_is_known(project: Project) -> None:
    extract_frames(project, ExtractionSettings(count=3, method="uniform"), author="anna")
    with LabelStore(project.labels_file) as store:
        images = store.images()
        assert {edit.author for edit in store.history()} == {"anna"}
        assert sum(edit.images for edit in store.history()) == len(images) == 9
    for image in images:
        assert image.image == f"labels/frames/{image.session}/{image.camera}/{image.frame:06d}.png"
        assert image.video == f"sessions/{image.session}/{image.camera}.mp4"
        assert image.size == (WIDTH, HEIGHT)
        shown = number_in(project.root / image.image)
        assert shown == (image.frame if image.camera == "left" else 2 * image.frame)


def test_a_second_run_adds_only_what_is_missing(project: Project) -> None:
    settings = ExtractionSettings(count=5, method="kmeans")
    extract_frames(project, settings)
    before = {path: path.stat().st_mtime_ns for path in project.frames_folder.rglob("*.png")}
    again = extract_frames(project, settings)
    assert [session.added for session in again] == [0, 0]
    more = extract_frames(project, replace(settings, count=8, method="uniform"))
    assert [(session.added, session.present, session.instants) for session in more] == [(6, 10, 8), (3, 5, 8)]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    with LabelStore(project.labels_file) as store:
        assert len(store.images()) == 24


def test_an_image_that_was_deleted_is_written_again(project: Project) -> None:
    settings = ExtractionSettings(count=3)
    extract_frames(project, settings)
    path = sorted(project.frames_folder.rglob("*.png"))[0]
    content = path.read_bytes()
    path.unlink()
    assert [session.added for session in extract_frames(project, settings)] == [1, 0]
    assert path.read_bytes() == content
    with LabelStore(project.labels_file) as store:
        assert len(store.images()) == 9


def test_quotas_and_sessions(project: Project) -> None:
    settings = ExtractionSettings(count=2, quotas={"day2": 4}, method="uniform")
    assert [session.instants for session in extract_frames(project, settings)] == [2, 4]
    (only,) = extract_frames(project, replace(settings, count=3), sessions=["day1"])
    assert (only.session, only.instants) == ("day1", 3)


def test_start_and_stop_limit_the_part_that_is_used(project: Project) -> None:
    extract_frames(project, ExtractionSettings(count=10, start=0.5, stop=0.75), sessions=["day1"])
    assert {60 <= number < 90 for number in numbers(project, "day1", "left")} == {True}


def test_frames_that_cannot_be_decoded_are_left_out_with_a_note(project: Project, tmp_path: Path) -> None:
    path = encode(tmp_path / "bad.mp4", list(range(100)), codec="mpeg4")
    content = bytearray(path.read_bytes())
    middle = content.index(b"mdat") + (content.index(b"moov") - content.index(b"mdat")) // 2
    content[middle : middle + 60] = b"\x00" * 60
    path.write_bytes(content)
    project = add_session(project, "day3", {"left": path})
    (looked,) = extract_frames(project, ExtractionSettings(count=20), sessions=["day3"])
    assert looked.added == 20  # k-means sees which frames are lost, and takes others
    assert "instants looked at cannot be decoded and are left out" in looked.notes[0]
    (spread,) = extract_frames(project, ExtractionSettings(count=100, method="uniform"), sessions=["day3"])
    assert "frames of camera 'left' cannot be decoded and are left out" in spread.notes[0]
    files = sorted((project.frames_folder / "day3/left").glob("*.png"))
    assert 80 <= len(files) < 100
    assert [number_in(file) for file in files] == [int(file.stem) for file in files]


def test_a_video_that_ends_early_is_told(project: Project, tmp_path: Path) -> None:
    left, right = encode(tmp_path / "l.mp4", list(range(100))), encode(tmp_path / "r.mp4", list(range(50)))
    project = add_session(project, "day3", {"left": left, "right": right})
    (session,) = extract_frames(project, ExtractionSettings(count=100, method="uniform"), sessions=["day3"])
    assert session.instants == 50
    assert "camera 'right' ends after 1.6 s, the longest after 3.3 s" in session.notes[0]


def test_pictures_that_do_not_differ_are_told(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "still.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for _ in range(30):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(bar_code(1), format="rgb24")))
        container.mux(stream.encode())
    project = add_session(project, "still", {"left": path})
    (session,) = extract_frames(project, ExtractionSettings(count=5), sessions=["still"])
    assert (session.added, session.notes) == (1, ("only 1 frames look different from each other",))


def test_sessions_and_videos_that_are_not_there(project: Project) -> None:
    with pytest.raises(InvalidValueError, match=r"sessions out of day1, day2, got day9"):
        extract_frames(project, sessions=["day9"])
    with pytest.raises(InvalidValueError, match="expected a session, got none"):
        extract_frames(replace(project, sessions={}))
    project.video("day1", "right").unlink()
    with pytest.raises(FileFormatError, match=r"the video of camera 'right' of session 'day1', got no such file"):
        extract_frames(project)


def test_settings_of_the_project_are_used(project: Project) -> None:
    project.file.write_text(project.file.read_text() + "\n[extraction]\ncount = 4\n")
    from pose3d.project import load_project

    assert [session.instants for session in extract_frames(load_project(project.root))] == [4, 4]
