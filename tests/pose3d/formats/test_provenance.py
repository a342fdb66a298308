"""What a result was made from: true hashes, plain values, nothing of when or where."""

import hashlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from calibration.errors import FileFormatError, InvalidValueError
from calibration.triangulation import Status, TriangulationSettings
from pose3d.formats import provenance_of


def test_files_are_named_as_given_with_their_sha256(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_bytes(b"1,2\n")
    monkeypatch.chdir(tmp_path)
    inputs = provenance_of(["a.csv"])["inputs"]
    assert inputs == [{"path": "a.csv", "sha256": hashlib.sha256(b"1,2\n").hexdigest(), "bytes": 4}]


def test_a_folder_counts_with_the_names_and_contents_of_its_files(tmp_path):
    (tmp_path / "cam" / "deep").mkdir(parents=True)
    (tmp_path / "cam" / "b.json").write_text("{}")
    (tmp_path / "cam" / "deep" / "a.json").write_text("[]")
    first = provenance_of([tmp_path / "cam"])["inputs"]
    assert first[0]["bytes"] == 4
    sums = "".join(
        f"{hashlib.sha256(text).hexdigest()}  {name}\n" for text, name in ((b"{}", "b.json"), (b"[]", "deep/a.json"))
    )
    assert first[0]["sha256"] == hashlib.sha256(sums.encode()).hexdigest()
    (tmp_path / "cam" / "b.json").rename(tmp_path / "cam" / "c.json")
    assert provenance_of([tmp_path / "cam"])["inputs"][0]["sha256"] != first[0]["sha256"]


def test_the_sum_of_a_folder_is_what_a_shell_says(tmp_path):
    for name in ("b", "a"):
        (tmp_path / name).write_text(name)
    try:
        run = subprocess.run("sha256sum a b | sha256sum", shell=True, cwd=tmp_path, capture_output=True, text=True)
    except OSError:
        pytest.skip("no shell")
    if run.returncode:
        pytest.skip("no sha256sum")
    assert provenance_of([tmp_path])["inputs"][0]["sha256"] == run.stdout.split()[0]


def test_settings_become_plain_values_that_json_gives_back():
    @dataclass(frozen=True)
    class Outer:
        inner: TriangulationSettings
        path: Path
        status: Status
        sizes: tuple[int, ...]

    settings = Outer(TriangulationSettings(noise=(1.0, 2.0)), Path("a/b"), Status.OK, (1, 2))
    found = provenance_of((), {"outer": settings, "array": np.array([1.5, np.nan]), "count": np.int64(3)}, seed=4)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["seed"] == 4
    assert found["settings"]["array"] == [1.5, "nan"]
    assert found["settings"]["outer"]["inner"]["noise"] == [1.0, 2.0]
    assert found["settings"]["outer"]["path"] == "a/b"
    assert found["settings"]["outer"]["status"] == "OK"


def test_versions_are_those_that_run_and_twice_is_the_same():
    first = provenance_of((), {"a": 1}, 0)
    assert first["versions"]["numpy"] == np.__version__
    assert next(iter(first["versions"])) == "python"
    assert json.dumps(first) == json.dumps(provenance_of((), {"a": 1}, 0))


def test_what_cannot_be_read_or_written_is_refused(tmp_path):
    with pytest.raises(FileFormatError, match=r"none\.csv: expected an input file"):
        provenance_of([tmp_path / "none.csv"])
    with pytest.raises(InvalidValueError, match=r"settings\.a\.b: expected text, .* got object"):
        provenance_of((), {"a": {"b": object()}})
