"""Instances and identities in the result file: written in pieces, opened lazily, complete."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from calibration.errors import FileFormatError, InvalidValueError, MismatchError
from calibration.schema import check
from pose3d.datasets import IDENTITY, instances, time_coordinates
from pose3d.formats import SessionWriter, open_session, save_session

CAMERAS, KEYPOINTS, ANIMALS = ["top", "side"], ["nose", "tail", "paw"], ["anna", "ben"]


def found(frames: int = 9, *, tracks: tuple[str, ...] = ("x", "y")) -> xr.Dataset:
    rng = np.random.default_rng(0)
    shape = (frames, 2, 3)
    return instances(
        rng.uniform(0, 400, (*shape, 3, 2)),
        rng.random((*shape, 3)),
        cameras=CAMERAS,
        keypoints=KEYPOINTS,
        covariance=np.broadcast_to(np.eye(2), (*shape, 3, 2, 2)),
        track=rng.integers(-1, len(tracks), shape),
        track_names=tracks,
        appearance=rng.random((*shape, 4)).astype(np.float32),
        frame_rate=30.0,
    )


def identity(frames: int = 9, *, risks: int = 2, others: int = 4) -> xr.Dataset:
    """All variables of the schema, with numbers in their range."""
    rng = np.random.default_rng(1)
    sizes = {"time": frames, "camera": 2, "individual": 2, "risk": risks}
    variables = {}
    for name, kind in IDENTITY.variables.items():
        shape = tuple(sizes.get(dim, others) for dim in kind.dims)
        if "U" in kind.kind:
            values = np.array(["anna"] * int(np.prod(shape)), dtype=np.str_).reshape(shape)
        elif "i" in kind.kind:
            values = rng.integers(int(kind.minimum or 0), 3, shape)
        else:
            values = rng.random(shape).astype(np.float32)
        variables[name] = (kind.dims, values, {} if kind.units is None else {"units": kind.units})
    coordinates = time_coordinates(frames, None, 30.0) | {"camera": CAMERAS, "individual": ANIMALS}
    return check(xr.Dataset(variables, coordinates, {"fps": 30.0}), IDENTITY)


def pieces(dataset: xr.Dataset) -> list[xr.Dataset]:
    return [dataset.isel(time=slice(0, 4)), dataset.isel(time=slice(4, 5)), dataset.isel(time=slice(5, 9))]


@pytest.mark.parametrize("sizes", [{}, {"risks": 0, "others": 0}], ids=["some", "none"])
@pytest.mark.parametrize("tracks", [("x", "y"), ()], ids=["tracks", "no tracks"])
def test_what_was_written_in_pieces_is_read_as_a_whole(
    tmp_path: Path, sizes: dict[str, int], tracks: tuple[str, ...]
) -> None:
    with SessionWriter(tmp_path / "a.nc") as writer:
        for some, who in zip(pieces(found(tracks=tracks)), pieces(identity(**sizes)), strict=True):
            writer.append(instances=some, identity=who)
    with open_session(tmp_path / "a.nc") as session:
        assert not session.identity["instance"].variable._in_memory
        assert not session.instances["position"].variable._in_memory
        xr.testing.assert_equal(session.identity.load(), identity(**sizes))
        xr.testing.assert_allclose(session.instances.load(), found(tracks=tracks), rtol=1e-7)
        check(session.require("identity"), IDENTITY)
        assert session.poses2d is None


def test_saved_at_once(tmp_path: Path) -> None:
    save_session(tmp_path / "a.nc", instances=found(), identity=identity())
    with open_session(tmp_path / "a.nc") as session:
        xr.testing.assert_equal(session.identity.load(), identity())
        xr.testing.assert_equal(session.instances["position"], found()["position"])
    # what is lazily opened can be saved again, with what is empty
    save_session(tmp_path / "b.nc", identity=identity(risks=0))
    with open_session(tmp_path / "b.nc") as session:
        save_session(tmp_path / "c.nc", identity=session.identity)
    with open_session(tmp_path / "c.nc") as session:
        xr.testing.assert_equal(session.identity.load(), identity(risks=0))


def test_the_groups_open_without_this_package(tmp_path: Path) -> None:
    save_session(tmp_path / "a.nc", instances=found(), identity=identity())
    with xr.open_datatree(tmp_path / "a.nc") as tree:
        assert sorted(tree.children) == ["identity", "instances"]
        assert tree["identity"]["risk_individual"].values.tolist() == ["anna", "anna"]
        assert tree["instances"]["track_name"].values.tolist() == ["x", "y"]


def test_pieces_that_do_not_belong_together(tmp_path: Path) -> None:
    with SessionWriter(tmp_path / "a.nc") as writer:
        writer.append(identity=pieces(identity())[0])
        with pytest.raises(MismatchError, match=r"/identity: expected every piece .* got risk"):
            writer.append(identity=pieces(identity(risks=5))[1])
        writer.append(identity=pieces(identity())[1])


def test_datasets_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match=r"/identity .*a variable 'individual'"):
        save_session(tmp_path / "a.nc", identity=found())
    with pytest.raises(InvalidValueError, match="dimension keypoint: expected at least one name"):
        save_session(tmp_path / "a.nc", instances=found().isel(keypoint=slice(0, 0)))
    assert not list(tmp_path.iterdir())


def test_a_file_without_them_says_what_makes_them(tmp_path: Path) -> None:
    save_session(tmp_path / "a.nc", instances=found())
    with open_session(tmp_path / "a.nc") as session, pytest.raises(FileFormatError) as error:
        session.require("identity")
    assert "only /instances" in str(error.value)
    assert "pose3d identify" in error.value.remedy
