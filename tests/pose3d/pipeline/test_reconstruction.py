"""From 2D poses to a result file of trajectories: what is written, what is told, and what is refused."""

import json
import warnings
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import xarray as xr

from calibration.errors import InvalidValueError, MismatchError, OutputError, SuiteWarning
from pose3d.formats import open_session
from pose3d.metrics import reprojection_histogram
from pose3d.pipeline import reconstruct_session
from pose3d.pipeline._disagreements import FEWEST_FRAMES, Disagreement, DisagreementSearch
from pose3d.pipeline._reconstruction_statistics import Tally
from pose3d.reconstruction import TrajectorySettings, reconstruct
from pose3d.skeleton import Skeleton
from pose3d.synthetic import QUADRUPED, SimulationSettings, simulate
from pose3d.visualization import collect_evidence

# Short gaps make short margins, so that a short recording falls into pieces.
SETTINGS = TrajectorySettings(motion="acceleration", longest_gap=5)
SCENE = SimulationSettings(
    cameras=4, individuals=2, paths="shared", duration=6.0, outlier_rate=0.03, dropout_rate=0.1, swap_rate=0.02, seed=5
)
LEFT_OUT = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
KEPT = ("nose", "neck", "spine", "tail_base", *LEFT_OUT)
WRONG = slice(130, 180)  # rows in which cam_2 sees the nose of animal_1 elsewhere


@pytest.fixture(scope="module")
def scene():
    return simulate(SCENE)


@pytest.fixture(scope="module")
def poses2d(scene):
    poses = scene.poses2d.sel(keypoint=list(KEPT)).copy(deep=True)
    where = {"camera": "cam_2", "keypoint": "nose", "individual": "animal_1"}
    moved = poses["position"].sel(where)
    moved[WRONG] = moved[WRONG] + 150.0
    poses["position"].loc[where] = moved
    return poses


@pytest.fixture(scope="module")
def outcome(scene, poses2d, tmp_path_factory):
    """The summary, what was called meanwhile, and the file that was written."""
    output = tmp_path_factory.mktemp("reconstruction") / "out.nc"
    calls = []
    summary = reconstruct_session(
        poses2d,
        scene.rig,
        output,
        skeleton=QUADRUPED,
        settings=SETTINGS,
        provenance={"seed": 0},
        workers=2,
        learned=lambda planned: calls.append(planned.model.rounds),
        progress=calls.append,
    )
    with open_session(output) as session:
        found = session.require("poses2d").load(), session.require("poses3d").load(), session.rig, session.provenance
    return summary, calls, found


class TestTheFile:
    def test_it_holds_what_went_in(self, scene, poses2d, outcome):
        _, _, (flat, _, rig, provenance) = outcome
        xr.testing.assert_identical(flat["position"], poses2d["position"])
        assert rig == scene.rig
        assert provenance == {"seed": 0}

    def test_it_is_what_the_library_returns_whatever_the_pieces(self, scene, poses2d, outcome):
        _, calls, (_, solid, _, _) = outcome
        assert len(calls) > 2, "one piece is no test"
        expected = reconstruct(poses2d, scene.rig, skeleton=QUADRUPED, settings=SETTINGS, workers=1)
        assert set(solid.variables) == set(expected.variables)
        np.testing.assert_allclose(solid["position"], expected["position"], atol=1e-4)
        for name in ("noise", "smoothness", "bone_length", "bone_deviation", "bone_length_std"):
            xr.testing.assert_allclose(solid[name], expected[name])

    def test_flags_units_names_and_attributes_come_back(self, outcome):
        _, _, (_, solid, _, _) = outcome
        assert solid["bridged"].dtype == bool
        assert solid["repair"].dtype == np.int8
        assert len(solid["repair"].attrs["flag_meanings"].split()) == len(solid["repair"].attrs["flag_values"])
        assert solid["view_probability"].dtype == np.float32
        assert solid["smoothness"].attrs["units"] == "mm/s^3"
        assert solid["bone_length"].dims == ("bone", "individual")
        assert "neck-nose" in solid["bone"].values
        assert json.loads(solid.attrs["reconstruction"])["longest_gap"] == 5

    def test_every_number_has_its_unit(self, outcome):
        _, _, (_, solid, _, _) = outcome
        without = [name for name in solid.data_vars if "units" not in solid[name].attrs]
        assert set(without) <= {"repair", "status"}, "codes have meanings instead"


class TestTheSummary:
    def test_it_agrees_with_the_file(self, outcome):
        summary, _, (flat, solid, _, _) = outcome
        table = summary.by_keypoint()
        everything = ("time", "individual")
        present = solid["position"].notnull().all("space")
        used, reported = solid["inlier"], flat["position"].notnull().all("space")
        np.testing.assert_allclose(table["missing"], 1 - present.mean(everything), atol=1e-12)
        np.testing.assert_allclose(table["bridged"], solid["bridged"].mean(everything), atol=1e-12)
        views = ("time", "individual", "camera")
        np.testing.assert_allclose(table["used"], used.sum(views) / reported.sum(views), atol=1e-12)
        np.testing.assert_allclose(table["repaired"], (solid["repair"] > 0).sum(views) / reported.sum(views))
        trace = sum(solid["covariance"].sel(space=axis, space_=axis) for axis in "xyz")
        typical = np.sqrt(trace / 3).median(everything)
        np.testing.assert_allclose(table["deviation"], typical, rtol=0.02)
        assert table["deviation"].attrs["units"] == "mm"
        explained = solid["view_probability"].mean(("time", "keypoint", "individual"))
        np.testing.assert_allclose(summary.by_camera()["explained"], explained, rtol=1e-4)
        assert sum(summary.missing.values()) == int((~present).sum())
        judged = solid["view_probability"].notnull().sum("camera")
        alone = present & (solid["view_probability"] < 0.5).sum("camera").pipe(lambda n: (n == judged) & (n > 1))
        counts = alone.sum(everything)
        expected = {str(name): count for name, count in zip(KEPT, counts.values.tolist(), strict=True) if count}
        assert summary.contradicted == expected

    def test_the_whole_is_the_sum_of_its_keypoints(self, outcome):
        summary, _, _ = outcome
        table, overall = summary.by_keypoint(), summary.overall()
        for name in ("bridged", "missing"):
            assert overall[name].item() == pytest.approx(table[name].mean().item(), abs=1e-12)
        assert table["deviation"].min() <= overall["deviation"] <= table["deviation"].max()

    def test_what_was_exchanged_is_told(self, outcome):
        """As often as the simulation exchanged left and right."""
        summary, _, _ = outcome
        table = summary.by_keypoint()["repaired"]
        np.testing.assert_allclose(table.sel(keypoint=list(LEFT_OUT)), SCENE.swap_rate, rtol=0.5)
        assert not table.sel(keypoint=["nose", "neck", "spine", "tail_base"]).any()

    def test_the_camera_that_disagrees_is_named(self, outcome):
        summary, _, (flat, _, _, _) = outcome
        longest = summary.disagreements[0]
        assert (longest.camera, longest.keypoint, longest.individual) == ("cam_2", "nose", "animal_1")
        reported = flat["position"].sel(camera="cam_2", keypoint="nose", individual="animal_1").notnull().all("space")
        gaps = np.flatnonzero(~reported.values[WRONG])
        stretches = np.diff(np.concatenate([[-1], gaps, [WRONG.stop - WRONG.start]])) - 1
        assert longest.frames >= max(stretches), "a stretch ends where the camera sees nothing"
        assert WRONG.start <= longest.first < longest.last < WRONG.stop

    def test_the_report_counts_the_same(self, outcome):
        """Also of repaired views, of which the 2D poses in the file hold what stood there before."""
        summary, _, (flat, solid, rig, _) = outcome
        found = reprojection_histogram(solid, flat, rig)
        np.testing.assert_array_equal(found.counts.sum(-1), summary.histogram.counts.sum(-1))
        np.testing.assert_array_equal(found.reported, summary.histogram.reported)
        np.testing.assert_allclose(found.squares, summary.histogram.squares, rtol=1e-3)
        evidence = collect_evidence(solid, flat, rig).summary(())
        for name in ("used", "rms", "median"):
            assert evidence[name] == pytest.approx(summary.histogram.summary(())[name].item(), rel=1e-3)

    def test_offsets_are_those_of_the_views_that_were_used_as_they_were(self, outcome):
        summary, _, (flat, solid, rig, _) = outcome
        order = ("time", "keypoint", "individual", "camera")
        points = solid["position"].transpose(*order[:-1], "space").values
        residual = flat["position"].transpose(*order, "space").values - rig.project(points)
        used = (solid["inlier"] & (solid["repair"] == 0)).transpose(*order).values
        expected = [residual[..., number, :][used[..., number]].mean(0) for number in range(len(rig))]
        np.testing.assert_allclose(summary.offset, expected, atol=1e-3)
        table = summary.by_camera()
        np.testing.assert_allclose(table["offset"], np.hypot(table["offset_x"], table["offset_y"]))
        assert {table[name].attrs["units"] for name in ("offset", "offset_x", "offset_y")} == {"px"}
        assert summary.displaced() == ()

    @pytest.mark.parametrize(
        ("shift", "scatter", "named"),
        [
            ((24.0, -18.0), 0.0, True),
            ((3.0, -2.0), 0.0, False),  # less than 5 px
            ((6.0, 0.0), 40.0, False),  # the camera errs in all directions
        ],
    )
    def test_a_camera_that_sees_everything_elsewhere_is_named(self, scene, tmp_path, shift, scatter, named):
        moved = scene.poses2d.isel(time=slice(0, 200), individual=[0]).sel(keypoint=list(KEPT)).copy(deep=True)
        position = moved["position"].sel(camera="cam_3")
        noise = np.random.default_rng(0).normal(0, scatter, position.shape) if scatter else 0.0
        moved["position"].loc[{"camera": "cam_3"}] = position + np.array(shift) + noise
        summary = reconstruct_session(moved, scene.rig, tmp_path / "o.nc", settings=SETTINGS)
        assert summary.displaced() == (("cam_3",) if named else ())
        if named:
            np.testing.assert_allclose(summary.offset.sel(camera="cam_3"), shift, atol=3)

    def test_a_motion_that_is_left_open_is_told(self, scene, tmp_path):
        short = scene.poses2d.isel(time=slice(0, 120), individual=[0]).sel(keypoint=list(KEPT))
        summary = reconstruct_session(short, scene.rig, tmp_path / "o.nc", settings=TrajectorySettings())
        units = {"velocity": "mm/s^2", "acceleration": "mm/s^3"}
        assert summary.learned["smoothness"].attrs["units"] == units[summary.motion]

    def test_learning_comes_first_and_every_frame_is_counted(self, outcome):
        summary, calls, _ = outcome
        assert calls[0] >= 1
        assert sum(calls[1:]) == summary.frames == 600


class TestPieceByPiece:
    def test_the_statistics_do_not_depend_on_the_pieces(self, outcome):
        _, _, (flat, solid, rig, _) = outcome
        whole = Tally(solid, rig)
        whole.add(flat, solid)
        pieces = Tally(solid, rig)
        for first, last in ((0, 1), (1, 140), (140, 150), (150, 600)):
            pieces.add(flat.isel(time=slice(first, last)), solid.isel(time=slice(first, last)))
        expected, found = whole.summary(), pieces.summary()
        xr.testing.assert_allclose(found.by_keypoint(), expected.by_keypoint())
        xr.testing.assert_allclose(found.by_camera(), expected.by_camera())
        assert found.disagreements == expected.disagreements
        assert found.missing == expected.missing
        assert found.contradicted == expected.contradicted

    @pytest.mark.parametrize("seed", range(20))
    def test_stretches_are_those_of_the_whole_recording(self, seed):
        rng = np.random.default_rng(seed)
        length, names = int(rng.integers(1, 200)), [("a", "nose", "x"), ("b", "nose", "x"), ("b", "tail", "x")]
        frames = np.cumsum(rng.integers(1, 3, length))
        mask = rng.random((length, 3)) < rng.choice([0.5, 0.8, 0.97])
        search = DisagreementSearch(names)
        cuts = np.unique(np.r_[0, rng.integers(0, length + 1, rng.integers(0, 12)), length])
        for first, last in pairwise(cuts.tolist()):
            search.add(frames[first:last], mask[first:last])
        expected = [
            stretch for cell, names_ in enumerate(names) for stretch in stretches(frames, mask[:, cell], names_)
        ]
        assert search.total() == len(expected)
        assert search.rows.tolist() == mask.sum(0).tolist()
        ranked = sorted(expected, key=lambda each: (-each.frames, each.first, each.last))
        assert [each.frames for each in search.longest()] == [each.frames for each in ranked[:10]]
        assert set(search.longest()) <= set(expected)

    def test_a_stretch_goes_on_over_many_pieces(self):
        search = DisagreementSearch([("a", "nose", "x")])
        for frame in range(30):
            search.add(np.array([frame]), np.array([[3 <= frame < 20]]))
        assert search.longest() == (Disagreement("a", "nose", "x", 3, 19, 17),)

    def test_of_many_stretches_the_ten_longest_are_listed(self):
        search = DisagreementSearch([("a", "nose", "x")])
        mask = np.concatenate([np.r_[np.ones(n, bool), False] for n in range(1, 31)])[:, None]
        search.add(np.arange(len(mask)), mask)
        assert [each.frames for each in search.longest()] == list(range(30, 20, -1))
        assert search.total() == 31 - FEWEST_FRAMES


def stretches(frames, mask, names):
    """One by one, as one would count by hand."""
    found, start = [], None
    for row, wrong in enumerate([*mask, False]):
        if wrong and start is None:
            start = row
        if not wrong and start is not None:
            if row - start >= FEWEST_FRAMES:
                found.append(Disagreement(*names, int(frames[start]), int(frames[row - 1]), row - start))
            start = None
    return found


def test_a_motion_that_is_too_sudden_is_told(scene, tmp_path):
    """The animal leaps by 60 mm within a frame: where the trajectory goes in between, no camera has seen it."""
    short = scene.poses2d.isel(time=slice(0, 200), individual=[0]).sel(keypoint=["spine"]).copy(deep=True)
    truth = scene.poses3d["position"].isel(time=slice(0, 200)).sel(keypoint="spine", individual="animal_1").values
    truth[100:] += np.array([0.0, 0.0, 60.0])
    pixels = scene.rig.project(truth) + np.random.default_rng(0).normal(0, 1, (200, 4, 2))
    short["position"][:] = np.asarray(pixels)[:, :, None, None]
    short["confidence"][:] = 1.0
    summary = reconstruct_session(short, scene.rig, tmp_path / "o.nc", settings=replace(SETTINGS, smoothness=1e4))
    assert summary.contradicted["spine"] >= 2


class TestWithout:
    def test_a_frame_rate_the_units_are_per_frame(self, scene, tmp_path):
        timeless = scene.poses2d.isel(time=slice(0, 120), individual=[0]).sel(keypoint=list(KEPT))
        timeless = timeless.assign_coords(time=("time", timeless["frame"].values * 1.0, {"units": "frames"}))
        del timeless.attrs["fps"]
        summary = reconstruct_session(timeless, scene.rig, tmp_path / "o.nc", settings=SETTINGS)
        assert summary.learned["smoothness"].attrs["units"] == "mm/frames^3"
        with open_session(tmp_path / "o.nc") as session:
            assert "fps" not in session.require("poses3d").attrs

    def test_a_skeleton_there_are_no_bones(self, scene, tmp_path):
        short = scene.poses2d.isel(time=slice(0, 120), individual=[0]).sel(keypoint=list(KEPT))
        summary = reconstruct_session(short, scene.rig, tmp_path / "o.nc", settings=SETTINGS)
        assert "bone_length" not in summary.learned
        assert not summary.points["repaired"].any()


class TestWhatIsRefused:
    def test_a_skeleton_of_another_animal(self, scene, tmp_path):
        with pytest.raises(MismatchError, match=r"expected some of the keypoints of the 2D poses: nose"):
            reconstruct_session(scene.poses2d, scene.rig, tmp_path / "o.nc", skeleton=Skeleton("fly", ("wing", "leg")))
        assert list(tmp_path.iterdir()) == []

    def test_no_frames(self, scene, tmp_path):
        with pytest.raises(InvalidValueError, match="at least one frame"):
            reconstruct_session(scene.poses2d.isel(time=slice(0, 0)), scene.rig, tmp_path / "o.nc")
        assert list(tmp_path.iterdir()) == []

    def test_a_place_that_cannot_be_written(self, scene, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(OutputError):
            reconstruct_session(scene.poses2d, scene.rig, tmp_path / "file" / "o.nc")

    def test_a_broken_calibration_is_warned_about(self, scene, tmp_path):
        broken = replace(scene.rig, metadata={"verdict": "broken"})
        empty = scene.poses2d.isel(time=slice(0, 0))
        with pytest.warns(SuiteWarning, match="broken by its own verdict"), pytest.raises(InvalidValueError):
            reconstruct_session(empty, broken, tmp_path / "o.nc")

    def test_a_run_that_fails_leaves_the_old_file(self, scene, tmp_path):
        output = tmp_path / "o.nc"
        output.write_bytes(b"the old result")

        def stop(_):
            raise RuntimeError("stopped")

        short = scene.poses2d.isel(time=slice(0, 120), individual=[0]).sel(keypoint=list(KEPT))
        with pytest.raises(RuntimeError, match="stopped"):
            reconstruct_session(short, scene.rig, output, settings=SETTINGS, progress=stop)
        assert output.read_bytes() == b"the old result"
        assert list(tmp_path.iterdir()) == [output]


def test_a_recording_that_nobody_sees_is_written_as_missing(scene, tmp_path):
    blind = scene.poses2d.isel(time=slice(0, 120), individual=[0]).sel(keypoint=list(KEPT)).copy(deep=True)
    blind["position"][:] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        summary = reconstruct_session(blind, scene.rig, tmp_path / "o.nc", skeleton=QUADRUPED, settings=SETTINGS)
    assert (summary.points["missing"] == 1).all()
    assert summary.by_keypoint()["deviation"].isnull().all()
    assert summary.by_camera()["offset"].isnull().all()
    assert summary.displaced() == ()
    assert summary.disagreements == ()
