"""2D positions of one camera over time, whether they are detections of a network or poses of named animals."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import MismatchError
from calibration.schema import check
from pose3d.datasets import DETECTIONS, POSES2D, poses2d_of_detections

__all__ = ["Tracks", "camera_names", "tracks_of"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Tracks:
    """What was found in the video of one camera.

    Attributes:
        camera: its name.
        frames, time: (time,) frame numbers, and seconds (or frame numbers).
        time_label: label of a time axis.
        frame_rate: frames per second; None where unknown.
        keypoints, individuals: names; there is one individual in detections.
        position: (time, individual, keypoint, 2) px of the most probable place, NaN where nothing was found.
        confidence: (time, individual, keypoint) 0 to 1, 0 where nothing was found, NaN where the frame was not seen.
        others: (time, candidate, keypoint, 2) px of the less probable places.
        others_confidence: (time, candidate, keypoint).
        image_size: width and height of the video; None where unknown.
    """

    camera: str
    frames: NDArray[np.int64]
    time: Array
    time_label: str
    frame_rate: float | None
    keypoints: tuple[str, ...]
    individuals: tuple[str, ...]
    position: Array
    confidence: Array
    others: Array
    others_confidence: Array
    image_size: tuple[int, int] | None

    @property
    def end(self) -> int:
        """Number of the last frame that was seen, plus 1; 0 where none was."""
        seen = np.flatnonzero(np.isfinite(self.confidence).any(axis=(1, 2)))
        return int(self.frames[seen[-1]]) + 1 if len(seen) else 0

    def until(self, end: int) -> Tracks:
        """The frames before that number."""
        rows = slice(0, int(np.searchsorted(self.frames, end)))
        return replace(
            self,
            frames=self.frames[rows],
            time=self.time[rows],
            position=self.position[rows],
            confidence=self.confidence[rows],
            others=self.others[rows],
            others_confidence=self.others_confidence[rows],
        )

    def shown(self, minimum_confidence: float) -> Array:
        """(time, individual, keypoint, 2) positions with at least this confidence; NaN elsewhere."""
        with np.errstate(invalid="ignore"):
            sure = self.confidence >= minimum_confidence
        return np.where(sure[..., None], self.position, np.nan)


def camera_names(found: xr.Dataset) -> tuple[str, ...]:
    """Names of the cameras of a Detections or Poses2D Dataset."""
    return tuple(str(name) for name in found["camera"].values)


def tracks_of(found: xr.Dataset, camera: str) -> Tracks:
    """The positions of one camera, loaded into memory.

    Args:
        found: Detections or Poses2D Dataset.
        camera: name.

    Raises:
        InvalidValueError: the Dataset breaks its schema, or has no candidate.
        MismatchError: it has no such camera.
    """
    candidates = "candidate" in found.dims
    check(found, DETECTIONS if candidates else POSES2D, values=False)
    names = camera_names(found)
    if camera not in names:
        raise MismatchError(
            f"camera '{camera}'",
            expected=f"a camera of the 2D positions: {', '.join(names) or 'there is none'}",
            got=f"'{camera}'",
            remedy=f"Correct the name: --on {names[0]}=VIDEO." if names else "Find keypoints again.",
        )
    own = found.isel(camera=[names.index(camera)])
    best = (poses2d_of_detections(own) if candidates else own).isel(camera=0)
    keypoints = tuple(str(name) for name in found["keypoint"].values)
    none = (own.sizes["time"], 0, len(keypoints))
    others, others_confidence = np.empty((*none, 2)), np.empty(none)
    if candidates:
        rest = own.isel(camera=0, candidate=slice(1, None))
        others = rest["position"].values.astype(np.float64)
        others_confidence = rest["confidence"].values.astype(np.float64)
    rate = float(found.attrs.get("fps", 0.0))
    return Tracks(
        camera=camera,
        frames=best["frame"].values.astype(np.int64),
        time=best["time"].values.astype(np.float64),
        time_label="frame" if found.attrs.get("time_unit") == "frames" else "time (s)",
        frame_rate=rate if rate > 0 else None,
        keypoints=keypoints,
        individuals=tuple(str(name) for name in best["individual"].values),
        position=best["position"].values.astype(np.float64),
        confidence=best["confidence"].values.astype(np.float64),
        others=others,
        others_confidence=others_confidence,
        image_size=_image_size(own),
    )


def _image_size(own: xr.Dataset) -> tuple[int, int] | None:
    if "image_size" not in own:
        return None
    width, height = own["image_size"].values[0]
    return (int(width), int(height)) if np.isfinite(width) and np.isfinite(height) else None
