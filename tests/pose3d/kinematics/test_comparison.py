"""Comparison of groups: formulas, scipy, and errors that are as frequent as they are said to be."""

from math import gamma, sqrt

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from calibration.errors import InvalidValueError
from pose3d.kinematics._permutations import cliffs_delta, hedges_g, hedges_interval, permutation_test
from pose3d.kinematics._samples import Sample, drawn_means
from pose3d.kinematics.comparison import ComparisonSettings, compare_groups, compare_waveforms

FAST = ComparisonSettings(resamples=999)


def table(seed: int = 0, *, shift: float = 0.0, animals: int = 6, strides: int = 8) -> pd.DataFrame:
    """Strides of animals, half of them in each group; animals differ as much as their strides."""
    rng = np.random.default_rng(seed)
    rows = []
    for animal in range(2 * animals):
        level = rng.normal()
        for _ in range(strides):
            group = "old" if animal < animals else "young"
            rows.append((group, f"m{animal}", level + rng.normal() + (shift if group == "young" else 0), rng.normal()))
    return pd.DataFrame(rows, columns=["age", "mouse", "length", "width"])


class TestNumbers:
    def test_individuals_are_compared_and_not_their_strides(self) -> None:
        given = table(shift=2.0)
        found = compare_groups(given, "age", individuals="mouse", settings=FAST)
        assert found["variable"].tolist() == ["length", "width"]
        row = found.iloc[0]
        means = given.groupby(["age", "mouse"])["length"].mean()
        old, young = means["old"], means["young"]
        assert (row["design"], row["n_a"], row["n_b"], row["rows_a"]) == ("between individuals", 6, 6, 48)
        assert row["mean_b"] == pytest.approx(young.mean())
        assert row["difference"] == pytest.approx(young.mean() - old.mean())
        welch = stats.ttest_ind(young, old, equal_var=False)
        assert row["t"] == pytest.approx(welch.statistic)
        interval = welch.confidence_interval()
        assert (row["interval"], row["low"], row["high"]) == (
            "t",
            pytest.approx(interval.low),
            pytest.approx(interval.high),
        )

    def test_more_strides_make_no_more_animals(self) -> None:
        one = compare_groups(table(), "age", individuals="mouse", settings=ComparisonSettings(resamples=199))
        many = pd.concat([table()] * 10, ignore_index=True)
        ten = compare_groups(many, "age", individuals="mouse", settings=ComparisonSettings(resamples=199))
        for column in ("p_value", "t", "hedges_g", "low"):
            np.testing.assert_allclose(ten[column], one[column])
        naive = compare_groups(many.drop(columns="mouse"), "age", settings=ComparisonSettings(resamples=199))
        assert (naive["design"] == "rows").all()
        assert (naive["high"] - naive["low"] < (one["high"] - one["low"]) / 2).all()

    def test_animals_in_both_groups_are_compared_with_themselves(self) -> None:
        rng = np.random.default_rng(3)
        rows = [
            (kind, animal, level + rng.normal(0, 0.1) + (0.5 if kind == "after" else 0.0))
            for animal, level in zip("abcdefgh", rng.normal(0, 5, 8), strict=True)
            for kind in ("before", "after")
            for _ in range(3)
        ]
        given = pd.DataFrame(rows, columns=["kind", "who", "x"])
        row = compare_groups(given, "kind", individuals="who").iloc[0]
        means = given.groupby(["kind", "who"])["x"].mean()
        paired = stats.ttest_rel(means["after"], means["before"])
        assert row["design"] == "within individuals"
        assert row["t"] == pytest.approx(paired.statistic)
        assert row["low"] == pytest.approx(paired.confidence_interval().low)
        assert row["p_value"] == row["smallest_p"] == 2 / 2**8
        assert row["cliffs_delta"] == 1

    def test_animals_in_one_and_in_both_are_refused(self) -> None:
        given = table()
        given.loc[0, "age"] = "young"
        with pytest.raises(InvalidValueError, match="in both: m0; in one: m1"):
            compare_groups(given, "age", individuals="mouse")

    def test_rows_have_the_bootstrap_of_scipy(self) -> None:
        rng = np.random.default_rng(4)
        a, b = rng.exponential(size=30), rng.exponential(size=40) + 0.3
        given = pd.DataFrame({"x": [*a, *b], "g": ["a"] * 30 + ["b"] * 40})
        row = compare_groups(given, "g").iloc[0]
        found = stats.bootstrap(
            (b, a),
            lambda x, y, axis: x.mean(axis=axis) - y.mean(axis=axis),
            vectorized=True,
            random_state=np.random.default_rng(9),
        ).confidence_interval
        assert row["interval"] == "bootstrap"
        assert row["low"] == pytest.approx(found.low, abs=0.02)
        assert row["high"] == pytest.approx(found.high, abs=0.02)

    def test_every_pair_of_groups(self) -> None:
        given = pd.DataFrame({"x": np.arange(9.0), "g": list("aaabbbccc")})
        found = compare_groups(given, "g", settings=FAST)
        assert list(zip(found["group_a"], found["group_b"], strict=True)) == [("a", "b"), ("a", "c"), ("b", "c")]
        assert found["difference"].tolist() == [3, 6, 3]

    @pytest.mark.parametrize("correction", ["holm", "benjamini_hochberg", "none"])
    def test_p_values_are_corrected_for_their_number(self, correction: str) -> None:
        rng = np.random.default_rng(5)
        group = np.repeat([0, 1], 8)
        given = pd.DataFrame({f"v{number}": rng.normal(size=16) + 0.5 * number * group for number in range(5)})
        settings = ComparisonSettings(resamples=999, correction=correction)  # type: ignore[arg-type]
        found = compare_groups(given.assign(g=np.repeat(["a", "b"], 8)), "g", settings=settings)
        p = found["p_value"].to_numpy()
        order = np.argsort(p)
        if correction == "holm":
            expected = [max(min(1, p[order[j]] * (5 - j)) for j in range(i + 1)) for i in range(5)]
        elif correction == "benjamini_hochberg":
            expected = [min(min(1, p[order[j]] * 5 / (j + 1)) for j in range(i, 5)) for i in range(5)]
        else:
            expected = p[order]
        np.testing.assert_allclose(found["p_corrected"].to_numpy()[order], expected)

    def test_too_few_are_told_and_count_for_nothing(self) -> None:
        given = pd.DataFrame({"x": [1.0, 2, 3, 4], "y": [1.0, np.nan, 3, 4], "g": list("aabb"), "who": list("abcd")})
        found = compare_groups(given, "g", individuals="who", settings=FAST)
        assert found["note"].tolist() == ["", "fewer than two individuals in a group"]
        assert np.isnan(found.loc[1, ["difference", "p_value", "p_corrected"]].astype(float)).all()
        assert found.loc[0, "p_corrected"] == found.loc[0, "p_value"]

    def test_values_without_spread(self) -> None:
        given = pd.DataFrame({"same": [1.0] * 6, "apart": [1.0] * 3 + [2.0] * 3, "g": list("aaabbb")})
        found = compare_groups(given, "g", settings=FAST)
        assert found["note"].tolist() == ["no spread"] * 2
        assert found["difference"].tolist() == [0, 1]
        assert found["p_value"].tolist() == [1, 0.1]
        assert np.isnan(found["hedges_g"]).all()

    def test_tables_of_strides_know_their_individuals(self) -> None:
        given = table()
        strides = xr.Dataset(
            {
                "stride_length": ("stride", given["length"]),
                "stride_length_std": ("stride", given["width"] ** 2),
                "stride_individual": ("stride", given["mouse"].to_numpy(dtype=np.str_)),
            }
        )
        found = compare_groups(strides, given["age"].tolist(), settings=FAST)
        assert found["variable"].tolist() == ["stride_length"]
        expected = compare_groups(given, "age", individuals="mouse", settings=FAST).iloc[[0]]
        pd.testing.assert_frame_equal(
            found.drop(columns=["variable", "p_corrected"]), expected.drop(columns=["variable", "p_corrected"])
        )

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({"groups": "agee"}, "Did you mean 'age'"),
            ({"groups": ["a"] * 3}, "96 labels"),
            ({"groups": ["a"] * 96}, "two groups or more"),
            ({"settings": ComparisonSettings(level=95)}, "a level between 0 and 1"),
            ({"values": xr.Dataset({"a": (("x", "y"), np.zeros((2, 2)))})}, "over one dimension"),
        ],
    )
    def test_wrong_input_is_refused(self, change: dict[str, object], expected: str) -> None:
        arguments: dict[str, object] = {"values": table(), "groups": "age", "individuals": None, **change}
        with pytest.raises(InvalidValueError, match=expected):
            compare_groups(**arguments)  # type: ignore[arg-type]

    def test_the_same_seed_gives_the_same_table(self) -> None:
        pd.testing.assert_frame_equal(*(compare_groups(table(), "age", individuals="mouse") for _ in range(2)))


class TestEffects:
    def test_hedges_g_is_its_formula(self) -> None:
        rng = np.random.default_rng(0)
        a, b = rng.normal(size=7), rng.normal(size=9) + 1
        pooled = sqrt((6 * a.var(ddof=1) + 8 * b.var(ddof=1)) / 14)
        expected = (b.mean() - a.mean()) / pooled * gamma(7) / (sqrt(7) * gamma(6.5))
        assert hedges_g(a, b, paired=False) == pytest.approx(expected)
        assert hedges_g(b, a, paired=False) == pytest.approx(-expected)

    @pytest.mark.parametrize("paired", [False, True])
    def test_it_is_unbiased_and_its_interval_holds_the_truth(self, paired: bool) -> None:
        rng = np.random.default_rng(1)
        effects, inside = [], []
        for _ in range(300):
            a, b = rng.normal(size=(2, 6))
            if paired:  # the difference has a standard deviation of 1
                a, b = a / sqrt(2), b / sqrt(2)
            effects.append(float(hedges_g(a, b + 0.8, paired=paired)))
            low, high = hedges_interval(a, b + 0.8, paired=paired, level=0.9)
            inside.append(low < 0.8 < high)
        assert np.mean(effects) == pytest.approx(0.8, abs=0.09)
        assert 0.86 < np.mean(inside) < 0.94

    def test_cliffs_delta_is_mann_whitneys_u(self) -> None:
        rng = np.random.default_rng(2)
        a, b = rng.normal(size=8), rng.normal(size=11) + 0.5
        u = stats.mannwhitneyu(b, a).statistic
        assert cliffs_delta(a, b, paired=False) == pytest.approx(2 * u / 88 - 1)


class TestPermutations:
    @pytest.mark.parametrize("paired", [False, True])
    @pytest.mark.parametrize("count", [5, 12])
    def test_p_values_are_those_of_scipy(self, paired: bool, count: int) -> None:
        rng = np.random.default_rng(count)
        a, b = rng.normal(size=count), rng.normal(size=count) + 0.8

        def welch(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
            error = np.sqrt((x.var(axis=axis, ddof=1) + y.var(axis=axis, ddof=1)) / count)
            return (y.mean(axis=axis) - x.mean(axis=axis)) / error

        expected = stats.permutation_test(
            (a, b),
            (lambda x, y, axis: (y - x).mean(axis=axis)) if paired else welch,
            permutation_type="samples" if paired else "independent",
            vectorized=True,
            n_resamples=20000,
            random_state=np.random.default_rng(0),
        ).pvalue
        p, _, smallest = permutation_test(a[:, None], b[:, None], paired=paired, resamples=20000, seed=1, level=0.95)
        assert p[0] == pytest.approx(expected, abs=1e-12 if count == 5 or paired else 0.01)
        assert smallest <= p[0]

    @pytest.mark.parametrize("paired", [False, True])
    def test_equal_groups_are_called_different_as_often_as_said(self, paired: bool) -> None:
        """Over all columns together, which are correlated."""
        rng = np.random.default_rng(6)
        smallest, above = [], []
        for seed in range(500):
            values = rng.normal(size=(2, 8, 6)) + rng.normal(size=(2, 8, 1))
            p, limit, _ = permutation_test(*values, paired=paired, resamples=199, seed=seed, level=0.9)
            smallest.append(p.min() <= 0.1)
            error = np.sqrt((values[0].var(axis=0, ddof=1) + values[1].var(axis=0, ddof=1)) / 8)
            if paired:
                error = (values[1] - values[0]).std(axis=0, ddof=1) / sqrt(8)
            above.append((np.abs(values[1].mean(axis=0) - values[0].mean(axis=0)) / error > limit).any())
        assert 0.06 < np.mean(smallest) < 0.14
        assert 0.06 < np.mean(above) < 0.14

    def test_too_few_arrangements_give_no_limit(self) -> None:
        rng = np.random.default_rng(7)
        _, limit, smallest = permutation_test(
            *rng.normal(size=(2, 3, 4)), paired=True, resamples=999, seed=0, level=0.95
        )
        assert smallest == 2 / 8
        assert limit == np.inf


class TestBootstrap:
    def test_means_vary_as_individuals_and_their_rows_do(self) -> None:
        rng = np.random.default_rng(8)
        parts = tuple(rng.normal(level, 1, (6, 1)) for level in rng.normal(0, 2, 40))
        sample = Sample(np.array([part.mean(axis=0) for part in parts]), parts)
        drawn, again = drawn_means(sample, sample, 4000, np.random.default_rng(0), paired=True)
        spread = sample.units.var() / 40 + np.mean([part.var() for part in parts]) / 6 / 40
        assert drawn.mean(axis=1).var() == pytest.approx(spread, rel=0.08)
        assert np.corrcoef(drawn.ravel(), again.ravel())[0, 1] > 0.8


class TestWaveforms:
    def waveforms(self, seed: int = 0, bump: float = 0.0) -> xr.Dataset:
        """Eight animals of four strides; those of the second group have a bump at 70 %."""
        rng = np.random.default_rng(seed)
        phase = np.linspace(0, 100, 51)
        basis = np.stack([f(2 * np.pi * k * phase / 100) for k in range(3) for f in (np.cos, np.sin)])
        animal = np.repeat(np.arange(8), 4)
        values = (rng.normal(size=(8, 6))[animal] + 0.5 * rng.normal(size=(32, 6))) @ basis
        values += bump * np.exp(-0.5 * ((phase - 70) / 5) ** 2) * (animal >= 4)[:, None]
        return xr.Dataset(
            {"knee": (("stride", "phase"), values)},
            coords={
                "phase": phase,
                "stride_individual": ("stride", [f"m{number}" for number in animal]),
                "group": ("stride", np.where(animal < 4, "old", "young")),
            },
        )

    def test_a_difference_is_found_where_it_is(self) -> None:
        found = compare_waveforms(self.waveforms(bump=30.0), "group")
        assert found["phase"].tolist() == np.linspace(0, 100, 51).tolist()
        assert (found["n_a"] == 4).all()
        different = found.loc[found["p_value"] <= 0.05, "phase"]
        assert 70 in different.tolist()
        assert different.between(50, 90).all()
        at = found.set_index("phase").loc[70]
        assert at["difference"] == pytest.approx(30, abs=5)
        assert at["p_value"] == at["smallest_p"] == pytest.approx(2 / 70)
        assert at["low"] < at["difference"] < at["high"]
        assert ((found["low"] > 0) | (found["high"] < 0)).to_numpy().tolist() == (found["p_value"] <= 0.05).tolist()

    def test_further_dimensions_are_compared_one_by_one(self) -> None:
        one = self.waveforms(bump=30.0)
        both = one.assign(knee=xr.concat([one["knee"], -one["knee"]], "side").assign_coords(side=["left", "right"]))
        found = compare_waveforms(both, "group", settings=FAST)
        assert found["side"].unique().tolist() == ["left", "right"]
        left, right = (found[found["side"] == side].reset_index() for side in ("left", "right"))
        np.testing.assert_allclose(left["p_value"], right["p_value"])
        np.testing.assert_allclose(left["difference"], -right["difference"])

    def test_individuals_with_gaps_do_not_count(self) -> None:
        given = self.waveforms()
        given["knee"][0:3, 10] = np.nan  # three of the strides of m0: the fourth has a value there
        assert (compare_waveforms(given, "group", settings=FAST)["n_a"] == 4).all()
        given["knee"][0:4, 10] = np.nan
        found = compare_waveforms(given, "group", settings=FAST)
        assert (found["n_a"] == 3).all()
        few = compare_waveforms(given.isel(stride=slice(0, 20)), "group", settings=FAST)
        assert few["note"].str.startswith("fewer than two complete individuals").all()

    def test_numbers_are_refused(self) -> None:
        with pytest.raises(InvalidValueError, match="the dimensions stride and phase"):
            compare_waveforms(self.waveforms().mean("phase"), "group")
