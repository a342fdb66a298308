"""`pose3d convert` of 3D poses: from every format that is read to every format that is written."""

import json
from contextlib import closing

import numpy as np
import pytest

from pose3d.cli import main
from pose3d.formats import (
    load_poses3d,
    open_session,
    save_session,
    write_anipose3d,
    write_c3d,
    write_deeplabcut3d,
    write_trc,
)
from pose3d.synthetic import SimulationSettings, simulate

OUTPUTS = ("out.csv", "out.trc", "out.h5", "out.c3d", "out.nc")


@pytest.fixture(scope="module")
def poses():
    return simulate(SimulationSettings(cameras=3, duration=0.3, seed=5)).poses3d


@pytest.fixture
def inputs(poses, tmp_path):
    """A file of every kind, and what has to be said about it."""
    folder = tmp_path / "in"
    save_session(folder / "session.nc", poses3d=poses)
    write_trc(poses, folder / "in.trc")
    write_c3d(poses, folder / "in.c3d")
    write_anipose3d(poses, folder / "anipose.csv")
    write_deeplabcut3d(poses, folder / "dlc.csv")
    rate = ("--frame-rate", poses.attrs["fps"], "--unit", "mm")
    return {
        folder / "session.nc": (),
        folder / "in.trc": (),
        folder / "in.c3d": (),
        folder / "anipose.csv": rate,
        folder / "dlc.csv": rate,
    }


def run(*words):
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    return stop.value.code


@pytest.mark.parametrize("output", OUTPUTS)
def test_from_every_format_to_every_format(output, inputs, poses, tmp_path, capsys):
    pytest.importorskip("tables")
    for source, options in inputs.items():
        target = tmp_path / output
        assert run("convert", source, target, *options, "--json") == 0, capsys.readouterr().err
        summary = json.loads(capsys.readouterr().out)
        assert (summary["frames"], summary["keypoints"]) == (poses.sizes["time"], poses.sizes["keypoint"])
        assert summary["unit"] == "mm"
        assert summary["written"] == [str(target)]
        if output != "out.csv":  # a table of our own, which is written only
            with closing(load_poses3d(target, unit="mm" if output == "out.h5" else None)) as again:
                np.testing.assert_allclose(again["position"], poses["position"], rtol=1e-5, atol=1e-4)


def test_what_the_file_is_and_what_was_done(inputs, tmp_path, capsys):
    source = next(path for path in inputs if path.suffix == ".c3d")
    assert run("convert", source, tmp_path / "out.trc") == 0
    text = capsys.readouterr().out
    assert "read as c3d, lengths in mm; written as trc" in text
    assert f"wrote {tmp_path / 'out.trc'}" in text


def test_a_new_result_file_says_what_it_was_made_from(inputs, tmp_path):
    source = next(path for path in inputs if path.suffix == ".trc")
    assert run("convert", source, tmp_path / "out.nc") == 0
    with open_session(tmp_path / "out.nc") as session:
        assert session.provenance["inputs"][0]["path"] == source.as_posix()
        assert session.provenance["settings"]["convert"]["format"] == "trc"


def test_the_unit_that_a_file_does_not_say(inputs, tmp_path, capsys):
    source = next(path for path in inputs if path.name == "anipose.csv")
    assert run("convert", source, tmp_path / "out.nc", "--unit", "cm") == 0
    assert "lengths in cm" in capsys.readouterr().out
    assert run("convert", source, tmp_path / "out.nc") == 0
    assert "the file does not say its length unit; mm is assumed" in capsys.readouterr().err
    source = next(path for path in inputs if path.suffix == ".trc")
    assert run("convert", source, tmp_path / "out.nc", "--unit", "m") == 1
    assert "numbers are not converted" in capsys.readouterr().err


@pytest.mark.parametrize("output", ["out.trc", "out.c3d"])
def test_the_frame_rate_that_a_file_does_not_say(output, inputs, tmp_path, capsys):
    source = next(path for path in inputs if path.name == "dlc.csv")
    assert run("convert", source, tmp_path / output, "--unit", "mm") == 2
    assert "add --frame-rate" in capsys.readouterr().err


def test_an_individual(inputs, tmp_path, capsys):
    source = next(path for path in inputs if path.suffix == ".trc")
    assert run("convert", source, tmp_path / "out.csv", "--individual", "otto", "--json") == 0
    assert json.loads(capsys.readouterr().out)["individuals"] == ["otto"]


def test_options_that_do_not_fit(inputs, tmp_path, capsys):
    source = next(iter(inputs))
    assert run("convert", source, tmp_path / "out.trc", "--scale", "2") == 2
    assert "--scale is for calibrations" in capsys.readouterr().err
    assert run("convert", source, tmp_path / "out.toml", "--frame-rate", "2") == 2
    assert "--frame-rate and --individual are for 3D poses" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"[camera]\n", b"PathFileType\t4\n", b"\x02\x50", b"scorer,a\n"])
@pytest.mark.parametrize("output", OUTPUTS)
def test_files_that_are_none(content, output, tmp_path, capsys):
    (tmp_path / "in.c3d").write_bytes(content)
    assert run("convert", tmp_path / "in.c3d", tmp_path / output) == 1
    shown = capsys.readouterr().err
    assert "expected:" in shown
    assert str(tmp_path / "in.c3d") in shown.replace("\n", "")
    assert not (tmp_path / output).exists()
