"""Files of animals and of who is who: what is written is what identity finds, in pieces, at common instants."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from calibration.errors import InvalidValueError, MismatchError, OutputError
from calibration.synchronization import Clock, Synchronization, Timing
from pose3d.datasets import detections, instances
from pose3d.formats import open_session
from pose3d.identity import Anchor, IdentitySettings, assemble, identify, poses2d_of_instances
from pose3d.metrics import score_identity
from pose3d.pipeline import assemble_session, identification, identify_session
from pose3d.pipeline._instants import common_instants, rows_at
from pose3d.reconstruction import apply_synchronization, triangulate
from pose3d.synthetic.crowds import CROWDS, Crowd, make_crowd

TWO = IdentitySettings(individuals=2)


@pytest.fixture(scope="module")
def crowd() -> Crowd:
    """Two animals that walk and stop; slots of instances are shuffled in every frame."""
    return make_crowd(replace(CROWDS["easy"], individuals=2, frames=300, seed=1))


@pytest.fixture(scope="module")
def candidates(crowd: Crowd) -> xr.Dataset:
    """The keypoints of all animals, in an order that says nothing."""
    position, confidence = crowd.instances["position"].values, crowd.instances["confidence"].values
    order = np.random.default_rng(0).random(confidence.shape).argsort(axis=2)
    return detections(
        np.take_along_axis(position, order[..., None], 2),
        np.take_along_axis(confidence, order, 2),
        cameras=crowd.rig.names,
        keypoints=crowd.skeleton.keypoints,
        frame_rate=30.0,
        image_size=crowd.instances["image_size"].values,
    )


def test_the_file_holds_what_identity_finds_however_it_is_cut(
    crowd: Crowd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identification, "ROWS_AT_ONCE", 77)
    told = []
    summary = identify_session(
        crowd.instances,
        crowd.rig,
        tmp_path / "who.nc",
        skeleton=crowd.skeleton,
        settings=TWO,
        provenance={"from": "here"},
        progress=lambda what, frames: told.append((what, frames)),
    )
    expected = identify(crowd.instances, crowd.rig, skeleton=crowd.skeleton, settings=TWO)
    with open_session(tmp_path / "who.nc") as session:
        assert session.rig == crowd.rig
        assert session.provenance == {"from": "here"}
        identity, poses2d = session.require("identity").load(), session.require("poses2d").load()
    xr.testing.assert_equal(identity["instance"], expected["instance"])
    assert identity.attrs["individuals_declared"] == 2
    whole = poses2d_of_instances(crowd.instances, expected)
    np.testing.assert_array_equal(poses2d["position"], whole["position"])
    np.testing.assert_array_equal(poses2d["confidence"], whole["confidence"])
    assert sum(frames for what, frames in told if what == "writing") == 300
    assert [path.name for path in tmp_path.iterdir()] == ["who.nc"]
    assert summary.output == tmp_path / "who.nc"


def test_the_summary_counts_what_the_identity_says(crowd: Crowd, tmp_path: Path) -> None:
    hidden = crowd.instances.copy(deep=True)
    hidden["position"][:, 1] = np.nan  # one camera sees nobody
    hidden["confidence"][:, 1] = 0.0
    summary = identify_session(hidden, crowd.rig, tmp_path / "who.nc", settings=TWO)
    assert summary.frames == 300
    assert [one.name for one in summary.individuals] == ["individual_0", "individual_1"]
    for one in summary.individuals:
        assert one.seen == 300
        assert one.cameras == pytest.approx(5.0, abs=0.2)
        assert one.unclear == 0
        assert 0.9 < one.confidence <= 1
    assert np.isnan(summary.unassigned["cam_2"])
    assert max(share for name, share in summary.unassigned.items() if name != "cam_2") < 0.05
    assert summary.noise == pytest.approx(1.0, rel=0.2)
    assert summary.declared == 2
    assert list(summary.risks) == sorted(summary.risks, key=lambda risk: -risk.probability)


def test_two_cameras_that_do_not_tell_and_risks_are_told() -> None:
    made = identify_two_rows()
    summary = identification.summarize_identity(made)
    first, second = summary.individuals
    assert (first.seen, first.cameras, first.unclear) == (2, 1.5, 0)
    assert (second.seen, second.unclear) == (0, 1)
    assert np.isnan(second.cameras)
    assert np.isnan(second.confidence)
    assert summary.output is None
    assert summary.unassigned == {"a": 0.5, "b": 0.0}
    (risk,) = summary.risks
    assert (risk.first, risk.last, risk.individual, risk.other, risk.reason) == (0, 1, "x", "y", "close")


def identify_two_rows() -> xr.Dataset:
    """An Identity of two frames and cameras, by hand."""
    words = "seen not_seen one_camera_only two_cameras_do_not_tell"
    status = xr.Variable(
        ("time", "individual"), np.array([[0, 3], [2, 1]]), {"flag_values": [0, 1, 2, 3], "flag_meanings": words}
    )
    return xr.Dataset(
        {
            "instance": (("time", "camera", "individual"), [[[0, -1], [0, -1]], [[1, -1], [-1, -1]]]),
            "identity_confidence": (("time", "individual"), [[1.0, np.nan], [0.5, np.nan]]),
            "identity_status": status,
            "unassigned": (("time", "camera"), [[2, 0], [0, 0]]),
            "risk_first": ("risk", [0]),
            "risk_last": ("risk", [1]),
            "risk_individual": ("risk", ["x"]),
            "risk_other": ("risk", ["y"]),
            "risk_probability": ("risk", [0.3]),
            "risk_reason": ("risk", ["close"]),
        },
        coords={"camera": ["a", "b"], "individual": ["x", "y"]},
    )


def test_anchors_name_animals_by_a_point_or_by_what_they_are_called(crowd: Crowd, tmp_path: Path) -> None:
    x, y = crowd.instances["position"].values[10, 0, 0, 0]
    point = Anchor(10, "Ada", camera="cam_1", x=float(x), y=float(y))
    identify_session(crowd.instances, crowd.rig, tmp_path / "point.nc", settings=TWO, anchors=[point])
    with open_session(tmp_path / "point.nc") as session:
        identity = session.require("identity").load()
    assert int(identity["instance"].sel(camera="cam_1", individual="Ada")[10]) == 0
    (other,) = set(identity["individual"].values.tolist()) - {"Ada"}
    called = [point, Anchor(20, "Bob", called=other)]
    summary = identify_session(crowd.instances, crowd.rig, tmp_path / "called.nc", settings=TWO, anchors=called)
    assert {one.name for one in summary.individuals} == {"Ada", "Bob"}
    with pytest.raises(InvalidValueError, match="Cleo"):
        identify_session(
            crowd.instances, crowd.rig, tmp_path / "no.nc", settings=TWO, anchors=[Anchor(1, "Ada", called="Cleo")]
        )
    assert not (tmp_path / "no.nc").exists()


def test_one_camera_needs_no_rig(crowd: Crowd, tmp_path: Path) -> None:
    alone = crowd.instances.isel(camera=[0])
    summary = identify_session(alone, None, tmp_path / "who.nc", settings=TWO)
    assert len(summary.individuals) == 2
    with open_session(tmp_path / "who.nc") as session:
        assert session.rig is None
        assert session.require("poses2d").sizes["camera"] == 1


def test_nothing_is_left_where_nobody_is_seen(crowd: Crowd, tmp_path: Path) -> None:
    empty = crowd.instances.copy(deep=True)
    empty["position"][:] = np.nan
    empty["confidence"][:] = 0.0
    with pytest.raises(InvalidValueError):
        identify_session(empty, crowd.rig, tmp_path / "who.nc", settings=TWO)
    assert list(tmp_path.iterdir()) == []


def test_candidates_become_animals_in_pieces_as_at_once(
    crowd: Crowd, candidates: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = assemble(candidates, crowd.skeleton, individuals=2)
    monkeypatch.setattr("pose3d.identity.assembly._PIECE", 50 * 6 * 2 * 12)
    done = []
    summary = assemble_session(candidates, crowd.skeleton, 2, tmp_path / "animals.nc", progress=done.append)
    assert done == [50] * 6
    with open_session(tmp_path / "animals.nc") as session:
        found = session.require("instances").load()
    assert found.sizes["instance"] == summary.instances == whole.sizes["instance"]
    for name in ("position", "confidence", "fragment"):
        np.testing.assert_array_equal(found[name], whole[name])
    assert found.attrs["below_threshold"] == whole.attrs["below_threshold"] == summary.below_threshold
    assert [path.name for path in tmp_path.iterdir()] == ["animals.nc"]
    assert summary.animals == pytest.approx(dict.fromkeys(crowd.rig.names, 2.0), abs=0.05)


def test_pieces_of_a_killed_run_are_not_used(crowd: Crowd, candidates: xr.Dataset, tmp_path: Path) -> None:
    (tmp_path / "animals.nc.parts").mkdir()
    (tmp_path / "animals.nc.parts" / "000000.nc").write_text("half a file")
    few = candidates.isel(time=slice(0, 60))
    assert assemble_session(few, crowd.skeleton, 2, tmp_path / "animals.nc").frames == 60
    assert [path.name for path in tmp_path.iterdir()] == ["animals.nc"]


def test_recordings_without_any_candidate_have_an_empty_place(candidates: xr.Dataset, tmp_path: Path) -> None:
    nothing = candidates.isel(time=slice(0, 5)).copy(deep=True)
    nothing["position"][:] = np.nan
    nothing["confidence"][:] = 0.0
    summary = assemble_session(nothing, None, 2, tmp_path / "animals.nc")
    assert summary.animals == dict.fromkeys(summary.animals, 0.0)
    with open_session(tmp_path / "animals.nc") as session:
        assert not np.isfinite(session.require("instances")["position"]).any()


def test_a_folder_that_cannot_be_made_is_told(candidates: xr.Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        assemble_session(candidates, None, 2, tmp_path / "file" / "animals.nc")


def test_animals_of_candidates_are_told_apart(crowd: Crowd, candidates: xr.Dataset, tmp_path: Path) -> None:
    assemble_session(candidates, crowd.skeleton, 2, tmp_path / "animals.nc")
    with open_session(tmp_path / "animals.nc") as session:
        found = session.require("instances")
        identify_session(found, crowd.rig, tmp_path / "who.nc", skeleton=crowd.skeleton, settings=TWO)
    with open_session(tmp_path / "who.nc") as session:
        solid = triangulate(session.require("poses2d").load(), crowd.rig)
    scores = score_identity(solid[["position", "confidence"]], crowd.poses3d)
    assert scores.overall.idf1 > 0.99


# Cameras that were not triggered together.

CLOCKS = (
    Clock("cam_1", Timing(30.0, 300)),
    Clock("cam_2", Timing(30.0, 290, ((80, 2),)), offset=0.5 / 30),
    Clock("cam_3", Timing(30.0, 300), offset=-2.4 / 30, rate=1 + 50e-6),
)


def own_frames(crowd: Crowd, clocks: tuple[Clock, ...] = CLOCKS) -> xr.Dataset:
    """What three cameras with clocks of their own see of a crowd: every frame in its own order of animals."""
    truth = crowd.poses3d["position"].transpose("time", "individual", "keypoint", "space").values
    rng = np.random.default_rng(0)
    position = np.full((300, 3, 2, len(crowd.skeleton.keypoints), 2), np.nan)
    for number, clock in enumerate(clocks):
        times = clock.reference_time() * 30.0 + 5  # in frames of the crowd, whose first five came before
        at = np.floor(times).astype(int).clip(0, len(truth) - 2)
        share = (times - at)[:, None, None, None]
        pixels = crowd.rig[clock.camera].project((1 - share) * truth[at] + share * truth[at + 1])
        for frame, points in enumerate(pixels):
            position[frame, number] = rng.permutation(points) + rng.normal(0, 0.5, points.shape)
    return instances(position, cameras=[clock.camera for clock in clocks], keypoints=crowd.skeleton.keypoints,
                     frame_rate=30.0)  # fmt: skip


@pytest.fixture(scope="module")
def longer() -> Crowd:
    return make_crowd(replace(CROWDS["easy"], individuals=2, cameras=3, frames=320, noise=0.0, seed=4))


def test_animals_of_cameras_with_clocks_of_their_own(longer: Crowd, tmp_path: Path) -> None:
    """Who is who is found at common instants; positions are interpolated, not those of the nearest frame."""
    own, clocks = own_frames(longer), Synchronization(CLOCKS, "cam_1")
    identify_session(
        own, longer.rig, tmp_path / "who.nc", skeleton=longer.skeleton, settings=TWO, synchronization=clocks
    )
    with open_session(tmp_path / "who.nc") as session:
        poses2d, identity = session.require("poses2d").load(), session.require("identity").load()
    np.testing.assert_allclose(poses2d["time"], np.arange(300) / 30)
    np.testing.assert_allclose(identity["time"], poses2d["time"])
    solid = triangulate(poses2d, longer.rig)
    truth = longer.poses3d.isel(time=slice(5, 305)).assign_coords(time=solid["time"], frame=solid["frame"])
    assert score_identity(solid[["position", "confidence"]], truth).overall.idf1 > 0.98
    # as precise as if somebody had known who is who in every file
    names = [str(name) for name in solid["individual"].values]
    error = []
    for name in names:
        one = solid["position"].sel(individual=name).transpose("time", "keypoint", "space").values
        all_errors = [
            np.linalg.norm(one - truth["position"].sel(individual=other).transpose("time", "keypoint", "space").values,
                           axis=-1)
            for other in truth["individual"].values
        ]  # fmt: skip
        error.append(min(float(np.nanmedian(each)) for each in all_errors))
    nearest = common_instants(own, clocks).instances
    naive = triangulate(poses2d_of_instances(nearest, identity), longer.rig)
    assert max(error) < 0.8
    assert float(naive["reprojection_error"].median()) > 1.5 * float(solid["reprojection_error"].median())


def test_frames_that_were_looked_at_are_told(longer: Crowd, tmp_path: Path) -> None:
    own, clocks = own_frames(longer), Synchronization(CLOCKS, "cam_1")
    identify_session(own, longer.rig, tmp_path / "who.nc", settings=TWO, synchronization=clocks)
    with open_session(tmp_path / "who.nc") as session:
        frames = session.require("identity")["camera_frame"]
        np.testing.assert_array_equal(frames.sel(camera="cam_1"), np.arange(300))
        late = frames.sel(camera="cam_2").values
        third = frames.sel(camera="cam_3").values
    used = late[late >= 0]
    # half a frame away, and yet every frame once, but for that before two that were dropped
    assert len(used) - len(set(used.tolist())) <= 1
    assert (late[:2] == [0, 1]).all()
    assert (np.diff(late)[np.r_[:79, 83:290]] == 1).all()
    assert set((third[10:-10] - np.arange(300)[10:-10]).tolist()) <= {2, 3}


def test_a_jitter_takes_no_frame_twice() -> None:
    jitter = np.random.default_rng(0).normal(0, 0.02, 500)
    own = np.arange(500) + 0.5 + jitter
    rows = rows_at(own, np.arange(500.0), 1.0)
    assert set(np.diff(rows[rows >= 0]).tolist()) == {1}


def test_without_offsets_instants_are_frames(longer: Crowd) -> None:
    clocks = tuple(Clock(clock.camera, Timing(30.0, 300)) for clock in CLOCKS)
    own, same = own_frames(longer, clocks), Synchronization(clocks, "cam_1")
    shared = common_instants(own, same)
    np.testing.assert_array_equal(shared.instances["position"], own["position"])
    identity = identify(shared.instances, longer.rig, settings=TWO)
    expected = apply_synchronization(poses2d_of_instances(own, identity), same)
    xr.testing.assert_equal(shared.poses2d(identity), expected)


def test_a_camera_without_a_clock_is_an_error(longer: Crowd, tmp_path: Path) -> None:
    clocks = Synchronization(CLOCKS[:2], "cam_1")
    with pytest.raises(MismatchError, match="cam_3"):
        identify_session(own_frames(longer), longer.rig, tmp_path / "who.nc", synchronization=clocks)
