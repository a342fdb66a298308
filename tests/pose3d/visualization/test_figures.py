"""Figures: labels with units, gaps that show, bands as wide as they say, and no crash on little or odd data."""

import io

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from calibration.errors import InvalidValueError, MismatchError
from pose3d.visualization import (
    bone_figure,
    collect_evidence,
    coverage_figure,
    missing_figure,
    reprojection_figure,
    reprojection_time_figure,
    skeleton_figure,
    trajectory_figure,
    truth_figure,
)


def all_figures(recording) -> dict[str, Figure]:
    evidence = collect_evidence(recording.poses3d, recording.poses2d, recording.rig)
    return {
        "trajectory": trajectory_figure(recording.poses3d),
        "skeleton": skeleton_figure(recording.poses3d, recording.skeleton, rig=recording.rig),
        "bones": bone_figure(recording.poses3d, recording.skeleton),
        "truth": truth_figure(recording.poses3d, recording.truth),
        "reprojection": reprojection_figure(evidence),
        "reprojection over time": reprojection_time_figure(evidence),
        "coverage": coverage_figure(evidence),
        "missing": missing_figure(evidence),
    }


@pytest.fixture(scope="module")
def figures(recording) -> dict[str, Figure]:
    return all_figures(recording)


def labels(figure: Figure) -> set[str]:
    return {label for axes in figure.axes for label in (axes.get_xlabel(), axes.get_ylabel()) if label}


def draw(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=40)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("trajectory", {"time (s)", "x (mm)", "y (mm)", "z (mm)", "gaps"}),
        ("bones", {"time (s)", "deviation (%)"}),
        ("truth", {"time (s)", "distance (mm)"}),
        ("reprojection", {"reprojection error (px)", "detections (%)"}),
        ("reprojection over time", {"time (s)", "reprojection error (px)"}),
        ("missing", {"time (s)"}),
    ],
)
def test_every_axis_says_what_it_shows_and_in_which_unit(figures, name: str, expected: set[str]) -> None:
    assert labels(figures[name]) == expected


def test_all_figures_can_be_drawn_and_touch_no_global_setting(figures, pair) -> None:
    before = dict(mpl.rcParams)
    for figure in (*figures.values(), *all_figures(pair).values()):
        assert draw(figure).startswith(b"\x89PNG")
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("rows", [slice(0, 1), slice(5, None, 17)])
def test_few_frames_are_enough(recording, rows: slice) -> None:
    part = type(recording)(
        recording.rig,
        recording.skeleton,
        recording.poses2d.isel(time=rows),
        recording.poses3d.isel(time=rows),
        recording.truth.isel(time=rows),
    )
    for figure in all_figures(part).values():
        draw(figure)


def test_poses_without_any_position_are_drawn_as_empty(recording) -> None:
    empty = recording.poses3d.copy(deep=True)
    for name in ("position", "covariance", "reprojection_error"):
        empty[name].values[:] = np.nan
    empty["inlier"].values[:] = False
    part = type(recording)(recording.rig, recording.skeleton, recording.poses2d, empty, recording.truth)
    for figure in all_figures(part).values():
        draw(figure)


def test_a_trajectory_breaks_at_gaps_and_shows_them_below(recording) -> None:
    poses3d = recording.poses3d.copy(deep=True)
    poses3d["position"].loc[{"keypoint": "nose"}] = 1.0
    poses3d["position"].loc[{"keypoint": "nose"}].values[20:30] = np.nan
    figure = trajectory_figure(poses3d, ["nose"])
    line = figure.axes[0].lines[0]
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(line.get_ydata())), range(20, 30))
    strip = figure.axes[3].collections[0]
    spans = sorted((path.vertices[:, 0].min(), path.vertices[:, 0].max()) for path in strip.get_paths())
    times = poses3d["time"].values
    assert len(spans) == 10
    assert abs(spans[0][0] - times[20]) < 0.011
    assert abs(spans[-1][1] - times[30]) < 0.011


@pytest.mark.parametrize("sigma", [1.0, 2.0])
def test_the_band_is_as_wide_as_the_covariance_says(recording, sigma: float) -> None:
    figure = trajectory_figure(recording.poses3d, ["spine"], sigma=sigma)
    position = recording.poses3d["position"].sel(keypoint="spine").isel(individual=0)
    for axis in range(3):
        vertices = np.concatenate([path.vertices for path in figure.axes[axis].collections[0].get_paths()])
        values = position.isel(space=axis).values
        highest = np.nanmax(vertices[:, 1]) - np.nanmax(values)
        assert highest == pytest.approx(sigma * 0.5, rel=1e-6)  # the covariance is 0.5 mm squared
    assert f"±{sigma:g} standard deviation" in figure.axes[0].get_title(loc="left")


def test_without_covariance_there_is_no_band(recording) -> None:
    figure = trajectory_figure(recording.poses3d.drop_vars("covariance"), ["spine"])
    assert not figure.axes[0].collections
    assert "standard deviation" not in figure.axes[0].get_title(loc="left")


def test_a_trajectory_of_an_individual_is_of_that_one(pair) -> None:
    figure = trajectory_figure(pair.poses3d, ["nose"], individual="animal_2")
    expected = pair.poses3d["position"].sel(keypoint="nose", individual="animal_2", space="x").values
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_ydata(), expected)
    assert "animal_2" in figure.axes[0].get_title(loc="left")


def test_long_series_keep_their_spikes_and_their_gaps() -> None:
    from pose3d.visualization._series import envelope

    values = np.zeros(100_000)
    values[12_345], values[77_000:79_000] = 9.0, np.nan
    time, shorter = envelope(np.arange(100_000.0), values)
    assert len(shorter) < 2000
    assert np.nanmax(shorter) == 9.0
    assert time[np.nanargmax(shorter)] == 12_345
    inside = (time > 77_200) & (time < 78_800)
    assert np.isnan(shorter[inside]).all()
    assert (np.diff(time) >= 0).all()


def test_stills_show_the_frames_asked_for(recording) -> None:
    figure = skeleton_figure(recording.poses3d, recording.skeleton, [3, 50], rig=recording.rig)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[0] == "cameras and path"
    assert [title.split(",")[0] for title in titles[1:]] == ["frame 3", "frame 50"]
    assert all(title.endswith("mm") for title in titles[1:])


def test_the_legend_of_the_reprojection_errors_names_all_three_numbers(recording) -> None:
    evidence = collect_evidence(recording.poses3d, recording.poses2d, recording.rig)
    texts = [text.get_text() for text in reprojection_figure(evidence).axes[0].get_legend().get_texts()]
    assert len(texts) == 4
    assert all("median" in text and "p95" in text and "RMS" in text and text.endswith("px") for text in texts)


def test_the_heat_map_shows_the_shares_it_names(recording) -> None:
    evidence = collect_evidence(recording.poses3d, recording.poses2d, recording.rig)
    axes = coverage_figure(evidence).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == [*recording.rig.names, "3D"]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(recording.skeleton.keypoints)
    shown = {tuple(map(int, text.get_position())): int(text.get_text()) for text in axes.texts}
    used = recording.poses3d["inlier"].isel(individual=0).sel(camera="cam_2", keypoint="neck").mean("time")
    assert shown[(1, recording.skeleton.keypoints.index("neck"))] == round(100 * float(used))


@pytest.mark.parametrize("name", ["$x^$", "a$b", r"\frac{", "<b>&", "日本"])
def test_names_mean_nothing_to_the_typesetting(recording, name: str, recwarn: pytest.WarningsRecorder) -> None:
    poses3d = recording.poses3d.isel(time=slice(0, 5), keypoint=[0, 1]).assign_coords(keypoint=[name, "other"])
    figure = trajectory_figure(poses3d)
    if name == "日本":  # the font lacks it; the letters are boxes, the figure is there
        with pytest.warns(UserWarning, match="Glyph"):
            draw(figure)
    else:
        draw(figure)


def test_unknown_names_are_refused(recording) -> None:
    with pytest.raises(InvalidValueError, match="knees"):
        trajectory_figure(recording.poses3d, ["knees"])
    with pytest.raises(InvalidValueError, match="animal_7"):
        trajectory_figure(recording.poses3d, individual="animal_7")
    with pytest.raises(InvalidValueError, match="frame 999"):
        skeleton_figure(recording.poses3d, None, [999])


def test_figures_that_need_cameras_say_so(recording) -> None:
    alone = collect_evidence(recording.poses3d)
    for figure in (reprojection_figure, reprojection_time_figure):
        with pytest.raises(InvalidValueError, match="2D poses and a rig"):
            figure(alone)
    draw(coverage_figure(alone))


def test_a_skeleton_of_another_animal_is_refused(recording) -> None:
    other: xr.Dataset = recording.poses3d.assign_coords(keypoint=[f"p{n}" for n in range(8)])
    with pytest.raises(MismatchError, match="edges"):
        bone_figure(other, recording.skeleton)
