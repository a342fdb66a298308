"""The data of the 3D player on the report: quantized, thinned out to a limit, as JSON for the page."""

from __future__ import annotations

import base64
import json

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.plots import View, categorical_colors, choose_view, frustum, ground_grid, up_direction
from calibration.rig import Rig
from pose3d.skeleton import Skeleton
from pose3d.visualization.coloring import choose_coloring, individual_colors
from pose3d.visualization.framing import roams, smooth_path

__all__ = ["player_data"]

_MISSING = 65535
_LEVELS = 65534  # quantization: an extent of 1 m is stored to 0.015 mm
_BYTES_PER_POSITION = 6 * 4 / 3  # three 16-bit numbers in base64


def player_data(
    poses3d: xr.Dataset, *, skeleton: Skeleton | None = None, rig: Rig | None = None, limit: int = 1_000_000
) -> str:
    """What the player needs as JSON that can stand inside a `<script>` element.

    Frames are left out evenly until the positions take at most `limit` characters.

    Args:
        poses3d: Poses3D Dataset.
        skeleton: what to join with lines.
        rig: cameras to draw, and the direction up.
        limit: largest number of characters of the positions.
    """
    points = poses3d["position"].transpose("time", "individual", "keypoint", "space").values.astype(np.float64)
    per_frame = max(1, points.shape[1] * points.shape[2]) * _BYTES_PER_POSITION
    stride = max(1, int(np.ceil(len(points) * per_frame / limit)))
    shown = points[::stride]
    origin, step, stored = _quantize(shown)
    keypoints, individuals = ([str(name) for name in poses3d[dim].values] for dim in ("keypoint", "individual"))
    coloring = choose_coloring(skeleton, keypoints, individuals)
    up = up_direction(rig)
    view = choose_view(points, up=up, rig=rig, aspect=1.5)
    path = smooth_path(points, float(poses3d.attrs.get("fps", 30.0)))
    close = choose_view(points - path[:, None, None], up=up, azimuth=view.azimuth, aspect=1.5)
    ground = ground_grid(points.reshape(len(points), -1, 3), up)
    data = {
        "frames": poses3d["frame"].values[::stride].tolist(),
        "times": np.round(poses3d["time"].values[::stride].astype(np.float64), 6).tolist(),
        "seconds": poses3d.attrs.get("time_unit") != "frames",
        "stride": stride,
        "unit": str(poses3d["position"].attrs.get("units", "")),
        "keypoints": keypoints,
        "individuals": individuals,
        "individualColors": list(individual_colors(individuals).values()),
        "edges": [list(edge) for edge in coloring.edges],
        "edgeColors": [list(colors) for colors in coloring.edge],
        "pointColors": [list(colors) for colors in coloring.keypoint],
        "legend": [list(entry) for entry in coloring.legend],
        "origin": origin.tolist(),
        "step": step,
        "missing": _MISSING,
        "positions": base64.b64encode(stored.tobytes()).decode("ascii"),
        "up": up.tolist(),
        "view": {
            "center": view.center.tolist(),
            "azimuth": view.azimuth,
            "elevation": view.elevation,
            "distance": view.distance,
            "fieldOfView": view.field_of_view,
        },
        "follow": roams(points),
        "closeDistance": close.distance,
        "ground": np.round(ground.segments, 4).tolist(),
        "groundStep": ground.step,
        **_cameras(rig, view),
    }
    # Names come from files: nothing in them may end the script element or start a comment in it.
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _quantize(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], float, NDArray[np.uint16]]:
    """Origin (3,), step, and positions as (..., 3) steps from the origin; 65535 where a position is missing."""
    known = np.asarray(np.isfinite(points).all(axis=-1))
    if not known.any():
        return np.zeros(3), 1.0, np.full(points.shape, _MISSING, "<u2")
    low, high = points[known].min(axis=0), points[known].max(axis=0)
    step = float((high - low).max()) / _LEVELS or 1.0
    with np.errstate(invalid="ignore"):
        steps = np.where(known[..., None], np.round((points - low) / step), _MISSING)
    return low, step, steps.astype("<u2")


def _cameras(rig: Rig | None, view: View) -> dict[str, object]:
    """The cameras as lines, and from where all of them are in view."""
    if rig is None:
        return {"cameras": [], "cameraDistance": view.distance, "cameraCenter": view.center.tolist()}
    centers = np.stack([camera.center for camera in rig])
    everything = np.vstack([centers, view.center])
    middle = (everything.min(axis=0) + everything.max(axis=0)) / 2
    colors = categorical_colors(rig.names)
    depth = 0.2 * float(np.median(np.linalg.norm(centers - view.center, axis=-1))) or view.distance
    cameras = [
        {"name": camera.name, "color": colors[camera.name], "lines": np.round(frustum(camera, depth), 4).tolist()}
        for camera in rig
    ]
    reach = 1.1 * float(np.linalg.norm(everything - middle, axis=-1).max())
    distance = max(view.distance, reach / float(np.sin(view.field_of_view / 2)))
    return {"cameras": cameras, "cameraDistance": distance, "cameraCenter": middle.tolist()}
