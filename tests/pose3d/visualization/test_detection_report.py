"""The report of 2D positions: it counts what is there, finds what was made wrong, and shows it."""

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from calibration.errors import FileFormatError, MismatchError
from calibration.findings import Level
from calibration.video import VideoWriter
from pose3d.datasets import detections
from pose3d.datasets import poses2d as make_poses2d
from pose3d.visualization import write_detection_report
from pose3d.visualization.detection_evidence import collect_detection_evidence
from pose3d.visualization.detection_figures import (
    PictureOfFrame,
    confidence_figure,
    frame_figure,
    presence_figure,
    trajectory2d_figure,
)
from pose3d.visualization.window import window_around

COUNT, SIZE = 200, (320, 240)
KEYPOINTS = ("snout", "ear <left>", "tail")
JUMPS = (30, 31, 90, 150)  # of the tail, onto the snout
UNSEEN = range(100, 120)  # of the ear
UNSURE = 170  # all of them


def recording(cameras: tuple[str, ...] = ("top",), *, wrong: bool = True) -> xr.Dataset:
    """An animal of 100 px that walks along x; the tail jumps, an ear is not found, one frame is unsure."""
    rng = np.random.default_rng(0)
    body = np.array([[100.0, 100.0], [80.0, 110.0], [20.0, 160.0]])
    position = body + np.arange(COUNT)[:, None, None] * np.array([0.8, 0.0]) + rng.normal(0, 0.3, (COUNT, 3, 2))
    confidence = np.full((COUNT, 3), 0.9)
    if wrong:
        position[JUMPS, 2] = position[JUMPS, 0]
        confidence[UNSEEN, 1] = 0.01
        confidence[UNSURE] = 0.15
    both = [np.repeat(one[:, None, None], len(cameras), axis=1) for one in (position, confidence)]
    sizes = [SIZE] * len(cameras)
    return detections(*both, cameras=cameras, keypoints=KEYPOINTS, frame_rate=30.0, image_size=sizes)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "top.mp4"
    with VideoWriter(path, 30) as writer:
        for _ in range(COUNT):
            writer.write(np.full((SIZE[1], SIZE[0], 3), 90, np.uint8))
    return path


def test_what_was_made_wrong_is_counted() -> None:
    (evidence,) = collect_detection_evidence(recording(), 0.1)
    np.testing.assert_allclose(evidence.share_found(), [1, 0.9, 1])
    np.testing.assert_allclose(evidence.share_jumped(), [0, 0, len(JUMPS) / COUNT])
    assert tuple(np.flatnonzero(evidence.jumped[:, 0, 2])) == JUMPS
    assert evidence.confused_with() == ["", "", "snout"]
    assert evidence.longest_gap() == [0, 20, 0]
    np.testing.assert_allclose(evidence.median_confidence(), 0.9)
    assert evidence.length == pytest.approx(100, abs=2)


def test_the_threshold_decides_what_is_found() -> None:
    (evidence,) = collect_detection_evidence(recording(), 0.2)
    np.testing.assert_allclose(evidence.share_found(), [199 / 200, 179 / 200, 199 / 200])
    (evidence,) = collect_detection_evidence(recording(), 0.0)
    np.testing.assert_allclose(evidence.share_found(), 1)


def test_the_worst_frames_are_those_made_wrong_and_say_why() -> None:
    (evidence,) = collect_detection_evidence(recording(), 0.1)
    reasons = {one.frame: one.reason for one in evidence.worst(6)}
    assert "unsure of snout (0.15)" in reasons[UNSURE]
    assert {frame: reason for frame, reason in reasons.items() if "tail jumps" in reason}.keys() >= {90, 150}
    assert any("ear <left> not found" in reasons[frame] for frame in reasons if frame in UNSEEN)


def test_a_jump_is_shown_from_where_the_keypoint_was_before_it() -> None:
    (evidence,) = collect_detection_evidence(recording(), 0.1)
    for row in (30, 31):  # the first and the second frame of one jump
        before = evidence.came_from(row)
        np.testing.assert_array_equal(before[0, 2], evidence.shown[29, 0, 2])
        assert np.isnan(before[0, :2]).all()


def test_the_end_of_a_shorter_video_does_not_count() -> None:
    data = recording()
    data["confidence"].values[150:] = np.nan
    data["position"].values[150:] = np.nan
    (evidence,) = collect_detection_evidence(data, 0.1)
    assert len(evidence.tracks.frames) == 150
    np.testing.assert_allclose(evidence.share_found(), [1, 130 / 150, 1])


def test_poses_of_named_animals_are_told_apart() -> None:
    one = recording(wrong=False)["position"].values[:, :, 0]
    pair = np.stack([one, one + np.array([0.0, 60.0])], axis=2)
    pair[60, 0, 1, 0] += (0, 90)
    data = make_poses2d(pair, cameras=["top"], individuals=["a", "b"], keypoints=KEYPOINTS, frame_rate=30.0)
    (evidence,) = collect_detection_evidence(data, 0.1)
    assert np.argwhere(evidence.jumped).tolist() == [[60, 1, 0]]
    assert evidence.share_jumped()[0] == pytest.approx(1 / 400)


def test_the_page_tells_and_shows_what_is_wrong(video: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    verdict = write_detection_report(page, recording(), videos={"top": video}, title="day <1>")
    text = page.read_text(encoding="utf-8")
    assert verdict.level == Level.GOOD  # 3 % not found and 0.7 % in jumps are few
    for name in ("Numbers", "Worst frames", "Camera top", "How it was made"):
        assert f"<h2>{name}</h2>" in text
    assert "Most jumps end on another keypoint: tail on snout." in text
    assert "either place may be the wrong one" in text
    assert "day &lt;1&gt;" in text
    assert "ear &lt;left&gt;" in text
    assert "<left>" not in text
    assert len(re.findall(r"<svg class=\"plot\"", text)) == 4
    assert "data:image/png" in text
    assert "://" not in text.replace("http://www.w3.org/", "")  # needs no network


def test_without_the_video_the_page_says_how_to_get_pictures(tmp_path: Path) -> None:
    write_detection_report(tmp_path / "report.html", recording(("left", "right")))
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "--on left=VIDEO" in text
    assert "<h2>Camera left</h2>" in text
    assert "<h2>Camera right</h2>" in text


def test_what_is_all_right_is_said_in_words_not_drawn(tmp_path: Path) -> None:
    verdict = write_detection_report(tmp_path / "report.html", recording(wrong=False))
    assert verdict.headline == "Keypoints are found, sure, and do not jump."
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Every keypoint is found in every frame, and none jumps." in text
    assert "What is found, and when" not in text
    assert not any(finding.next_step for finding in verdict.findings)


def test_many_jumps_are_a_concern_with_a_next_step(tmp_path: Path) -> None:
    data = recording(wrong=False)
    data["position"].values[2::5, 0, 0, 2] = data["position"].values[2::5, 0, 0, 0]
    verdict = write_detection_report(tmp_path / "report.html", data)
    assert verdict.level == Level.BROKEN
    assert verdict.headline == "Keypoints jump in 6.7 % of what was found."
    assert "pose3d refine" in verdict.findings[0].next_step


def test_nothing_found_is_an_honest_page(tmp_path: Path) -> None:
    data = recording()
    data["position"].values[:] = np.nan
    data["confidence"].values[:] = 0
    verdict = write_detection_report(tmp_path / "report.html", data)
    assert (verdict.level, verdict.headline) == (Level.BROKEN, "Not one keypoint was found.")
    assert "Nothing was found in this camera." in (tmp_path / "report.html").read_text(encoding="utf-8")
    write_detection_report(tmp_path / "report.html", data.isel(time=slice(0, 0)))


def test_wrong_videos_are_refused(video: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    with pytest.raises(MismatchError, match=r"'side'.*top"):
        write_detection_report(page, recording(), videos={"side": video})
    with pytest.raises(FileFormatError, match=r"none\.mp4"):
        write_detection_report(page, recording(), videos={"top": tmp_path / "none.mp4"})
    data = recording()
    data["image_size"].values[:] = 640, 480
    with pytest.raises(MismatchError, match="640 x 480"):
        write_detection_report(page, data, videos={"top": video})
    assert not page.exists()


def test_figures_show_what_they_are_given() -> None:
    (evidence,) = collect_detection_evidence(recording(), 0.1)
    axes = presence_figure(evidence).axes[0]
    marks = [line.get_xdata() for line in axes.lines if line.get_marker() == "|"]
    np.testing.assert_allclose(marks[2], np.array(JUMPS) / 30)
    panels = confidence_figure(evidence).axes
    assert [panel.get_title(loc="left") for panel in panels[:3]] == list(KEYPOINTS)
    heights = [patch.get_height() for patch in panels[1].patches]
    assert heights[0] == pytest.approx(10)  # of 200 frames, 20 have 0.01
    assert sum(heights) == pytest.approx(100)
    tail = trajectory2d_figure(evidence).axes[2]
    assert tail.get_title(loc="left") == "tail: 4 frames in jumps"
    jumps = [line for line in tail.lines if line.get_label() == "jump"]
    assert jumps[0].get_xdata().tolist() == pytest.approx([frame / 30 for frame in JUMPS])


def test_many_keypoints_and_few_pictures_can_be_drawn() -> None:
    names = [f"k{number}" for number in range(30)]
    position = np.random.default_rng(0).uniform(0, 200, (20, 1, 1, 30, 2))
    data = detections(position, np.ones((20, 1, 1, 30)), cameras=["top"], keypoints=names)
    (evidence,) = collect_detection_evidence(data, 0.1)
    assert sum(axes.axison for axes in confidence_figure(evidence).axes) == 24
    assert len(trajectory2d_figure(evidence).axes) == 12
    picture = PictureOfFrame(np.zeros((20, 30, 3), np.uint8), "x", position[0, 0], np.full((1, 30, 2), np.nan))
    assert len(frame_figure([picture], names).axes) == 3


def test_the_window_is_around_the_animal_and_inside_the_image() -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    left, top, right, bottom = window_around(np.array([[10.0, 20.0], [90.0, 60.0], [np.nan, 0]]), image)
    assert (left, top) == (0, 0)
    assert 90 < right < 320
    assert 60 < bottom < 240
    assert (right - left) / (bottom - top) == pytest.approx(4 / 3, abs=0.05)
    assert window_around(np.full((2, 2), np.nan), image) == (0, 0, 320, 240)
