"""Videos of a board that is carried through a rig, and all that is true of them.

Cameras take pictures at common instants, but start late and drop some, as real ones do; a timestamps file beside the
videos tells which picture belongs to which instant.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.boards.geometry import Board, Charuco
from calibration.camera import Camera
from calibration.corners import corners
from calibration.errors import InvalidValueError
from calibration.files import write_text
from calibration.rig import Rig
from calibration.synthetic._sheets import Hand, Sheet, hand_at, make_sheet
from calibration.synthetic._views import bent_points, front_seen
from calibration.synthetic.paths import BoardPath, make_board_path
from calibration.synthetic.rendering import BoardRenderer, RenderSettings
from calibration.transforms import RigidTransform
from calibration.video import VideoWriter

__all__ = [
    "TIMESTAMPS_FILE",
    "BoardRecording",
    "RecordingSettings",
    "fitting_board",
    "record_board",
    "write_board_videos",
]

TIMESTAMPS_FILE = "timestamps.csv"

# Constant rate factor of H.264. It moves the corners in noisy pictures by 0.017 px RMS at 12, 0.044 at 21, 0.1 at 28.
_QUALITY = 12
# The poses averaged for one exposure are at most so many pixels apart, and so many.
_BLUR_STEP, _MOST_POSES = 1.0, 12


@dataclass(frozen=True)
class RecordingSettings:
    """When pictures are taken, and of what.

    Attributes:
        frames: number of common instants.
        frame_rate: of them per second.
        exposure: seconds that a picture is exposed, about its time.
        late: cameras but the first miss up to so many of the first instants.
        drop_rate: share of the pictures that a camera loses later on.
        delay: seconds that the clocks of the cameras but the first are behind or ahead at most; their pictures are
            taken so much later or earlier than the instant.
        hand: how far onto the board the hand reaches that holds it, as a share of its shorter side; 0 is no hand.
        bend: the middle of the board stands out by so much, in the unit of the rig.
        seed: of all random draws.

    Raises:
        InvalidValueError: a setting is out of its range.
    """

    frames: int = 120
    frame_rate: float = 15.0
    exposure: float = 0.004
    late: int = 5
    drop_rate: float = 0.02
    delay: float = 0.0
    hand: float = 0.35
    bend: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, fits, expected in (
            ("frames", _whole(self.frames) and self.frames >= 1, "a whole number from 1"),
            ("frame_rate", 0 < self.frame_rate < np.inf, "a positive number"),
            ("exposure", 0 <= self.exposure * self.frame_rate < 1, "less than the time between two pictures"),
            ("late", _whole(self.late) and 0 <= self.late < self.frames, "a whole number below frames"),
            ("drop_rate", 0 <= self.drop_rate < 1, "a share from 0, below 1"),
            ("delay", 0 <= self.delay < np.inf, "seconds from 0"),
            ("hand", 0 <= self.hand <= 1, "a share from 0 to 1"),
            ("bend", np.isfinite(self.bend), "a length"),
            ("seed", _whole(self.seed) and self.seed >= 0, "a whole number from 0"),
        ):
            if not fits:
                raise InvalidValueError(
                    name, expected=expected, got=str(getattr(self, name)), remedy="Change the setting."
                )


def _whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


@dataclass(frozen=True, eq=False)
class BoardRecording:
    """What is true of a recording of a board.

    Attributes:
        settings: what was asked for.
        rig: the cameras.
        board: the board.
        path: where the board is at any time.
        world_from_board: (frame,) its poses at the common instants.
        time: (camera, frame) seconds in the middle of each exposure, on one clock; NaN where there is no picture.
        delay: (camera,) seconds by which the pictures of a camera are later than the instant.
        corners: Corners Dataset of the true pixels at the time of each picture, of all corners in it however steeply
            the front of the board is seen; with `occluded` (camera, frame, corner), true for those under the hand.
    """

    settings: RecordingSettings
    rig: Rig
    board: Board
    path: BoardPath
    world_from_board: RigidTransform
    time: NDArray[np.float64]
    delay: NDArray[np.float64]
    corners: xr.Dataset

    @property
    def instants(self) -> NDArray[np.float64]:
        """(frame,) seconds of the common instants."""
        return np.arange(self.settings.frames) / self.settings.frame_rate

    @property
    def picture_count(self) -> int:
        """Number of pictures of all cameras."""
        return int(np.isfinite(self.time).sum())

    def to_dataset(self) -> xr.Dataset:
        """The true corners, with the poses of the board, its bent shape and the delays of the cameras."""
        unit = self.rig.unit
        pose = {
            "board_rotation": (("frame", "axis", "axis_"), self.world_from_board.rotation, {"units": "1"}),
            "board_translation": (("frame", "axis"), self.world_from_board.translation, {"units": unit}),
            "instant": (("frame",), self.instants, {"units": "s"}),
            "delay": (("camera",), self.delay, {"units": "s"}),
            "shape": (("corner", "axis"), bent_points(self.board, self.settings.bend), {"units": unit}),
        }
        dataset = self.corners.assign(pose).assign_coords(axis_=["x", "y", "z"])
        return dataset.assign_attrs(simulation=json.dumps(asdict(self.settings)))


def fitting_board(rig: Rig) -> Charuco:
    """A ChArUco board of 7 x 5 squares, two fifths as wide as what the cameras see about the origin."""
    seen = [camera.size[0] / camera.lens.camera_matrix[0, 0] * float(np.linalg.norm(camera.center)) for camera in rig]
    square = 0.4 * float(np.mean(seen)) / 7
    power = 10.0 ** np.floor(np.log10(square))
    nice = max(step for step in (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0) if step * power <= square * 1.001)
    return Charuco(7, 5, round(nice * power, 12), rig.unit)


def record_board(
    rig: Rig, board: Board, settings: RecordingSettings | None = None, *, path: BoardPath | None = None
) -> BoardRecording:
    """Carry a board through a rig; no picture is rendered yet.

    Args:
        rig: the cameras.
        board: the board, in the unit of the rig.
        settings: when pictures are taken and of what; the defaults of `RecordingSettings` where None.
        path: where the board is carried; that of `make_board_path` where None.
    """
    chosen = RecordingSettings() if settings is None else settings
    duration = chosen.frames / chosen.frame_rate
    way = make_board_path(rig, board, duration=duration, seed=chosen.seed) if path is None else path
    rng = np.random.default_rng([chosen.seed, 2])
    shape = (len(rig), chosen.frames)
    late, delay = rng.integers(0, chosen.late + 1, len(rig)), rng.uniform(-chosen.delay, chosen.delay, len(rig))
    late[0], delay[0] = 0, 0.0
    taken = rng.random(shape) >= chosen.drop_rate
    # The first picture after a late start is always there: without any a video could not be written.
    first = np.arange(chosen.frames) == late[:, None]
    taken = (taken | first) & (np.arange(chosen.frames) >= late[:, None])
    instants = np.arange(chosen.frames) / chosen.frame_rate
    time = np.where(taken, instants + delay[:, None], np.nan)
    truth, occluded = _true_corners(rig, board, chosen, way, time)
    picture = np.where(taken, np.cumsum(taken, axis=1) - 1.0, np.nan)
    size = np.array([camera.size for camera in rig])
    dataset = corners(truth, board=board, cameras=rig.names, image_size=size, source_frame=picture, time=time)
    dataset["occluded"] = (("camera", "frame", "corner"), occluded)
    return BoardRecording(chosen, rig, board, way, way(instants), time, delay, dataset)


def write_board_videos(
    recording: BoardRecording,
    folder: str | os.PathLike[str],
    *,
    rendering: RenderSettings | Mapping[str, RenderSettings] | None = None,
    quality: int = _QUALITY,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write `<camera>.mp4` of every camera and `timestamps.csv`.

    Args:
        recording: what to render.
        folder: where to; it is made where it is missing.
        rendering: how the cameras take pictures, all alike or by name.
        quality: constant rate factor of H.264, see `VideoWriter`.
        on_progress: called with the number of pictures done and of all pictures.

    Returns:
        The files.

    Raises:
        OutputError: a file cannot be written.
    """
    target, files, done = Path(folder), [], 0
    for index, camera in enumerate(recording.rig):
        chosen = rendering.get(camera.name) if isinstance(rendering, Mapping) else rendering
        files.append(target / f"{camera.name}.mp4")
        with VideoWriter(files[-1], recording.settings.frame_rate, quality=quality) as video:
            for image in _pictures(recording, index, camera, chosen):
                video.write(image)
                done += 1
                if on_progress is not None:
                    on_progress(done, recording.picture_count)
    files.append(target / TIMESTAMPS_FILE)
    write_text(files[-1], _timestamps(recording))
    return files


def _true_corners(
    rig: Rig, board: Board, settings: RecordingSettings, path: BoardPath, time: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Pixels (camera, frame, corner, 2) of the corners in the pictures, and which of them the hand covers."""
    shape = bent_points(board, settings.bend)
    sheet = make_sheet(board, bend=settings.bend)
    pixels = np.full((*time.shape, len(shape), 2), np.nan)
    occluded = np.zeros(pixels.shape[:3], dtype=bool)
    for index, camera in enumerate(rig):
        frames = np.flatnonzero(np.isfinite(time[index]))
        poses = path(time[index, frames])
        points = np.einsum("fij,cj->fci", poses.rotation, shape) + poses.translation[:, None]
        seen = camera.project(points)
        with np.errstate(invalid="ignore"):
            inside = ((seen >= -0.5) & (seen < np.array(camera.size) - 0.5)).all(axis=-1)
        seen[~(inside & front_seen(poses, camera.center[None], points, np.pi / 2)[0, :, None])] = np.nan
        pixels[index, frames] = seen
        for frame in frames:
            hand = _hand(sheet, settings, time[index, frame])
            if hand is not None:
                occluded[index, frame] = hand.distance(shape[:, :2]) < 0
    return pixels, occluded & np.isfinite(pixels[..., 0])


def _hand(sheet: Sheet, settings: RecordingSettings, time: float) -> Hand | None:
    phase = float(np.random.default_rng([settings.seed, 3]).uniform(0, 2 * np.pi))
    return hand_at(sheet, time, reach=settings.hand, phase=phase)


def _pictures(
    recording: BoardRecording, index: int, camera: Camera, rendering: RenderSettings | None
) -> Iterator[NDArray[np.uint8]]:
    settings = recording.settings
    renderer = BoardRenderer(
        camera, recording.board, settings=rendering, bend=settings.bend, seed=(settings.seed, 4, index)
    )
    for frame in np.flatnonzero(np.isfinite(recording.time[index])):
        time = float(recording.time[index, frame])
        poses = recording.path(_exposed(recording.path, camera, settings.exposure, time, renderer.sheet))
        yield renderer.render(poses, hand=_hand(renderer.sheet, settings, time), number=int(frame))


def _exposed(path: BoardPath, camera: Camera, exposure: float, time: float, sheet: Sheet) -> NDArray[np.float64]:
    """Times within an exposure between which the board moves by a pixel."""
    corners = sheet.outline(2)
    begin, end = (camera.project(path(time + way * exposure)(corners)) for way in (-0.5, 0.5))
    moved = np.linalg.norm(end - begin, axis=-1)
    distance = float(np.nanmax(moved)) if np.isfinite(moved).any() else 0.0
    count = int(np.clip(np.ceil(distance / _BLUR_STEP), 1, _MOST_POSES))
    return time + exposure * ((np.arange(count) + 0.5) / count - 0.5)


def _timestamps(recording: BoardRecording) -> str:
    """Caliscope's table: which picture of which video belongs to which instant."""
    picture = recording.corners["source_frame"].to_numpy()
    lines = ["sync_index,cam_id,frame_index,frame_time"]
    for frame in range(recording.settings.frames):
        for index, name in enumerate(recording.rig.names):
            if np.isfinite(recording.time[index, frame]):
                lines.append(f"{frame},{name},{picture[index, frame]:.0f},{recording.time[index, frame]:.6f}")
    return "\n".join(lines) + "\n"
