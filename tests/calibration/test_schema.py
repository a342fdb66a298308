"""A Dataset that breaks its schema is refused, and the message says what broke."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from calibration.errors import InvalidValueError
from calibration.schema import Schema, Variable, as_floats, check

SCHEMA = Schema(
    name="Lengths",
    description="Lengths of bones.",
    variables={
        "length": Variable(("bone", "time"), "f", "mm", "length", minimum=0.0, maximum=10.0),
        "count": Variable(("bone",), "i", "1", "how often", required=False, minimum=0),
        "score": Variable(("bone",), "f", "rig", "score", required=False, finite=False),
        "used": Variable(("bone",), "bi", None, "used", required=False),
    },
    coordinates={"bone": Variable(("bone",), "U", None, "names of the bones")},
)


def good(**changes: object) -> xr.Dataset:
    variables = {"length": (("bone", "time"), np.array([[1.0, np.nan], [0.0, 10.0]]), {"units": "mm"})}
    return xr.Dataset({**variables, **changes}, coords={"bone": ["a", "b"]})


def refused(dataset: xr.Dataset, **options: object) -> InvalidValueError:
    with pytest.raises(InvalidValueError) as caught:
        check(dataset, SCHEMA, **options)
    error = caught.value
    assert error.subject
    assert error.expected
    assert error.got
    assert error.remedy
    return error


def test_what_follows_the_schema_is_returned_unchanged() -> None:
    dataset = good(other=("x", [1, 2, 3]))
    assert check(dataset, SCHEMA) is dataset


def test_dims_are_named_in_order_of_first_use() -> None:
    assert SCHEMA.dims == ("bone", "time")


@pytest.mark.parametrize("name", ["length", "bone"])
def test_a_missing_variable_is_named(name: str) -> None:
    error = refused(good().drop_vars(name))
    assert f"'{name}'" in error.expected
    assert error.subject == "Lengths"


def test_the_file_is_named() -> None:
    assert refused(good().drop_vars("length"), subject="a.nc").subject == "a.nc (Lengths)"


def test_another_order_of_dimensions_is_refused_with_the_way_out() -> None:
    error = refused(good().transpose("time", "bone"))
    assert "('time', 'bone')" in error.got
    assert ".transpose('bone', 'time')" in error.remedy
    check(good().transpose("time", "bone").transpose("bone", "time"), SCHEMA)


def test_a_renamed_dimension_is_refused() -> None:
    assert "('bone', 'frame')" in refused(good().rename(time="frame")).got


@pytest.mark.parametrize(
    ("change", "expected", "got"),
    [
        ({"length": (("bone", "time"), np.ones((2, 2), dtype=int))}, "float", "int64"),
        ({"length": (("bone", "time"), np.ones((2, 2), dtype=complex))}, "float", "complex128"),
        ({"length": (("bone", "time"), np.full((2, 2), "1.0"))}, "float", "<U3"),
        ({"length": (("bone", "time"), np.zeros((2, 2), dtype="datetime64[s]"))}, "float", "datetime64"),
        ({"count": ("bone", [1.0, 2.0])}, "integer", "float64"),
        ({"used": ("bone", [0.5, 1.0])}, "bool or integer", "float64"),
    ],
)
def test_another_type_is_refused(change: dict[str, object], expected: str, got: str) -> None:
    error = refused(good(**change))
    assert error.expected == f"the type {expected}"
    assert got in error.got


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f8"])
def test_floats_of_any_size_pass(dtype: str) -> None:
    check(good(length=(("bone", "time"), np.ones((2, 2), dtype=dtype))), SCHEMA)


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint8, np.uint32])
def test_integers_with_and_without_sign_pass(dtype: type) -> None:
    check(good(count=("bone", np.array([0, 3], dtype=dtype))), SCHEMA)


def test_names_may_be_of_any_type_of_text() -> None:
    for names in (
        np.array(["a", "b"], dtype=object),
        np.array(["a", "b"], dtype="U9"),
        np.array(["a", "b"], dtype=np.dtypes.StringDType()),
        pd.array(["a", "b"], dtype="string"),
        pd.Index(["a", "b"]),
    ):
        check(good().assign_coords(bone=("bone", names)), SCHEMA)


@pytest.mark.parametrize(
    ("names", "got"),
    [
        (np.array([1, 2]), "int64"),
        (np.array(["a", 2], dtype=object), "2"),
        (np.array(["a", None], dtype=object), "nan"),
        (np.array(["a", ""]), "''"),
        (np.array([" ", "b"]), "' '"),
        (np.array([b"a", b"b"]), "b'a'"),
    ],
)
def test_what_is_no_name_is_refused(names: np.ndarray, got: str) -> None:
    error = refused(good().assign_coords(bone=("bone", names)))
    assert "'bone'" in error.subject
    assert error.got == got


def test_repeated_names_are_told() -> None:
    error = refused(good().assign_coords(bone=["femur", "femur"]))
    assert "femur" in error.got
    error = refused(good().assign_coords(time=[0.5, 0.5]))
    assert "'time'" in error.subject


def test_other_units_are_refused_and_missing_ones_are_not() -> None:
    dataset = good()
    dataset["length"].attrs["units"] = "m"
    error = refused(dataset)
    assert (error.expected, error.got) == ("units 'mm'", "units 'm'")
    del dataset["length"].attrs["units"]
    check(dataset, SCHEMA)


def test_the_unit_of_the_rig_is_any_unit() -> None:
    check(good(score=("bone", [1.0, 2.0], {"units": "inch"})), SCHEMA)


@pytest.mark.parametrize(("value", "got"), [(-0.1, "-0.1"), (10.5, "10.5")])
def test_values_out_of_range_are_refused(value: float, got: str) -> None:
    error = refused(good(length=(("bone", "time"), np.array([[1.0, np.nan], [value, 2.0]]))))
    assert error.expected == "values from 0.0 to 10.0"
    assert got in error.got


def test_a_range_with_one_end_is_said_so() -> None:
    assert refused(good(count=("bone", [1, -1]))).expected == "values of at least 0"


def test_infinities_are_counted() -> None:
    error = refused(good(length=(("bone", "time"), np.array([[np.inf, 1.0], [-np.inf, 2.0]]))))
    assert error.got == "2 infinite values"
    check(good(score=("bone", [np.inf, 1.0])), SCHEMA)


def test_missing_values_and_empty_arrays_pass() -> None:
    check(good(length=(("bone", "time"), np.full((2, 2), np.nan))), SCHEMA)
    check(good(length=(("bone", "time"), np.zeros((2, 0)))), SCHEMA)
    empty = xr.Dataset({"length": (("bone", "time"), np.zeros((0, 0)))}, coords={"bone": np.array([], dtype=str)})
    check(empty, SCHEMA)


def test_values_are_not_read_unless_asked() -> None:
    check(good(length=(("bone", "time"), np.full((2, 2), -1.0))), SCHEMA, values=False)


class TestAsFloats:
    def test_numbers_become_float64(self) -> None:
        for values in ([1, 2], (1.0, 2.0), np.array([1, 2], dtype=np.uint8), np.array([1, 2], dtype=np.float32)):
            result = as_floats(values, "x")
            assert result.dtype == np.float64
            np.testing.assert_array_equal(result, [1, 2])

    def test_none_is_missing(self) -> None:
        np.testing.assert_array_equal(as_floats([1, None], "x"), [1, np.nan])

    def test_float64_is_not_copied_unless_asked(self) -> None:
        values = np.zeros(3)
        assert as_floats(values, "x") is values
        assert not np.shares_memory(as_floats(values, "x", copy=True), values)

    @pytest.mark.parametrize("values", [[[1, 2], [3]], ["a", "b"], [1j, 2], {"a": 1}, object(), [[1], {"b"}]])
    def test_what_is_no_array_of_numbers_is_refused(self, values: object) -> None:
        with pytest.raises(InvalidValueError, match=r"^rig.toml, matrix: expected numbers.*, got .+\. Write numbers"):
            as_floats(values, "rig.toml, matrix")

    @pytest.mark.parametrize(("shape", "ends"), [((2,), (3,)), ((), (2,)), ((3,), (3, 3)), ((3, 2, 3), (3, 3))])
    def test_a_wrong_shape_is_said(self, shape: tuple[int, ...], ends: tuple[int, ...]) -> None:
        with pytest.raises(InvalidValueError) as caught:
            as_floats(np.zeros(shape), "x", ends=ends)
        assert caught.value.got == f"shape {shape}"
        assert ", ".join(map(str, ends)) in caught.value.expected

    def test_any_axes_may_come_first(self) -> None:
        assert as_floats(np.zeros((5, 0, 3, 3)), "x", ends=(3, 3)).shape == (5, 0, 3, 3)


def test_the_module_does_not_load_xarray() -> None:
    code = "import sys, calibration.schema; sys.exit('xarray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
