"""Videos of a session to one file: cameras meet by frame number, and a killed run goes on where it was."""

import sys
from pathlib import Path

import numpy as np
import pytest

from calibration.errors import FileFormatError, InvalidValueError, MismatchError, SuiteWarning
from pose3d.detection import PredictionSettings
from pose3d.formats import load_detections, load_poses2d, open_session
from pose3d.pipeline.prediction import predict_session

sys.path.insert(0, str(Path(__file__).parents[1] / "detection"))
from discs import SIZE, DiscDetector, center, film


class KilledError(Exception):
    pass


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("videos")
    return {"left": film(folder / "a.mp4", 70), "right": film(folder / "b.mp4", 50)}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.bin"
    path.write_bytes(b"what the detector is made of")
    return path


@pytest.mark.filterwarnings("ignore:the videos differ")
def test_cameras_meet_by_frame_number_and_the_rest_is_empty(videos, model, tmp_path: Path) -> None:
    told = []
    summary = predict_session(
        model,
        videos,
        tmp_path / "out" / "detections.nc",
        detector=DiscDetector(2, candidates=3),
        progress=lambda done, total: told.append((done, total)),
        chunk=32,
    )
    found = load_detections(tmp_path / "out" / "detections.nc").load()
    assert list(found["camera"].values) == ["left", "right"]
    assert dict(found.sizes) == {
        "time": 70,
        "camera": 2,
        "candidate": 3,
        "keypoint": 2,
        "space": 2,
        "space_": 2,
    }
    np.testing.assert_array_equal(found["image_size"], [SIZE, SIZE])
    np.testing.assert_allclose(found["time"], np.arange(70) / 30)
    expected = [center(frame) for frame in range(50)]
    for camera in (0, 1):
        np.testing.assert_allclose(found["position"][:50, camera, 0, 0], expected, atol=0.3)
    assert np.isnan(found["position"][50:, 1]).all()
    assert np.isfinite(found["position"][50:, 0, 0]).all()
    assert told[0] == (0, 120)
    assert told[-1] == (120, 120)
    assert [(one.camera, one.frames, one.lost) for one in summary.cameras] == [("left", 70, 0), ("right", 50, 0)]
    assert not (tmp_path / "out" / "detections.nc.parts").exists()


def test_videos_of_different_length_are_told(videos, model, tmp_path: Path) -> None:
    with pytest.warns(SuiteWarning, match=r"left 70, right 50.*pose3d sync"):
        predict_session(model, videos, tmp_path / "d.nc", detector=DiscDetector())


@pytest.mark.filterwarnings("ignore:the videos differ")
def test_a_killed_run_goes_on_and_gives_the_same_file(videos, model, tmp_path: Path) -> None:
    whole, resumed = tmp_path / "whole.nc", tmp_path / "resumed.nc"
    predict_session(model, videos, whole, detector=DiscDetector(), chunk=16)

    def kill(done: int, _total: int) -> None:
        if done > 70 + 16:
            raise KilledError

    with pytest.raises(KilledError):
        predict_session(model, videos, resumed, detector=DiscDetector(), chunk=16, progress=kill)
    assert not resumed.exists()
    detector, told = DiscDetector(), []
    summary = predict_session(
        model, videos, resumed, detector=detector, chunk=16, progress=lambda done, _total: told.append(done)
    )
    assert told[:2] == [70, 86]
    assert told == sorted(told)
    assert [one.resumed for one in summary.cameras] == [70, 16]
    assert resumed.read_bytes() == whole.read_bytes()


def test_other_settings_or_another_model_begin_anew(videos, model, tmp_path: Path) -> None:
    output, alone = tmp_path / "d.nc", {"left": videos["left"]}

    def start() -> None:
        def kill(done: int, _total: int) -> None:
            if done > 16:
                raise KilledError

        with pytest.raises(KilledError):
            predict_session(model, alone, output, detector=DiscDetector(), chunk=16, progress=kill)

    start()
    settings = PredictionSettings(margin=0.5)
    summary = predict_session(model, alone, output, detector=DiscDetector(), chunk=16, settings=settings)
    assert summary.cameras[0].resumed == 0
    start()
    model.write_bytes(b"another one")
    summary = predict_session(model, alone, output, detector=DiscDetector(), chunk=16)
    assert summary.cameras[0].resumed == 0


def test_a_damaged_part_is_named(videos, model, tmp_path: Path) -> None:
    def damage(done: int, _total: int) -> None:
        if done > 16:
            (tmp_path / "d.nc.parts" / "000-000000000.npz").write_bytes(b"half a file")

    with pytest.raises(FileFormatError, match=r"000-000000000.npz.*Remove this file"):
        predict_session(model, videos, tmp_path / "d.nc", detector=DiscDetector(), chunk=16, progress=damage)


def test_it_becomes_2d_poses_and_tells_what_it_was_made_from(videos, model, tmp_path: Path) -> None:
    predict_session(model, {"left": videos["left"]}, tmp_path / "d.nc", detector=DiscDetector())
    poses = load_poses2d(tmp_path / "d.nc")
    assert poses.attrs["fps"] == pytest.approx(30)
    np.testing.assert_allclose(poses["position"][7, 0, 0, 0], center(7), atol=0.3)
    with open_session(tmp_path / "d.nc") as session:
        assert session.provenance is not None
        assert [Path(entry["path"]).name for entry in session.provenance["inputs"]] == ["model.bin", "a.mp4"]
        assert session.provenance["settings"]["candidates"] == 1


def test_cameras_of_different_frame_rates_are_refused(videos, model, tmp_path: Path) -> None:
    other = film(tmp_path / "fast.mp4", 20, rate=60)
    with pytest.raises(MismatchError, match=r"left 30.000, fast 60.000.*pose3d sync"):
        predict_session(model, {"left": videos["left"], "fast": other}, tmp_path / "d.nc", detector=DiscDetector())


def test_what_is_missing_is_told_before_any_work(videos, model, tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="at least one video"):
        predict_session(model, {}, tmp_path / "d.nc", detector=DiscDetector())
    with pytest.raises(FileFormatError, match="no such file"):
        predict_session(model, {"left": tmp_path / "no.mp4"}, tmp_path / "d.nc", detector=DiscDetector())
    (tmp_path / "corrupt.mp4").write_bytes(videos["left"].read_bytes()[:500])
    with pytest.raises(FileFormatError, match="a video that FFmpeg can read"):
        predict_session(model, {"left": tmp_path / "corrupt.mp4"}, tmp_path / "d.nc", detector=DiscDetector())
    with pytest.raises(FileFormatError, match="pose3d train"):
        predict_session(tmp_path / "no_run", videos, tmp_path / "d.nc")
    assert not (tmp_path / "d.nc.parts").exists()
