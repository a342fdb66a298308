"""`run_project`: from videos to report for every session, whatever happens to one of them."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from calibration.errors import InvalidValueError
from calibration.findings import Level
from calibration.formats import save_rig
from calibration.rig import Rig
from calibration.synchronization import Clock, Synchronization, Timing, save_synchronization
from calibration.synthetic import make_rig
from calibration.video import VideoWriter, open_video
from pose3d.detection import PredictionSettings, RawDetections, registry
from pose3d.formats import open_session
from pose3d.pipeline.project_run import CALIBRATION, ProjectFiles, run_project
from pose3d.pipeline.stages import StageState
from pose3d.project import Project, create_project, load_project, save_project
from pose3d.reconstruction import camera_frames
from pose3d.skeleton import Skeleton
from pose3d.visualization import overlay_frames

KEYPOINTS = ("red", "green")
FRAMES = 12


@dataclass(frozen=True)
class DotDetector:
    """Finds the red and the green disc as centers of mass."""

    keypoints: tuple[str, ...] = KEYPOINTS
    candidates: int = 1
    gives_covariance: bool = False
    parallel: int = 1

    def restart(self) -> None:
        """Every image is looked at for itself."""

    def detect(self, images: np.ndarray) -> RawDetections:
        y, x = np.mgrid[: images.shape[1], : images.shape[2]]
        position = np.full((len(images), 1, 2, 2), np.nan, dtype=np.float32)
        for number, image in enumerate(images.astype(float)):
            for channel in range(2):
                weight = np.clip(image[..., channel] - image[..., 1 - channel] - 60, 0, None)
                if weight.sum() > 0:
                    position[number, 0, channel] = (weight * x).sum() / weight.sum(), (weight * y).sum() / weight.sum()
        return RawDetections(position, np.isfinite(position[..., 0]).astype(np.float32))


@pytest.fixture(scope="module")
def rig() -> Rig:
    return make_rig(3, size=(160, 128), focal_length=150.0, lens="pinhole", seed=2)


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    """(frame, keypoint, 3) mm."""
    turn = np.linspace(0, 1, FRAMES)
    red = np.stack([100 * np.cos(turn), 100 * np.sin(turn), 20 + 10 * turn], axis=-1)
    return np.stack([red, -red + (0, 0, 60)], axis=1)


@pytest.fixture(scope="module")
def films(rig: Rig, truth: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    y, x = np.mgrid[:128, :160]
    for camera in rig:
        with VideoWriter(folder / f"{camera.name}.mp4", 10.0, quality=12) as writer:
            for points in camera.project(truth):
                image = np.full((128, 160, 3), 40, dtype=np.uint8)
                for channel, (u, v) in enumerate(points):
                    share = np.clip(6.5 - np.hypot(x - u, y - v), 0, 1)
                    image[..., channel] = (image[..., channel] + share * (255 - image[..., channel])).astype(np.uint8)
                writer.write(image)
    return folder


@pytest.fixture
def project(rig: Rig, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    dots = registry.DetectorKind("dots", "for tests", lambda *_: DotDetector())
    monkeypatch.setattr(registry, "DETECTORS", {**registry.DETECTORS, "dots": dots})
    made = create_project(
        tmp_path / "discs",
        cameras=rig.names,
        skeleton=Skeleton("discs", KEYPOINTS, (("red", "green"),)),
        settings={"prediction": PredictionSettings(model="dots:model.txt")},
    )
    (made.root / "model.txt").write_text("1")
    sessions = {}
    for name in ("monday", "tuesday"):
        shutil.copytree(films, made.root / "sessions" / name)
        sessions[name] = {camera: f"sessions/{name}/{camera}.mp4" for camera in rig.names}
    save_project(replace(made, sessions=sessions))
    save_rig(rig, ProjectFiles(made).rig, format="rig-toml")
    return load_project(made.root)


def ran(outcomes: list) -> list[tuple[str, str]]:  # type: ignore[type-arg]
    return [(one.group, one.stage) for one in outcomes if one.ran]


STAGES = ["2D", "3D", "overlay videos", "kinematics", "report"]


def test_every_session_ends_with_3d_poses_videos_and_a_report(project: Project, truth: np.ndarray) -> None:
    told = []
    outcomes = run_project(project, progress=lambda what, done, total: told.append((what, done, total)))
    assert [one for one in outcomes if one.state is not StageState.DONE] == []
    assert ran(outcomes) == [(session, stage) for session in ("monday", "tuesday") for stage in STAGES]
    files = ProjectFiles(project)
    with open_session(files.result("monday")) as session:
        position = session.require("poses3d")["position"].values[..., 0]
    error = np.linalg.norm(position.swapaxes(1, 2) - truth, axis=-1)
    # a center of mass in a compressed video of 160 pixels: a quarter of a pixel, which is 2 mm
    assert np.median(error) < 2.0
    assert files.report("monday").stat().st_size > 10_000
    assert all(files.overlay("tuesday", camera).exists() for camera in project.cameras)
    assert ("finding keypoints", 3 * FRAMES, 3 * FRAMES) in told
    levels = [one.note.partition(": ")[0] for one in outcomes if one.stage == "report"]
    assert len(levels) == 2
    assert set(levels) <= {level.words for level in Level}  # the verdict is told, not only that there is one

    again = run_project(project)
    assert ran(again) == []

    (project.root / "model.txt").write_text("2")
    ProjectFiles(project).report("tuesday").unlink()
    dry = run_project(project, dry_run=True)
    assert [(one.group, one.stage) for one in dry if one.state is StageState.CHANGED] == [
        ("monday", "2D"),
        ("tuesday", "2D"),
    ]
    assert [one.stage for one in dry if one.state is StageState.MISSING] == ["report"]


def test_another_angle_makes_kinematics_and_report_anew_and_nothing_else(project: Project) -> None:
    run_project(project, sessions=["monday"])
    with open_session(ProjectFiles(project).result("monday")) as session:
        assert "body_speed" in session.require("kinematics")
        assert session.rig is not None
    assert ran(run_project(project, sessions=["monday"])) == []
    changed = replace(project, settings={**project.settings, "kinematics": {"quantities": ["speed"]}})
    assert ran(run_project(changed, sessions=["monday"])) == [("monday", "kinematics"), ("monday", "report")]
    with open_session(ProjectFiles(project).result("monday")) as session:
        assert "body_speed" not in session.require("kinematics")
    assert ran(run_project(changed, sessions=["monday"])) == []


def test_clocks_beside_the_videos_are_applied(project: Project, truth: np.ndarray) -> None:
    """One camera started two frames late: with its clock the 3D poses are right, and its video has the right ones."""
    late = project.cameras[1]
    film = project.video("monday", late)
    with open_video(film) as video:
        images = [frame.image for frame in video]
    with VideoWriter(film, 10.0, quality=12) as writer:
        for image in images[2:]:
            writer.write(image)
    clocks = [
        Clock(name, Timing(10.0, FRAMES - 2 * (name == late)), offset=0.2 * (name == late)) for name in project.cameras
    ]
    save_synchronization(Synchronization(tuple(clocks), project.cameras[0]), project.sync_file("monday"))
    outcomes = run_project(project, sessions=["monday"])
    assert [one.reason for one in outcomes if one.state is not StageState.DONE] == []
    with open_session(ProjectFiles(project).result("monday")) as session:
        poses3d, poses2d, rig = session.require("poses3d").load(), session.require("poses2d").load(), session.rig
    error = np.linalg.norm(poses3d["position"].values[..., 0].swapaxes(1, 2) - truth, axis=-1)
    assert np.nanmedian(error) < 2.0
    assert poses3d["n_cameras"].values[2:].min() == 3
    with open_video(film) as video:
        np.testing.assert_array_equal(camera_frames(poses2d, late, video.times), [-1, -1, *range(FRAMES - 2)])
    assert len(list(overlay_frames(film, poses2d, poses3d, rig, late))) == FRAMES - 2

    clocks[1] = replace(clocks[1], offset=0.0)
    save_synchronization(Synchronization(tuple(clocks), project.cameras[0]), project.sync_file("monday"))
    assert ("monday", "3D") in ran(run_project(project, sessions=["monday"]))


def test_a_session_that_fails_does_not_stop_the_others(project: Project) -> None:
    broken = project.root / "sessions" / "monday" / f"{project.cameras[1]}.mp4"
    broken.write_bytes(b"no video")
    outcomes = run_project(project)
    states = {(one.group, one.stage): one.state for one in outcomes}
    assert states["monday", "2D"] is StageState.FAILED
    assert states["monday", "report"] is StageState.SKIPPED
    assert states["tuesday", "report"] is StageState.DONE
    reason = next(one.reason for one in outcomes if one.state is StageState.FAILED)
    assert str(broken) in reason


def test_without_a_rig_and_without_board_videos_it_says_what_to_do(project: Project) -> None:
    ProjectFiles(project).rig.unlink()
    outcomes = run_project(project)
    assert [(one.group, one.state) for one in outcomes] == [(CALIBRATION, StageState.FAILED)]
    assert "Put videos and board.toml into this folder" in outcomes[0].reason


def test_without_a_network_it_says_how_to_get_one(project: Project) -> None:
    settings = {**project.settings, "prediction": {"model": ""}}
    outcomes = run_project(replace(project, settings=settings), sessions=["monday"])
    failed = [one for one in outcomes if one.state is StageState.FAILED]
    assert [one.stage for one in failed] == ["2D"]
    assert "pose3d train discs" in failed[0].reason


def test_an_unknown_session_or_network_is_named(project: Project) -> None:
    with pytest.raises(InvalidValueError, match=r"monday, tuesday, got friday"):
        run_project(project, sessions=["friday"])
    with pytest.raises(InvalidValueError, match="got 'lost'"):
        run_project(replace(project, settings={"prediction": {"model": "lost"}}))


def test_a_copied_project_has_nothing_to_do(project: Project, tmp_path: Path) -> None:
    run_project(project, sessions=["monday"])
    shutil.copytree(project.root, tmp_path / "copy" / "discs", copy_function=shutil.copy)
    outcomes = run_project(load_project(tmp_path / "copy" / "discs"), sessions=["monday"])
    assert ran(outcomes) == []
