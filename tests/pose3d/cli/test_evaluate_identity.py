"""`pose3d evaluate RESULT --identity TRUTH`: what a user types and sees."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from calibration.synthetic import make_rig
from pose3d.cli import main
from pose3d.datasets import poses3d
from pose3d.formats import save_session, write_trc
from pose3d.metrics import projected_truth
from pose3d.skeleton import Skeleton, skeleton_text

KEYPOINTS = ("nose", "neck", "hip", "tail")
BODY = np.array([[0.0, 0, 0], [15, 0, 0], [35, 0, 5], [60, 0, 0]])


def world(position, prefix, **names):
    individuals = [f"{prefix}_{number}" for number in range(position.shape[1])]
    options = {"keypoints": KEYPOINTS, "individuals": individuals, "unit": "mm", "frame_rate": 30.0} | names
    return poses3d(np.moveaxis(position, (1, 3), (3, 1)), **options)


def run(*words):
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    return stop.value.code


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three animals; the names of two are exchanged from frame 60 of 100 on."""
    place = tmp_path_factory.mktemp("mice")
    rng = np.random.default_rng(0)
    truth = np.cumsum(rng.normal(0, 2, (100, 3, 3)), axis=0)[:, :, None] + BODY
    truth[:, :, :, 1] += np.array([-100.0, 0.0, 100.0])[:, None]
    result = truth + rng.normal(0, 1, truth.shape)
    result[60:] = result[60:][:, [1, 0, 2]]
    rig = make_rig(3, seed=0)
    save_session(place / "truth.nc", rig=rig, poses3d=world(truth, "animal"))
    save_session(place / "result.nc", rig=rig, poses3d=world(result, "track"))
    save_session(place / "flat.nc", poses2d=projected_truth(world(result, "track"), rig))
    (place / "skeleton.toml").write_text(
        skeleton_text(Skeleton("mouse", KEYPOINTS, edges=(("nose", "neck"), ("neck", "hip"), ("hip", "tail"))))
    )
    return place


def test_a_table_for_people(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("evaluate", folder / "result.nc", "--identity", folder / "truth.nc") == 0
    shown = capsys.readouterr().out
    rows = {line.split()[0]: line.split() for line in shown.splitlines() if line.strip()}
    assert rows["animal_0"][1] == "track_0"
    assert rows["animal_0"][2:5] == ["100", "100.0", "%"]
    assert rows["animal_2"][5:7] == ["100.0", "%"]
    assert rows["IDF1"][1] == "0.733"
    assert rows["switches"][1] == "2"
    assert "MPJPE mm" in shown
    assert "PCP" in shown
    assert "frame 60: animal_0 was track_0, then track_1; animal_1 was track_1, then track_0" in shown


def test_json_for_scripts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("evaluate", folder / "result.nc", "--identity", folder / "truth.nc", "--threshold", 20, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["thresholds"] == {"": 20.0}
    assert told["unit"] == "mm"
    assert told["overall"]["idf1"] == pytest.approx((60 + 60 + 100) / 300)
    assert len(told["overall"]["hota_levels"]) == 19
    assert [one["matched"] for one in told["individuals"]] == ["track_0", "track_1", "track_2"]
    assert told["switches"][0] == {
        "frame": 60,
        "camera": "",
        "individual": "animal_0",
        "before": "track_0",
        "after": "track_1",
    }
    assert 0.5 < told["pcp"] < 0.8


def test_2d_poses_are_compared_with_the_projected_truth(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("evaluate", folder / "flat.nc", "--identity", folder / "truth.nc", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["unit"] == "px"
    assert list(told["cameras"]) == ["cam_1", "cam_2", "cam_3"]
    assert told["cameras"]["cam_1"]["idf1"] < 1
    assert run("evaluate", folder / "flat.nc", "--identity", folder / "truth.nc") == 0
    shown = capsys.readouterr().out
    assert "each camera by itself" in shown
    assert "(cam_1, cam_2, cam_3)" in shown


def test_files_of_other_programs(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = world(np.broadcast_to(BODY, (20, 1, 4, 3)).copy(), "track")
    write_trc(one, tmp_path / "one.trc")
    save_session(tmp_path / "one.nc", poses3d=one)
    assert run("evaluate", tmp_path / "one.trc", "--identity", tmp_path / "one.nc", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["overall"]["idf1"] == 1
    assert told["pcp"] is None  # there is no skeleton beside that truth


def test_a_perfect_result_has_no_worst_moments(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("evaluate", folder / "truth.nc", "--identity", folder / "truth.nc", "--skeleton", "mouse") == 0
    shown = capsys.readouterr().out
    assert "Worst" not in shown
    assert "1.000" in shown


def test_more_and_fewer_animals(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two = np.repeat(BODY[None, None], 2, axis=1).repeat(100, axis=0) + np.array([0.0, 1000.0])[:, None, None]
    none = world(np.full((100, 1, 4, 3), np.nan), "nobody")
    for name, poses in (("two", world(two, "track")), ("one", world(two[:, :1], "animal")), ("none", none)):
        save_session(tmp_path / f"{name}.nc", poses3d=poses)
    assert run("evaluate", tmp_path / "two.nc", "--identity", tmp_path / "one.nc") == 0
    assert "no animal of the truth: track_1" in capsys.readouterr().out
    assert run("evaluate", tmp_path / "one.nc", "--identity", tmp_path / "two.nc") == 0
    assert ["track_1", "-", "100"] in [line.split()[:3] for line in capsys.readouterr().out.splitlines()]
    assert run("evaluate", tmp_path / "none.nc", "--identity", tmp_path / "one.nc") == 0
    assert ["IDF1", "0.000"] in [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    nothing = ("evaluate", tmp_path / "none.nc", "--identity", tmp_path / "none.nc", "--json")
    assert run(*nothing) == 1
    assert "Give the threshold" in capsys.readouterr().err
    assert run(*nothing, "--threshold", 5) == 0
    assert json.loads(capsys.readouterr().out)["overall"]["idf1"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["result.nc"], "add --identity TRUTH"),
        ([".", "--identity", "truth.nc"], "is a folder"),
        ([".", "--threshold", "3"], "--threshold goes with --identity"),
        ([".", "--skeleton", "mouse"], "--skeleton goes with --identity"),
        (["result.nc", "--identity", "truth.nc", "--run", "run1"], "--run is for networks"),
        (["result.nc", "--identity", "truth.nc", "--threshold", "0"], "x>0"),
    ],
)
def test_wrong_usage(
    folder: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert run("evaluate", *words) == 2
    assert message in capsys.readouterr().err


def test_files_that_do_not_belong_together(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    late = world(np.broadcast_to(BODY, (5, 1, 4, 3)).copy(), "track", frames=range(1000, 1005))
    save_session(tmp_path / "late.nc", poses3d=late)
    assert run("evaluate", tmp_path / "late.nc", "--identity", folder / "truth.nc") == 1
    assert "of the same recording?" in capsys.readouterr().err
    assert run("evaluate", folder / "result.nc", "--identity", folder / "flat.nc") == 1
    assert "both in 2D or both in 3D" in capsys.readouterr().err
    for wrong in ("skeleton.toml", "nothing.nc"):
        assert run("evaluate", folder / "result.nc", "--identity", folder / wrong) == 1
        assert wrong in capsys.readouterr().err
