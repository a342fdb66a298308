"""The figures of a calibration show its numbers: cells, arrows, curves, counts, lengths, moves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.quiver import Quiver
from matplotlib.text import Text

from calibration.diagnosis import Diagnosis, diagnose
from calibration.drift import CameraDrift, Drift
from calibration.errors import InvalidValueError
from calibration.plots import (
    PALETTE,
    coverage_figure,
    drift_figure,
    length_figure,
    overlap_figure,
    residual_figure,
    rig_figure,
    trend_figure,
    view_figure,
)
from calibration.rig import Rig
from calibration.rig_calibration import Calibration
from calibration.synthetic import make_rig
from calibration.transforms import RigidTransform


@pytest.fixture(scope="module")
def diagnosis(good_calibration: Calibration) -> Diagnosis:
    return diagnose(good_calibration)


@pytest.fixture(scope="module")
def sizes(good_calibration: Calibration) -> list[tuple[int, int]]:
    return [camera.size for camera in good_calibration.rig]


def title(axes: Axes) -> str:
    return axes.get_title(loc="left")


def overflows(figure: Figure) -> bool:
    """Whether any text leaves the figure."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    width, height = figure.canvas.get_width_height()
    boxes = [text.get_window_extent(renderer) for axes in figure.axes for text in axes.texts if text.get_visible()]
    boxes += [axes.get_tightbbox(renderer) for axes in figure.axes]
    return any(
        box.x0 < -1 or box.y0 < -1 or box.x1 > width + 1 or box.y1 > height + 1 for box in boxes if box.width > 0
    )


def test_coverage_shows_the_counts_and_leaves_bare_cells_empty(
    diagnosis: Diagnosis, sizes: list[tuple[int, int]]
) -> None:
    figure = coverage_figure(diagnosis, sizes)
    for axes, camera, size in zip(figure.axes, diagnosis.cameras, sizes, strict=False):
        (image,) = axes.get_images()
        shown = np.ma.filled(image.get_array().astype(float), np.nan)  # type: ignore[union-attr]  # an image has one
        np.testing.assert_array_equal(np.nan_to_num(shown), camera.coverage)
        assert np.isnan(shown[camera.coverage == 0]).all()
        assert image.get_extent() == pytest.approx([-0.5, size[0] - 0.5, size[1] - 0.5, -0.5])
        assert title(axes) == f"{camera.name}: {camera.covered:.0%} covered"


def test_arrows_are_the_mean_residuals_of_their_cells(good_calibration: Calibration) -> None:
    """All residuals are (0.2, -0.1) px: so are all arrows, enlarged by what the title says."""
    residuals = np.where(np.isfinite(good_calibration.adjustment.residuals), [0.2, -0.1], np.nan)
    weights = np.ones_like(good_calibration.adjustment.weights)
    adjustment = replace(good_calibration.adjustment, residuals=residuals, weights=weights)
    figure = residual_figure(replace(good_calibration, adjustment=adjustment))
    for axes in figure.axes:
        (arrows,) = (artist for artist in axes.collections if isinstance(artist, Quiver))
        factor = float(title(axes).rpartition("x ")[2])
        np.testing.assert_allclose(arrows.U, 0.2 * factor, rtol=1e-9)
        np.testing.assert_allclose(arrows.V, -0.1 * factor, rtol=1e-9)
        assert axes.get_ylim()[0] > axes.get_ylim()[1]  # rows grow downward


def test_corners_without_weight_draw_no_arrows(good_calibration: Calibration) -> None:
    weights = np.zeros_like(good_calibration.adjustment.weights)
    adjustment = replace(good_calibration.adjustment, weights=weights)
    figure = residual_figure(replace(good_calibration, adjustment=adjustment))
    assert all(len(artist.U) == 0 for axes in figure.axes for artist in axes.collections if isinstance(artist, Quiver))


def test_a_trend_has_the_advice_in_its_title_and_another_color(
    diagnosis: Diagnosis, sizes: list[tuple[int, int]]
) -> None:
    told = replace(diagnosis.cameras[1], trend=replace(diagnosis.cameras[1].trend, advice="add k3"))
    figure = trend_figure(replace(diagnosis, cameras=(diagnosis.cameras[0], told, diagnosis.cameras[2])), sizes)
    assert [title(axes) for axes in figure.axes] == ["cam_1", "cam_2: add k3", "cam_3"]
    curves = [axes.containers[0].lines[0] for axes in figure.axes]
    assert [curve.get_color() for curve in curves] == [PALETTE[0], PALETTE[1], PALETTE[0]]
    known = np.isfinite(told.trend.mean)
    np.testing.assert_array_equal(curves[1].get_ydata(), told.trend.mean[known])
    assert figure.axes[0].get_xlim() == pytest.approx((0.0, np.hypot(*sizes[0]) / 2))


def test_overlap_shows_every_count_readably(diagnosis: Diagnosis) -> None:
    overlap = np.array([[40, 0, 30], [0, 12, 5], [30, 5, 33]])
    (axes,) = overlap_figure(replace(diagnosis, overlap=overlap)).axes
    texts = {tuple(int(value) for value in text.get_position()[::-1]): text for text in axes.texts}
    assert {place: int(text.get_text()) for place, text in texts.items()} == {
        (row, column): overlap[row, column] for row in range(3) for column in range(3)
    }
    assert texts[0, 0].get_color() != texts[1, 2].get_color()  # light on dark, dark on light


def test_lengths_stand_in_the_place_of_their_region(diagnosis: Diagnosis) -> None:
    figure = length_figure(diagnosis)
    assert [title(axes) for axes in figure.axes] == ["near (mm)", "middle (mm)", "far (mm)"]
    words = {}
    for axes in figure.axes:
        columns = [label.get_text() for label in axes.get_xticklabels()]
        rows = [label.get_text() for label in axes.get_yticklabels()]
        for text in axes.texts:
            column, row = (int(value) for value in text.get_position())
            words[f"{title(axes).split()[0]}, {rows[row]}, {columns[column]}"] = text.get_text()
    assert set(words) == {region.region for region in diagnosis.regions}
    for region in diagnosis.regions:
        assert words[region.region] == f"{region.mean:+.3f}\n± {region.error:.3f}\n({region.count})"


def test_no_regions_make_an_empty_figure(diagnosis: Diagnosis) -> None:
    assert all(not axes.texts for axes in length_figure(replace(diagnosis, regions=())).axes)


def test_a_view_shows_corners_as_seen_and_as_projected() -> None:
    seen = np.array([[10.0, 20.0], [np.nan, np.nan], [30.0, 5.0]])
    figure = view_figure(np.zeros((40, 60), np.uint8), seen, seen + 1.0, "cam $1$, picture 7")
    (axes,) = figure.axes
    circles, crosses = axes.get_lines()
    np.testing.assert_array_equal(circles.get_xydata(), seen)
    np.testing.assert_array_equal(crosses.get_xydata(), seen + 1.0)
    assert axes.get_xlim() == (-0.5, 59.5)
    assert axes.get_ylim() == (39.5, -0.5)


def test_letters_are_about_as_large_as_those_of_the_page(
    diagnosis: Diagnosis, good_calibration: Calibration, sizes: list[tuple[int, int]]
) -> None:
    figures = [coverage_figure(diagnosis, sizes), residual_figure(good_calibration), trend_figure(diagnosis, sizes)]
    figures += [overlap_figure(diagnosis), length_figure(diagnosis), rig_figure(good_calibration.rig)]
    for figure in figures:
        figure.draw_without_rendering()
        texts = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
        assert texts
        # 10 points are 13 px, beside text of 16 px and tables of 13 px
        assert min(text.get_fontsize() for text in texts) >= 10.0


def test_long_names_do_not_push_the_figures_apart(
    diagnosis: Diagnosis, good_calibration: Calibration, sizes: list[tuple[int, int]]
) -> None:
    names = [f"a very long name of a camera that has number {number} $x$" for number in range(3)]
    cameras = tuple(replace(camera, name=name) for camera, name in zip(diagnosis.cameras, names, strict=True))
    named = replace(diagnosis, cameras=cameras)
    rig = Rig(tuple(replace(one, name=name) for one, name in zip(good_calibration.rig, names, strict=True)), unit="mm")
    figures = [
        coverage_figure(named, sizes),
        overlap_figure(named),
        trend_figure(named, sizes),
        residual_figure(replace(good_calibration, rig=rig)),
        rig_figure(rig, points=diagnosis.points),
    ]
    assert not any(overflows(figure) for figure in figures)
    from_above = figures[-1].axes[-1].get_window_extent()
    assert from_above.width > 0.25 * figures[-1].get_figwidth() * figures[-1].dpi


# --- drift ---


def drift(moved: tuple[bool, ...], *, windows: int = 10, rows: int = 200) -> Drift:
    rig = make_rig(len(moved))
    cameras = tuple(
        CameraDrift(
            *(camera.name, has_moved, has_moved is not None, 1.0, 1.0, 3.0, (0.02, 0.001), (7.1, 0.4)),
            *(120 if has_moved else None, RigidTransform.identity()),
        )
        for camera, has_moved in zip(rig, moved, strict=True)
    )
    edges = np.linspace(0, rows, windows + 1).astype(np.intp)
    residual = np.where(np.arange(windows)[:, None] >= 6, 9.0 * np.array(moved) + 1.0, 1.0)
    return Drift(cameras, edges, residual, 1.5, (), rig)


def test_moves_are_marked_where_they_happened() -> None:
    figure = drift_figure(drift((False, True, False)))
    (axes,) = figure.axes
    curves = axes.get_lines()
    marks = [curve for curve in curves if len(set(np.atleast_1d(curve.get_xdata()))) == 1]
    assert [float(np.atleast_1d(mark.get_xdata())[0]) for mark in marks] == [120.0]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "cam_1: not moved",
        "cam_2: moved by 1.1° and 7.1 mm",
        "cam_3: not moved",
    ]
    np.testing.assert_array_equal(curves[1].get_ydata(), drift((False, True, False)).residual[:, 1])
    np.testing.assert_array_equal(curves[0].get_xdata(), [*range(10, 190, 20), 189.5])
    assert axes.get_xlabel() == "row"
    assert not overflows(figure)


def test_what_no_move_explains_is_not_called_unmoved() -> None:
    (legend,) = drift_figure(replace(drift((False, False)), unexplained=("cam_2",))).legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "cam_1: not moved",
        "cam_2: disagrees, but not by a move",
    ]


def test_times_take_the_place_of_rows() -> None:
    (axes,) = drift_figure(drift((True, False)), times=np.arange(200) / 50).axes
    assert axes.get_xlabel() == "time (s)"
    assert axes.get_xlim() == pytest.approx((0.0, 199 / 50))


def test_times_of_another_recording_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="times"):
        drift_figure(drift((True, False)), times=np.arange(7))


def test_sixteen_cameras_and_windows_without_points_can_be_drawn() -> None:
    many = drift((False,) * 16)
    residual = many.residual.copy()
    residual[3] = np.nan
    figure = drift_figure(replace(many, residual=residual))
    assert len(figure.legends[0].get_texts()) == 16
