"""`pose3d reconstruct` with more than 2D poses: other networks, other peaks, the uncertainty of the rig, and a lag."""

from pathlib import Path

import numpy as np
import pytest

from calibration.formats import save_rig, save_rig_uncertainty
from calibration.rig_uncertainty import RigUncertainty
from pose3d.cli import main
from pose3d.datasets import detections
from pose3d.formats import open_session, save_session
from pose3d.formats.session import SessionWriter
from pose3d.synthetic import SimulationSettings, simulate

KEYPOINTS = ["nose", "neck", "tail_base"]


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    folder = tmp_path_factory.mktemp("session")
    scene = simulate(SimulationSettings(cameras=4, duration=1.0, outlier_rate=0.0, dropout_rate=0.0, seed=5))
    poses = scene.poses2d.sel(keypoint=KEYPOINTS)
    save_rig(scene.rig, folder / "rig.toml")
    save_session(folder / "poses2d.nc", poses2d=poses)
    return folder, scene, poses


def run(*words):
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    return stop.value.code


def command(folder, output, *options, poses="poses2d.nc"):
    return run("reconstruct", "--rig", folder / "rig.toml", "--poses2d", folder / poses, "-o", output, *options)


def poses3d_of(path):
    with open_session(path) as found:
        return found.require("poses3d").load()


def test_a_lag_answers_as_it_comes(session, tmp_path):
    folder, _, poses = session
    assert command(folder, tmp_path / "live.nc", "--lag", 2) == 0
    assert command(folder, tmp_path / "whole.nc") == 0
    live, whole = poses3d_of(tmp_path / "live.nc"), poses3d_of(tmp_path / "whole.nc")
    assert live.sizes["time"] == poses.sizes["time"]
    apart = np.linalg.norm(live["position"].values - whole["position"].values, axis=1)
    assert 0.01 < np.nanmean(apart) < 1.0


def test_an_ensemble_gives_covariances(session, tmp_path, capsys):
    folder, _, poses = session
    rng = np.random.default_rng(0)
    for number in range(2):
        other = poses.assign(position=poses["position"] + rng.normal(0, 1, poses["position"].shape))
        other["position"].attrs["units"] = "px"
        save_session(folder / f"other_{number}.nc", poses2d=other)
    others = [word for number in range(2) for word in ("--ensemble", folder / f"other_{number}.nc")]
    assert command(folder, tmp_path / "out.nc", *others) == 0
    assert "noise factor" in capsys.readouterr().out
    with open_session(tmp_path / "out.nc") as found:
        assert "covariance" in found.require("poses2d")
        assert len(found.provenance["inputs"]) == 4


def test_other_peaks_are_tried(session, tmp_path):
    folder, scene, poses = session
    right = poses["position"].values[:, :, 0]
    first, wrong = right.copy(), np.zeros(right.shape[:-1], dtype=bool)
    wrong[::9, 1, 0] = True
    first[wrong] += 80.0
    scores = np.broadcast_to(np.array([0.9, 0.6])[:, None], (*right.shape[:2], 2, len(KEYPOINTS)))
    found = detections(
        np.stack([first, right], axis=2), scores, cameras=scene.rig.names, keypoints=KEYPOINTS, frame_rate=100.0
    )
    with SessionWriter(folder / "detections.nc") as writer:
        writer.append(detections=found)
    options = ("--candidates", folder / "detections.nc")
    assert command(folder, tmp_path / "out.nc", *options, poses="detections.nc") == 0
    repair = poses3d_of(tmp_path / "out.nc")["repair"].values[..., 0]
    assert (repair[wrong] == 2).mean() > 0.9


def test_the_uncertainty_of_the_rig_is_added(session, tmp_path, capsys):
    folder, scene, _ = session
    assert command(folder, tmp_path / "out.nc", "--with-rig-uncertainty") == 1
    assert "pose3d calibrate" in " ".join(capsys.readouterr().err.split())
    labels = tuple((name, part) for name in scene.rig.names[1:] for part in ("rx", "ry", "rz"))
    rig_folder = Path(tmp_path / "rig")
    rig_folder.mkdir()
    save_rig(scene.rig, rig_folder / "rig.toml")
    save_rig_uncertainty(RigUncertainty.of(scene.rig, labels, 1e-6 * np.eye(9)), rig_folder / "rig_uncertainty.nc")
    inputs = ("--rig", rig_folder / "rig.toml", "--poses2d", folder / "poses2d.nc")
    assert run("reconstruct", *inputs, "-o", tmp_path / "with.nc", "--with-rig-uncertainty") == 0
    assert run("reconstruct", *inputs, "-o", tmp_path / "without.nc") == 0
    with_it, without = (poses3d_of(tmp_path / f"{name}.nc")["covariance"] for name in ("with", "without"))
    assert float(with_it.median()) != float(without.median())
    assert (with_it - without).values[:, 0, 0].min() > 0
