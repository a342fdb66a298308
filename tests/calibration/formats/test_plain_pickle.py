"""Plain data comes out of pickles; anything that would run code is refused, and was not run."""

import pickle
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

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
