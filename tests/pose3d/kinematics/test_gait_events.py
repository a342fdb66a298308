"""Events that people edit, and those of C3D files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from calibration.errors import InvalidValueError
from pose3d.datasets import poses3d
from pose3d.kinematics.event_tables import events_from_c3d, events_from_table, events_table, make_events
from pose3d.kinematics.gait import gait_events
from pose3d.skeleton import Anatomy, Leg, Skeleton
from tests.benchmarks.accuracy_gait import HEXAPODS, hexapod, noisy

PERSON = Skeleton("person", ("LHeel", "RHeel"), anatomy=Anatomy(legs=(Leg("left", "LHeel"), Leg("right", "RHeel"))))
POSES = poses3d(
    np.zeros((200, 3, 2, 1)),
    individuals=["one"],
    keypoints=PERSON.keypoints,
    unit="mm",
    frames=np.arange(200) + 50,
    frame_rate=100,
)


def c3d(labels: list[str], contexts: list[str]) -> xr.Dataset:
    return xr.Dataset(
        {
            "event_time": ("event", np.linspace(0.6, 2.0, len(labels))),
            "event_label": ("event", labels),
            "event_context": ("event", contexts),
        }
    )


def test_a_table_brings_the_events_back(tmp_path: Path) -> None:
    poses, *_, skeleton = hexapod(5, 100, HEXAPODS["wave"], 0.7)
    events = gait_events(noisy(poses), skeleton)
    table = events_table(events)
    assert list(table.columns) == ["time", "frame", "leg", "individual", "kind", "confidence", "time_std", "method"]
    table.sample(frac=1, random_state=0).to_csv(tmp_path / "events.csv", index=False)
    back = events_from_table(pd.read_csv(tmp_path / "events.csv"), poses)
    for name in back:
        np.testing.assert_array_equal(back[name].values, events[name].values)
        assert back[name].attrs == events[name].attrs


def test_a_person_needs_to_write_time_leg_and_kind_only() -> None:
    table = pd.DataFrame({"time": [1.2, 0.7], "leg": ["left", "left"], "kind": ["lift_off", "contact"]})
    events = events_from_table(table, POSES)
    assert events["event_kind"].values.tolist() == ["contact", "lift_off"]
    assert events["event_frame"].values.tolist() == [70, 120]
    assert events["event_individual"].values.tolist() == ["one", "one"]
    assert events["event_confidence"].values.tolist() == [1, 1]
    assert np.isnan(events["event_time_std"].values).all()
    assert events_from_table(table)["event_frame"].values.tolist() == [-1, -1]


def test_rows_that_a_person_added_to_others_are_filled_up() -> None:
    table = events_table(make_events([0.7], [70], ["left"], ["one"], ["contact"], confidence=[0.8]))
    table = pd.concat(
        [table, pd.DataFrame({"time": [0.9], "leg": ["left"], "individual": ["one"], "kind": ["lift_off"]})]
    )
    events = events_from_table(table, POSES)
    assert events["event_frame"].values.tolist() == [70, 90]
    assert events["event_confidence"].values.tolist() == [0.8, 1.0]
    assert events["event_method"].values.tolist() == ["given", "given"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": ["contakt"]}, "contact"),
        ({"time": [np.nan]}, "time"),
        ({"time": ["soon"]}, "time"),
        ({"confidence": [1.5]}, "confidence"),
        ({"individual": ["tow"]}, "one of one"),
    ],
)
def test_what_is_wrong_in_a_table_is_told(change: dict[str, list[object]], message: str) -> None:
    table = pd.DataFrame({"time": [0.7], "leg": ["left"], "kind": ["contact"]}).assign(**change)
    with pytest.raises(InvalidValueError, match=message):
        events_from_table(table, POSES)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(InvalidValueError, match="column 'kind'"):
        events_from_table(pd.DataFrame({"time": [0.7], "leg": ["left"], "kinds": ["contact"]}))


def test_no_events_are_events_too() -> None:
    nothing = make_events([], [], [], [], [])
    assert nothing.sizes["event"] == 0
    assert len(events_from_table(events_table(nothing))["event_time"]) == 0


def test_events_of_c3d_files_are_of_the_leg_of_their_side() -> None:
    found = c3d(["Foot Strike", "Foot Off", "Turn", "Foot Strike"], ["Left", "Left", "General", "Right"])
    events = events_from_c3d(found, POSES, PERSON)
    assert events["event_leg"].values.tolist() == ["left", "left", "right"]
    assert events["event_kind"].values.tolist() == ["contact", "lift_off", "contact"]
    assert events["event_frame"].values.tolist() == [60, 107, 200]
    assert events_from_c3d(found, POSES)["event_leg"].values.tolist() == ["left", "left", "right"]
    named = events_from_c3d(found, POSES, legs={"Left": "l", "Right": "r"})
    assert named["event_leg"].values.tolist() == ["l", "l", "r"]


def test_a_side_with_several_legs_is_asked_for() -> None:
    dog = Skeleton("dog", ("a", "b"), anatomy=Anatomy(legs=(Leg("left_fore", "a"), Leg("left_hind", "b"))))
    with pytest.raises(InvalidValueError, match=r"legs=\{'Left'"):
        events_from_c3d(c3d(["Foot Off"], ["Left"]), POSES, dog)
