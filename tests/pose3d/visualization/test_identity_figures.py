"""Figures of who is who: what is drawn is where, how high and in whose color it is; long recordings stay small."""

import io
import time

import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from calibration.errors import InvalidValueError, MismatchError
from calibration.page import inline_figure
from calibration.plots import INK, PALETTE
from pose3d.datasets import poses2d as make_poses2d
from pose3d.datasets import poses3d as make_poses3d
from pose3d.skeleton import Skeleton
from pose3d.visualization import _identity_overview, identity_timeline, risk_figure, shape_figure
from pose3d.visualization._identity_overview import overview_of
from pose3d.visualization.coloring import choose_coloring, individual_colors
from tests.pose3d.visualization.identities import NOT_SEEN, ONE_CAMERA, TWO_CAMERAS, hide, make_identity

NAMES = ("ada", "bob", "cid")
MEETING = (0.3, 48, 52, "ada", "bob", "close")


def areas(figure: Figure, color: str) -> list[tuple[float, float, float, float]]:
    """Left, right, top and bottom of everything that is filled with a color."""
    found = []
    for each in figure.axes[0].collections:
        if isinstance(each, PolyCollection) and to_hex(each.get_facecolor()[0]) == color:
            for path in each.get_paths():
                (left, top), (right, bottom) = path.vertices.min(0), path.vertices.max(0)
                found.append((left, right, top, bottom))
    return found


def texts(figure: Figure) -> list[str]:
    legends = [text.get_text() for axes in figure.axes if axes.get_legend() for text in axes.get_legend().get_texts()]
    return legends + [text.get_text() for axes in figure.axes for text in axes.texts]


def crossing(frames: int = 100, space: int = 3) -> np.ndarray:
    """(time, space, keypoint, individual): ada goes right, bob goes up, they meet at the origin in the middle."""
    along = np.linspace(-100.0, 100.0, frames)
    points = np.zeros((frames, space, 2, 2))
    points[:, 0, :, 0] = along[:, None]
    points[:, 1, :, 1] = along[:, None]
    return points


def walkers() -> xr.Dataset:
    return make_poses3d(
        crossing(), individuals=NAMES[:2], keypoints=["nose", "tail"], unit="mm", frames=range(100), frame_rate=20.0
    )


# What is counted


def busy() -> xr.Dataset:
    identity = make_identity(frames=53, risks=[MEETING])
    hide(identity, slice(5, 21), 0, NOT_SEEN)
    hide(identity, slice(18, 33), 1, ONE_CAMERA)
    identity["identity_confidence"].values[30:40, 2] = 0.5
    identity["unassigned"].values[::3, 1] = 2
    further = np.full(identity["instance"].shape, -1)
    further[7:9, 2, 2] = 4
    return identity.assign(further=(identity["instance"].dims, further, {"units": "1"}))


def test_what_is_counted_does_not_depend_on_how_much_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = overview_of(busy(), bins=10)
    monkeypatch.setattr(_identity_overview, "_AT_ONCE", 7)
    pieces = overview_of(busy(), bins=10)
    for name in ("time", "seen", "one_camera", "ambiguous", "absent", "views", "unsure", "belonging", "unassigned"):
        np.testing.assert_array_equal(getattr(pieces, name), getattr(whole, name), err_msg=name)


def test_shares_are_those_of_all_frames_whatever_the_stretches() -> None:
    for bins in (1, 10, 300):
        overview = overview_of(busy(), bins=bins)
        np.testing.assert_allclose(overview.share("absent"), [16 / 53, 0, 0])
        np.testing.assert_allclose(overview.share("one_camera"), [0, 15 / 53, 0])
        np.testing.assert_allclose(overview.share("unsure"), [0, 0, 10 / 53])
        np.testing.assert_allclose(overview.share("seen") + overview.share("absent") + overview.share("one_camera"), 1)


def test_instances_belong_to_somebody_or_nobody_and_a_second_part_to_its_animal() -> None:
    overview = overview_of(busy())
    assert overview.belonging.tolist() == [3 * 53 - 16, *(3 * 53 - 16 - 15 + 2 * (camera == 2) for camera in (1, 2, 3))]
    assert overview.unassigned.tolist() == [0, 2 * 18, 0, 0]


def test_what_a_status_means_is_read_from_the_file() -> None:
    identity = busy()
    shuffled = {"units": "1", "flag_values": [3, 2, 0, 1], "flag_meanings": identity["identity_status"].flag_meanings}
    values = np.array([3, 2, 0, 1])[identity["identity_status"].values]
    other = identity.assign(identity_status=(identity["identity_status"].dims, values, shuffled))
    np.testing.assert_array_equal(overview_of(other).absent, overview_of(identity).absent)
    np.testing.assert_array_equal(overview_of(other).one_camera, overview_of(identity).one_camera)


# The timeline


def test_an_individual_that_is_always_seen_is_one_unbroken_strip_in_its_color() -> None:
    figure = identity_timeline(make_identity())
    for row, color in enumerate(PALETTE[:3]):
        ((left, right, top, bottom),) = areas(figure, color)
        assert (left, right) == pytest.approx((0.0, 5.0))
        assert (top + bottom) / 2 == pytest.approx(row)


def test_a_strip_has_a_gap_where_nobody_sees_it() -> None:
    identity = make_identity()
    hide(identity, slice(40, 60), 1, NOT_SEEN)
    spans = sorted(area[:2] for area in areas(identity_timeline(identity), PALETTE[1]))
    np.testing.assert_allclose(spans, [(0.0, 2.0), (3.0, 5.0)], atol=1e-9)


def test_of_a_stretch_of_time_the_height_is_the_share_of_its_frames() -> None:
    identity = make_identity(frames=1000)
    hide(identity, slice(0, 25), 0, NOT_SEEN)
    figure = identity_timeline(identity, bins=10)
    _, _, top, bottom = min(areas(figure, PALETTE[0]))
    whole = max(area[3] - area[2] for area in areas(figure, PALETTE[2]))
    heights = [path.vertices[:, 1] for each in figure.axes[0].collections for path in each.get_paths()
               if isinstance(each, PolyCollection) and to_hex(each.get_facecolor()[0]) == PALETTE[0]]  # fmt: skip
    assert bottom - top == pytest.approx(whole)
    first = sorted({round(value, 6) for value in heights[0]})
    assert first[1] - first[0] == pytest.approx(0.25 * whole, abs=1e-5)  # a quarter of the first hundred frames


def test_one_camera_only_is_pale_and_what_two_cameras_leave_open_is_gray() -> None:
    identity = make_identity()
    hide(identity, slice(0, 20), 0, ONE_CAMERA)
    hide(identity, slice(20, 40), 0, TWO_CAMERAS)
    figure = identity_timeline(identity)
    strips = [each for each in figure.axes[0].collections if isinstance(each, PolyCollection)]
    alphas = sorted(each.get_alpha() for each in strips if to_hex(each.get_facecolor()[0]) == PALETTE[0])
    assert alphas[0] < 0.3 < 0.9 < alphas[-1]
    ((left, right, _, _),) = areas(figure, "#66717f")
    assert (left, right) == pytest.approx((1.0, 2.0))
    assert {"by one", "two do not tell", "not seen"} <= set(texts(figure))


def test_where_it_is_less_sure_who_it_is_a_line_stands_below_the_strip() -> None:
    identity = make_identity()
    identity["identity_confidence"].values[10:20, 2] = 0.9
    ((left, right, top, _),) = areas(identity_timeline(identity), INK)
    assert (left, right) == pytest.approx((0.5, 1.0))
    assert 2 < top < 2.5
    assert not areas(identity_timeline(make_identity()), INK)


def test_risks_join_both_animals_and_the_largest_have_their_rank() -> None:
    figure = identity_timeline(make_identity(risks=[MEETING, (0.1, 80, 80, "cid", "bob", "unseen")]))
    assert {"1", "2"} <= set(texts(figure))
    ends = [sorted(line.get_ydata()) for line in figure.axes[0].lines if len(line.get_xdata()) == 2]
    assert [0, 1] in ends
    assert [1, 2] in ends


def test_numbers_of_risks_at_one_time_do_not_cover_each_other() -> None:
    risks = [(0.5 - 0.01 * number, 50, 51, "ada", "bob", "close") for number in range(12)]
    figure = identity_timeline(make_identity(risks=risks))
    places = [text.get_position() for text in figure.axes[0].texts]
    assert len(places) == len(set(places)) == 9


@pytest.mark.parametrize(("frames", "unit"), [(100, "time (s)"), (20 * 1200, "time (min)"), (20 * 20_000, "time (h)")])
def test_the_axis_has_the_unit_that_fits_the_duration(frames: int, unit: str) -> None:
    assert identity_timeline(make_identity(frames, NAMES[:1], cameras=1)).axes[0].get_xlabel() == unit


def test_without_a_frame_rate_the_axis_counts_frames() -> None:
    assert identity_timeline(make_identity(rate=None)).axes[0].get_xlabel() == "frame"


def test_a_long_recording_makes_no_larger_a_picture_than_a_short_one() -> None:
    rng = np.random.default_rng(0)
    sizes = []
    for frames in (2_000, 200_000):
        identity = make_identity(frames, cameras=2)
        identity["identity_status"].values[:] = rng.choice([0, 0, 0, 1, 2], (frames, 3))
        identity["identity_confidence"].values[:] = rng.choice([0.9, 0.99], (frames, 3))
        begin = time.perf_counter()
        sizes.append(len(inline_figure(identity_timeline(identity), "")))
        assert time.perf_counter() - begin < 10
    assert sizes[1] < 1.5 * sizes[0] < 600_000


@pytest.mark.parametrize("count", [1, 12, 64])
def test_few_and_many_individuals_are_drawn(count: int) -> None:
    identity = make_identity(30, [f"rat {number}" for number in range(count)])
    identity_timeline(identity).savefig(io.BytesIO(), dpi=40)


def test_of_nobody_there_is_no_timeline() -> None:
    with pytest.raises(MismatchError, match="individual"):
        identity_timeline(make_identity(individuals=()))


def test_another_dataset_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="Identity"):
        identity_timeline(walkers())


# The ways around a risk


def test_a_risk_is_drawn_from_above_with_both_ways_in_their_colors() -> None:
    figure = risk_figure(make_identity(individuals=NAMES[:2], risks=[MEETING]), poses3d=walkers())
    (axes,) = figure.axes
    assert axes.get_xlabel() == "from above (mm)"
    assert "30 %" in axes.get_title(loc="left")
    assert "48 to 52" in axes.get_title(loc="left")
    before = {line.get_label(): line for line in axes.lines if line.get_label() in NAMES}
    for name, color, still in (("ada", PALETTE[0], 1), ("bob", PALETTE[1], 0)):
        assert to_hex(before[name].get_color()) == color
        np.testing.assert_allclose(before[name].get_xydata()[:, still], 0.0, atol=1e-9)


def test_the_dotted_alternative_goes_on_where_the_other_went() -> None:
    figure = risk_figure(make_identity(individuals=NAMES[:2], risks=[MEETING]), poses3d=walkers())
    dotted = [line for line in figure.axes[0].lines if line.get_linestyle() not in ("-", "None")]
    longest = max(
        (line for line in dotted if to_hex(line.get_color()) == PALETTE[0]), key=lambda line: len(line.get_xdata())
    )
    np.testing.assert_allclose(longest.get_xdata(), 0.0, atol=1e-9)  # ada would have gone up, as bob did
    assert longest.get_ydata()[-1] > 50


def test_up_says_from_where_to_look() -> None:
    identity = make_identity(individuals=NAMES[:2], risks=[MEETING])
    lying = walkers()
    lying["position"].values[:] = lying["position"].values[:, [0, 2, 1]]  # the floor is x and z
    figure = risk_figure(identity, poses3d=lying, up=np.array([0.0, 1.0, 0.0]))
    spread = np.ptp(np.concatenate([line.get_xydata() for line in figure.axes[0].lines]), axis=0)
    assert (spread > 60).all()


def test_what_has_no_3d_is_drawn_in_the_image_of_the_camera_that_sees_both_best() -> None:
    pixels = np.full((100, 2, 2, 2, 2), np.nan)  # time, camera, individual, keypoint, space
    pixels[:, 1] = np.moveaxis(crossing(space=2), (1, 2, 3), (3, 2, 1)) + 200
    pixels[:90, 0, 0] = 7.0  # the first camera sees one of them only
    poses2d = make_poses2d(
        pixels, cameras=["left", "right"], individuals=NAMES[:2], keypoints=["nose", "tail"], frames=range(100)
    )
    nowhere = walkers()
    nowhere["position"].values[:] = np.nan
    identity = make_identity(individuals=NAMES[:2], cameras=2, risks=[MEETING])
    (axes,) = risk_figure(identity, poses3d=nowhere, poses2d=poses2d).axes
    assert axes.get_xlabel() == "image of right (px)"
    assert axes.yaxis_inverted()


def test_a_keypoint_that_comes_and_goes_does_not_break_the_way() -> None:
    poses3d = walkers()
    poses3d["position"].values[::2, :, 1, 0] = np.nan
    figure = risk_figure(make_identity(individuals=NAMES[:2], risks=[MEETING]), poses3d=poses3d)
    way = next(line for line in figure.axes[0].lines if line.get_label() == "ada")
    assert np.isfinite(way.get_xydata()).all()


def test_at_most_so_many_risks_are_drawn_and_none_that_is_small() -> None:
    risks = [(0.5 - 0.05 * number, 10 + 8 * number, 12 + 8 * number, "ada", "bob", "close") for number in range(10)]
    identity = make_identity(individuals=NAMES[:2], risks=risks)
    assert len(risk_figure(identity, poses3d=walkers()).axes) == 6
    assert len(risk_figure(identity, poses3d=walkers(), most=2).axes) == 2
    with pytest.raises(MismatchError, match="risks"):
        risk_figure(
            make_identity(individuals=NAMES[:2], risks=[(0.04, 3, 4, "ada", "bob", "close")]), poses3d=walkers()
        )


def test_poses_of_other_individuals_do_not_show_a_risk() -> None:
    identity = make_identity(risks=[(0.2, 48, 52, "bob", "cid", "close")])
    with pytest.raises(MismatchError, match="poses of these animals"):
        risk_figure(identity, poses3d=walkers())


@pytest.mark.parametrize("frame", [0, 99])
def test_a_risk_at_either_end_of_the_recording_is_drawn(frame: int) -> None:
    identity = make_identity(individuals=NAMES[:2], risks=[(0.2, frame, frame, "ada", "bob", "close")])
    risk_figure(identity, poses3d=walkers()).savefig(io.BytesIO(), dpi=40)


# Shape


BODY = Skeleton("body", ("nose", "neck", "tail"), (("nose", "neck"), ("neck", "tail")))


def bodies(lengths: dict[str, float], spread: float = 0.5, frames: int = 500) -> xr.Dataset:
    """A neck that is alike in all, and backs of these lengths in mm."""
    rng = np.random.default_rng(2)
    points = np.zeros((frames, 3, 3, len(lengths)))
    points[:, 0, 1] = 20.0 + rng.normal(0, spread, (frames, len(lengths)))
    points[:, 0, 2] = points[:, 0, 1] + np.array(list(lengths.values())) + rng.normal(0, spread, (frames, len(lengths)))
    return make_poses3d(
        points, individuals=list(lengths), keypoints=list(BODY.keypoints), unit="mm", frames=range(frames)
    )


def test_the_length_in_which_animals_differ_most_is_on_top_and_said_to_differ() -> None:
    figure = shape_figure(bodies({"ada": 58.0, "bob": 60.0, "cid": 62.0}), BODY)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels[0].startswith("neck-tail")
    assert labels[0].endswith("60 mm, differs")
    assert labels[1].endswith("alike")


def test_lengths_are_percent_of_the_mean_of_all() -> None:
    figure = shape_figure(bodies({"ada": 54.0, "bob": 66.0}), BODY)
    dots = {round(float(line.get_ydata()[0])): line for line in figure.axes[0].lines if line.get_marker() == "o"}
    np.testing.assert_allclose([dots[0].get_xdata()[0], dots[1].get_xdata()[0]], [-10, 10], atol=0.3)
    assert [to_hex(dots[row].get_color()) for row in (0, 1)] == list(PALETTE[:2])


def test_shape_needs_two_animals_and_a_length_of_both() -> None:
    with pytest.raises(MismatchError, match="two individuals"):
        shape_figure(bodies({"ada": 50.0}), BODY)
    hidden = bodies({"ada": 50.0, "bob": 60.0})
    hidden["position"].values[..., 1] = np.nan
    with pytest.raises(MismatchError, match="two individuals"):
        shape_figure(hidden, BODY)


# Colors


def test_an_individual_has_one_color_everywhere() -> None:
    colors = individual_colors(NAMES)
    coloring = choose_coloring(BODY, BODY.keypoints, NAMES)
    assert [own[0] for own in coloring.keypoint] == list(colors.values())
    assert dict(coloring.legend) == colors


def test_more_individuals_than_the_palette_has_colors_still_differ() -> None:
    assert len(set(individual_colors([f"rat {number}" for number in range(20)]).values())) == 20
