"""From lenses and the corners of a board to a consistent first rig, by votes; bundle adjustment refines it.

No single picture is trusted. The path of a picture to the rig:

1. A view (one camera, one frame): corners that do not lie on one homography with the others are left out. A flat board
   has two poses that look alike (IPPE); both are kept, with their uncertainty.
2. A pair of cameras: both poses of both views, and all turns of a symmetric board, are candidates for the relative
   pose. The one that most frames can agree with wins, and becomes the robust chordal mean of what agrees. The best one
   that is clearly another is kept beside it: where it is nearly as good, the pair is ambiguous.
3. All cameras: a maximum spanning tree of the pairs, then robust averages of rotations and of positions over all
   pairs. Pairs that contradict the others are rejected and named; cycles of cameras tell by how much pairs disagree.
4. A frame: the cameras vote on where the board was. This decides which of both poses and which turn of each view is
   right; views that disagree are left out. All poses are then polished together, twice.

Averages are those of Hartley, Trumpf, Dai, Li (Rotation averaging, IJCV 2013) and Chatterjee, Govindu (Efficient and
robust large-scale rotation averaging, ICCV 2013). Rotation vectors are never averaged.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibration._extrinsics_frames import agree
from calibration._extrinsics_graph import believed, groups, is_certain, solve
from calibration._extrinsics_messages import Evidence, FrameNames, disconnected, doubts, overlap_of
from calibration._extrinsics_pairs import turned_rotations, vote
from calibration._extrinsics_settings import ExtrinsicsSettings
from calibration._extrinsics_views import board_turns, find_views
from calibration.boards.geometry import Board
from calibration.camera import Camera
from calibration.errors import InvalidValueError, MismatchError, SuiteWarning
from calibration.lens import Lens
from calibration.rig import Rig
from calibration.schema import as_floats
from calibration.transforms import RigidTransform

if TYPE_CHECKING:
    import xarray as xr

PairStatus = Literal["used", "mirrored", "rejected", "unsupported"]

__all__ = ["Cycle", "Extrinsics", "ExtrinsicsSettings", "PairPose", "estimate_extrinsics"]


@dataclass(frozen=True, eq=False)
class PairPose:
    """What the frames say of the relative pose of two cameras.

    Attributes:
        cameras: their names, a and b.
        b_from_a: the relative pose; None where the frames do not agree on one.
        frames: in which both see the board.
        support: how many of them agree.
        turn_spread: rad, weighted root mean square among those that agree.
        shift_spread: the same for the middle of the board, in the unit of the board.
        ambiguity: share of the votes that the best clearly different pose gets, of those of this one.
        turn_error, shift_error: rad and length, by how much the pair is off from the rig.
        status: "used"; "mirrored": its second pose agrees with the other pairs, and is given here; "rejected": it
            contradicts them; "unsupported": too few frames agree.
    """

    cameras: tuple[str, str]
    b_from_a: RigidTransform | None
    frames: int
    support: int
    turn_spread: float
    shift_spread: float
    ambiguity: float
    turn_error: float
    shift_error: float
    status: PairStatus


@dataclass(frozen=True)
class Cycle:
    """A loop of cameras, and by how much the poses of its pairs fail to close it.

    Attributes:
        cameras: names along the loop.
        turn_error: rad.
        shift_error: of the middle of the board, in the unit of the board.
    """

    cameras: tuple[str, ...]
    turn_error: float
    shift_error: float


@dataclass(frozen=True, eq=False)
class Extrinsics:
    """The first rig, and what it rests on.

    Attributes:
        rig: all cameras; the frame of the first one is the world.
        world_from_board: (n,) poses of the board in `frames`.
        frames: (n,) which instants these are, as indices into the frame axis.
        position: (camera, frame, corner, 2) px, turned boards put right; NaN for views that are left out. Single wrong
            corners stay: see `outlier`.
        outlier: (camera, frame, corner) corners that contradict the others of their view.
        left_out: (camera, frame) views that contradict the other cameras, whole frames without agreement, and views
            with too few corners.
        turned: (camera, frame) number of the board's symmetry by which the view was reported turned; 0 for none.
        second: (camera, frame) True where the pose with the larger error in pixels is the right one of both.
        overlap: (camera, camera) in how many frames two cameras see the board; on the diagonal, one.
        pairs: of all cameras that see the board together in a frame.
        cycles: triangles of cameras, and loops through pairs that are in no triangle.
        noise: (camera,) px, standard deviation of a coordinate within single views.
        status: "ambiguous" where the votes do not tell the rig from another one.
        warnings: what was left out or assumed, and what to do about it.
    """

    rig: Rig
    world_from_board: RigidTransform
    frames: NDArray[np.intp]
    position: NDArray[np.float64]
    outlier: NDArray[np.bool_]
    left_out: NDArray[np.bool_]
    turned: NDArray[np.intp]
    second: NDArray[np.bool_]
    overlap: NDArray[np.intp]
    pairs: tuple[PairPose, ...]
    cycles: tuple[Cycle, ...]
    noise: NDArray[np.float64]
    status: Literal["ok", "ambiguous"]
    warnings: tuple[str, ...]

    def to_dataset(self) -> xr.Dataset:
        """The numbers of the report: overlap, support, spreads, ambiguity and errors of pairs, and errors of cycles.

        Pairs without a frame in common have NaN.
        """
        import xarray as xr

        names = list(self.rig.names)
        count, unit = len(names), self.rig.unit
        number = {name: index for index, name in enumerate(names)}
        columns = {"support": "1", "turn_spread": "rad", "shift_spread": unit, "ambiguity": "1"}
        columns |= {"turn_error": "rad", "shift_error": unit}
        tables = {name: np.full((count, count), np.nan) for name in columns}
        status = np.full((count, count), "", dtype="<U11")
        for pair in self.pairs:
            a, b = (number[name] for name in pair.cameras)
            status[a, b] = status[b, a] = pair.status
            for name, table in tables.items():
                table[a, b] = table[b, a] = getattr(pair, name)
        square = ("camera", "other_camera")
        return xr.Dataset(
            {
                "overlap": (square, self.overlap, {"units": "1"}),
                "status": (square, status),
                **{name: (square, table, {"units": columns[name]}) for name, table in tables.items()},
                "cycle_turn_error": ("cycle", np.array([c.turn_error for c in self.cycles]), {"units": "rad"}),
                "cycle_shift_error": ("cycle", np.array([c.shift_error for c in self.cycles]), {"units": unit}),
                "noise": ("camera", self.noise, {"units": "px"}),
                "views_left_out": ("camera", self.left_out.sum(axis=1), {"units": "1"}),
                "views_turned": ("camera", (self.turned > 0).sum(axis=1), {"units": "1"}),
            },
            coords={
                "camera": names,
                "other_camera": names,
                "cycle": np.array([" - ".join(c.cameras) for c in self.cycles], dtype=np.str_),
            },
            attrs={"status": self.status, "warnings": "\n".join(self.warnings)},
        )


def estimate_extrinsics(
    names: Sequence[str],
    sizes: Sequence[tuple[int, int]],
    lenses: Sequence[Lens],
    position: ArrayLike,
    board: Board,
    *,
    settings: ExtrinsicsSettings | None = None,
    frame_numbers: ArrayLike | None = None,
    times: ArrayLike | None = None,
) -> Extrinsics:
    """A consistent first rig from the corners of a board that several cameras saw at the same instants.

    What is doubtful is told by a SuiteWarning and in `warnings`.

    Args:
        names: of the cameras.
        sizes: width and height of their images in pixels.
        lenses: of each camera.
        position: (camera, frame, corner, 2) px, NaN where not seen.
        board: the board; its unit becomes that of the rig.
        settings: see `ExtrinsicsSettings`.
        frame_numbers: (frame,) what errors call the frames; counted from 0 by default.
        times: (camera, frame) seconds, which errors name beside them; NaN where unknown.

    Raises:
        InvalidValueError, MismatchError: the arguments do not fit together.
        CalibrationError: the frames do not connect all cameras; the message says what connects them, which pair to
            film, and which frames come closest.
    """
    settings = settings or ExtrinsicsSettings()
    unposed, pixels = _checked(names, sizes, lenses, position, board)
    frames = _frame_names(pixels, frame_numbers, times)
    views = find_views(lenses, pixels, board, fewest=settings.fewest_corners, seed=settings.seed)
    turns = board_turns(board)
    rotations = turned_rotations(views, turns)
    votes = vote(views, rotations, settings)
    label = groups(len(unposed), votes.cameras[believed(votes, settings)])
    if label.max() > 0 or not len(views.camera):
        raise disconnected(unposed.names, label, views, votes, settings, frames)
    graph = solve(len(unposed), votes, settings)
    consensus = agree(views, rotations, turns, graph.rotation, graph.translation)
    evidence = Evidence(unposed.names, views, votes, graph, consensus)
    texts = tuple(doubts(evidence, settings))
    for text in texts:
        warnings.warn(text, SuiteWarning, stacklevel=2)
    certain = groups(len(unposed), votes.cameras[is_certain(votes, graph, settings)])
    return Extrinsics(
        **_values(unposed, pixels, board, evidence),
        overlap=overlap_of(views),
        pairs=tuple(_pair_poses(evidence, settings)),
        cycles=tuple(
            Cycle(tuple(unposed.names[index] for index in cycle.cameras), cycle.turn, cycle.shift)
            for cycle in graph.cycles
        ),
        noise=views.noise,
        status="ambiguous" if certain.max() > 0 else "ok",
        warnings=texts,
    )


def _checked(
    names: Sequence[str], sizes: Sequence[tuple[int, int]], lenses: Sequence[Lens], position: ArrayLike, board: Board
) -> tuple[Rig, NDArray[np.float64]]:
    """The cameras without poses, and the corners, or an error."""
    pixels = as_floats(position, "extrinsics, position", ends=(len(board.points), 2))
    if pixels.ndim != 4:
        raise InvalidValueError(
            "extrinsics, position",
            expected="shape (camera, frame, corner, 2)",
            got=f"shape {pixels.shape}",
            remedy="Check the order of the axes.",
        )
    counts = {"names": len(names), "sizes": len(sizes), "lenses": len(lenses), "rows of positions": len(pixels)}
    if len(set(counts.values())) > 1 or not names:
        raise MismatchError(
            "extrinsics",
            expected="one name, size, lens and row of positions for every camera",
            got=", ".join(f"{count} {name}" for name, count in counts.items()),
            remedy="Give them in the order of the camera axis.",
        )
    if np.isinf(pixels).any():
        raise InvalidValueError(
            "extrinsics, position",
            expected="finite pixels, NaN where a corner is not seen",
            got=f"{int(np.isinf(pixels).sum())} infinite values",
            remedy="Set missing corners to NaN.",
        )
    identity = RigidTransform.identity()
    cameras = zip(names, sizes, lenses, strict=True)
    return Rig(tuple(Camera(name, size, lens, identity) for name, size, lens in cameras), unit=board.unit), pixels


def _frame_names(pixels: NDArray[np.float64], numbers: ArrayLike | None, times: ArrayLike | None) -> FrameNames:
    count = pixels.shape[1]
    called = np.arange(count) if numbers is None else np.asarray(numbers, dtype=np.int64)
    seconds = None if times is None else as_floats(times, "extrinsics, times")
    shapes = called.shape, pixels.shape[:2] if seconds is None else seconds.shape
    if shapes != ((count,), pixels.shape[:2]):
        raise MismatchError(
            "extrinsics",
            expected=f"{count} frame numbers and times of shape {pixels.shape[:2]}",
            got=f"shapes {shapes[0]} and {shapes[1]}",
            remedy="Give one number per frame, and one time per camera and frame.",
        )
    return FrameNames(called, seconds)


def _values(unposed: Rig, pixels: NDArray[np.float64], board: Board, evidence: Evidence) -> dict[str, Any]:
    """The fields of the result that the cameras agreed on."""
    views, consensus = evidence.views, evidence.consensus
    poses = zip(unposed, consensus.rotation, consensus.translation, strict=True)
    cameras = tuple(replace(camera, cam_from_world=RigidTransform(r, t)) for camera, r, t in poses)
    frames = np.flatnonzero(np.isfinite(consensus.board_translation[:, 0]))
    board_rotation = consensus.board_rotation[frames]
    place = views.camera, views.frame
    shape = views.row.shape
    used, second, turned = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_), np.zeros(shape, np.intp)
    used[place] = consensus.used
    turned[place] = np.where(consensus.used, consensus.turn, 0)
    second[place] = consensus.used & (consensus.solution == 1)
    seen = np.isfinite(pixels).all(axis=-1)
    return {
        "rig": Rig(cameras, unit=unposed.unit),
        "world_from_board": RigidTransform(
            board_rotation, consensus.board_translation[frames] - board_rotation @ views.middle
        ),
        "frames": frames,
        "position": _put_right(np.where(used[..., None, None], pixels, np.nan), turned, board),
        "outlier": _put_right(seen & ~views.inlier & used[..., None], turned, board),
        "left_out": seen.any(axis=-1) & ~used,
        "turned": turned,
        "second": second,
    }


def _put_right(values: NDArray[Any], turned: NDArray[np.intp], board: Board) -> NDArray[Any]:
    """Values (camera, frame, corner, ...) in the true order of corners."""
    result = values.copy()
    for number, order in enumerate(board.symmetries, start=1):
        views = turned == number
        right = np.empty_like(values[views])
        right[:, order] = values[views]
        result[views] = right
    return result


def _pair_poses(evidence: Evidence, settings: ExtrinsicsSettings) -> Iterator[PairPose]:
    votes, graph = evidence.votes, evidence.graph
    supported, ambiguity = believed(votes, settings), votes.ambiguity
    for pair, (a, b) in enumerate(votes.cameras):
        which = int(graph.other[pair])
        rotation, translation = votes.rotation[pair, which], votes.translation[pair, which]
        status: PairStatus = "used" if graph.used[pair] else "rejected" if supported[pair] else "unsupported"
        yield PairPose(
            cameras=(evidence.names[a], evidence.names[b]),
            b_from_a=RigidTransform(rotation, translation) if supported[pair] else None,
            frames=int(votes.common[pair]),
            support=int(votes.support[pair, which]),
            turn_spread=float(votes.turn_spread[pair, which]),
            shift_spread=float(votes.shift_spread[pair, which]),
            ambiguity=float(ambiguity[pair]),
            turn_error=float(graph.turn[pair]),
            shift_error=float(graph.shift[pair]),
            status="mirrored" if which and graph.used[pair] else status,
        )
