"""The adjustment of a whole rig, and what to do where the cameras do not see the same board at the same instant.

Within one picture a corner is found to a tenth of a pixel. Where cameras together miss the board by much more, the
corners are not to blame: pictures were taken at different instants, or the board bends. Such errors differ from view to
view; lenses, of which every view tells the same, must not be bent to fit them.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtri

from calibration._board_clocks import BoardClocks, estimate_clocks
from calibration._lens_choice import choose_jointly, richer_models
from calibration._rig_start import Start, board_views
from calibration.bundle import BundleAdjustment, BundleSettings, CameraPrior, adjust_boards
from calibration.errors import CalibrationError, SuiteWarning
from calibration.intrinsics import LensCalibration
from calibration.lens_models import LensModel
from calibration.transforms import RigidTransform

__all__ = ["EXCESS", "JointFit", "adjust_rig", "excess_of", "find_bend", "find_clocks", "temper"]

Array = NDArray[np.float64]

# Noise of all cameras together over that within single views, from which on views are taken not to be of one instant.
# On simulated recordings the ratio is 1.00 to 1.05; on one of webcams that are 10 to 120 ms apart it is 12.
EXCESS = 1.5
_ROUNDS = 4
_SAME = 0.02
# Heights of the corners count where chance would make them as large in less than one in a thousand flat boards. By the
# F test with as many degrees of freedom as there are frames, which is careful: of 72 simulated flat boards the largest
# ratio was 1.6, of boards of 350 mm bent by 0.5 mm the smallest 4.0; the limit is 2.3 with 100 frames and 4.0 with 20.
_CHANCE = 1e-3
# And where they matter, as a share of the diagonal of the board: one of 350 mm that is bent by 0.2 mm moves positions
# by less than noise of 0.3 px does.
_LEAST_BEND = 5e-4
# Of the largest variance of heights: what is smaller is rounding.
_ROUNDING = 1e-9
# So many frames tell the shape of a board to a thirtieth of the noise or better.
_BEND_FRAMES = 100
# Of fits whose differences tell the clocks: a hundredth of a standard deviation is nothing beside them.
_ROUGH = 0.01


@dataclass(frozen=True, eq=False)
class JointFit:
    """How a rig is adjusted: the arguments that every adjustment of it shares.

    Attributes:
        board_points: (corner, 3).
        models: free parameters of the lenses, by camera.
        settings: of the adjustment.
        growing: cameras for which richer models are tried, see `calibration._lens_choice`.
        prior: what single views say of the lenses; None where all views together say it.
    """

    board_points: Array
    models: Mapping[str, LensModel]
    settings: BundleSettings
    growing: frozenset[str] = frozenset()
    prior: CameraPrior | None = None

    def run(
        self,
        start: Start,
        kept: NDArray[np.intp] | NDArray[np.bool_] | None = None,
        held: Collection[str] = (),
    ) -> BundleAdjustment:
        """Adjust to the frames of a start, or some of them; cameras that are held keep their pose as the first does."""
        poses, position = start.at(np.arange(len(start.frames)) if kept is None else kept)
        blind = set(held) & {start.rig.names[index] for index in np.flatnonzero(~board_views(position).any(axis=1))}
        models = {name: model for name, model in self.models.items() if name not in blind}
        told = self.prior is not None and any(name in models for name, _ in self.prior.labels)
        with warnings.catch_warnings():
            # Corners that a lens does not reach are told once, at the end, by what has no residual then.
            warnings.simplefilter("ignore", SuiteWarning)
            return adjust_boards(
                start.rig,
                self.board_points,
                poses,
                position,
                models=models,
                fixed_poses=(start.rig.names[0], *held),
                prior=self.prior if told else None,
                settings=self.settings,
            )


def adjust_rig(
    start: Start, joint: JointFit, lenses: Mapping[str, LensCalibration]
) -> tuple[JointFit, BundleAdjustment]:
    """Adjust, with the lens models that all cameras together say are worth it.

    Args:
        start: where to begin.
        joint: how, with the models that single views chose.
        lenses: of each camera by itself.

    Returns:
        How it was adjusted in the end, and the outcome.
    """
    tried = richer_models(joint.models, joint.growing)
    if len(start.rig) == 1 or tried == joint.models:
        return joint, joint.run(start)
    rough = replace(joint, settings=replace(joint.settings, covariance=False, gradient_tolerance=_ROUGH)).run(start)
    begin = _continued(start, rough)
    if excess_of(rough, lenses) > EXCESS:
        return joint, joint.run(begin)
    rich = replace(joint, models=tried)
    richest = rich.run(begin)
    chosen = replace(joint, models=choose_jointly(richest, tried, joint.models, lenses))
    if chosen.models == tried:
        return rich, richest
    return chosen, chosen.run(begin)


def temper(
    start: Start, joint: JointFit, outcome: BundleAdjustment, lenses: Mapping[str, LensCalibration]
) -> tuple[JointFit, BundleAdjustment, float]:
    """Where views do not fit together, adjust again with one noise for all and what single views say of lenses.

    Args:
        start: where to begin.
        joint: how.
        outcome: of the adjustment without that.
        lenses: of each camera by itself.

    Returns:
        How it was adjusted, the outcome, and the noise over that within single views, median over the cameras.
    """
    excess = excess_of(outcome, lenses)
    if excess <= EXCESS or joint.settings.noise is not None or len(start.rig) == 1:
        return joint, outcome, excess
    noise = float(np.median(outcome.noise))
    for _ in range(_ROUNDS):
        settings = replace(joint.settings, noise=noise)
        joint = replace(joint, settings=settings, prior=_prior(start, joint.models, lenses, noise))
        outcome = joint.run(start)
        before, noise = noise, float(np.median(_noise_by_camera(outcome.residuals)))
        if abs(noise - before) < _SAME * before:
            break
    single = np.array([lens.noise for lens in lenses.values()])
    return joint, replace(outcome, noise=_noise_by_camera(outcome.residuals)), float(np.median(noise / single))


def excess_of(outcome: BundleAdjustment, lenses: Mapping[str, LensCalibration]) -> float:
    """Noise of all cameras together over that within single views, the median over the cameras."""
    return float(np.median(outcome.noise / np.array([lens.noise for lens in lenses.values()])))


def find_clocks(
    start: Start, joint: JointFit, position: Array, times: Array, noise: float, known: BoardClocks | None = None
) -> BoardClocks | None:
    """How late each camera is, with the lenses as single views say; None where nothing tells or it is no difference.

    Args:
        start: the rig.
        joint: how it is adjusted.
        position: (camera, frame, corner, 2) px, of all frames of the shared videos, which are the first of all.
        times: (camera, frame) seconds of those.
        noise: px, of all cameras.
        known: what was found before, with a worse start.
    """
    settings = replace(joint.settings, noise=noise, covariance=False, gradient_tolerance=_ROUGH)
    held = JointFit(joint.board_points, {}, settings)
    begin = _selected(start, np.flatnonzero(start.frames < position.shape[1]))

    def fit(resampled: Array) -> BundleAdjustment:
        nonlocal begin
        shown = resampled[:, begin.frames]
        kept = np.flatnonzero(board_views(shown).sum(axis=0) > 1)
        outcome = held.run(replace(begin, position=shown), kept)
        matrices = begin.world_from_board.matrix
        matrices[kept] = outcome.world_from_board.matrix
        poses = RigidTransform(matrices[:, :3, :3], matrices[:, :3, 3])
        begin = replace(begin, rig=outcome.rig, world_from_board=poses)
        residuals, weights = np.full(position.shape, np.nan), np.full(position.shape[:-1], np.nan)
        residuals[:, begin.frames[kept]], weights[:, begin.frames[kept]] = outcome.residuals, outcome.weights
        return replace(outcome, residuals=residuals, weights=weights)

    if known is None:
        clocks = estimate_clocks(fit, position, times)
        return clocks if clocks is not None and clocks.significant else None
    clocks = estimate_clocks(fit, position, times, known.offsets)
    return None if clocks is None else replace(clocks, error=(known.error[0], clocks.error[1]))


def find_bend(start: Start, joint: JointFit, outcome: BundleAdjustment) -> float:
    """How far the board is from flat, largest less smallest height in its unit; 0 where chance or little explains it.

    Heights that are estimated are never all zero. Their sum of squares, in units of their covariance, is compared with
    what a flat board would have, and the noise in them is taken off what is told.
    """
    if joint.settings.bend:
        return 0.0
    settings = replace(joint.settings, bend=True, covariance=True, local_covariance=False, gradient_tolerance=_ROUGH)
    several = np.flatnonzero(board_views(start.position).sum(axis=0) > (len(start.rig) > 1))
    kept = several[np.unique(np.linspace(0, len(several) - 1, _BEND_FRAMES).astype(np.intp))]
    blind = np.flatnonzero(~board_views(start.position[:, kept]).any(axis=1))
    held = [start.rig.names[index] for index in blind]
    try:
        bent = replace(joint, settings=settings).run(_continued(start, outcome), kept, held)
    except CalibrationError:  # views of too few places to tell
        return 0.0
    if bent.height_covariance is None:
        return 0.0
    heights = bent.board_points[:, 2]
    variance, directions = np.linalg.eigh(bent.height_covariance)
    free = variance > _ROUNDING * variance[-1]
    square, count = float(((heights @ directions[:, free]) ** 2 / variance[free]).sum()), int(free.sum())
    if square <= count * float(fdtri(count, len(kept), 1.0 - _CHANCE)):
        return 0.0
    height = float(np.ptp(heights)) * float(np.sqrt(1.0 - count / square))
    size = float(np.hypot(*np.ptp(joint.board_points[:, :2], axis=0)))
    return height if height > _LEAST_BEND * size else 0.0


def _selected(start: Start, kept: NDArray[np.intp]) -> Start:
    poses, position = start.at(kept)
    return replace(start, frames=start.frames[kept], position=position, world_from_board=poses)


def _continued(start: Start, outcome: BundleAdjustment) -> Start:
    """The same frames, begun where an adjustment ended."""
    return replace(start, rig=outcome.rig, world_from_board=outcome.world_from_board)


def _prior(
    start: Start, models: Mapping[str, LensModel], lenses: Mapping[str, LensCalibration], noise: float
) -> CameraPrior | None:
    """What single views say of the lenses beyond what the adjustment says of them anyway.

    With the noise within views, their information is I. The adjustment counts it with the noise of all cameras, which
    makes it I times the square of the ratio of the two. The prior is what is missing.
    """
    labels: list[tuple[str, str]] = []
    blocks = []
    for name in models:
        lens = lenses[name]
        share = 1.0 - min(lens.noise / noise, 1.0) ** 2
        if share > 0 and len(lens.model.free):
            labels += [(name, parameter) for parameter in lens.model.free]
            blocks.append(lens.covariance / share)
    if not blocks:
        return None
    covariance = np.zeros((len(labels), len(labels)))
    place = 0
    for block in blocks:
        covariance[place : place + len(block), place : place + len(block)] = block
        place += len(block)
    return CameraPrior(start.rig, tuple(labels), covariance)


def _noise_by_camera(residuals: Array) -> Array:
    """(camera,) robust standard deviation of a coordinate: that of Gaussian noise with the same median distance."""
    distance = np.hypot(residuals[..., 0], residuals[..., 1])
    medians = np.array([np.nanmedian(each) if np.isfinite(each).any() else np.nan for each in distance])
    return np.asarray(medians / np.sqrt(2 * np.log(2)))
