"""Plain data comes out of pickles; anything that would run code is refused, and was not run."""

import pickle
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.formats.plain_pickle import NotPlainDataError, plain_data

scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=8)
plain = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(value=plain, protocol=st.integers(0, 5))
def test_plain_data_comes_back_as_it_was_in_every_protocol(value: object, protocol: int) -> None:
    assert plain_data(pickle.dumps(value, protocol)) == value


def test_repeated_objects_are_remembered() -> None:
    name = "snout"
    columns = [("net", name, "x"), ("net", name, "y")] * 300
    for protocol in range(6):
        assert plain_data(pickle.dumps(columns, protocol)) == columns


class Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    target = tmp_path / "ran"
    data = pickle.dumps([Bomb(target)], protocol)
    with pytest.raises(NotPlainDataError, match="run code"):
        plain_data(data)
    assert not target.exists()
    pickle.loads(data)
    assert target.exists(), "the bomb must be live for this test to prove anything"


def test_objects_are_refused() -> None:
    with pytest.raises(NotPlainDataError, match="run code"):
        plain_data(pickle.dumps(OrderedDict(a=1)))


@pytest.mark.parametrize(
    "data", [b"", b"not a pickle", b"(lp0\n", b"g7\n.", b"t.", b"]\x85\x85", b"(.", b"a.", b"s.", b"\x80\x04\x95\xff"]
)
def test_damaged_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(NotPlainDataError, match="damaged"):
        plain_data(data)


@given(data=st.binary(max_size=40))
def test_no_bytes_make_it_fail_otherwise(data: bytes) -> None:
    with suppress(NotPlainDataError):
        plain_data(data)


class TestArrays:
    @pytest.mark.parametrize("protocol", range(6))
    @pytest.mark.parametrize(
        "array",
        [
            np.arange(6.0).reshape(2, 3),
            np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
            np.arange(6, dtype=">f4")[::2],
            np.array(2.5),
            np.zeros((0, 3)),
            np.array([True, False]),
            np.float64(2.5),
            np.uint8(7),
        ],
        ids=lambda array: f"{array.dtype}{array.shape}",
    )
    def test_arrays_and_scalars_come_back(self, array: np.ndarray, protocol: int) -> None:
        first, second = plain_data(pickle.dumps([array, {"again": array}], protocol), arrays=True)
        for found in (first, second["again"]):
            assert found.dtype == array.dtype.newbyteorder("=")
            np.testing.assert_array_equal(found, array)

    def test_only_where_they_are_wanted(self) -> None:
        with pytest.raises(NotPlainDataError, match="run code"):
            plain_data(pickle.dumps(np.eye(3)))

    @pytest.mark.parametrize("protocol", range(6))
    @pytest.mark.parametrize("dtype", ["O", "U3", "S3", "c16", "M8[s]", [("a", "f8")]])
    def test_arrays_of_something_else_than_numbers(self, dtype: object, protocol: int) -> None:
        with pytest.raises(NotPlainDataError):
            plain_data(pickle.dumps(np.zeros(2, dtype=dtype), protocol), arrays=True)

    @pytest.mark.parametrize("protocol", range(6))
    def test_code_is_still_refused_and_not_run(self, tmp_path: Path, protocol: int) -> None:
        target = tmp_path / "ran"
        data = pickle.dumps([np.eye(3), Bomb(target)], protocol)
        with pytest.raises(NotPlainDataError, match="run code"):
            plain_data(data, arrays=True)
        assert not target.exists()
        pickle.loads(data)
        assert target.exists(), "the bomb must be live for this test to prove anything"

    @pytest.mark.parametrize(
        "data",
        [
            b"cos\nsystem\n(S'true'\ntR.",
            b"cnumpy\nload\n(S'x'\ntR.",
            b"cnumpy.core.multiarray\nscalar\n.",  # a word alone
            b"cnumpy\ndtype\n(S'f8'\ntR.",
            b"c_codecs\nencode\n(VA\nVrot13\ntR.",
            b"cnumpy\nndarray\n(tR.",
            b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(I0\ntS'b'\ntR.",
            b"(dS'a'\nb.",  # BUILD of a dictionary
            b"(lp0\n0(I1\ntR.",
        ],
    )
    def test_words_used_otherwise(self, data: bytes) -> None:
        with pytest.raises(NotPlainDataError):
            plain_data(data, arrays=True)

    def test_a_shape_without_its_bytes_takes_no_memory(self) -> None:
        data = pickle.dumps(np.zeros(3), 2).replace(b"K\x03\x85", b"J\xff\xff\xff\x7f\x85")
        with pytest.raises(NotPlainDataError, match="24 bytes for an array of shape"):
            plain_data(data, arrays=True)
        text = (
            b"cnumpy.core.numeric\n_frombuffer\n(S'abcdefgh'\ncnumpy\ndtype\n(S'f8'\ntR(S'x'\nI1000000000\ntS'C'\ntR."
        )
        with pytest.raises(NotPlainDataError, match="an array of shape"):
            plain_data(text, arrays=True)

    def test_keys_that_could_exhaust_the_stack(self) -> None:
        deep = b"}" + b")" + b"\x85" * 200_000 + b"K\x01s."
        with pytest.raises(NotPlainDataError, match="keys are neither text nor numbers"):
            plain_data(deep)

    @given(data=st.binary(max_size=40))
    def test_no_bytes_make_it_fail_otherwise(self, data: bytes) -> None:
        with suppress(NotPlainDataError):
            plain_data(data, arrays=True)

    @given(data=st.data())
    def test_changed_bytes(self, data: st.DataObject) -> None:
        content = bytearray(pickle.dumps({"a": np.eye(2), "b": [np.arange(3)]}, data.draw(st.integers(0, 5))))
        for _ in range(data.draw(st.integers(1, 3))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        with suppress(NotPlainDataError):
            plain_data(bytes(content), arrays=True)
