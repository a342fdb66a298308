"""C3D files of a gait laboratory, and 3D files of other tools: what they wrote is what is read.

The events of the treadmill trial are the laboratory's own; that times of events count from frame 1 of a trial, and not
from the first frame that a cropped file still has, is shown with how the feet move.
"""

from pathlib import Path

import numpy as np
import pytest
from scipy.signal import find_peaks

from calibration.errors import FileFormatError, SuiteWarning
from pose3d.formats import (
    detect_format3d,
    load_poses3d,
    read_c3d,
    read_c3d_angles,
    read_c3d_events,
    read_mot,
    write_c3d,
    write_tables,
)

FILES = ("treadmill_events.c3d", "treadmill_no_events.c3d", "test_small.c3d")


@pytest.fixture
def gait(real_data: Path) -> Path:
    return real_data / "treadmill_gait"


@pytest.mark.parametrize(
    ("name", "frames", "first", "markers", "subject"),
    [
        ("treadmill_events.c3d", 1206, 44, 78, "SI02"),
        ("treadmill_no_events.c3d", 1206, 44, 78, "SI02"),
        ("test_small.c3d", 337, 248, 111, "19290829m"),
    ],
)
def test_points(gait, name, frames, first, markers, subject):
    poses = load_poses3d(gait / name)
    assert detect_format3d(gait / name).name == "c3d"
    assert (poses.sizes["time"], poses.sizes["keypoint"]) == (frames, markers)
    assert poses["individual"].values.tolist() == [subject]
    assert (poses["position"].attrs["units"], poses.attrs["fps"]) == ("mm", 100.0)
    assert poses["frame"].values[0] == first
    np.testing.assert_allclose(poses["time"], poses["frame"] / 100)
    assert "Vicon Nexus" in poses.attrs["source_software"]
    assert {"LHEE", "RHEE"} <= set(poses["keypoint"].values.tolist())
    assert not [name for name in poses["keypoint"].values if "Angle" in name or "Force" in name or "Power" in name]


@pytest.mark.parametrize("name", FILES)
def test_an_independent_reader_agrees_to_the_bit(gait, name):
    ezc3d = pytest.importorskip("ezc3d")
    other = ezc3d.c3d(str(gait / name))
    labels = other["parameters"]["POINT"]["LABELS"]["value"]
    poses = read_c3d(gait / name)
    places = [labels.index(label) for label in poses["keypoint"].values]
    expected = other["data"]["points"][:3, places].transpose(2, 0, 1)
    np.testing.assert_array_equal(poses["position"].values[..., 0], expected)
    angles = read_c3d_angles(gait / name)
    expected = other["data"]["points"][:3, [labels.index(label) for label in angles["angle"].values]]
    np.testing.assert_allclose(np.rad2deg(angles), expected.transpose(2, 1, 0), rtol=1e-12)


def test_the_same_trial_has_its_markers_in_another_order(gait):
    """A second export: some markers differ a little, since it was filled and processed again."""
    one, other = (read_c3d(gait / name)["position"] for name in FILES[:2])
    assert sorted(one["keypoint"].values) == sorted(other["keypoint"].values)
    assert one["keypoint"].values.tolist() != other["keypoint"].values.tolist()
    away = np.abs(one - other.sel(keypoint=one["keypoint"].values))
    assert float(away.median()) < 1.0


class TestEvents:
    def test_how_many_and_which(self, gait):
        events = read_c3d_events(gait / FILES[0])
        assert events.sizes["event"] == 43
        kinds = list(zip(events["event_context"].values.tolist(), events["event_label"].values.tolist(), strict=True))
        assert {kind: kinds.count(kind) for kind in set(kinds)} == {
            ("Left", "Foot Strike"): 11,
            ("Left", "Foot Off"): 11,
            ("Right", "Foot Strike"): 11,
            ("Right", "Foot Off"): 10,
        }
        assert (np.diff(events["event_time"]) > 0).all()
        assert read_c3d_events(gait / FILES[1]).sizes["event"] == 0
        small = read_c3d_events(gait / FILES[2])
        assert small.sizes["event"] == 13
        assert set(small["event_subject"].values.tolist()) == {"19290829m"}

    @pytest.mark.parametrize(("name", "toes"), [(FILES[0], ("LMT2", "RMT2")), (FILES[2], ("LTOE", "RTOE"))])
    def test_times_count_from_frame_1_of_the_trial(self, gait, name, toes):
        """A foot leaves the ground where its toe is furthest behind the pelvis (Zeni et al. 2008)."""
        poses, events = read_c3d(gait / name), read_c3d_events(gait / name)
        times, first = poses["time"].values, float(poses["time"][0])
        position = poses["position"].isel(individual=0).sel(space=["x", "y"])
        pelvis = position.sel(keypoint=["LASI", "RASI"]).mean("keypoint")
        for side, toe in zip(("Left", "Right"), toes, strict=True):
            chosen = (events["event_label"] == "Foot Off") & (events["event_context"] == side)
            told = events["event_time"].values[chosen.values]
            along = (position.sel(keypoint=toe) - pelvis).values
            along = along[:, np.nanstd(along, axis=0).argmax()]
            behind = min(
                (self.distances(told, times[find_peaks(sign * along, distance=60)[0]]) for sign in (1, -1)),
                key=np.median,
            )
            assert np.median(behind) < 0.015
            late = [
                np.median(self.distances(told + first, times[find_peaks(sign * along, distance=60)[0]]))
                for sign in (1, -1)
            ]
            assert min(late) > 0.035

    @staticmethod
    def distances(told, found):
        return np.abs(told[:, None] - found[None]).min(axis=1)

    def test_the_forces_that_another_program_took_out_of_the_file_begin_at_the_same_time(self, gait):
        lines = (gait / "test_small.mot").read_text().splitlines()
        begin = float(lines[lines.index("endheader") + 2].split()[0])
        assert begin == pytest.approx(float(read_c3d(gait / "test_small.c3d")["time"][0]), abs=1e-9)


def test_a_storage_file_of_forces_has_no_angles(gait):
    with pytest.raises(FileFormatError, match="columns of something else: ground_force4_vx"):
        read_mot(gait / "test_small.mot")


@pytest.mark.parametrize("name", FILES)
def test_there_and_back(gait, tmp_path, name):
    poses, events, angles = read_c3d(gait / name), read_c3d_events(gait / name), read_c3d_angles(gait / name)
    write_c3d(poses, tmp_path / "a.c3d", events=events, angles=angles)
    again = read_c3d(tmp_path / "a.c3d")
    np.testing.assert_array_equal(again["position"], poses["position"])
    np.testing.assert_array_equal(again["time"], poses["time"])
    assert again["keypoint"].values.tolist() == poses["keypoint"].values.tolist()
    np.testing.assert_allclose(read_c3d_angles(tmp_path / "a.c3d"), angles, atol=1e-6)
    found = read_c3d_events(tmp_path / "a.c3d")
    np.testing.assert_allclose(found["event_time"], events["event_time"], atol=2e-6)
    for column in ("event_label", "event_context"):
        assert found[column].values.tolist() == events[column].values.tolist()
    assert [file.name for file in write_tables(events, tmp_path)] == ["by_event.csv", "columns.csv"]


def test_trc_of_pose2sim(real_data):
    poses = load_poses3d(real_data / "human_4cam" / "Balancing_for_IK.trc", individual="walker")
    assert (poses.sizes["time"], poses.sizes["keypoint"]) == (100, 21)
    assert (poses["position"].attrs["units"], poses.attrs["fps"]) == ("m", 60.0)
    assert poses["individual"].values.tolist() == ["walker"]
    # The file counts frames from 1 and puts the first one at 1/60 s.
    assert poses["frame"].values[0] == 0
    assert float(poses["time"][0]) == pytest.approx(1 / 60)


def test_points_of_sleap_anipose(real_data):
    file = real_data / "mouse_4cam/minimal_session/points3d.h5"
    assert detect_format3d(file).name == "sleap-anipose"
    with pytest.warns(SuiteWarning, match="mm is assumed"):
        poses = load_poses3d(file)
    assert (poses.sizes["time"], poses.sizes["keypoint"], poses.sizes["individual"]) == (120, 15, 1)


def test_2d_poses_are_told_apart(real_data):
    for name in ("mouse_4cam/minimal_session/back/minimal_back_proofread.analysis.h5",):
        with pytest.raises(FileFormatError, match=r"got 2D poses \(sleap-analysis\)"):
            load_poses3d(real_data / name)
