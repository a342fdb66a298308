"""`pose3d calibrate`: what a user types, sees and finds on disk."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from calibration import load_rig
from calibration.alignment import move_rig
from calibration.boards import Charuco
from calibration.boards.files import save_board
from calibration.formats import load_corners, save_corners, save_rig
from calibration.lens_models import LENS_MODELS
from calibration.rig import Rig
from calibration.synthetic import make_board_scene, make_rig
from calibration.synthetic.recordings import RecordingSettings, record_board, write_board_videos
from calibration.synthetic.volume import volume_errors
from calibration.transforms import RigidTransform
from pose3d.cli import calibrate as command
from pose3d.cli import main
from pose3d.datasets import poses2d
from pose3d.formats import save_session
from pose3d.pipeline import WorldChoice
from pose3d.synthetic import SimulationSettings, simulate

BOARD = Charuco(7, 5, 40.0)


@pytest.fixture(scope="module")
def scene():
    return make_board_scene(make_rig(3, seed=4), BOARD, frames=60, noise=0.2, radius=260.0, seed=1)


@pytest.fixture(scope="module")
def folder(scene, tmp_path_factory):
    """A folder with corners.nc and board.toml, and calibrated into `done`."""
    folder = tmp_path_factory.mktemp("calibration")
    save_corners(scene.corners, folder / "corners.nc")
    save_board(BOARD, folder / "board.toml")
    assert run("calibrate", "--corners", folder / "corners.nc", "-o", folder / "done") == 0
    return folder


def run(*words):
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    return stop.value.code


def relative(rig):
    """Poses relative to the first camera, which the world frame does not change."""
    first = rig.cameras[0].cam_from_world.inverse()
    return [camera.cam_from_world @ first for camera in rig]


def test_a_calibration_is_three_files_and_the_rig_is_the_true_one(folder, scene):
    names = {path.name for path in (folder / "done").iterdir()}
    assert {"rig.toml", "corners.nc", "report.html"} <= names
    assert not [name for name in names if "part" in name]
    rig = load_rig(folder / "done" / "rig.toml")
    for found, true in zip(relative(rig), relative(scene.rig), strict=True):
        np.testing.assert_allclose(found.translation, true.translation, atol=5.0)
        np.testing.assert_allclose(found.rotation, true.rotation, atol=4e-3)
    assert rig.metadata["board"] == str(BOARD)
    assert rig.metadata["rms_reprojection_error_px"] < 0.35
    np.testing.assert_array_equal(load_corners(folder / "done" / "corners.nc")["position"], scene.corners["position"])
    page = (folder / "done" / "report.html").read_text(encoding="utf-8")
    assert all(name in page for name in scene.rig.names)


def test_the_terminal_says_how_good_it_is_and_what_to_do_next(folder, tmp_path, capsys):
    assert run("calibrate", "--corners", folder / "corners.nc", "-o", tmp_path / "new") == 0
    shown = capsys.readouterr().out
    for word in ("cam_1", "RMS px", "median px", "p95 px", "left-out RMS px", "verdict:", "squares of 40 mm", "wrote"):
        assert word in shown


def test_json_is_one_object_with_all_numbers(folder, tmp_path, capsys):
    assert run("calibrate", "--corners", folder / "corners.nc", "-o", tmp_path / "new", "--json") == 0
    content = json.loads(capsys.readouterr().out)
    assert list(content["cameras"]) == ["cam_1", "cam_2", "cam_3"]
    assert content["verdict"]["level"]
    names = [path.rsplit("/", 1)[-1] for path in content["written"]]
    assert names == ["rig.toml", "corners.nc", "report.html", "rig_uncertainty.nc"]


def test_the_same_command_writes_the_same_bytes(folder, tmp_path):
    assert run("calibrate", "--corners", folder / "corners.nc", "-o", tmp_path / "done") == 0
    again = (tmp_path / "done" / "rig.toml").read_bytes()
    assert again == (folder / "done" / "rig.toml").read_bytes()


def test_an_earlier_calibration_is_overwritten_only_when_that_is_said(folder, tmp_path, capsys):
    target = tmp_path / "mine"
    target.mkdir()
    (target / "rig.toml").write_text("precious")
    assert run("calibrate", "--corners", folder / "corners.nc", "-o", target) == 1
    assert "--force" in capsys.readouterr().err
    assert (target / "rig.toml").read_text() == "precious"
    assert run("calibrate", "--corners", folder / "corners.nc", "-o", target, "--force") == 0
    assert load_rig(target / "rig.toml").names == ("cam_1", "cam_2", "cam_3")


def test_the_corners_that_are_read_are_never_written_over(folder, capsys):
    before = (folder / "corners.nc").read_bytes()
    assert run("calibrate", "--corners", folder / "corners.nc", "-o", folder, "--force") == 2
    assert "overwrite the input" in capsys.readouterr().err
    assert (folder / "corners.nc").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "-o FOLDER"),
        (("-o", "x"), "Say where the pictures are"),
        (("videos", "-o", "x"), "--board"),
        (("videos", "--corners", "c.nc", "-o", "x"), "not both"),
        (("--corners", "c.nc", "--fix-lenses", "-o", "x"), "--lenses"),
        (("--rig", "rig.toml", "-o", "x"), "--align"),
        (("--check", "later"), "--rig"),
        (("--rig", "r.toml", "--check", "later", "--align", "board=1"), "leave out"),
        (("videos", "--board", "b.toml", "--timestamps", "t.csv", "--sync", "s.toml", "-o", "x"), "correct the clocks"),
        (("--corners", "c.nc", "--length", "a-b", "-o", "x"), "--refine-with"),
    ],
)
def test_options_that_do_not_fit_say_what_to_type(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("calibrate", *words) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_does_not_exist_is_told_with_those_that_do(folder, tmp_path, capsys):
    words = ("calibrate", "--corners", folder / "corners.nc", "-o", tmp_path / "x", "--lens-model", "cam_1=brown6")
    assert run(*words) == 2
    assert "brown5" in capsys.readouterr().err


def test_the_models_in_the_help_are_those_there_are():
    assert list(LENS_MODELS) == list(command._MODELS)


def test_known_lenses_are_kept_when_that_is_said(folder, scene, tmp_path):
    save_rig(scene.rig, tmp_path / "true.toml")
    words = ("--lenses", tmp_path / "true.toml", "--fix-lenses")
    assert run("calibrate", "--corners", folder / "corners.nc", *words, "-o", tmp_path / "new") == 0
    found = load_rig(tmp_path / "new" / "rig.toml")
    assert [camera.lens for camera in found] == [camera.lens for camera in scene.rig]


def test_lenses_alone_need_no_common_instants_and_serve_as_known_lenses(folder, scene, tmp_path, capsys):
    assert run("calibrate", "--corners", folder / "corners.nc", "--lenses-only", "-o", tmp_path / "lenses") == 0
    printed = capsys.readouterr().out
    assert "cam_2: " in printed
    assert "one camera only" not in printed  # that is what was asked for
    lenses = load_rig(tmp_path / "lenses" / "rig.toml")  # a warning of equal poses would be an error here
    for found, true in zip(lenses, scene.rig, strict=True):
        expected = true.lens.camera_matrix[0, 0]
        assert found.lens.camera_matrix[0, 0] == pytest.approx(expected, rel=0.01)
        assert (tmp_path / "lenses" / found.name / "report.html").exists()
    words = ("--lenses", tmp_path / "lenses" / "rig.toml", "--fix-lenses", "-o", tmp_path / "rig")
    assert run("calibrate", "--corners", folder / "corners.nc", *words) == 0
    rig = load_rig(tmp_path / "rig" / "rig.toml")
    assert [camera.lens for camera in rig] == [camera.lens for camera in lenses]


@pytest.mark.parametrize("content", [b"", b"not a netCDF file", b"CDF\x01half"])
def test_corners_that_are_none_are_an_error_with_their_name(content, tmp_path, capsys):
    (tmp_path / "corners.nc").write_bytes(content)
    assert run("calibrate", "--corners", tmp_path / "corners.nc", "-o", tmp_path / "x") == 1
    shown = capsys.readouterr().err
    assert "corners.nc" in shown
    assert "fault of the program" not in shown
    assert not (tmp_path / "x").exists()


def test_cameras_that_never_see_the_board_together_are_named(scene, tmp_path, capsys):
    apart = scene.corners.copy(deep=True)
    position = apart["position"].values
    position[2, :30] = np.nan
    position[:2, 30:] = np.nan
    apart = apart.assign_coords(frame=500 + 10 * np.arange(60))
    apart["time"] = apart["time"].copy(data=np.tile(apart["frame"].values / 30, (3, 1)))
    save_corners(apart, tmp_path / "corners.nc")
    assert run("calibrate", "--corners", tmp_path / "corners.nc", "-o", tmp_path / "x") == 1
    shown = " ".join(capsys.readouterr().err.split())
    found = re.findall(r"cam_3 at frame (\d+) \((\d+\.\d\d) s\)", shown)
    assert found
    assert all(int(frame) >= 800 and float(time) == round(int(frame) / 30, 2) for frame, time in found)
    assert not (tmp_path / "x" / "rig.toml").exists()


def test_the_board_on_the_ground_becomes_the_world(folder, scene, tmp_path, capsys):
    frame = int(np.flatnonzero(np.isfinite(scene.corners["position"].values[..., 0, 0]).sum(axis=0) > 1)[0])
    words = ("--rig", folder / "done" / "rig.toml", "--corners", folder / "corners.nc", "--align", f"board={frame}")
    assert run("calibrate", *words, "-o", tmp_path / "aligned") == 0
    aligned = load_rig(tmp_path / "aligned" / "rig.toml")
    true_from_board = scene.world_from_board
    pose = RigidTransform(true_from_board.rotation[frame], true_from_board.translation[frame])
    board_up = RigidTransform(np.diag([1.0, -1.0, -1.0]), np.zeros(3))
    true = move_rig(scene.rig, board_up @ pose.inverse())
    for found, expected in zip(aligned, true, strict=True):
        np.testing.assert_allclose(found.center, expected.center, atol=5.0)
        assert found.center[2] > 0 or expected.center[2] < 0
    assert aligned.metadata["world"] == f"board={frame}"
    shown = capsys.readouterr().out
    assert f"world: origin at the first corner of the board in frame {frame}; x along its rows, z up" in shown


@pytest.mark.parametrize(
    ("how", "boards", "origin", "axes"),
    [
        ("board=3", True, "first corner of the board in frame 3", "x along its rows, z up out of its face"),
        ("points=a,b,c", False, "origin at a;", "x toward b, y on the side of c"),
        ("ground=3,4,5", True, "middle of the places of the board in frames 3, 4, 5", "right of camera cam_1"),
        ("ground=left_paw,right_paw", False, "middle of left_paw, right_paw", "z up from the ground"),
        ("gravity=cam_2:0,1,0", False, "origin where it was", "z up against gravity"),
    ],
)
def test_the_world_is_told_in_words(how, boards, origin, axes, scene):
    words = WorldChoice.parse(how).words(scene.rig, boards=boards)
    assert origin in words
    assert axes in words


@pytest.mark.parametrize(
    "how", ["board=", "sideways=3", "points=a,b", "board=1,2", "gravity=cam_1:0,1", "points=a,b:c"]
)
def test_a_world_that_cannot_be_read_is_told(folder, tmp_path, how, capsys):
    words = ("--rig", folder / "done" / "rig.toml", "--align", how, "-o", tmp_path / "aligned")
    assert run("calibrate", *words) == 1
    assert "--align" in capsys.readouterr().err
    assert not (tmp_path / "aligned").exists()


def test_gravity_in_a_camera_becomes_down(folder, tmp_path):
    words = ("--rig", folder / "done" / "rig.toml", "--align", "gravity=cam_2:0,1,0", "-o", tmp_path / "aligned")
    assert run("calibrate", *words) == 0
    camera = load_rig(tmp_path / "aligned" / "rig.toml")["cam_2"]
    np.testing.assert_allclose(camera.cam_from_world.rotation @ [0, 0, -1], [0, 1, 0], atol=1e-9)


@pytest.fixture(scope="module")
def animals():
    return simulate(SimulationSettings(cameras=4, duration=2.0, outlier_rate=0.05, dropout_rate=0.1, seed=5))


def shaken(rig, name, degrees):
    """The rig with one camera turned."""
    turn = RigidTransform.from_rotation_vector(np.deg2rad([0.0, degrees, 0.0]), np.zeros(3))
    return Rig(
        tuple(replace(c, cam_from_world=turn @ c.cam_from_world) if c.name == name else c for c in rig), unit=rig.unit
    )


def test_a_camera_that_has_moved_is_found_with_poses_of_animals(animals, tmp_path, capsys):
    save_session(tmp_path / "poses2d.nc", poses2d=animals.poses2d)
    save_rig(animals.rig, tmp_path / "true.toml")
    save_rig(shaken(animals.rig, "cam_3", 0.6), tmp_path / "before.toml")
    assert run("calibrate", "--rig", tmp_path / "true.toml", "--check", tmp_path / "poses2d.nc", "--json") == 0
    assert json.loads(capsys.readouterr().out)["moved"] == []
    words = ("--rig", tmp_path / "before.toml", "--check", tmp_path / "poses2d.nc", "-o", tmp_path / "check", "--json")
    assert run("calibrate", *words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["moved"] == ["cam_3"]
    # a small animal leaves open how much of it is a turn and how much a shift; its uncertainty says how far
    camera = found["cameras"]["cam_3"]
    assert camera["turned_degrees"] == pytest.approx(0.6, abs=3 * camera["turned_degrees_std"])
    assert camera["turned_degrees_std"] < 0.2
    assert (tmp_path / "check" / "check.png").stat().st_size > 10_000


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    """A folder of board videos with board.toml and timestamps.csv beside them, and the true rig in `rig`."""
    folder = tmp_path_factory.mktemp("filmed")
    rig = make_rig(2, size=(320, 240), focal_length=350, seed=7)
    board = Charuco(5, 4, 90.0)
    recording = record_board(rig, board, RecordingSettings(frames=40, frame_rate=5.0, hand=0.0, seed=7))
    write_board_videos(recording, folder / "later")
    save_board(board, folder / "later" / "board.toml")
    (folder / "rig").mkdir()
    save_rig(rig, folder / "rig" / "rig.toml")
    save_corners(recording.corners.drop_vars("occluded"), folder / "rig" / "corners.nc")
    return folder


@pytest.mark.parametrize("place", ["later/board.toml", "rig/board.toml", "rig/corners.nc"])
def test_the_board_of_a_check_is_found_beside_the_videos_or_the_calibration(filmed, place, tmp_path, capsys):
    shutil.copytree(filmed, tmp_path / "here")
    (tmp_path / "here" / "later" / "board.toml").rename(tmp_path / "board.toml")
    if not place.endswith(".nc"):
        (tmp_path / "here" / "rig" / "corners.nc").unlink()
        (tmp_path / "board.toml").rename(tmp_path / "here" / place)
    words = ("--rig", tmp_path / "here" / "rig" / "rig.toml", "--check", tmp_path / "here" / "later")
    assert run("calibrate", *words, "--json", "--no-cache", "--workers", 1) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["moved"] == []
    assert f"{tmp_path / 'here' / place}" in shown.err


def test_without_any_board_a_check_of_videos_says_which_option_to_give(filmed, tmp_path, capsys):
    shutil.copytree(filmed, tmp_path / "here")
    (tmp_path / "here" / "later" / "board.toml").unlink()
    (tmp_path / "here" / "rig" / "corners.nc").unlink()
    words = ("--rig", tmp_path / "here" / "rig" / "rig.toml", "--check", tmp_path / "here" / "later")
    assert run("calibrate", *words) == 2
    assert "--board board.toml" in " ".join(capsys.readouterr().err.split())


def test_the_board_beside_the_videos_is_that_of_a_calibration(filmed, tmp_path, capsys):
    words = (filmed / "later", "--lenses", filmed / "rig" / "rig.toml", "--fix-lenses", "-o", tmp_path / "new")
    assert run("calibrate", *words, "--no-cache", "--workers", 1) == 0
    assert load_rig(tmp_path / "new" / "rig.toml").metadata["board"] == "charuco of 5 x 4, 90 mm"


def test_poses_of_animals_refine_a_calibration_and_say_by_how_much(animals, tmp_path, capsys):
    save_session(tmp_path / "poses2d.nc", poses2d=animals.poses2d)
    save_rig(shaken(animals.rig, "cam_3", 0.3), tmp_path / "before.toml")
    words = ("--rig", tmp_path / "before.toml", "--refine-with", tmp_path / "poses2d.nc", "-o", tmp_path / "refined")
    assert run("calibrate", *words, "--json") == 0
    told = json.loads(capsys.readouterr().out)["refinement"]
    assert told["accepted"]
    errors = told["median_reprojection_error_of_left_out_frames_px"]
    assert errors["cam_3"]["after"] < errors["cam_3"]["before"]
    turned, uncertainty = told["moves"]["cam_3"]["rotation_degrees"]
    assert turned == pytest.approx(0.3, abs=3 * uncertainty)
    refined = load_rig(tmp_path / "refined" / "rig.toml")
    assert "poses2d.nc" in refined.metadata["refined_with"]
    for found, true in zip(relative(refined), relative(animals.rig), strict=True):
        turn = RigidTransform(found.rotation @ true.rotation.T, np.zeros(3))
        assert np.rad2deg(np.linalg.norm(turn.rotation_vector)) < 0.15


def test_a_calibration_that_animals_do_not_improve_is_written_as_it_was(animals, tmp_path, capsys):
    save_session(tmp_path / "poses2d.nc", poses2d=animals.poses2d)
    save_rig(animals.rig, tmp_path / "before.toml")
    words = ("--rig", tmp_path / "before.toml", "--refine-with", tmp_path / "poses2d.nc", "-o", tmp_path / "refined")
    assert run("calibrate", *words) == 0
    shown = capsys.readouterr()
    assert "not refined, the cameras stay as they were: left-out frames do not fit better" in shown.out
    assert "±" in shown.out
    written = load_rig(tmp_path / "refined" / "rig.toml")
    assert written == load_rig(tmp_path / "before.toml")
    assert "refined_with" not in written.metadata


def test_points_hardly_move_what_a_board_has_just_calibrated(folder, scene, tmp_path, capsys):
    rng = np.random.default_rng(0)
    pixels = scene.rig.project(rng.uniform(-40.0, 40.0, size=(60, 20, 3))).transpose(0, 2, 1, 3)[:, :, None]
    poses = poses2d(
        pixels + rng.normal(size=pixels.shape),
        cameras=scene.rig.names,
        individuals=["animal"],
        keypoints=[f"point_{number}" for number in range(20)],
    )
    save_session(tmp_path / "poses2d.nc", poses2d=poses)
    words = ("--corners", folder / "corners.nc", "--refine-with", tmp_path / "poses2d.nc", "-o", tmp_path / "refined")
    assert run("calibrate", *words) == 0
    assert "refined" in capsys.readouterr().out
    alone = volume_errors(scene.rig, load_rig(folder / "done" / "rig.toml")).mean()
    together = volume_errors(scene.rig, load_rig(tmp_path / "refined" / "rig.toml")).mean()
    assert together < alone + 0.02  # mm; a position from 1 px noise is off by a millimeter


def test_a_length_is_written_as_two_keypoints_that_exist(animals, tmp_path, capsys):
    save_session(tmp_path / "poses2d.nc", poses2d=animals.poses2d)
    save_rig(animals.rig, tmp_path / "rig.toml")
    words = ("--rig", tmp_path / "rig.toml", "--refine-with", tmp_path / "poses2d.nc", "-o", tmp_path / "x")
    assert run("calibrate", *words, "--length", "nose") == 2
    assert run("calibrate", *words, "--length", "nose-tail=long") == 2
    assert run("calibrate", *words, "--length", "nose-nobody=40") == 1
    assert "nobody" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [("typo", "--board", "b.toml"), ("--corners", "typo"), ("--rig", "typo", "--align", "x=1")]
)
def test_a_path_that_does_not_exist_is_told_before_anything_heavy_is_imported(words, tmp_path):
    code = (
        "import sys\nfrom pose3d.cli import main\n"
        "try:\n    main(['calibrate', *sys.argv[1:]])\n"
        "except SystemExit as stop:\n    assert stop.code == 1\n"
        "assert not {'numba', 'scipy', 'xarray', 'matplotlib', 'cv2'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words, "-o", "x"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "typo" in done.stderr
    assert "no such file" in done.stderr
