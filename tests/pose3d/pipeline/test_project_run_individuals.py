"""`run_project` with several animals: from candidates in any order to the right names at the end."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from calibration.formats import save_rig
from calibration.rig import Rig
from calibration.synchronization import Clock, Synchronization, Timing, save_synchronization
from calibration.synthetic import make_rig
from calibration.video import VideoWriter, open_video
from pose3d.detection import PredictionSettings, RawDetections, registry
from pose3d.formats import open_session, write_anchors
from pose3d.identity import Anchor, IdentitySettings
from pose3d.metrics import score_identity
from pose3d.pipeline import ProjectFiles, _session_stages, run_project
from pose3d.pipeline.stages import StageOutcome, StageState
from pose3d.project import Project, create_project, load_project, save_project
from pose3d.synthetic.crowds import CROWDS, Crowd, make_crowd

FRAMES, BLOCK = 60, 16
SIZE = (320, 256)
STAGES = ["2D", "assembly", "identity", "3D", "overlay videos", "kinematics", "report"]


@dataclass(frozen=True)
class CodeDetector:
    """Reads the number of camera and frame off the picture, and gives the true keypoints of all in a random order."""

    path: Path
    candidates: int
    keypoints: tuple[str, ...]
    gives_covariance: bool = False
    parallel: int = 1

    def restart(self) -> None:
        """Every image is looked at for itself."""

    def detect(self, images: np.ndarray) -> RawDetections:
        pixels = np.load(self.path)
        found = RawDetections.missing(len(images), self.candidates, len(self.keypoints), covariance=False)
        found.confidence[:] = 0.0
        for number, image in enumerate(images):
            bits = image[BLOCK // 2, BLOCK // 2 : 10 * BLOCK : BLOCK, 0] > 127
            camera, frame = divmod(int(bits @ (1 << np.arange(10))), 128)
            rng = np.random.default_rng([camera, frame])
            points = pixels[frame, camera] + rng.normal(0, 0.25, pixels.shape[2:])
            false = rng.uniform((0, 0), SIZE, (1, len(self.keypoints), 2))
            rows = np.concatenate([points, false])
            for keypoint in range(len(self.keypoints)):
                order = [*rng.permutation(2).tolist(), 2]
                found.position[number, :3, keypoint] = rows[order, keypoint]
                found.confidence[number, :3, keypoint] = (0.9, 0.9, 0.2)
        return found


@pytest.fixture(scope="module")
def crowd() -> Crowd:
    return make_crowd(replace(CROWDS["easy"], individuals=2, cameras=3, keypoints=6, frames=FRAMES, seed=6))


@pytest.fixture(scope="module")
def rig(crowd: Crowd) -> Rig:
    """Small pictures of the same scene."""
    distance = float(np.linalg.norm(crowd.rig["cam_1"].center))
    return make_rig(3, distance=distance, size=SIZE, focal_length=350.0, seed=6)


@pytest.fixture(scope="module")
def opened_detectors() -> Iterator[list[CodeDetector]]:
    """Detectors that were opened, of the kind "code"."""
    made: list[CodeDetector] = []

    def open_code(path: Path, settings: PredictionSettings) -> CodeDetector:
        names = tuple((path.parent / "names.txt").read_text().split())
        made.append(CodeDetector(path, settings.candidates, names))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        kind = registry.DetectorKind("code", "for tests", open_code)
        patch.setattr(registry, "DETECTORS", {**registry.DETECTORS, "code": kind})
        yield made


def write_film(path: Path, camera: int, frames: range) -> None:
    with VideoWriter(path, 30.0, quality=18) as writer:
        for frame in frames:
            image = np.full((SIZE[1], SIZE[0], 3), 90, dtype=np.uint8)
            for bit in range(10):
                value = 255 * (((camera * 128 + frame) >> bit) & 1)
                image[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = value
            writer.write(image)


@pytest.fixture(scope="module")
def fresh(
    crowd: Crowd, rig: Rig, opened_detectors: list[CodeDetector], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A project of two animals in which nothing was done yet."""
    made = create_project(
        tmp_path_factory.mktemp("projects") / "pair",
        cameras=rig.names,
        skeleton=crowd.skeleton,
        settings={
            "prediction": PredictionSettings(model="code:models.npy", batch_size=8),
            "identity": IdentitySettings(individuals=2),
        },
    )
    truth = crowd.poses3d["position"].transpose("time", "individual", "keypoint", "space").values
    pixels = np.stack([camera.project(truth) for camera in rig], axis=1)
    np.save(made.root / "models.npy", pixels)
    (made.root / "names.txt").write_text(" ".join(crowd.skeleton.keypoints))
    videos = {name: f"sessions/day/{name}.mp4" for name in rig.names}
    (made.root / "sessions" / "day").mkdir(parents=True)
    for number, video in enumerate(videos.values()):
        write_film(made.root / video, number, range(FRAMES))
    save_project(replace(made, sessions={"day": videos}))
    save_rig(rig, ProjectFiles(made).rig, format="rig-toml")
    return made.root


@pytest.fixture(scope="module")
def first_run(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[StageOutcome]]:
    """The project when all is done, and what was told of it."""
    root = tmp_path_factory.mktemp("done") / "pair"
    shutil.copytree(fresh, root)
    return root, run_project(load_project(root))


@pytest.fixture
def done(first_run: tuple[Path, list[StageOutcome]], tmp_path: Path) -> Project:
    """A copy of the project when all is done."""
    shutil.copytree(first_run[0], tmp_path / "pair")
    return load_project(tmp_path / "pair")


def ran(outcomes: list[StageOutcome]) -> list[str]:
    return [one.stage for one in outcomes if one.ran]


def result_of(project: Project) -> tuple[xr.Dataset, xr.Dataset]:
    with open_session(ProjectFiles(project).result("day")) as session:
        return session.require("poses3d").load()[["position", "confidence"]], session.require("identity").load()


def test_two_animals_keep_their_names(
    first_run: tuple[Path, list[StageOutcome]], crowd: Crowd, opened_detectors: list[CodeDetector]
) -> None:
    root, outcomes = first_run
    assert [one.reason for one in outcomes if one.state is not StageState.DONE] == []
    assert ran(outcomes) == STAGES
    assert opened_detectors[0].candidates == 4
    project = load_project(root)
    poses3d, identity = result_of(project)
    scores = score_identity(poses3d, crowd.poses3d, skeleton=crowd.skeleton)
    assert scores.overall.idf1 > 0.98
    assert scores.overall.switches == 0
    assert scores.mpjpe < 2.0
    assert identity.attrs["individuals_declared"] == 2
    notes = {one.stage: one.note for one in outcomes}
    assert notes["assembly"].startswith("animals per frame: cam_1 2.0")
    assert notes["identity"].startswith("2 animals: individual_0, individual_1")
    files = ProjectFiles(project)
    assert "individual_1" in files.report("day").read_text(encoding="utf-8")
    with open_session(files.result("day")) as session:
        assert session.require("kinematics").sizes["individual"] == 2


def test_when_all_is_done_nothing_is_done_again(done: Project) -> None:
    assert ran(run_project(done)) == []


def test_an_anchor_makes_identity_and_what_follows_anew(done: Project) -> None:
    write_anchors(ProjectFiles(done).anchors("day"), [Anchor(30, "Ada", called="individual_1")])
    planned = [one.stage for one in run_project(done, dry_run=True) if one.state is StageState.CHANGED]
    assert planned == ["identity"]
    assert ran(run_project(done)) == STAGES[2:]
    poses3d, _ = result_of(done)
    assert "Ada" in poses3d["individual"].values
    assert ran(run_project(done)) == []
    ProjectFiles(done).anchors("day").unlink()
    assert [one.stage for one in run_project(done, dry_run=True) if one.state is StageState.CHANGED] == ["identity"]


def test_another_number_of_animals_makes_all_of_it_anew(done: Project) -> None:
    """Three animals need more candidates; with an unknown number, there is a bound."""
    more = replace(done, settings={**done.settings, "identity": {"individuals": 3}})
    planned = {one.stage: one.state for one in run_project(more, dry_run=True)}
    assert planned["2D"] is planned["assembly"] is planned["identity"] is StageState.CHANGED
    one = replace(done, settings={name: table for name, table in done.settings.items() if name != "identity"})
    assert [stage.stage for stage in run_project(one, dry_run=True)][1:] == ["2D", "3D", *STAGES[4:]]


def test_how_animals_are_told_apart_can_change_by_itself(done: Project) -> None:
    changed = replace(done, settings={**done.settings, "identity": {"individuals": 2, "shape": False}})
    planned = {one.stage: one.state for one in run_project(changed, dry_run=True)}
    assert planned["2D"] is planned["assembly"] is StageState.DONE
    assert planned["identity"] is StageState.CHANGED


def test_an_unknown_number_is_found(fresh: Path, tmp_path: Path, opened_detectors: list[CodeDetector]) -> None:
    shutil.copytree(fresh, tmp_path / "pair")
    project = load_project(tmp_path / "pair")
    unknown = replace(project, settings={**project.settings, "identity": {"individuals": 0}})
    outcomes = run_project(unknown)
    assert [one.reason for one in outcomes if one.state is not StageState.DONE] == []
    assert opened_detectors[-1].candidates == 16
    poses3d, identity = result_of(project)
    assert poses3d.sizes["individual"] == 2
    assert identity.attrs["individuals_declared"] == 0


def test_a_run_that_was_killed_goes_on(fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(fresh, tmp_path / "pair")
    project = load_project(tmp_path / "pair")

    def killed(what: str, _done: int, _total: int) -> None:
        if "telling animals apart" in what:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_project(project, progress=killed)
    assert not ProjectFiles(project).identity("day").exists()
    again = {one.stage: one.state for one in run_project(project, dry_run=True)}
    assert again["2D"] is again["assembly"] is StageState.DONE
    assert again["identity"] is again["3D"] is StageState.MISSING
    monkeypatch.setattr(_session_stages, "assemble_session", None)  # is not called again
    outcomes = run_project(project)
    assert ran(outcomes) == STAGES[2:]
    assert [one.reason for one in outcomes if one.state is not StageState.DONE] == []


def test_animals_that_cannot_be_told_apart_fail_the_session_in_words(done: Project) -> None:
    ProjectFiles(done).anchors("day").write_text("frame,individual,called\n30,Ada,Bob\n")
    outcomes = run_project(done)
    states = {one.stage: one.state for one in outcomes}
    assert states["identity"] is StageState.FAILED
    assert states["report"] is StageState.SKIPPED
    assert "Bob" in next(one.reason for one in outcomes if one.state is StageState.FAILED)


def test_cameras_with_clocks_of_their_own(fresh: Path, crowd: Crowd, tmp_path: Path) -> None:
    """One camera started three frames late; animals are told apart at common instants."""
    shutil.copytree(fresh, tmp_path / "pair")
    project = load_project(tmp_path / "pair")
    late = project.cameras[1]
    write_film(project.video("day", late), 1, range(3, FRAMES))
    clocks = [Clock(name, Timing(30.0, FRAMES - 3 * (name == late)), offset=0.1 * (name == late))
              for name in project.cameras]  # fmt: skip
    save_synchronization(Synchronization(tuple(clocks), project.cameras[0]), project.sync_file("day"))
    outcomes = run_project(project)
    assert [one.reason for one in outcomes if one.state is not StageState.DONE] == []
    poses3d, identity = result_of(project)
    scores = score_identity(poses3d, crowd.poses3d)
    assert scores.overall.idf1 > 0.98
    assert scores.mpjpe < 2.0
    assert identity["camera_frame"].sel(camera=late).values.tolist() == [-1, -1, -1, *range(FRAMES - 3)]
    with open_video(ProjectFiles(project).overlay("day", late)) as video:
        assert len(video) == FRAMES - 3
