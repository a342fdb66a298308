"""The group /kinematics: added to a result file, and nothing else in it changes."""

from itertools import pairwise

import netCDF4
import numpy as np
import pytest
import xarray as xr

from calibration.errors import InvalidValueError, OutputError
from calibration.synthetic import make_rig
from pose3d.datasets import poses3d as make_poses3d
from pose3d.formats import open_session, save_session
from pose3d.formats.kinematics_file import KinematicsWriter


@pytest.fixture
def solid():
    position = np.random.default_rng(0).normal(size=(9, 3, 2, 1))
    return make_poses3d(position, individuals=["one"], keypoints=["a", "b"], unit="mm", frame_rate=50.0)


def rows(solid, start, stop):
    part = solid.isel(time=slice(start, stop))
    speed = np.arange(start, stop, dtype=float)[:, None]
    return xr.Dataset(
        {"body_speed": (("time", "individual"), speed, {"units": "mm/s"}),
         "body_speed_std": (("time", "individual"), speed / 10, {"units": "mm/s"})},
        coords={"time": part["time"], "frame": part["frame"], "individual": ["one"]},
        attrs={"fps": 50.0},
    )  # fmt: skip


def tables(count=2):
    return xr.Dataset(
        {
            "event_time": ("event", np.arange(count) * 0.1, {"units": "s"}),
            "event_leg": ("event", np.array(["left", "right"][:count], dtype=str)),
        }
    )


def write(target, solid, source=None, pieces=(0, 4, 9), table=None):
    with KinematicsWriter(target, source=source, poses3d=solid, provenance={"made": "here"}) as writer:
        for start, stop in pairwise(pieces):
            writer.append(rows(solid, start, stop))
        writer.add(tables() if table is None else table)


def test_it_is_added_to_a_result_file_whose_other_content_stays(tmp_path, solid):
    file = tmp_path / "a.nc"
    rig = make_rig(2)
    save_session(file, rig=rig, poses3d=solid, provenance={"x": 1}, compression=1)
    with netCDF4.Dataset(file, "a") as content:  # something of somebody else
        group = content.createGroup("mine")
        group.createDimension("n", None)
        group.createVariable("text", str, ("n",))[:] = np.array(["a", "b"], dtype=object)
        group.createVariable("packed", "i2", ("n",), fill_value=-1)[:] = [1, 2]
    before = xr.open_datatree(file).load()
    write(file, solid, source=file)
    after = xr.open_datatree(file).load()
    assert after["kinematics"].sizes == {"time": 9, "individual": 1, "event": 2}
    for name in ("rig", "poses3d", "mine"):
        assert after[name].to_dataset().identical(before[name].to_dataset())
    with open_session(file) as session:
        assert session.rig == rig
        assert session.provenance == {"x": 1}
        found = session.require("kinematics").load()
    np.testing.assert_array_equal(found["body_speed"].values[:, 0], np.arange(9.0))
    assert found["body_speed_std"].dtype == np.float32
    assert found["event_leg"].values.tolist() == ["left", "right"]
    assert found.attrs["provenance"] == '{"made": "here"}'


def test_an_older_one_is_replaced_and_the_file_does_not_grow(tmp_path, solid):
    file = tmp_path / "a.nc"
    save_session(file, poses3d=solid)
    write(file, solid, source=file)
    size = file.stat().st_size
    write(file, solid, source=file, table=tables(1))
    write(file, solid, source=file)
    assert file.stat().st_size == size
    with open_session(file) as session:
        assert session.require("kinematics").sizes["event"] == 2


def test_without_a_source_the_poses_are_written_too(tmp_path, solid):
    write(tmp_path / "new.nc", solid)
    with open_session(tmp_path / "new.nc") as session:
        xr.testing.assert_equal(session.require("poses3d").load(), solid)
        assert session.rig is None


def test_no_event_at_all_is_no_error(tmp_path, solid):
    write(tmp_path / "new.nc", solid, table=tables(0))
    with open_session(tmp_path / "new.nc") as session:
        assert session.require("kinematics").sizes["event"] == 0


def test_an_error_leaves_the_older_file(tmp_path, solid):
    """Pieces out of order, here."""
    file = tmp_path / "a.nc"
    save_session(file, poses3d=solid)
    before = file.read_bytes()
    with pytest.raises(InvalidValueError, match=r"each frame once|frames after"):
        write(file, solid, source=file, pieces=(0, 4, 9, 0, 4))
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_is_no_file_to_write(tmp_path, solid):
    with pytest.raises(OutputError, match="a folder"):
        write(tmp_path, solid)


def test_the_same_input_gives_the_same_bytes(tmp_path, solid):
    write(tmp_path / "a.nc", solid)
    write(tmp_path / "b.nc", solid)
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()


def test_times_are_needed(tmp_path, solid):
    with KinematicsWriter(tmp_path / "a.nc") as writer, pytest.raises(InvalidValueError, match="'frame'"):
        writer.append(rows(solid, 0, 4).drop_vars("frame"))
