"""The ladder of lens models: which numbers of a lens are free, and the vector that they stand in."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from calibration.errors import InvalidValueError
from calibration.lens import COEFFICIENT_COUNTS, BrownConrady, Fisheye
from calibration.lens_models import LENS_MODELS, LensModel, lens_from_vector, lens_vector, parameter_names
from calibration.synthetic import LENSES, make_rig

MODELS = list(LENS_MODELS.values())


def test_every_model_stands_under_its_own_name_and_frees_parameters_that_exist() -> None:
    for name, model in LENS_MODELS.items():
        assert model.name == name
        assert len(set(model.free)) == len(model.free)
        assert set(model.free) <= {"f", *parameter_names(fisheye=model.fisheye)}
        assert not {"f"} & set(model.free) or not {"fx", "fy"} & set(model.free), "two names of one number"


def test_the_brown_models_are_a_ladder_each_of_which_frees_all_that_the_one_before_it_does() -> None:
    ladder = [LENS_MODELS[name] for name in ("f", "pinhole", "radial1", "radial2", "brown4", "brown5", "brown8")]
    for lower, higher in itertools.pairwise(ladder):
        moved = [set(np.flatnonzero(model.columns >= 0).tolist()) for model in (lower, higher)]
        assert moved[0] < moved[1], (lower.name, higher.name)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_columns_name_for_every_number_the_free_parameter_that_moves_it(model: LensModel) -> None:
    names = parameter_names(fisheye=model.fisheye)
    assert len(model.columns) == len(names)
    for name, column in zip(names, model.columns, strict=True):
        known = {name} | ({"f"} if name in ("fx", "fy") else set())
        assert (model.free[column] in known) if column >= 0 else not known & set(model.free), name
    assert sorted(set(model.columns[model.columns >= 0].tolist())) == list(range(len(model.free)))


def test_one_focal_length_moves_both_axes() -> None:
    assert LENS_MODELS["f"].columns[:4].tolist() == [0, 0, -1, -1]
    assert LENS_MODELS["brown4"].columns[:4].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_the_count_of_coefficients_is_one_that_the_lens_knows_and_holds_all_free_ones(model: LensModel) -> None:
    names = parameter_names(fisheye=model.fisheye)[4:]
    count = model.coefficient_count
    assert count in ((4,) if model.fisheye else COEFFICIENT_COUNTS)
    assert {name for name in model.free if name in names} <= set(names[:count])
    vector = np.concatenate([[800.0, 790.0, 320.0, 240.0], np.zeros(len(names))])
    vector[4 : 4 + count] = 1e-3
    lens = lens_from_vector(vector, fisheye=model.fisheye, count=count)
    assert isinstance(lens, Fisheye if model.fisheye else BrownConrady)
    np.testing.assert_array_equal(lens.coefficients, np.full(count, 1e-3))


def test_the_smallest_count_is_taken() -> None:
    counts = {name: LENS_MODELS[name].coefficient_count for name in ("f", "pinhole", "radial1", "brown5", "brown8")}
    assert counts == {"f": 0, "pinhole": 0, "radial1": 4, "brown5": 5, "brown8": 8}
    assert LensModel("thin prism", ("f", "s2")).coefficient_count == 12
    assert LensModel("tilted", ("f", "tau_x")).coefficient_count == 14


@pytest.mark.parametrize("kind", LENSES)
def test_a_lens_comes_back_from_its_vector_bit_by_bit(kind: str) -> None:
    lens = make_rig(1, lens=kind, seed=5).cameras[0].lens
    fisheye = kind == "fisheye"
    vector = lens_vector(lens)
    assert vector.shape == (len(parameter_names(fisheye=fisheye)),)
    assert lens_from_vector(vector, fisheye=fisheye, count=len(lens.coefficients)) == lens


@pytest.mark.parametrize("kind", LENSES)
def test_coefficients_filled_with_zeros_bend_no_ray_differently(kind: str) -> None:
    lens = make_rig(1, lens=kind, seed=6).cameras[0].lens
    points = np.random.default_rng(0).uniform(-0.3, 0.3, (20, 2))
    full = lens_from_vector(lens_vector(lens), fisheye=kind == "fisheye")
    np.testing.assert_array_equal(full.distort(points), lens.distort(points))


def test_the_names_are_in_the_order_of_the_numbers() -> None:
    lens = BrownConrady(np.array([[900.0, 0, 310], [0, 910, 250], [0, 0, 1]]), 1e-4 * np.arange(1.0, 15.0))
    values = dict(zip(parameter_names(fisheye=False), lens_vector(lens), strict=True))
    assert (values["fx"], values["fy"], values["cx"], values["cy"]) == (900.0, 910.0, 310.0, 250.0)
    order = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6", "s1", "s2", "s3", "s4", "tau_x", "tau_y")
    np.testing.assert_allclose([values[name] for name in order], np.arange(1, 15) * 1e-4)


def test_the_skew_is_no_part_of_the_vector_and_is_given_apart() -> None:
    lens = BrownConrady(np.array([[900.0, 3.0, 310], [0, 910, 250], [0, 0, 1]]))
    assert lens_from_vector(lens_vector(lens), fisheye=False, count=0) != lens
    assert lens_from_vector(lens_vector(lens), fisheye=False, count=0, skew=3.0) == lens


def test_numbers_that_make_no_lens_are_refused() -> None:
    vector = lens_vector(make_rig(1).cameras[0].lens)
    with pytest.raises(InvalidValueError, match="camera matrix"):
        lens_from_vector(vector * np.where(np.arange(18) == 0, -1, 1), fisheye=False)
    with pytest.raises(InvalidValueError, match="coefficients"):
        lens_from_vector(np.where(np.arange(18) == 4, np.nan, vector), fisheye=False)


def test_models_are_values() -> None:
    assert LENS_MODELS["f"] == LensModel("f", ("f",))
    with pytest.raises(dataclasses.FrozenInstanceError):
        LENS_MODELS["f"].name = "g"  # type: ignore[misc]  # that is what must fail
