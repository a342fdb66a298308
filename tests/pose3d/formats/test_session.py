"""The result file: what goes in comes out, it opens everywhere, and it is complete or not there at all."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
from itertools import cycle
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.errors import FileFormatError, InvalidValueError, MismatchError, OutputError
from calibration.synthetic import make_rig
from calibration.triangulation import Status, TriangulationSettings
from pose3d.datasets import poses2d
from pose3d.formats import SessionWriter, open_session, save_session
from pose3d.reconstruction import triangulate

ROOT = Path(__file__).parents[3]
# Stored as float32, whose relative precision this is.
SINGLE = float(np.finfo(np.float32).eps)
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip)


def assert_same(found: xr.Dataset, expected: xr.Dataset) -> None:
    """Equal in everything, but for what is kept in single precision."""
    assert set(found.variables) == set(expected.variables)
    assert found.attrs == expected.attrs
    for name, array in expected.variables.items():
        assert found[name].dims == array.dims, name
        assert found[name].dtype.kind == array.dtype.kind, name
        assert {**found[name].attrs} == {**array.attrs}, name
        if found[name].dtype == np.float32:
            np.testing.assert_allclose(found[name].values, array.values, rtol=SINGLE, err_msg=name)
        else:
            np.testing.assert_array_equal(found[name].values, array.values, err_msg=name)


def part_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_everything_that_goes_in_comes_out(tmp_path, make_solid, make_flat):
    rig, flat, solid = make_rig(3), make_flat(), make_solid()
    provenance = {"inputs": [{"path": "ä.csv", "sha256": "0" * 64}], "seed": 3, "settings": {"threshold": None}}
    save_session(tmp_path / "a.nc", rig=rig, poses2d=flat, poses3d=solid, provenance=provenance)
    with open_session(tmp_path / "a.nc") as session:
        assert session.path == tmp_path / "a.nc"
        assert session.rig == rig
        assert session.provenance == provenance
        assert_same(session.poses2d, flat)
        assert_same(session.poses3d, solid)
        assert session.poses3d["inlier"].dtype == bool
        assert session.poses2d["position"].dtype == session.poses3d["position"].dtype == np.float64


@settings(max_examples=30)
@given(
    n_frames=st.integers(1, 40),
    names=st.lists(NAMES, min_size=1, unique=True),
    lengths=st.lists(st.integers(1, 9), min_size=1),
    compression=st.sampled_from([0, 1]),
)
def test_the_pieces_that_a_file_is_written_in_do_not_matter(
    tmp_path_factory, make_solid, n_frames, names, lengths, compression
):
    solid = make_solid(n_frames, keypoints=names)
    path = tmp_path_factory.mktemp("pieces") / "a.nc"
    with SessionWriter(path, compression=compression) as writer:
        start = 0
        for length in cycle(lengths):
            writer.append(poses3d=solid.isel(time=slice(start, start + length)))
            start += length
            if start >= n_frames:
                break
    with open_session(path) as session:
        assert_same(session.poses3d, solid)


def test_a_piece_at_a_time_of_a_long_file_is_read(tmp_path, make_flat):
    flat = make_flat(5000)
    save_session(tmp_path / "a.nc", poses2d=flat)
    with open_session(tmp_path / "a.nc") as session:
        pieces = [session.poses2d.isel(time=slice(start, start + 999)).load() for start in range(0, 5000, 999)]
    assert_same(xr.concat(pieces, dim="time", data_vars="minimal"), flat)


def test_a_file_is_copied_from_the_lazily_opened_one_to_the_next(tmp_path, make_solid, make_flat):
    save_session(tmp_path / "a.nc", poses2d=make_flat(5000))
    with open_session(tmp_path / "a.nc") as session:
        save_session(tmp_path / "b.nc", poses2d=session.poses2d)
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()


def test_what_was_not_saved_is_none_and_asking_for_it_says_what_there_is(tmp_path, make_flat):
    save_session(tmp_path / "a.nc", poses2d=make_flat())
    with open_session(tmp_path / "a.nc") as session:
        assert (session.rig, session.poses3d, session.provenance) == (None, None, None)
        assert session.require("poses2d") is session.poses2d
        with pytest.raises(FileFormatError, match=r"a\.nc: expected .*/poses3d, got only /poses2d") as error:
            session.require("poses3d")
    assert "pose3d triangulate" in error.value.remedy


def test_plain_xarray_opens_it_without_this_package(tmp_path, make_solid, make_flat):
    solid = make_solid()
    save_session(tmp_path / "a.nc", rig=make_rig(3), poses2d=make_flat(), poses3d=solid)
    with xr.open_dataset(tmp_path / "a.nc", group="poses3d") as plain:
        assert_same(plain, solid)
        assert set(plain.coords) == set(solid.coords)
        assert plain["position"].attrs["units"] == "mm"
    with xr.open_datatree(tmp_path / "a.nc") as tree:
        assert sorted(tree.children) == ["poses2d", "poses3d", "rig"]
        assert list(tree["rig"]["camera"].values) == list(make_rig(3).names)


def test_codes_of_the_status_are_explained_in_the_file(tmp_path):
    rig = make_rig(3)
    pixels = np.moveaxis(rig.project(np.zeros((4, 1, 2, 3))), 3, 1)
    pixels[1, :2] = np.nan
    flat = poses2d(pixels, cameras=rig.names, individuals=["a"], keypoints=["n", "t"])
    save_session(tmp_path / "a.nc", poses3d=triangulate(flat, rig, settings=TriangulationSettings(noise=1.0)))
    with netCDF4.Dataset(tmp_path / "a.nc") as file:
        status = file["poses3d/status"]
        assert status.dtype == np.int8
        assert list(status.flag_values) == [int(member) for member in Status]
        assert len(status.flag_meanings.split()) == len(Status)
        assert status.flag_values.dtype == np.int8
        assert set(status[:].ravel()) == {Status.OK, Status.TOO_FEW_VIEWS}


def test_a_file_of_poses_alone_opens_as_well(tmp_path, make_solid, make_flat):
    """As the movement package saves them."""
    flat, solid = make_flat(), make_solid()
    flat.to_netcdf(tmp_path / "flat.nc")
    solid.to_netcdf(tmp_path / "solid.nc")
    with open_session(tmp_path / "flat.nc") as session:
        xr.testing.assert_equal(session.poses2d, flat)
        assert session.poses3d is None
    with open_session(tmp_path / "solid.nc") as session:
        xr.testing.assert_equal(session.poses3d, solid)


def test_the_same_input_gives_the_same_bytes_whenever_and_in_whatever_process(tmp_path, make_solid):
    code = textwrap.dedent("""
        import sys, time
        import numpy as np
        from calibration.synthetic import make_rig
        from pose3d.datasets import poses3d
        from pose3d.formats import save_session
        time.sleep(float(sys.argv[2]))
        junk = [np.random.default_rng().random(5000) for _ in range(100)]
        del junk
        points = np.random.default_rng(0).normal(size=(100, 3, 4, 2))
        solid = poses3d(points, individuals=["a", "b"], keypoints=["k", "l", "m", "n"], unit="mm")
        save_session(sys.argv[1], rig=make_rig(3), poses3d=solid, provenance={"seed": 0})
    """)
    for name, wait in (("a.nc", "0"), ("b.nc", "1.1")):
        subprocess.run([sys.executable, "-c", code, str(tmp_path / name), wait], cwd=ROOT, check=True)
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()


def test_a_short_recording_makes_a_small_file(tmp_path, make_solid):
    save_session(tmp_path / "a.nc", poses3d=make_solid(10))
    values = sum(array.nbytes for array in make_solid(64).variables.values())
    assert (tmp_path / "a.nc").stat().st_size < values + 60_000


def test_compression_makes_still_poses_small_and_changes_no_number(tmp_path, make_flat):
    flat = make_flat(2000)
    flat["position"][:] = flat["position"].isel(time=0)
    for level in (0, 4):
        save_session(tmp_path / f"{level}.nc", poses2d=flat, compression=level)
        with open_session(tmp_path / f"{level}.nc") as session:
            assert_same(session.poses2d, flat)
    assert (tmp_path / "4.nc").stat().st_size < 0.7 * (tmp_path / "0.nc").stat().st_size
    with pytest.raises(InvalidValueError, match="compression: expected 0 to 9, got 10"):
        save_session(tmp_path / "a.nc", poses2d=flat, compression=10)


def test_attributes_that_netcdf_cannot_hold(tmp_path, make_flat):
    flat = make_flat().assign_attrs(nothing=None, flag=True, numbers=[1.5, 2.0], names=["a", "b"], empty="")
    save_session(tmp_path / "a.nc", poses2d=flat)
    with open_session(tmp_path / "a.nc") as session:
        attributes = session.poses2d.attrs
    assert "nothing" not in attributes
    assert attributes["flag"] == 1
    assert list(attributes["numbers"]) == [1.5, 2.0]
    assert attributes["names"] == ["a", "b"]
    assert attributes["empty"] == ""
    with pytest.raises(InvalidValueError, match=r"a\.nc, /poses2d, attribute 'odd': expected text, .* got dict"):
        save_session(tmp_path / "a.nc", poses2d=flat.assign_attrs(odd={"a": 1}))
    with pytest.raises(InvalidValueError, match="'odd': expected numbers, bool or text, got type complex128"):
        save_session(tmp_path / "a.nc", poses2d=make_flat().assign(odd=("time", np.zeros(7, complex))))
    with pytest.raises(InvalidValueError, match="provenance: expected plain values"):
        save_session(tmp_path / "a.nc", poses2d=make_flat(), provenance={"when": object()})


def test_a_recording_of_no_frames_stays_one(tmp_path, make_flat):
    save_session(tmp_path / "a.nc", poses2d=make_flat().isel(time=slice(0, 0)))
    with open_session(tmp_path / "a.nc") as session:
        assert session.poses2d.sizes["time"] == 0
        assert list(session.poses2d["keypoint"].values) == ["nose", "tail"]
    with pytest.raises(InvalidValueError, match="dimension keypoint: expected at least one name"):
        save_session(tmp_path / "a.nc", poses2d=make_flat().isel(keypoint=slice(0, 0)))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda rows: rows.isel(keypoint=[1, 0]), MismatchError, "got keypoint tail, nose"),
        (lambda rows: rows.drop_vars("image_size"), MismatchError, "image_size in one of them only"),
        (lambda rows: rows.assign_attrs(fps=25.0), MismatchError, r"got 25\.0 frames per second"),
        (lambda rows: rows.assign_coords(frame=rows["frame"] - 3), InvalidValueError, "frames after 3, got frame 1"),
        (lambda rows: rows.transpose("camera", ...), InvalidValueError, "expected dimensions"),
    ],
)
def test_pieces_that_do_not_belong_together_are_refused(tmp_path, make_flat, change, error, message):
    flat = make_flat()
    with SessionWriter(tmp_path / "a.nc") as writer:
        writer.append(poses2d=flat.isel(time=slice(0, 4)))
        with pytest.raises(error, match=message):
            writer.append(poses2d=change(flat.isel(time=slice(4, 7))))
        writer.append(poses2d=flat.isel(time=slice(4, 7)))
    with open_session(tmp_path / "a.nc") as session:
        assert_same(session.poses2d, flat)


def test_an_error_between_the_pieces_leaves_no_file(tmp_path, make_flat):
    def write() -> None:
        with SessionWriter(tmp_path / "a.nc") as writer:
            writer.append(poses2d=make_flat())
            writer.append(poses2d=make_flat())

    with pytest.raises(InvalidValueError, match="frames after 6, got frame 0"):
        write()
    assert part_files(tmp_path) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_an_interrupt_in_the_middle_leaves_the_older_file_and_nothing_else(tmp_path, make_flat, error):
    save_session(tmp_path / "a.nc", poses2d=make_flat(seed=1))
    before = (tmp_path / "a.nc").read_bytes()

    def write(name: str) -> None:
        with SessionWriter(tmp_path / name, rig=make_rig(3)) as writer:
            writer.append(poses2d=make_flat(seed=2))
            assert len(part_files(tmp_path)) == 2
            raise error

    for name in ("a.nc", "b.nc"):
        with pytest.raises(error):
            write(name)
    assert part_files(tmp_path) == ["a.nc"]
    assert (tmp_path / "a.nc").read_bytes() == before


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_process_leaves_the_older_file_whole(tmp_path, make_flat):
    save_session(tmp_path / "a.nc", poses2d=make_flat(seed=1))
    before = (tmp_path / "a.nc").read_bytes()
    code = textwrap.dedent("""
        import os, signal, sys
        import numpy as np
        from pose3d.datasets import poses2d
        from pose3d.formats import SessionWriter
        flat = poses2d(np.zeros((5000, 2, 1, 3, 2)), cameras=["a", "b"], individuals=["i"], keypoints=["k", "l", "m"])
        with SessionWriter(sys.argv[1]) as writer:
            writer.append(poses2d=flat)
            os.kill(os.getpid(), signal.SIGKILL)
    """)
    for name in ("a.nc", "b.nc"):
        killed = subprocess.run([sys.executable, "-c", code, str(tmp_path / name)], cwd=ROOT, check=False)
        assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "a.nc").read_bytes() == before
    assert not (tmp_path / "b.nc").exists()


@pytest.mark.skipif(os.name != "posix", reason="this system cannot limit the size of files")
def test_a_full_disk_is_said_and_leaves_nothing(tmp_path):
    """A limit on the size of files stands for the full disk: writing fails in the same place, inside HDF5."""
    code = textwrap.dedent("""
        import resource, signal, sys
        import numpy as np
        from calibration.errors import OutputError
        from pose3d.datasets import poses2d
        from pose3d.formats import save_session
        flat = poses2d(np.zeros((20000, 2, 1, 3, 2)), cameras=["a", "b"], individuals=["i"], keypoints=["k", "l", "m"])
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
        try:
            save_session(sys.argv[1], poses2d=flat)
        except OutputError as error:
            print(error)
    """)
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.nc")], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert "a.nc: expected to write the file completely" in run.stdout
    assert "disk may be full" in run.stdout
    assert part_files(tmp_path) == []


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("NetCDF: HDF error")])
def test_an_error_of_the_library_while_writing_is_said(tmp_path, make_flat, monkeypatch, error):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("pose3d.formats._netcdf.GrowingGroup.append", fail)
    with pytest.raises(OutputError, match=r"a\.nc: expected to write the file completely"):
        save_session(tmp_path / "a.nc", poses2d=make_flat())
    assert part_files(tmp_path) == []


def test_a_fault_of_the_program_is_not_taken_for_a_full_disk(tmp_path):
    with pytest.raises(RuntimeError, match="a fault"), SessionWriter(tmp_path / "a.nc"):
        raise RuntimeError("a fault")


def test_an_unwritable_folder_is_said(tmp_path, make_flat):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OutputError, match="expected a folder that can be written"):
        save_session(tmp_path / "file" / "a.nc", poses2d=make_flat())
    (tmp_path / "folder.nc").mkdir()
    with pytest.raises(OutputError, match="got a folder"):
        save_session(tmp_path / "folder.nc", poses2d=make_flat())


def test_names_of_files_with_blanks_and_other_letters(tmp_path, make_flat):
    path = tmp_path / "mäuse 1#b%20.nc"
    save_session(path, poses2d=make_flat())
    with open_session(path) as session:
        assert_same(session.poses2d, make_flat())


def whole_file(folder: Path, make_solid) -> bytes:
    save_session(folder / "whole.nc", rig=make_rig(3), poses3d=make_solid(500), provenance={"seed": 1})
    return (folder / "whole.nc").read_bytes()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path, make_solid, share):
    content = whole_file(tmp_path, make_solid)
    (tmp_path / "cut.nc").write_bytes(content[: int(share * len(content))])
    with pytest.raises(FileFormatError, match=r"cut\.nc: expected a complete netCDF-4 file, got") as error:
        open_session(tmp_path / "cut.nc")
    assert "truncated" in error.value.remedy


@pytest.mark.parametrize(
    "content", [b"frame,x,y\n0,1,2\n", b"\x89PNG\r\n\x1a\n" + bytes(100), b"CDF\x01", b"\x89HDF\r\n"]
)
def test_a_file_of_another_kind_under_this_name_is_refused(tmp_path, content):
    (tmp_path / "a.nc").write_bytes(content)
    with pytest.raises(FileFormatError, match=r"a\.nc: expected a complete netCDF-4 file"):
        open_session(tmp_path / "a.nc")


def test_a_damaged_block_is_an_error_when_it_is_read_and_never_a_wrong_number(tmp_path, make_solid):
    content = whole_file(tmp_path, make_solid)
    value = make_solid(500)["position"].values.ravel()
    value = value[np.isfinite(value)][1000].tobytes()
    assert content.count(value) == 1
    (tmp_path / "bad.nc").write_bytes(content.replace(value, value[::-1]))
    with open_session(tmp_path / "bad.nc") as session:
        assert session.poses3d["confidence"].load().notnull().any()
        with pytest.raises(FileFormatError, match=r"bad\.nc: expected a complete netCDF-4 file"):
            session.poses3d["position"].mean()


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(FileFormatError, match=r"none\.nc: expected a netCDF file, got no such file"):
        open_session(tmp_path / "none.nc")
    with pytest.raises(FileFormatError, match="got a folder"):
        open_session(tmp_path)


def test_a_netcdf_file_without_our_groups_says_what_is_in_it(tmp_path):
    xr.Dataset({"sst": ("lat", [1.0])}).to_netcdf(tmp_path / "ocean.nc")
    with pytest.raises(FileFormatError, match=r"expected .* /rig, /detections, /poses2d or /poses3d, got only sst"):
        open_session(tmp_path / "ocean.nc")
    xr.Dataset().to_netcdf(tmp_path / "empty.nc")
    with pytest.raises(FileFormatError, match="got an empty file"):
        open_session(tmp_path / "empty.nc")


def test_a_group_that_does_not_follow_its_schema_is_refused_by_name(tmp_path, make_solid):
    make_solid().drop_vars("confidence").to_netcdf(tmp_path / "a.nc", group="poses3d")
    with pytest.raises(InvalidValueError, match=r"a\.nc, group /poses3d .*'confidence'"):
        open_session(tmp_path / "a.nc")


def test_a_rig_or_provenance_that_makes_no_sense_is_refused_by_name(tmp_path):
    save_session(tmp_path / "a.nc", rig=make_rig(3), provenance={})
    with netCDF4.Dataset(tmp_path / "a.nc", "a") as file:
        file["rig/rotation"][:] = 1.0
    with pytest.raises(FileFormatError, match=r"a\.nc, group /rig: expected a calibrated rig"):
        open_session(tmp_path / "a.nc")
    for text in ("{", "[1]"):
        save_session(tmp_path / "b.nc", rig=make_rig(3))
        with netCDF4.Dataset(tmp_path / "b.nc", "a") as file:
            file.setncattr("provenance", text)
        with pytest.raises(FileFormatError, match=r"b\.nc, attribute 'provenance': expected a JSON object"):
            open_session(tmp_path / "b.nc")


def test_provenance_can_be_set_while_writing(tmp_path, make_flat):
    with SessionWriter(tmp_path / "a.nc") as writer:
        writer.append(poses2d=make_flat())
        writer.provenance = {"seed": 5}
    with netCDF4.Dataset(tmp_path / "a.nc") as file:
        assert json.loads(file.provenance) == {"seed": 5}


def test_bytes_do_not_depend_on_the_path(tmp_path, make_flat):
    digests = set()
    for name in ("a.nc", "another_name.nc"):
        save_session(tmp_path / name, poses2d=make_flat())
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1
