"""Labels of the simulated animals as a perfect annotator gives them, to train a network without a person."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from calibration.video import open_video
from calibration.video.images import write_png
from pose3d.labeling.labels import LabeledImage, Labels, Visibility
from pose3d.synthetic.pixel_truth import true_poses2d, true_visibility
from pose3d.synthetic.rendering import PictureSettings
from pose3d.synthetic.scene import Scene

__all__ = ["ANNOTATOR", "instants_to_label", "labels_of_scene", "write_label_images"]

ANNOTATOR = "truth"


def instants_to_label(frame_count: int, count: int, *, seed: int) -> NDArray[np.int64]:
    """(count,) rising numbers of frames: one at random from each of as many equal stretches of the recording.

    Raises:
        InvalidValueError: the recording has fewer frames, or none is asked for.
    """
    if not 1 <= count <= frame_count:
        raise InvalidValueError(
            "labels",
            expected=f"1 to {frame_count} frames, as many as the recording has",
            got=str(count),
            remedy="Ask for fewer, or simulate a longer recording.",
        )
    edges = np.linspace(0, frame_count, count + 1).astype(np.int64)
    return np.random.default_rng([seed, 41]).integers(edges[:-1], edges[1:])


def labels_of_scene(
    scene: Scene,
    count: int,
    *,
    videos: Mapping[str, str],
    root: str | os.PathLike[str] = ".",
    session: str = "simulated",
    images: str = "labels/frames",
    settings: PictureSettings | None = None,
    visibility: xr.DataArray | None = None,
) -> Labels:
    """Labels of `count` frames of every camera, the same instants in all.

    Keypoints that are hidden have their true position and are OCCLUDED; those outside the image are ABSENT.

    Args:
        scene: the recording.
        count: frames per camera.
        videos: camera -> its video, POSIX, relative to `root`.
        root: the folder that paths are relative to.
        session: name of the session.
        images: folder of the images, POSIX, relative to `root`; they are <session>/<camera>/<frame>.png in it.
        settings: how the cameras take pictures; things on the floor hide keypoints.
        visibility: of `true_visibility`, where it is there already.

    Raises:
        InvalidValueError: the recording has fewer frames than are asked for.
    """
    instants = instants_to_label(scene.settings.frame_count, count, seed=scene.settings.seed)
    seen = true_visibility(scene, settings) if visibility is None else visibility
    position = np.moveaxis(true_poses2d(scene)["position"].to_numpy()[instants], 1, 0)
    codes = np.moveaxis(seen.to_numpy()[instants], 1, 0)
    frames = [
        LabeledImage(
            image=f"{images}/{session}/{camera.name}/{frame:06d}.png",
            video=videos[camera.name],
            frame=int(frame),
            session=session,
            camera=camera.name,
            size=camera.size,
        )
        for camera in scene.rig
        for frame in instants
    ]
    position = np.where((codes == Visibility.ABSENT)[..., None], np.nan, position)
    return Labels(
        keypoints=scene.skeleton.keypoints,
        frames=tuple(frames),
        position=position.reshape(-1, *position.shape[2:]),
        visibility=codes.reshape(-1, *codes.shape[2:]),
        individuals=tuple(scene.poses3d["individual"].to_numpy().tolist()),
        annotator=(ANNOTATOR,) * len(frames),
        root=Path(root),
        skeleton=scene.skeleton,
    )


def write_label_images(labels: Labels) -> list[Path]:
    """Take the images of labels out of their videos: what a network sees later, losses of the video included.

    Returns:
        The files.

    Raises:
        FileFormatError: a video is missing, damaged or too short.
        OutputError: an image cannot be written.
    """
    files = []
    for name in dict.fromkeys(frame.video for frame in labels.frames):
        wanted = {frame.frame: labels.root / frame.image for frame in labels.frames if frame.video == name}
        with open_video(labels.root / name) as video:
            for picture in video.frames(sorted(wanted)):
                write_png(wanted[picture.index], picture.image)
                files.append(wanted[picture.index])
    return files
