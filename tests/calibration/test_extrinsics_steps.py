"""The steps from corners to a rig, one by one: views, turns of the board, votes of pairs, the graph."""

import numpy as np
import pytest

from calibration._extrinsics_graph import believed, groups, solve
from calibration._extrinsics_pairs import turned_rotations, vote
from calibration._extrinsics_settings import ExtrinsicsSettings
from calibration._extrinsics_views import Views, board_turns, find_views
from calibration.boards.geometry import Board, Charuco, Chessboard
from calibration.synthetic import make_rig
from calibration.synthetic.boards import BoardScene, make_board_scene
from calibration.transforms import rotation_vector_from_matrix

BOARD = Chessboard(10, 7, 25.0)
SETTINGS = ExtrinsicsSettings()


def views_of(scene: BoardScene) -> Views:
    lenses = [camera.lens for camera in scene.rig]
    return find_views(lenses, scene.corners["position"].values, scene.board, fewest=6, seed=0)


def in_cameras(scene: BoardScene, views: Views) -> tuple[np.ndarray, np.ndarray]:
    """True rotations and translations of cam_from_board (of its middle) of every view."""
    poses = [camera.cam_from_world for camera in scene.rig]
    rotation = np.stack([pose.rotation for pose in poses])[views.camera]
    translation = np.stack([pose.translation for pose in poses])[views.camera]
    board = scene.world_from_board
    middle = (board.rotation @ views.middle + board.translation)[views.frame]
    return rotation @ board.rotation[views.frame], np.einsum("vij,vj->vi", rotation, middle) + translation


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.3])
def test_wrong_corners_do_not_spoil_a_view(rate: float) -> None:
    scene = make_board_scene(make_rig(4), BOARD, frames=60, outlier_rate=rate, seed=1)
    views = views_of(scene)
    assert not (views.inlier & scene.outlier & (far(scene) > 5.0)).any()
    seen = np.isfinite(scene.corners["position"].values[..., 0])
    assert (views.inlier | scene.outlier)[seen].mean() > 0.98
    rotation, _ = in_cameras(scene, views)
    off = np.linalg.norm(rotation_vector_from_matrix(views.rotation[:, 0].swapaxes(1, 2) @ rotation), axis=-1)
    assert np.rad2deg(np.median(off)) < 0.15
    assert np.rad2deg(off.max()) < 3.0


def far(scene: BoardScene) -> np.ndarray:
    return np.linalg.norm(scene.corners["position"].values - scene.truth, axis=-1)


def test_the_uncertainty_of_a_pose_is_that_of_its_errors() -> None:
    scene = make_board_scene(make_rig(6), BOARD, frames=100, noise=0.5, seed=2)
    views = views_of(scene)
    rotation, translation = in_cameras(scene, views)
    back = views.rotation[:, 0].swapaxes(1, 2)
    error = np.concatenate(
        [
            rotation_vector_from_matrix(back @ rotation),
            np.einsum("vij,vj->vi", back, translation - views.translation[:, 0]),
        ],
        axis=-1,
    )
    sure = views.excess[:, 1] >= 9.0  # the others are no Gaussians
    square = np.einsum("vi,vij,vj->v", error, np.linalg.inv(views.covariance[:, 0]), error)[sure]
    # the largest of the camera's noise and the view's own is taken, so errors seem a little smaller than they are
    assert 4.0 < square.mean() < 6.5


def test_views_with_too_few_corners_or_corners_on_a_line_are_none() -> None:
    board = Charuco(8, 6, 30.0)
    scene = make_board_scene(make_rig(2), board, frames=3)
    position = np.full((2, 3, len(board.points), 2), np.nan)
    full = scene.corners["position"].values
    camera, frame = np.argwhere(np.isfinite(full[..., 0]).all(axis=-1))[0]
    position[0, 0] = full[camera, frame]
    position[0, 1, :5] = full[camera, frame, :5]  # five corners
    position[0, 2, :7] = full[camera, frame, :7]  # the first row
    lens = scene.rig.cameras[camera].lens
    views = find_views([lens, lens], position, board, fewest=6, seed=0)
    assert list(zip(views.camera, views.frame, strict=True)) == [(0, 0)]


@pytest.mark.parametrize(
    "board", [BOARD, Chessboard(10, 8, 25.0), Chessboard(7, 7, 20.0), Charuco(5, 4, 30.0)], ids=str
)
def test_turns_take_corners_to_those_that_look_the_same(board: Board) -> None:
    points = board.points - board.points.mean(axis=0)
    turns = board_turns(board)
    assert len(turns) == len(board.symmetries) + 1
    np.testing.assert_array_equal(turns[0], np.eye(3))
    for turn, order in zip(turns[1:], board.symmetries, strict=True):
        np.testing.assert_allclose(points @ turn.T, points[order], atol=1e-9)


def test_pairs_are_voted_right_and_the_second_pose_is_another() -> None:
    scene = make_board_scene(make_rig(6), BOARD, frames=100, outlier_rate=0.05)
    views = views_of(scene)
    votes = vote(views, turned_rotations(views, board_turns(BOARD)), SETTINGS)
    poses = [camera.cam_from_world for camera in scene.rig]
    for pair, (a, b) in enumerate(votes.cameras):
        true = poses[b] @ poses[a].inverse()
        off = rotation_vector_from_matrix(votes.rotation[pair, 0] @ true.rotation.T)
        assert np.linalg.norm(off) < np.deg2rad(0.3)
        middle = votes.middle[pair]
        shift = votes.rotation[pair, 0] @ middle + votes.translation[pair, 0] - true(middle)
        assert np.linalg.norm(shift) < 3.0
        assert votes.support[pair, 0] == votes.common[pair]
        if np.isfinite(votes.translation[pair, 1, 0]):
            apart = rotation_vector_from_matrix(votes.rotation[pair, 1] @ votes.rotation[pair, 0].T)
            assert np.linalg.norm(apart) > SETTINGS.contradiction
    assert believed(votes, SETTINGS).all()


def test_averages_over_all_pairs_are_better_than_pairs_and_ignore_a_wrong_one() -> None:
    scene = make_board_scene(make_rig(6), BOARD, frames=100)
    views = views_of(scene)
    votes = vote(views, turned_rotations(views, board_turns(BOARD)), SETTINGS)
    clean = solve(6, votes, SETTINGS)
    rotation = votes.rotation.copy()
    wrong = 3
    cosine, sine = np.cos(0.3), np.sin(0.3)
    rotation[wrong, 0] = rotation[wrong, 0] @ np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    graph = solve(6, votes._replace(rotation=rotation), SETTINGS)
    assert clean.rejected == ()
    assert graph.rejected == (wrong,)
    assert graph.undecided == ()
    np.testing.assert_allclose(graph.rotation, clean.rotation, atol=2e-3)
    true = (
        np.stack([camera.cam_from_world.rotation for camera in scene.rig])
        @ scene.rig.cameras[0].cam_from_world.rotation.T
    )
    off = np.linalg.norm(rotation_vector_from_matrix(clean.rotation @ true.swapaxes(1, 2)), axis=-1)
    assert np.rad2deg(off.max()) < 0.15


def test_of_three_pairs_that_contradict_each_other_the_wrong_one_is_undecided() -> None:
    rig = make_rig(6)
    scene = make_board_scene(rig.select(rig.names[:3]), BOARD, frames=60)
    views = views_of(scene)
    votes = vote(views, turned_rotations(views, board_turns(BOARD)), SETTINGS)
    even = {"support": np.full_like(votes.support, 30), "turn_spread": np.full_like(votes.turn_spread, 0.01)}
    rotation = votes.rotation.copy()
    rotation[1, 0] = rotation[1, 0] @ np.array([[0, -1.0, 0], [1, 0, 0], [0, 0, 1]])
    graph = solve(3, votes._replace(rotation=rotation, score=np.ones_like(votes.score) * [30, 0], **even), SETTINGS)
    assert len(graph.rejected) == 1
    assert graph.undecided == graph.rejected
    assert len(graph.cycles) == 1
    assert graph.cycles[0].turn == pytest.approx(np.pi / 2, abs=0.05)


def test_groups_are_counted_in_the_order_of_their_first_camera() -> None:
    pairs = np.array([[1, 3], [2, 4], [4, 5]])
    np.testing.assert_array_equal(groups(6, pairs), [0, 1, 2, 1, 2, 2])
    np.testing.assert_array_equal(groups(3, np.zeros((0, 2), dtype=np.intp)), [0, 1, 2])
