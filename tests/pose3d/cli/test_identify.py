"""`pose3d identify`, and several animals in `pose3d reconstruct`: what a user types, sees and finds on disk."""

import json
import pickle
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from calibration.formats import save_rig
from calibration.rig import Rig
from pose3d.cli import main
from pose3d.cli.identify import identify
from pose3d.formats import open_session, save_session, write_anchors
from pose3d.identity import Anchor, IdentitySettings
from pose3d.metrics import score_identity
from pose3d.skeleton import skeleton_text
from pose3d.synthetic.crowds import CROWDS, make_crowd


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """A crowd of three on disk: rig, instances, skeleton."""
    folder = tmp_path_factory.mktemp("crowd")
    crowd = make_crowd(replace(CROWDS["issue"], individuals=3, cameras=4, frames=240, seed=2))
    save_rig(crowd.rig, folder / "rig.toml")
    save_session(folder / "instances.nc", instances=crowd.instances)
    save_session(folder / "truth.nc", rig=crowd.rig, poses3d=crowd.poses3d)
    (folder / "crowd.toml").write_text(skeleton_text(crowd.skeleton), encoding="utf-8")
    return folder, crowd


@pytest.fixture(scope="module")
def who(session):
    """The file that `pose3d identify` writes."""
    folder, _ = session
    output = folder / "who.nc"
    inputs = ("--rig", folder / "rig.toml", folder / "instances.nc", "--skeleton", folder / "crowd.toml")
    assert run("identify", *inputs, "--individuals", "3", "-o", output) == 0
    return output


def run(*words):
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    return stop.value.code


def names_of(path):
    with open_session(path) as opened:
        return [str(name) for name in opened.require("poses2d")["individual"].values]


def test_animals_are_told_apart(session, who):
    _, crowd = session
    with open_session(who) as found:
        assert found.rig == crowd.rig
        identity, poses = found.require("identity").load(), found.require("poses2d").load()
    assert score_identity(poses, _seen(crowd)).overall.switches == 0
    assert identity.sizes["individual"] == 3


def _seen(crowd):
    from pose3d.metrics import projected_truth

    return projected_truth(crowd.poses3d, crowd.rig)


def test_the_terminal_says_how_it_went(session, tmp_path, capsys):
    folder, _ = session
    output = tmp_path / "deep" / "who.nc"
    assert run("identify", "--rig", folder / "rig.toml", folder / "instances.nc", "-o", output) == 0
    shown = capsys.readouterr().out
    for word in ("animal", "seen", "cameras", "sure", "individual_0", "individual_2", "nobody's", "wrote"):
        assert word in shown
    assert sorted(path.name for path in output.parent.iterdir()) == ["who.nc"]


def test_the_summary_as_json(session, tmp_path, capsys):
    folder, _ = session
    output = tmp_path / "who.nc"
    assert run("identify", "--rig", folder / "rig.toml", folder / "instances.nc", "-o", output, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["identity"]["animals"]) == {"individual_0", "individual_1", "individual_2"}
    assert told["written"] == [str(output)]


def test_corrections_give_other_names_and_follow_nothing_again(session, who, tmp_path, capsys):
    anchors = tmp_path / "anchors.csv"
    write_anchors(
        anchors, [Anchor(100, "ada", called="individual_1"), Anchor(100, "individual_2", called="individual_0")]
    )
    corrected = tmp_path / "corrected.nc"
    assert run("identify", who, "-o", corrected, "--anchors", anchors, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["changed"]
    with open_session(who) as opened:
        before = opened.require("poses2d").load()
    with open_session(corrected) as opened:
        after = opened.require("poses2d").load()
        assert opened.require("identity").sizes["individual"] == 3
    one = before["position"].sel(frame=100) if "frame" in before.indexes else before["position"].isel(time=100)
    other = after["position"].isel(time=100)
    np.testing.assert_array_equal(other.sel(individual="ada"), one.sel(individual="individual_1"))
    np.testing.assert_array_equal(other.sel(individual="individual_2"), one.sel(individual="individual_0"))


def test_a_point_names_an_animal(session, tmp_path):
    folder, crowd = session
    where = crowd.truth["individual"].values[0, 0]
    place = int(np.flatnonzero(where == 1)[0])
    x, y = np.nanmean(crowd.instances["position"].values[0, 0, place], axis=0)
    anchors = tmp_path / "anchors.csv"
    write_anchors(anchors, [Anchor(0, "bob", camera=crowd.rig.names[0], x=float(x), y=float(y))])
    output = tmp_path / "who.nc"
    inputs = ("--rig", folder / "rig.toml", folder / "instances.nc", "--anchors", anchors)
    assert run("identify", *inputs, "-o", output) == 0
    assert "bob" in names_of(output)


def test_one_camera_is_followed_in_its_image(session, tmp_path, capsys):
    _, crowd = session
    save_session(tmp_path / "one.nc", instances=crowd.instances.isel(camera=[0]))
    assert run("identify", tmp_path / "one.nc", "--individuals", "3", "-o", tmp_path / "who.nc") == 0
    with open_session(tmp_path / "who.nc") as opened:
        assert opened.rig is None
        assert opened.require("poses2d").sizes["individual"] == 3


def test_several_cameras_need_a_rig(session, tmp_path, capsys):
    folder, _ = session
    assert run("identify", folder / "instances.nc", "-o", tmp_path / "who.nc") == 1
    assert re.search("a rig, as there are several cameras", capsys.readouterr().err)
    assert not (tmp_path / "who.nc").exists()


def test_reconstruct_tells_animals_apart_and_keeps_who_is_who(session, tmp_path, capsys):
    folder, crowd = session
    output = tmp_path / "out.nc"
    inputs = ("--rig", folder / "rig.toml", folder / "instances.nc", "--skeleton", folder / "crowd.toml")
    assert run("reconstruct", *inputs, "--individuals", "3", "-o", output, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["identity"]["animals"]) == set(told["individuals"])
    with open_session(output) as opened:
        assert opened.identity is not None
        scores = score_identity(opened.require("poses3d").load(), crowd.poses3d)
    assert scores.overall.idf1 > 0.98
    assert scores.overall.switches == 0
    assert [path.name for path in tmp_path.iterdir()] == ["out.nc"]


def test_reconstruct_keeps_the_names_of_a_file_that_has_them(session, who, tmp_path, capsys):
    folder, _ = session
    output = tmp_path / "out.nc"
    assert run("reconstruct", "--rig", folder / "rig.toml", who, "-o", output, "--json") == 0
    assert "identity" not in json.loads(capsys.readouterr().out)
    with open_session(output) as opened:
        assert opened.identity is not None  # it came along
        assert [str(name) for name in opened.require("poses3d")["individual"].values] == names_of(who)


@pytest.mark.filterwarnings("ignore::calibration.errors.SuiteWarning")
def test_deeplabcut_candidates_are_put_together_first(session, tmp_path):
    """`_full.pickle` of two cameras, from true poses of two animals; the names of cameras come from the files."""
    _, crowd = session
    names = [str(name) for name in crowd.instances["keypoint"].values]
    true = crowd.poses3d["position"].transpose("time", "individual", "keypoint", "space").values[:80, :2]
    rig = Rig(tuple(crowd.rig)[:3])
    save_rig(rig, tmp_path / "rig.toml")
    for camera in rig:
        pixels = camera.project(true) + np.random.default_rng(0).normal(0, 0.5, (*true.shape[:-1], 2))
        content = {"metadata": {"all_joints_names": names, "nms radius": 5, "PAFgraph": [[0, 1]], "nframes": 80}}
        for frame in range(80):
            order = [np.random.default_rng([frame, k]).permutation(2) for k in range(len(names))]
            content[f"frame{frame:05d}"] = {
                "coordinates": ([pixels[frame, order[k], k].astype(np.float32) for k in range(len(names))],),
                "confidence": [np.full((2, 1), 0.9, np.float32) for _ in names],
                "costs": {0: {"m1": np.eye(2, dtype=np.float32)[order[0]][:, order[1]], "distance": np.zeros((2, 2))}},
            }
        (tmp_path / f"{camera.name}_full.pickle").write_bytes(pickle.dumps(content))
    output = tmp_path / "who.nc"
    inputs = [tmp_path / f"{name}_full.pickle" for name in rig.names]
    assert run("identify", "--rig", tmp_path / "rig.toml", *inputs, "--individuals", "2", "-o", output) == 0
    with open_session(output) as opened:
        poses = opened.require("poses2d").load()
    from pose3d.metrics import projected_truth

    truth = projected_truth(crowd.poses3d.isel(time=slice(0, 80), individual=slice(0, 2)), rig)
    assert score_identity(poses, truth).overall.idf1 > 0.98


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        ((), 2, "Say where the 2D poses are"),
        (("nowhere.nc",), 1, "no such file"),
        (("instances.nc", "--individuals", "0"), 2, "individuals"),
        (("instances.nc", "--anchors", "nowhere.csv"), 1, "nowhere.csv"),
        (("instances.nc", "--skeleton", "nobody"), 1, "nobody"),
    ],
)
def test_wrong_use_is_said_in_words(session, tmp_path, capsys, monkeypatch, options, code, told):
    folder, _ = session
    monkeypatch.chdir(folder)
    assert run("identify", "--rig", "rig.toml", *options, "-o", tmp_path / "who.nc") == code
    assert told in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_output_is_none_of_the_inputs(session, capsys):
    folder, _ = session
    before = (folder / "instances.nc").read_bytes()
    assert run("identify", "--rig", folder / "rig.toml", folder / "instances.nc", "-o", folder / "instances.nc") == 2
    assert (folder / "instances.nc").read_bytes() == before


def test_the_defaults_are_those_of_the_settings():
    defaults = {option.name: option.default for option in identify.params}
    settings = IdentitySettings()
    assert defaults["min_confidence"] == settings.minimum_confidence
    assert defaults["absence"] == settings.longest_absence
    assert defaults["trust_tracks"] == settings.trust_tracks
    assert defaults["sure"] == settings.sure
    assert settings.shape
    assert settings.appearance


def test_several_animals_of_deeplabcut_tables(session, tmp_path):
    """Multi-animal tables whose individuals are in another order in every camera."""
    _, crowd = session
    rig = Rig(tuple(crowd.rig)[:3])
    save_rig(rig, tmp_path / "rig.toml")
    names = [str(name) for name in crowd.instances["keypoint"].values]
    true = crowd.poses3d["position"].transpose("time", "individual", "keypoint", "space").values[:80]
    for number, camera in enumerate(rig):
        pixels = camera.project(true) + np.random.default_rng(number).normal(0, 0.5, (*true.shape[:-1], 2))
        pixels = pixels[:, np.roll(np.arange(3), number)]
        columns = pd.MultiIndex.from_product(
            [["net"], ["mouse1", "mouse2", "mouse3"], names, ["x", "y", "likelihood"]],
            names=["scorer", "individuals", "bodyparts", "coords"],
        )
        values = np.concatenate([pixels, np.full((*pixels.shape[:-1], 1), 0.95)], axis=-1).reshape(80, -1)
        pd.DataFrame(values, columns=columns).to_hdf(tmp_path / f"{camera.name}DLC_net.h5", key="df_with_missing")
    output = tmp_path / "out.nc"
    inputs = [tmp_path / f"{name}DLC_net.h5" for name in rig.names]
    assert run("reconstruct", "--rig", tmp_path / "rig.toml", *inputs, "--frame-rate", "30", "-o", output) == 0
    with open_session(output) as opened:
        poses = opened.require("poses3d").load()
    assert score_identity(poses, crowd.poses3d.isel(time=slice(0, 80))).overall.idf1 > 0.98


@pytest.mark.filterwarnings("ignore::calibration.errors.SuiteWarning")
def test_sleap_projects_without_tracks(session, tmp_path):
    """Instances in any order, of one project file for each camera."""
    sio = pytest.importorskip("sleap_io")
    _, crowd = session
    rig = Rig(tuple(crowd.rig)[:3])
    save_rig(rig, tmp_path / "rig.toml")
    names = [str(name) for name in crowd.instances["keypoint"].values]
    skeleton = sio.Skeleton(names)
    seen = crowd.instances["position"].values
    for number, camera in enumerate(rig):
        video = sio.Video(filename=f"{camera.name}.mp4", open_backend=False)
        frames = []
        for frame in range(120):
            there = [pose for pose in seen[frame, number] if np.isfinite(pose).any()]
            instances = [
                sio.PredictedInstance.from_numpy(
                    pose, skeleton=skeleton, point_scores=np.full(len(names), 0.9), score=1.0
                )
                for pose in there
            ]
            frames.append(sio.LabeledFrame(video=video, frame_idx=frame, instances=instances))
        sio.Labels(frames, videos=[video], skeletons=[skeleton]).save(str(tmp_path / f"{camera.name}.slp"))
    output = tmp_path / "out.nc"
    inputs = [tmp_path / f"{name}.slp" for name in rig.names]
    options = ("--frame-rate", "30", "--individuals", "3")
    assert run("reconstruct", "--rig", tmp_path / "rig.toml", *inputs, *options, "-o", output) == 0
    with open_session(output) as opened:
        poses = opened.require("poses3d").load()
    scores = score_identity(poses, crowd.poses3d.isel(time=slice(0, 120)))
    assert scores.overall.idf1 > 0.98
    assert scores.overall.switches == 0
