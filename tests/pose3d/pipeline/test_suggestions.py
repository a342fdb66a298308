"""`refine`: the frames that a network finds hardest get images to label, in all cameras."""

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from calibration.errors import InvalidValueError
from pose3d.labeling import LabelStore
from pose3d.networks.confidence import ConfidenceCalibration
from pose3d.networks.model import build_model
from pose3d.networks.run_files import save_run
from pose3d.networks.training import TrainedNetwork
from pose3d.pipeline import suggestions
from pose3d.pipeline.suggestions import SuggestedFrame, suggest_frames
from pose3d.project import Project, create_project
from pose3d.skeleton import Skeleton

pytest.importorskip("keras")


def _film(path: Path, *, dark: range = range(0), leap: int = -1) -> Path:
    """60 frames with a red and a green square that move slowly; in some they are missing, in one they are elsewhere."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv444p"
        stream.options = {"crf": "0"}
        for number in range(60):
            image = np.zeros((64, 64, 3), dtype=np.uint8)
            if number not in dark:
                row = 8 + number // 4 * 2 + (30 if number == leap else 0)
                image[row : row + 8, 12:20, 0] = 255
                image[row : row + 8, 40:48, 1] = 255
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode(None))
    return path


def _maps(images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A perfect network: sure where a square is bright."""
    count, height, width, _ = images.shape
    cells = images[..., :2].reshape(count, height // 4, 4, width // 4, 4, 2).mean(axis=(2, 4))
    heatmap = (cells / 255 * 12 - 6).astype(np.float32)
    return heatmap, np.zeros((*heatmap.shape[:3], 4), np.float32), heatmap


@pytest.fixture
def project(tmp_path: Path, options, backbones, monkeypatch: pytest.MonkeyPatch) -> Project:
    root = tmp_path / "mice"
    made = create_project(root, cameras=["left", "right"], skeleton=Skeleton("dots", ("red", "green")))
    _film(root / "left.mp4", dark=range(20, 24), leap=45)
    _film(root / "right.mp4")
    made = replace(made, sessions={"day": {"left": "left.mp4", "right": "right.mp4"}})
    trained = TrainedNetwork(build_model(options.network, backbones=backbones), options.network, options.training)
    save_run(
        made.models_folder / "run1",
        trained,
        metrics={"body_length": 28.0},
        confidence=ConfidenceCalibration(3.0, (-5.0, 5.0), (0.0, 1.0)),
    )
    monkeypatch.setattr(suggestions, "keras_maps", lambda _model: _maps)
    return made


def test_dark_and_leaping_frames_are_suggested(project: Project, backbones) -> None:
    found, done = suggest_frames(project, project.models_folder / "run1", 2, looked_at=60, backbones=backbones)
    frames = [one.frames["left"] for one in found]
    assert any(20 <= frame < 24 for frame in frames)
    assert any(frame in (44, 45) for frame in frames)
    reasons = {one.reason for one in found}
    assert reasons == {"unsure", "jumps"}
    assert all(np.isnan(one.apart) for one in found)
    assert [one.added for one in done] == [4]
    with LabelStore(project.labels_file) as store:
        images = store.images()
    assert sorted(image.frame for image in images if image.camera == "right") == sorted(frames)
    # a second time looks elsewhere
    again, _ = suggest_frames(project, project.models_folder / "run1", 2, looked_at=60, backbones=backbones)
    assert not {one.frames["left"] for one in again} & set(frames)


def test_cameras_that_contradict_each_other_are_told(project: Project, backbones, tmp_path: Path) -> None:
    from calibration.formats import save_rig
    from calibration.synthetic import make_rig

    rig = make_rig(2)
    rig = type(rig)([replace(camera, name=name) for camera, name in zip(rig, ("left", "right"), strict=True)])
    save_rig(rig, tmp_path / "rig.toml")
    found, _ = suggest_frames(
        project, project.models_folder / "run1", 2, looked_at=20, rig=tmp_path / "rig.toml", backbones=backbones
    )
    assert all(0 <= one.apart <= 1 for one in found)


def test_the_strongest_reason_is_told() -> None:
    assert SuggestedFrame("day", {}, 0.1, 0.2, 0.3).reason == "cameras disagree"
    assert SuggestedFrame("day", {}, 0.1, 0.0, np.nan).reason == "unsure"


def test_a_count_of_none_is_refused(project: Project) -> None:
    with pytest.raises(InvalidValueError, match="1 or more"):
        suggest_frames(project, project.models_folder / "run1", 0)
