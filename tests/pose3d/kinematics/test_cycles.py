"""Cycles: waveforms of known signals, gaps that stay gaps, and intervals and bands that hold what they promise."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy.stats import t

from calibration.errors import InvalidValueError, MismatchError
from pose3d.kinematics._bands import intervals
from pose3d.kinematics.stride_cycles import CycleSettings, SummarySettings, cycle_summary, cycles

CUBIC = CycleSettings(interpolation="cubic")


def strides_of(
    start: list[float], end: list[float], individual: str | list[str] = "a", leg: str | list[str] = "left"
) -> xr.Dataset:
    whose, which = ([each] * len(start) if isinstance(each, str) else each for each in (individual, leg))
    return xr.Dataset(
        {
            "stride_start": ("stride", np.array(start, dtype=float), {"units": "s"}),
            "stride_end": ("stride", np.array(end, dtype=float), {"units": "s"}),
            "stride_individual": ("stride", np.array(whose, dtype=np.str_)),
            "stride_leg": ("stride", np.array(which, dtype=np.str_)),
        }
    )


def signal(values: np.ndarray, rate: float = 100.0, individuals: tuple[str, ...] = ("a",)) -> xr.DataArray:
    """(time, individual) at this rate, all individuals alike."""
    return xr.DataArray(
        np.repeat(values[:, None], len(individuals), axis=1),
        dims=("time", "individual"),
        coords={
            "time": ("time", np.arange(len(values)) / rate, {"units": "s"}),
            "frame": ("time", np.arange(len(values))),
            "individual": list(individuals),
        },
        attrs={"units": "rad", "long_name": "angle"},
        name="angle",
    )


class TestCycles:
    def test_a_straight_line_is_told_exactly(self) -> None:
        """Starts and ends lie between frames."""
        found = cycles(signal(np.arange(300) / 100 * 5.0), strides_of([0.113, 1.0, 1.501], [1.002, 1.5, 2.99]))
        assert found["angle"].dims == ("stride", "phase")
        np.testing.assert_allclose(found["phase"], np.linspace(0, 100, 101))
        np.testing.assert_allclose(found["angle"][0], 5 * np.linspace(0.113, 1.002, 101))
        np.testing.assert_allclose(found["angle"][2], 5 * np.linspace(1.501, 2.99, 101))
        assert found["angle"].attrs == {"units": "rad", "long_name": "angle"}
        assert found["phase"].attrs["units"] == "%"
        assert found["stride_leg"].values.tolist() == ["left"] * 3

    @pytest.mark.parametrize(("settings", "error"), [(CycleSettings(), 2e-3), (CUBIC, 2e-6)])
    def test_a_sine_has_the_error_of_its_interpolation(self, settings: CycleSettings, error: float) -> None:
        time = np.arange(400) / 100
        found = cycles(signal(np.sin(2 * np.pi * time)), strides_of([0.503, 1.25], [1.503, 2.25]), settings)
        for row, start in enumerate((0.503, 1.25)):
            truth = np.sin(2 * np.pi * (start + np.linspace(0, 1, 101)))
            np.testing.assert_allclose(found["angle"][row], truth, atol=error)

    @given(st.integers(0, 10**6), st.floats(0.2, 5), st.sampled_from(["linear", "cubic"]))
    @hypothesis_settings(max_examples=20)
    def test_time_may_run_faster_or_backward(self, seed: int, faster: float, method: str) -> None:
        rng = np.random.default_rng(seed)
        values = rng.normal(size=50)
        start, end = [0.05, 0.2], [0.31, 0.44]
        chosen = CycleSettings(interpolation=method)  # type: ignore[arg-type]
        here = cycles(signal(values), strides_of(start, end), chosen)["angle"]
        fast = strides_of([each / faster for each in start], [each / faster for each in end])
        np.testing.assert_allclose(cycles(signal(values, 100 * faster), fast, chosen)["angle"], here, atol=1e-9)
        back = strides_of([0.49 - each for each in end], [0.49 - each for each in start])
        np.testing.assert_allclose(cycles(signal(values[::-1]), back, chosen)["angle"][:, ::-1], here, atol=1e-9)

    @pytest.mark.parametrize("settings", [CycleSettings(), CUBIC])
    def test_short_gaps_are_bridged_and_long_ones_stay(self, settings: CycleSettings) -> None:
        values = np.sin(np.arange(300) / 30)
        values[50:55] = np.nan  # 60 ms from frame to frame
        values[150:170] = np.nan
        found = cycles(signal(values), strides_of([0.2, 1.2], [1.0, 2.0]), settings)["angle"]
        assert found[0].notnull().all()
        time = 1.2 + 0.8 * found["phase"].values / 100
        gap = (time > 1.49 + 1e-9) & (time < 1.70 - 1e-9)
        np.testing.assert_array_equal(found[1].isnull(), gap)

    def test_successive_frames_are_no_gap_however_few(self) -> None:
        found = cycles(signal(np.arange(10.0), rate=10), strides_of([0.05], [0.35]))
        assert found["angle"].notnull().all()

    def test_dropped_frames_are_a_gap(self) -> None:
        kept = signal(np.arange(200.0)).isel(time=[*range(80), *range(120, 200)])
        found = cycles(kept, strides_of([0.5], [1.5]))["angle"]
        inside = (found["phase"] > 29 + 1e-9) & (found["phase"] < 70 - 1e-9)
        np.testing.assert_array_equal(found[0].isnull(), inside)

    def test_nothing_is_made_up_outside_of_the_recording(self) -> None:
        found = cycles(signal(np.arange(100.0)), strides_of([-0.5, 0.5], [0.5, 1.49]))["angle"]
        np.testing.assert_array_equal(found[0].isnull(), found["phase"] < 50 - 1e-9)
        assert 0.4 < found[1].isnull().mean() < 0.6

    def test_a_stride_takes_its_own_individual_and_leg(self) -> None:
        values = signal(np.zeros(200), individuals=("a", "b")).expand_dims(leg=["left", "right"]).copy()
        values.loc[{"individual": "b"}] += 10
        values.loc[{"leg": "right"}] += 1
        found = cycles(values, strides_of([0, 0, 0], [1, 1, 1], ["a", "b", "b"], ["left", "left", "right"]))
        assert found["angle"].mean("phase").values.tolist() == [0, 10, 11]

    def test_all_values_of_a_dataset_and_no_codes(self) -> None:
        angle = signal(np.arange(200.0)).expand_dims(angle=["knee", "hip"])
        dataset = xr.Dataset(
            {"joint_angle": angle, "joint_angle_std": 0.1 * angle**2, "joint_angle_status": (angle > 5).astype("int8")}
        )
        found = cycles(dataset, strides_of([0.505], [1.5]), CUBIC)
        assert set(found.data_vars) == {"joint_angle", "joint_angle_std"}
        assert found["joint_angle"].dims == ("stride", "phase", "angle")
        # linear, though the values are not: at half a frame it is the mean of two
        assert found["joint_angle_std"].values[0, 0, 0] == pytest.approx(0.1 * (50**2 + 51**2) / 2)

    def test_all_missing_is_missing(self) -> None:
        assert cycles(signal(np.full(100, np.nan)), strides_of([0.1], [0.5]), CUBIC)["angle"].isnull().all()

    def test_no_stride_is_an_empty_table(self) -> None:
        assert cycles(signal(np.zeros(100)), strides_of([], []))["angle"].shape == (0, 101)

    @pytest.mark.parametrize("settings", [CycleSettings(), CUBIC])
    def test_lazy_values_give_the_same(self, settings: CycleSettings) -> None:
        values = signal(np.random.default_rng(0).normal(size=300), individuals=("a", "b"))
        strides = strides_of([0.1, 1.2], [0.9, 2.2], ["a", "b"])
        xr.testing.assert_equal(cycles(values.chunk(time=40), strides, settings), cycles(values, strides, settings))

    @pytest.mark.parametrize(
        ("change", "error", "expected"),
        [
            (lambda s: s.drop_vars("stride_leg"), InvalidValueError, "a variable 'stride_leg'"),
            (lambda s: s.assign(stride_end=s["stride_start"]), InvalidValueError, "end after they start"),
            (lambda s: s.assign(stride_individual=("stride", ["aa"])), MismatchError, "one out of a, got aa"),
        ],
    )
    def test_wrong_strides_are_refused(self, change: object, error: type[Exception], expected: str) -> None:
        assert callable(change)
        with pytest.raises(error, match=expected):
            cycles(signal(np.zeros(100)), change(strides_of([0.1], [0.5])))

    def test_frame_numbers_and_values_without_time_are_refused(self) -> None:
        values = signal(np.zeros(100))
        values["time"].attrs["units"] = "frames"
        with pytest.raises(MismatchError, match="expected seconds"):
            cycles(values, strides_of([0.1], [0.5]))
        with pytest.raises(InvalidValueError, match="the dimension time"):
            cycles(xr.Dataset({"a": ("stride", [1.0])}), strides_of([0.1], [0.5]))

    @pytest.mark.parametrize("wrong", [CycleSettings(points=1), CycleSettings(longest_gap=-1.0)])
    def test_wrong_settings_are_refused(self, wrong: CycleSettings) -> None:
        with pytest.raises(InvalidValueError, match="settings of cycles"):
            cycles(signal(np.zeros(100)), strides_of([0.1], [0.5]), wrong)


def waveforms(values: np.ndarray, individual: list[str], leg: str | list[str] = "left") -> xr.Dataset:
    rows = len(values)
    legs = [leg] * rows if isinstance(leg, str) else leg
    return xr.Dataset(
        {"angle": (("stride", "phase"), values, {"units": "rad", "long_name": "angle"})},
        coords={
            "stride": np.arange(rows),
            "phase": np.linspace(0, 100, values.shape[1]),
            "stride_leg": ("stride", legs),
            "stride_individual": ("stride", individual),
        },
    )


def smooth(rng: np.random.Generator, rows: int, width: float = 0.1, points: int = 51) -> np.ndarray:
    phase = np.linspace(0, 1, points)
    kernel = np.exp(-0.5 * ((phase[:, None] - phase) / width) ** 2) + 1e-9 * np.eye(points)
    return rng.standard_normal((rows, points)) @ np.linalg.cholesky(kernel).T


class TestSummary:
    def test_strides_of_one_individual(self) -> None:
        values = smooth(np.random.default_rng(0), 12)
        found = cycle_summary(waveforms(values, ["a"] * 12))
        error = values.std(axis=0, ddof=1) / np.sqrt(12)
        np.testing.assert_allclose(found["angle_mean"][0], values.mean(axis=0))
        np.testing.assert_allclose(found["angle_sd"][0], values.std(axis=0, ddof=1))
        np.testing.assert_allclose(found["angle_mean_std"][0], error)
        np.testing.assert_allclose(found["angle_high"][0], values.mean(axis=0) + t.ppf(0.975, 11) * error)
        assert (found["angle_band_high"] > found["angle_high"]).all()
        assert found["angle_sd_between"].isnull().all()
        assert (found["angle_n"] == 12).all()
        assert found["n_individuals"].item() == 1
        assert found["angle_mean"].attrs["units"] == "rad"
        assert found["angle_mean"].dims == ("leg", "phase")

    def test_individuals_count_the_same_and_bring_the_uncertainty(self) -> None:
        """Ten strides of one animal are not ten animals."""
        rng = np.random.default_rng(1)
        whose = [name for name, count in zip("abcde", (30, 3, 5, 8, 20), strict=True) for _ in range(count)]
        level = {name: rng.normal(0, 3) for name in "abcde"}
        values = smooth(rng, len(whose)) + np.array([level[name] for name in whose])[:, None]
        found = cycle_summary(waveforms(values, whose))
        means = np.array([values[np.array(whose) == name].mean(axis=0) for name in "abcde"])
        np.testing.assert_allclose(found["angle_mean"][0], means.mean(axis=0))
        np.testing.assert_allclose(found["angle_mean_std"][0], means.std(axis=0, ddof=1) / np.sqrt(5))
        assert found["n_individuals"].item() == 5

    def test_spread_within_and_between_individuals_are_told_apart(self) -> None:
        rng = np.random.default_rng(2)
        whose = [f"{number}" for number in range(400) for _ in range(4)]
        values = rng.normal(0, 2, (400, 1, 1)) + rng.normal(0, 1, (400, 4, 3))
        found = cycle_summary(waveforms(values.reshape(-1, 3), whose))
        np.testing.assert_allclose(found["angle_sd_within"][0], 1, rtol=0.05)
        np.testing.assert_allclose(found["angle_sd_between"][0], 2, rtol=0.1)
        np.testing.assert_allclose(found["angle_sd"][0], np.sqrt(5), rtol=0.1)

    def test_legs_are_told_one_by_one(self) -> None:
        values = np.arange(6.0)[:, None] * np.ones(4)
        found = cycle_summary(waveforms(values, ["a"] * 6, ["left", "right"] * 3))
        assert found["angle_mean"].sel(phase=0).values.tolist() == [2, 3]
        assert found["leg"].values.tolist() == ["left", "right"]

    def test_missing_values_count_for_nothing(self) -> None:
        values = smooth(np.random.default_rng(3), 6)
        values[0, 10:20] = np.nan
        values[:, 30] = np.nan
        values[1:, 40] = np.nan
        found = cycle_summary(waveforms(values, ["a"] * 6)).isel(leg=0)
        assert found["angle_n"].values[[0, 15, 30, 40]].tolist() == [6, 5, 0, 1]
        np.testing.assert_allclose(found["angle_mean"][15], values[1:, 15].mean())
        assert np.isnan(found["angle_mean"][30])
        assert found["angle_mean"][40] == values[0, 40]
        assert np.isnan(found["angle_low"][40])

    def test_the_error_of_measurement_is_the_least_error(self) -> None:
        """It is in the spread of many strides already; one stride has nothing else."""
        values = 1 + 0.01 * smooth(np.random.default_rng(4), 8)
        sure = waveforms(values, ["a"] * 8)
        rough = sure.assign(angle_std=sure["angle"] * 0 + 0.5)
        found = cycle_summary(rough)
        np.testing.assert_allclose(found["angle_mean_std"], 0.5 / np.sqrt(8))
        fine = sure.assign(angle_std=sure["angle"] * 0 + 1e-6)
        np.testing.assert_allclose(cycle_summary(fine)["angle_mean_std"], cycle_summary(sure)["angle_mean_std"])
        one = cycle_summary(rough.isel(stride=[0]))
        np.testing.assert_allclose(one["angle_mean_std"], 0.5)
        np.testing.assert_allclose(one["angle_high"] - one["angle_mean"], 1.959964 * 0.5, rtol=1e-6)
        assert cycle_summary(sure.isel(stride=[0]))["angle_mean_std"].isnull().all()
        several = cycle_summary(rough.assign_coords(stride_individual=("stride", list("aaabbbcc"))))
        expected = 0.5 * np.sqrt(1 / 3 + 1 / 3 + 1 / 2) / 3
        np.testing.assert_allclose(several["angle_mean_std"], expected)

    @pytest.mark.parametrize("count", [2, 3, 5, 12])
    @pytest.mark.parametrize("width", [0.05, 0.3])
    def test_intervals_and_bands_hold_the_truth_as_often_as_they_say(self, count: int, width: float) -> None:
        rng = np.random.default_rng(5)
        point, band = [], []
        for _ in range(400):
            mean, _, (low, high, below, above) = intervals(
                smooth(rng, count, width, 31)[:, :, None], None, 0.9, 100, 0, bootstrap=False
            )
            point.append(((low < 0) & (high > 0)).mean())
            band.append(((below < 0) & (above > 0)).all())
            assert mean.shape == (31, 1)
        assert 0.87 < np.mean(point) < 0.93
        assert (0.86 if count > 2 else 0.8) < np.mean(band) < 0.95  # two say little of how smooth a waveform is

    def test_a_bootstrap_of_many_is_near_to_students(self) -> None:
        values = smooth(np.random.default_rng(6), 200)
        both = [
            cycle_summary(waveforms(values, ["a"] * 200), SummarySettings(interval=kind)) for kind in ("t", "bootstrap")
        ]
        np.testing.assert_allclose(both[0]["angle_low"], both[1]["angle_low"], atol=0.03)
        np.testing.assert_allclose(both[0]["angle_high"], both[1]["angle_high"], atol=0.03)
        again = cycle_summary(waveforms(values, ["a"] * 200), SummarySettings(interval="bootstrap"))
        xr.testing.assert_equal(again, both[1])

    def test_rough_waveforms_have_the_band_of_independent_phases(self) -> None:
        values = np.random.default_rng(7).normal(size=(10, 101))
        found = cycle_summary(waveforms(values, ["a"] * 10))
        reach = (found["angle_band_high"] - found["angle_mean"]) / found["angle_mean_std"]
        np.testing.assert_allclose(reach, t.ppf(1 - 0.05 / 202, 9))

    def test_no_stride_and_wrong_settings_are_refused(self) -> None:
        with pytest.raises(InvalidValueError, match="no stride was found"):
            cycle_summary(waveforms(np.empty((0, 5)), []))
        with pytest.raises(InvalidValueError, match="a level between 0 and 1"):
            cycle_summary(waveforms(np.zeros((3, 5)), ["a"] * 3), SummarySettings(level=95))
