"""The cost of a trajectory written down once more, for all numbers of a small window at once.

`Dense` knows the cost from the documentation only: pixels, not normalized coordinates; densities, not ratios of them;
one matrix for all frames, no blocks. Its derivatives come from complex steps, which are exact to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.camera import Camera
from calibration.rig import Rig
from calibration.synthetic import make_points, make_rig
from pose3d.datasets import poses2d
from pose3d.reconstruction import TrajectorySettings
from pose3d.reconstruction._bodies import Joints
from pose3d.reconstruction._trajectory_model import Bones, NoiseModel, TrajectoryModel
from pose3d.reconstruction._trajectory_problem import Frame, Solution, Window, differences, has_difference, solve_window
from pose3d.reconstruction._trajectory_settings import ORDERS, Motion
from pose3d.reconstruction._views import camera_table, make_views

Array = NDArray[np.float64]

FRAMES, KEYPOINTS, CAMERAS = 14, 4, 4
REACH = 900.0  # mm
STEP = 1e-30  # of complex steps
PRECISE = 1e-9  # tolerance of the solver, in uncertainties of a point
BOUNDS = np.array([[np.deg2rad(100.0), np.deg2rad(125.0), 0.05**-2]])


def stepped(function: Callable[[NDArray[np.complex128]], NDArray[np.complex128]], x: Array) -> Array:
    """(..., n) derivatives of a function by each of the n numbers of x."""
    columns = []
    for number in range(x.size):
        at = x.astype(np.complex128)
        at.flat[number] += 1j * STEP
        columns.append(np.asarray(function(at)).imag / STEP)
    return np.stack(columns, axis=-1)


@dataclass(frozen=True, eq=False)
class Scene:
    """A window, what is known of it, and what it was made of."""

    rig: Rig
    pixels: Array  # (time, keypoint, camera, 2)
    confidence: Array  # (time, keypoint, camera)
    window: Window
    frame: Frame
    model: TrajectoryModel
    strength: Array | None  # (row, keypoint)

    def solve(self, *, solution: Solution | None = None) -> Solution:
        return solve_window(
            self.window, self.frame, self.model, 0, solution=solution, strength=self.strength, tolerance=PRECISE
        )


def make_scene(
    motion: Motion = "acceleration", *, bones: bool = True, limits: bool = True, adaptive: bool = False, seed: int = 0
) -> Scene:
    """Three keypoints joined by two bones, whose angle is limited, and one by itself; with all that goes wrong."""
    rng = np.random.default_rng(seed)
    rig = make_rig(CAMERAS, lens="pinhole", distance=REACH, seed=seed)  # in pixels, normalized errors are exact there
    times = np.arange(FRAMES) / 50.0
    times[6:] += 0.02  # a frame was dropped
    middle = make_points(1, radius=60.0, seed=seed) + 300.0 * times[:, None] * rng.standard_normal(3)
    bend = np.deg2rad(90.0 + 50.0 * np.linspace(0, 1, FRAMES))  # leaves its range at both ends
    thigh, shank = np.zeros((FRAMES, 3)), np.zeros((FRAMES, 3))
    thigh[:, 2], shank[:, 2], shank[:, 0] = 60.0, 45.0 * np.cos(bend), 45.0 * np.sin(bend)
    truth = np.stack([middle + thigh, middle, middle + shank, 100.0 - middle], axis=1)
    deviation = rng.uniform(0.7, 2.0, (KEYPOINTS, CAMERAS))
    pixels = rig.project(truth) + deviation[..., None] * rng.standard_normal((FRAMES, KEYPOINTS, CAMERAS, 2))
    confidence = rng.uniform(0.3, 1.0, pixels.shape[:-1])
    wrong = rng.random(confidence.shape) < 0.08
    pixels[wrong] += 40.0 * rng.standard_normal((int(wrong.sum()), 2))
    pixels[rng.random(confidence.shape) < 0.1] = np.nan
    pixels[3:5, 0] = np.nan  # a short gap,
    pixels[5:10, 3] = np.nan  # a long one,
    pixels[7, 1, 1:] = np.nan  # and a frame with one camera
    start = truth + 2.0 * rng.standard_normal(truth.shape)
    start[np.isfinite(pixels[..., 0]).sum(-1) < 2] = np.nan
    settings = TrajectorySettings(motion=motion, longest_gap=3)
    joints = Joints(np.array([[0, 1, 2]]), BOUNDS) if limits else None
    poses = poses2d(
        np.moveaxis(pixels, 2, 1)[:, :, None], np.moveaxis(confidence, 2, 1)[:, :, None],
        cameras=rig.names, individuals=["a"], keypoints=list("hkat"),
    )  # fmt: skip
    table = make_views(poses, rig, minimum_confidence=0.0, floor=None).table[0]
    window = Window.of(times, table, start, np.isfinite(pixels[..., 0]) & ~wrong, settings.longest_gap)
    share = rng.uniform(0.5, 1.5, (3, KEYPOINTS))
    noise = NoiseModel(deviation, 0.05 * share[0], 9.0 * share[1], 0.04 * share[2], np.full(KEYPOINTS, 1e5))
    held = Bones(np.array([[0, 1], [1, 2]]), np.array([[60.0, 45.0]]), np.array([[0.5, 1.0]]), np.zeros((1, 2)))
    order = ORDERS[motion]
    smoothness = 3.0 * 50.0**order * rng.uniform(0.1, 1.0, (1, KEYPOINTS))
    model = TrajectoryModel(
        noise=noise, smoothness=smoothness, loosened=1.0, score=-np.inf, interval=1 / 50.0,
        bones=held if bones else None, correlation=np.ones((KEYPOINTS, 1)), alone=np.ones((1, KEYPOINTS)), rounds=0,
    )  # fmt: skip
    # how lively a keypoint is, from moment to moment
    strength = rng.uniform(0.5, 2.0, (FRAMES - order, KEYPOINTS)) / smoothness[0] ** 2
    frame = Frame(camera_table(rig), REACH, settings, joints)
    strength[~has_difference(window, frame)] = 0.0
    return Scene(rig, pixels, confidence, window, frame, model, strength if adaptive else None)


class Dense:
    """Minus log of the posterior density of a window, its slope, and its information, of all places at once."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.active = scene, scene.window.segment >= 0
        window, settings = scene.window, scene.frame.settings
        self.anchor = np.zeros(window.start.shape)
        for keypoint in range(KEYPOINTS):
            known = np.isfinite(window.start[:, keypoint, 0])
            for axis in range(3):
                self.anchor[:, keypoint, axis] = np.interp(
                    window.times, window.times[known], window.start[known, keypoint, axis]
                )
        # (row, keypoint, T) differences in their standard deviations, and the matrix (T, K, T, K) of smoothness
        order, rows = settings.order, differences(window.times, settings.order, scene.model.interval)
        self.rows = np.zeros((len(rows), KEYPOINTS, FRAMES))
        for first, keypoint in np.ndindex(len(rows), KEYPOINTS):
            segments = set(window.segment[first : first + order + 1, keypoint].tolist())
            if len(segments) == 1 and segments != {-1}:
                given = scene.strength
                smoothness = scene.model.smoothness[0, keypoint] if given is None else given[first, keypoint] ** -0.5
                self.rows[first, keypoint, first : first + order + 1] = rows[first] / smoothness
        self.prior = np.einsum("rkt,rks,kl->tksl", self.rows, self.rows, np.eye(KEYPOINTS))

    def errors(self, places: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """(time, keypoint, camera, 2) in standard deviations; 0 where nothing was seen."""
        cameras: tuple[Camera, ...] = self.scene.rig.cameras
        found = np.zeros(self.scene.pixels.shape, dtype=np.complex128)
        for number, camera in enumerate(cameras):
            of_camera = places @ camera.cam_from_world.rotation.T + camera.cam_from_world.translation
            found[:, :, number] = (of_camera @ camera.lens.camera_matrix.T)[..., :2] / of_camera[..., 2:]
        scale = np.sqrt(self.scene.confidence) / self.scene.model.noise.deviation
        seen = np.isfinite(self.scene.pixels) & self.active[..., None, None]
        return np.where(seen, (found - np.where(seen, self.scene.pixels, 0.0)) * scale[..., None], 0.0)

    def densities(self, squared: NDArray[np.complex128]) -> tuple[NDArray[Any], ...]:
        """(time, keypoint, camera) densities of core, tail and lost at squared errors, over that of a Gaussian at 0."""
        noise = self.scene.model.noise
        core, tail, lost, width, area = (
            each[:, None] for each in (1 - noise.tail - noise.lost, noise.tail, noise.lost, noise.width, noise.area)
        )
        narrow, wide = core * np.exp(-squared / 2), tail / width * np.exp(-squared / 2 / width)
        # the less confident a view is, the larger its covariance and the lower the density of its Gaussian
        uniform = lost / area / np.where(self.scene.confidence > 0, self.scene.confidence, 1.0)
        return narrow, wide, uniform + np.zeros_like(squared)

    def loss(self, errors: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """(time, keypoint, camera) minus log density of errors, over that of no error."""
        squared = (errors**2).sum(-1)
        return -np.log(sum(self.densities(squared)) / sum(self.densities(0 * squared)))

    def loss_slope(self, errors: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """(time, keypoint, camera, 2) derivative of the loss by the errors."""
        narrow, wide, lost = self.densities((errors**2).sum(-1))
        share = (narrow + wide / self.scene.model.noise.width[:, None]) / (narrow + wide + lost)
        return share[..., None] * errors

    def lengths(self, places: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """(time, bone) lengths, less what they should be, in standard deviations; 0 where an end is missing."""
        bones = self.scene.model.bones
        if bones is None:
            return np.zeros((FRAMES, 0), dtype=np.complex128)
        first, second = bones.pairs.T
        apart = places[:, first] - places[:, second]
        excess = (np.sqrt((apart**2).sum(-1)) - bones.length[0]) / bones.deviation[0]
        return np.where(self.active[:, first] & self.active[:, second], excess, 0.0)

    def angles(self, places: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """(time, 1) angle of the joint beyond its range, in standard deviations."""
        if self.scene.frame.joints is None:
            return np.zeros((FRAMES, 1), dtype=np.complex128)
        u, v = places[:, 0] - places[:, 1], places[:, 2] - places[:, 1]
        cosine = (u * v).sum(-1) / np.sqrt((u * u).sum(-1) * (v * v).sum(-1))
        angle = np.arctan(np.sqrt(1 - cosine**2) / cosine)
        angle = np.where(angle.real < 0, angle + np.pi, angle)
        smallest, largest, stiffness = BOUNDS[0]
        beyond = np.where(angle.real < smallest, angle - smallest, np.where(angle.real > largest, angle - largest, 0.0))
        return np.where(self.active[:, :3].all(1), beyond * np.sqrt(stiffness), 0.0)[:, None]

    def places(self, unknowns: NDArray[np.complex128]) -> NDArray[np.complex128]:
        places = self.anchor.astype(np.complex128)
        places[self.active] = unknowns.reshape(-1, 3)
        return places

    def unknowns(self, places: Array) -> Array:
        return places[self.active].ravel()

    def cost(self, unknowns: NDArray[np.complex128]) -> NDArray[np.complex128]:
        places = self.places(unknowns)
        smooth = np.einsum("tka,tksl,sla->", places, self.prior, places)
        away = (places - self.anchor) / (100 * REACH)
        held = (self.lengths(places) ** 2).sum() + (self.angles(places) ** 2).sum() + (away**2).sum()
        return self.loss(self.errors(places)).sum() + (smooth + held) / 2

    def by_place(self, function: Callable[[NDArray[np.complex128]], NDArray[np.complex128]], places: Array) -> Array:
        """(time, ..., keypoint, 3) derivatives of a function (time, ...) that takes every frame by itself."""
        columns = []
        for keypoint, axis in np.ndindex(KEYPOINTS, 3):
            at = places.astype(np.complex128)
            at[:, keypoint, axis] += 1j * STEP
            columns.append(function(at).imag / STEP)
        return np.stack(columns, axis=-1).reshape(*columns[0].shape, KEYPOINTS, 3)

    def slope(self, unknowns: Array) -> Array:
        """(n,) derivatives of the cost."""
        places = self.places(unknowns.astype(np.complex128))
        total = np.einsum("tksl,sla->tka", self.prior, places.real) + (places.real - self.anchor) / (100 * REACH) ** 2
        outer = self.loss_slope(self.errors(places)).real
        total += np.einsum("tkci,tkcila->tla", outer, self.by_place(self.errors, places.real))
        for function in (self.lengths, self.angles):
            total += np.einsum("tb,tbla->tla", function(places).real, self.by_place(function, places.real))
        return total[self.active].ravel()

    def information(self, unknowns: Array) -> Array:
        """(n, n) second derivatives, but those of projection and of angles beyond the first."""
        places = self.places(unknowns.astype(np.complex128)).real
        errors = self.errors(places.astype(np.complex128)).real
        bent = np.empty((*errors.shape, 2))  # second derivatives of the loss by the errors
        for axis in range(2):
            bent[..., axis] = self.loss_slope(errors + 1j * STEP * np.eye(2)[axis]).imag / STEP
        by_place = self.by_place(self.errors, places)
        block = np.einsum("tkcila,tkcij,tkcjmb->tlamb", by_place, bent, by_place, optimize=True)
        by_place = self.by_place(self.angles, places)
        block += np.einsum("tjla,tjmb->tlamb", by_place, by_place) + self.bone_blocks(places)
        total = np.einsum("tksl,ab->tkaslb", self.prior, np.eye(3))
        total[np.arange(FRAMES), :, :, np.arange(FRAMES)] += block
        flat = self.flat(total)
        return flat + np.eye(len(flat)) / (100 * REACH) ** 2

    def bone_blocks(self, places: Array) -> Array:
        """(time, keypoint, 3, keypoint, 3) second derivatives of half the squared lengths, by formula."""
        total = np.zeros((FRAMES, KEYPOINTS, 3, KEYPOINTS, 3))
        bones = self.scene.model.bones
        for bone, (a, b) in enumerate([] if bones is None else bones.pairs.tolist()):
            assert bones is not None
            for t in np.flatnonzero(self.active[:, a] & self.active[:, b]):
                apart = places[t, a] - places[t, b]
                length = np.linalg.norm(apart)
                along = np.outer(apart, apart) / length**2
                block = along + (1 - bones.length[0, bone] / length) * (np.eye(3) - along)
                block /= bones.deviation[0, bone] ** 2
                for i, j, sign in ((a, a, 1), (b, b, 1), (a, b, -1), (b, a, -1)):
                    total[t, i, :, j] += sign * block
        return total

    def flat(self, matrix: Array) -> Array:
        """(n, n) of (T, K, 3, T, K, 3)."""
        part = matrix[self.active][:, :, self.active]
        return part.reshape(part.shape[0] * 3, -1)
