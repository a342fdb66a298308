"""Pictures of animals: bodies where the camera model says, smooth edges, blur about the true place, own colors."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from calibration.camera import Camera
from calibration.errors import InvalidValueError
from pose3d.skeleton import Skeleton
from pose3d.synthetic import Scene, simulate
from pose3d.synthetic._bodies import KEYPOINT_DEPTH, body_geometry, part_names
from pose3d.synthetic._coats import coat_of
from pose3d.synthetic.pixel_truth import arena_of, poses_of
from pose3d.synthetic.rendering import _MOMENTS, AnimalRenderer, PictureSettings

SHARP = PictureSettings(exposure=0.0, defocus=0.0, noise=0.0, vignetting=0.0, brightness=0.5)
# Far outside of what any camera sees.
AWAY = np.array([1e5, 1e5, 0.0])


def renderer(scene: Scene, camera: int = 0, settings: PictureSettings = SHARP, individuals: int = 2) -> AnimalRenderer:
    return AnimalRenderer(
        list(scene.rig)[camera],
        arena_of(scene, settings),
        individuals=individuals,
        body_length=scene.settings.body_length,
        settings=settings,
        seed=scene.settings.seed,
        index=camera,
    )


def coverage(made: AnimalRenderer, rows: np.ndarray) -> np.ndarray:
    """(height, width) share of each pixel that bodies cover; rows (moment, part, GEOMETRY).

    Drawn over white and over black: what differs is not covered.
    """
    width, height = made.camera.size
    whole = (slice(0, height), slice(0, width))
    made._distance[:] = 1e9
    pictures = []
    for tone in (0.0, 1.0):
        patch = np.full((height, width, 3), tone, dtype=np.float32)
        made._draw(patch, whole, rows[:, None], made._tiles(rows))
        pictures.append(patch)
    return 1.0 - (pictures[1] - pictures[0])[..., 0]


def ball(made: AnimalRenderer, center: np.ndarray, radius: float, moments: int = 5) -> np.ndarray:
    """Rows of a body that is nothing but a ball; (moment, part, GEOMETRY), all parts but one are far away."""
    rows = np.zeros((moments, len(part_names()) * 2, 24))
    rows[..., :3] = AWAY
    rows[..., 6], rows[..., 7], rows[..., 9] = 1.0, radius, 1.0
    rows[..., 15:24] = np.eye(3).ravel()
    rows[:, 0, :3] = center
    return rows


def true_ball(camera: Camera, center: np.ndarray, radius: float, fine: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """(row, column) of the first pixel of a window, and the share of its pixels that a ball covers.

    By the angle between rays and the center.
    """
    steps, half = (np.arange(fine) + 0.5) / fine - 0.5, 20
    corner = np.rint(camera.project(center)).astype(int) - half
    x, y = np.meshgrid(*((corner[axis] + np.arange(2 * half)[:, None] + steps).ravel() for axis in (0, 1)))
    origin, direction = camera.ray(np.stack([x, y], axis=-1))
    toward = center - origin
    inside = direction @ toward > np.sqrt(toward @ toward - radius**2)
    return corner[::-1], inside.reshape(2 * half, fine, 2 * half, fine).mean(axis=(1, 3))


class TestGeometry:
    def test_a_ball_covers_the_pixels_that_the_lens_says(self, scene: Scene) -> None:
        made, rng, error = renderer(scene), np.random.default_rng(0), []
        for _ in range(25):
            center, radius = rng.uniform([-90, -90, 5], [90, 90, 60]), rng.uniform(8, 20)
            (top, left), truth = true_ball(made.camera, center, radius)
            found = coverage(made, ball(made, center, radius))
            assert found.sum() == pytest.approx(truth.sum(), rel=0.03)
            found = found[top : top + len(truth), left : left + len(truth)]
            # Four samples per pixel at the edge, one inside.
            assert np.abs(found - truth).max() <= 0.5
            y, x = np.mgrid[: len(truth), : len(truth)]
            error.append([(axis * found).sum() / found.sum() - (axis * truth).sum() / truth.sum() for axis in (x, y)])
        # With four samples the middle of a ball of 10 px strays by some hundredths of a pixel, about nothing.
        assert np.abs(error).max() < 0.15
        assert np.abs(np.mean(error, axis=0)).max() < 0.02

    def test_edges_have_steps_between_nothing_and_all(self, scene: Scene) -> None:
        made = renderer(scene)
        found = coverage(made, ball(made, np.zeros(3), 17.0))
        assert set(np.round(np.unique(found), 3)) == {0.0, 0.25, 0.5, 0.75, 1.0}

    def test_what_moves_is_blurred_about_its_place(self, scene: Scene) -> None:
        made = renderer(scene)
        still = ball(made, np.zeros(3), 6.0)
        moving = still.copy()
        along = made.camera.cam_from_world.rotation[0]
        moving[:, 0, :3] += 12.0 * _MOMENTS[:, None] * along
        sharp, blurred = coverage(made, still), coverage(made, moving)
        x = np.arange(sharp.shape[1])
        middle = [(x * each).sum() / each.sum() for each in (sharp, blurred)]
        width = [
            np.sqrt((x**2 * each).sum() / each.sum() - m**2) for each, m in zip((sharp, blurred), middle, strict=True)
        ]
        assert middle[1] == pytest.approx(middle[0], abs=0.05)
        assert width[1] > width[0] + 0.3
        assert blurred.sum() == pytest.approx(sharp.sum(), rel=0.03)

    def test_a_body_is_symmetric(self, scene: Scene) -> None:
        """The mirrored pose of mirrored keypoints gives the mirrored body."""
        pose, skeleton = poses_of(scene)[7, 0], scene.skeleton
        assert isinstance(skeleton, Skeleton)
        partner = dict(skeleton.mirrored_pairs) | {b: a for a, b in skeleton.mirrored_pairs}
        order = [skeleton.keypoints.index(partner.get(name, name)) for name in skeleton.keypoints]
        mirrored = pose[order] * [1.0, -1.0, 1.0]
        names = part_names()
        swap = {"left": "right", "right": "left"}
        here = body_geometry(pose, body_length=80.0)
        there = body_geometry(mirrored, body_length=80.0)
        for index, name in enumerate(names):
            side, _, rest = name.partition("_")
            number = {"toe_0": "toe_2", "toe_2": "toe_0"}
            rest = rest[:-5] + number.get(rest[-5:], rest[-5:])
            other = names.index(f"{swap[side]}_{rest}" if side in swap else name)
            np.testing.assert_allclose(there[other, :3], here[index, :3] * [1, -1, 1], atol=1e-9, err_msg=name)
            np.testing.assert_allclose(there[other, 7:10], here[index, 7:10], atol=1e-12, err_msg=name)

    def test_a_body_scales_with_its_length(self, scene: Scene) -> None:
        pose = poses_of(scene)[0, 0]
        small, large = body_geometry(pose, body_length=80.0), body_geometry(2.5 * pose, body_length=200.0)
        np.testing.assert_allclose(large[:, [0, 1, 2, 7, 8, 9]], 2.5 * small[:, [0, 1, 2, 7, 8, 9]], atol=1e-9)

    def test_every_keypoint_is_within_its_depth_of_the_skin_and_not_far_outside(self, scene: Scene) -> None:
        for pose in poses_of(scene)[::5, 0]:
            rows = body_geometry(pose, body_length=80.0)
            for name, point in zip(scene.skeleton.keypoints, pose, strict=True):
                start, along = rows[:, :3], np.where(rows[:, 11:12] > 0, 0.0, rows[:, 3:6])
                h = np.clip(((point - start) * along).sum(axis=1) * rows[:, 6], 0, 1)
                gap = np.linalg.norm(point - start - h[:, None] * along, axis=1) - rows[:, 7] - h * rows[:, 8]
                assert -KEYPOINT_DEPTH[name] - 3.0 < gap.min() < 1.5, name


class TestPictures:
    def test_two_animals_have_different_colors(self) -> None:
        colors = [np.array([*coat_of(i, 3).back, *coat_of(i, 3).patch, *coat_of(i, 3).tail]) for i in range(6)]
        for i in range(6):
            for j in range(i):
                assert np.abs(colors[i] - colors[j]).max() > 0.1, (i, j)

    def test_the_bodies_are_seen_and_cast_a_shadow(self, scene: Scene) -> None:
        made = renderer(scene)
        pose = poses_of(scene)[5]
        empty = made.render(pose + AWAY).astype(float)
        picture = made.render(pose).astype(float)
        for animal in range(2):
            spine = scene.skeleton.keypoints.index("spine")
            x, y = np.rint(made.camera.project(pose[animal, spine] - [0, 0, 3])).astype(int)
            assert np.abs(picture[y, x] - empty[y, x]).max() > 15
        floor = pose[0].mean(axis=0) * [1, 1, 0] - 0.2 * pose[0].mean(axis=0)[2] * np.array([0.3, 0.2, 0])
        light = (picture.mean(axis=2) - empty.mean(axis=2))[np.isfinite(made._floor[..., 0])]
        assert (light < -8).sum() > 100
        # Nothing but the animals and what is near them changes.
        far = np.linalg.norm(made._floor - floor[:2].astype(np.float32), axis=-1) > 250
        others = np.linalg.norm(made._floor - pose[1].mean(axis=0)[:2].astype(np.float32), axis=-1) > 250
        x, y = np.meshgrid(np.arange(320), np.arange(240))
        apart = np.ones((240, 320), dtype=bool)
        for points in made.camera.project(pose):
            apart &= (np.hypot(x[..., None] - points[:, 0], y[..., None] - points[:, 1]) > 45).all(axis=-1)
        assert (far & others & apart).sum() > 1000
        np.testing.assert_array_equal(picture[far & others & apart], empty[far & others & apart])

    def test_the_nearer_animal_hides_the_other(self, scene: Scene) -> None:
        made = renderer(scene)
        pose = poses_of(scene)[5, :1]
        toward = made.camera.center - pose.mean(axis=(0, 1))
        nearer = pose + 60 * toward / np.linalg.norm(toward)
        alone = made.render(np.concatenate([pose + AWAY, nearer])).astype(float)
        both = made.render(np.concatenate([pose, nearer])).astype(float)
        seen = coverage(renderer(scene), body_geometry(np.repeat(np.concatenate([pose + AWAY, nearer])[None], 5, 0),
                                                       body_length=80.0).reshape(5, -1, 24))  # fmt: skip
        assert (seen == 1).sum() > 300
        # Light is bounced off nothing: what the nearer one covers is the same with and without the other.
        np.testing.assert_array_equal(both[seen == 1], alone[seen == 1])
        assert (both != alone).any()

    def test_the_same_arguments_give_the_same_picture_and_every_number_its_own_noise(self, scene: Scene) -> None:
        settings = dataclasses.replace(SHARP, noise=2.0, defocus=0.6)
        pose = poses_of(scene)[5]
        first, again = (renderer(scene, settings=settings).render(pose, number=4) for _ in range(2))
        np.testing.assert_array_equal(first, again)
        other = renderer(scene, settings=settings).render(pose, number=5).astype(float)
        difference = other - first
        # Two independent draws differ by the root of two times the noise; dark floor has a little less.
        assert 1.2 < difference.std() < 3.5
        assert abs(np.corrcoef(difference[::2].ravel(), difference[1::2].ravel())[0, 1]) < 0.05

    def test_gray_pictures_have_one_channel(self, scene: Scene) -> None:
        settings = dataclasses.replace(SHARP, color=False)
        pose = poses_of(scene)[5]
        gray, color = renderer(scene, settings=settings).render(pose), renderer(scene).render(pose)
        assert gray.shape == (240, 320)
        expected = color @ np.array([0.299, 0.587, 0.114])
        assert np.abs(gray - expected).max() <= 1.5

    def test_pixels_beyond_the_lens_are_black(self, scene: Scene) -> None:
        made = renderer(scene)
        made._rays[:20] = np.nan
        made._see_arena()
        assert (made._sharp[:19] == 0).all()
        assert (made._sharp[30:] > 0).any()

    @pytest.mark.parametrize(
        ("name", "value"),
        [("noise", -1.0), ("defocus", np.nan), ("brightness", 11.0), ("clutter", 2.5), ("exposure", 2.0)],
    )
    def test_settings_out_of_range_are_refused(self, name: str, value: float) -> None:
        with pytest.raises(InvalidValueError, match=name):
            PictureSettings(**{name: value})


class TestArena:
    def test_no_thing_stands_where_an_animal_walks(self, scene: Scene) -> None:
        # Long enough that the animals go all the way around.
        longer = simulate(dataclasses.replace(scene.settings, duration=12.0, frame_rate=20.0, cameras=1))
        arena, walked = arena_of(longer, PictureSettings(clutter=20)), poses_of(longer)[..., :2].reshape(-1, 2)
        assert len(arena.things) >= 8
        for thing in arena.things:
            away = walked - thing[1:3]
            along = away @ np.array([[thing[3], -thing[4]], [thing[4], thing[3]]])
            reach = thing[5:7] if thing[0] == 0 else thing[[5, 5]]
            assert (np.abs(along) > reach).any(axis=1).all()
            assert np.linalg.norm(thing[1:3]) < arena.radius

    def test_all_cameras_see_the_same_floor(self, scene: Scene) -> None:
        """The light of one place on the floor, seen by two cameras."""
        first, second = renderer(scene, 0), renderer(scene, 1)
        place = np.stack(np.meshgrid(np.linspace(-150, 150, 40), np.linspace(-150, 150, 40)), axis=-1).reshape(-1, 2)
        points = np.concatenate([place, np.zeros((len(place), 1))], axis=1)
        tones = []
        for made in (first, second):
            pixels = np.rint(made.camera.project(points)).astype(int)
            tones.append(made._sharp[pixels[:, 1], pixels[:, 0]].mean(axis=1))
        same = np.corrcoef(tones[0], tones[1])[0, 1]
        elsewhere = np.corrcoef(tones[0][:-80], tones[1][80:])[0, 1]
        assert same > 0.4
        assert elsewhere < same - 0.2
