"""The reader of .mat files gives what scipy gives, and survives what ends scipy's process."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.io import loadmat, savemat

from calibration import FileFormatError
from calibration.formats.matlab import matlab_variables, read_matlab

TYPES = ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?"]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


@given(
    array=st.sampled_from(TYPES).flatmap(lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=2, max_dims=3))),
    text=st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=9),
    compressed=st.booleans(),
)
def test_values_are_those_that_scipy_reads(array: np.ndarray, text: str, compressed: bool, scratch: Path) -> None:
    path = scratch / "a.mat"
    cell = np.empty((2, 2), dtype=object)
    cell[:] = [[array, "x"], [{"inner": array}, 3.0]]
    savemat(path, {"array": array, "text": text, "cell": cell, "deep": {"a": {"b": array}}}, do_compression=compressed)
    assert matlab_variables(path) == {"array", "text", "cell", "deep"}
    found = read_matlab(path, ("array", "text", "cell", "deep", "absent"))
    assert set(found) == {"array", "text", "cell", "deep"}
    expected = loadmat(path)["array"]
    assert found["array"].dtype == np.float64
    np.testing.assert_array_equal(found["array"], expected)
    # A text of spaces is padding in MATLAB; signs beyond 16 bits are two characters there.
    if text.isascii() and text.strip():
        assert found["text"] == text.rstrip()
    first, second, third, fourth = found["cell"]  # column by column
    np.testing.assert_array_equal(first, expected)
    np.testing.assert_array_equal(second["inner"], expected)
    assert (third, fourth.item()) == ("x", 3.0)
    np.testing.assert_array_equal(found["deep"]["a"]["b"], expected)


def test_big_endian(tmp_path: Path) -> None:
    """A 1 x 2 double called 'ab', written out by hand."""
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\x00MI"
    flags = (6).to_bytes(4) + (8).to_bytes(4) + (6).to_bytes(4) + bytes(4)
    dimensions = (5).to_bytes(4) + (8).to_bytes(4) + (1).to_bytes(4) + (2).to_bytes(4)
    name = (2).to_bytes(2) + (1).to_bytes(2) + b"ab\0\0"
    values = (9).to_bytes(4) + (16).to_bytes(4) + np.array([1.5, -2.0], dtype=">f8").tobytes()
    body = flags + dimensions + name + values
    (tmp_path / "a.mat").write_bytes(head + (14).to_bytes(4) + len(body).to_bytes(4) + body)
    assert read_matlab(tmp_path / "a.mat", ["ab"])["ab"].tolist() == [[1.5, -2.0]]
    np.testing.assert_array_equal(loadmat(tmp_path / "a.mat")["ab"], [[1.5, -2.0]])


def test_an_array_of_structs_of_version_73(tmp_path: Path) -> None:
    """MATLAB keeps one array of references per field."""
    with h5py.File(tmp_path / "a.mat", "w") as file:
        values = [file.create_dataset(f"#refs#/{index}", data=np.full((2, 1), index)) for index in range(4)]
        for field, numbers in (("K", (0, 1)), ("t", (2, 3))):
            references = file.create_dataset(f"params/{field}", (2, 1), dtype=h5py.ref_dtype)
            references[:, 0] = [values[number].ref for number in numbers]
    first, second = read_matlab(tmp_path / "a.mat", ["params"])["params"]
    assert (first["K"].tolist(), first["t"].tolist()) == ([[0, 0]], [[2, 2]])
    assert (second["K"].tolist(), second["t"].tolist()) == ([[1, 1]], [[3, 3]])


def test_references_in_a_ring(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.mat", "w") as file:
        cell = file.create_dataset("params", (1, 1), dtype=h5py.ref_dtype)
        cell[0, 0] = cell.ref
    with pytest.raises(FileFormatError, match="nested too deeply"):
        read_matlab(tmp_path / "a.mat", ["params"])


def test_what_has_no_plain_value_is_none(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"complex": np.array([[1j]]), "number": 1.0})
    assert read_matlab(tmp_path / "a.mat", ["complex", "number"]) == {"complex": None, "number": np.array([[1.0]])}


def test_changed_bytes_never_end_the_process(tmp_path: Path) -> None:
    """scipy 1.17 ends in a segmentation fault on a few of these files."""
    savemat(tmp_path / "good.mat", {"params": {"K": np.eye(3), "names": ["a", "bc"]}})
    good = (tmp_path / "good.mat").read_bytes()
    generator = np.random.default_rng(0)
    refused = 0
    for _ in range(500):
        bad = bytearray(good)
        for place in generator.integers(128, len(good), 2):
            bad[place] = generator.integers(256)
        (tmp_path / "bad.mat").write_bytes(bad)
        names = matlab_variables(tmp_path / "bad.mat")
        assert all(isinstance(name, str) for name in names)
        try:
            read_matlab(tmp_path / "bad.mat", names)
        except FileFormatError:
            refused += 1
    assert refused > 50


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (None, "no such file"),
        (b"", "an empty file"),
        (b"text", "a file without MATLAB's header"),
        (b"MATLAB 5.0 MAT-file", "no mark of the byte order"),
        (b"\x89HDF\r\n\x1a\n", "OSError"),
    ],
)
def test_what_is_no_mat_file(content: bytes | None, got: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    if content is not None:
        path.write_bytes(content)
    assert matlab_variables(path) == frozenset()
    with pytest.raises(FileFormatError) as caught:
        read_matlab(path, ["a"])
    assert got in caught.value.got
    assert str(path) in caught.value.subject
    with pytest.raises(FileFormatError, match="a folder"):
        read_matlab(tmp_path, ["a"])
