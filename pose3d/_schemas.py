"""The schemas of `pose3d.datasets`."""

from __future__ import annotations

from calibration.schema import Schema, Variable

__all__ = ["DETECTIONS", "KINEMATICS", "POSES2D", "POSES3D"]

_TIME = Variable(("time",), "fi", None, "presentation time in seconds; the frame number where no frame rate is known")
_FRAME = Variable(("time",), "i", None, "frame number in the recording, starting at 0", minimum=0)
_KEYPOINT = Variable(("keypoint",), "U", None, "names of the keypoints")
_INDIVIDUAL = Variable(("individual",), "U", None, "names of the animals or people")
_CAMERA = Variable(("camera",), "U", None, "names of the cameras, as in the rig")
_SPACE2D = Variable(("space",), "U", None, "x, y")
_SPACE3D = Variable(("space",), "U", None, "x, y, z")


def _found(dims: tuple[str, ...], confidence: str) -> dict[str, Variable]:
    """The variables of places in images; `confidence` says what that number means."""
    return {
        "position": Variable(
            (*dims, "space"), "f", "px", "pixel coordinates; the center of the top-left pixel is (0, 0)"
        ),
        "confidence": Variable(dims, "f", "1", confidence, minimum=0.0, maximum=1.0),
        "covariance": Variable((*dims, "space", "space_"), "f", "px^2", "covariance of the position", required=False),
        "image_size": Variable(
            ("camera", "space"),
            "fi",
            "px",
            "width and height of the images the poses were found in",
            required=False,
            minimum=1,
        ),
    }


POSES2D = Schema(
    name="Poses2D",
    description="2D poses of every camera, with one name per individual across cameras.",
    coordinates={
        "time": _TIME,
        "frame": _FRAME,
        "camera": _CAMERA,
        "individual": _INDIVIDUAL,
        "keypoint": _KEYPOINT,
        "space": _SPACE2D,
    },
    variables=_found(("time", "camera", "individual", "keypoint"), "score of the detector, 1 where it gives none"),
)

DETECTIONS = Schema(
    name="Detections",
    description="Possible places of every keypoint in every camera, not yet told apart by individual.",
    coordinates={
        "time": _TIME,
        "frame": _FRAME,
        "camera": _CAMERA,
        "candidate": Variable(("candidate",), "i", None, "0 for the most probable place of a keypoint, then 1, 2, ..."),
        "keypoint": _KEYPOINT,
        "space": _SPACE2D,
    },
    variables=_found(
        ("time", "camera", "candidate", "keypoint"),
        "probability, 0 where nothing was found, NaN where the frame could not be decoded",
    ),
)

POSES3D = Schema(
    name="Poses3D",
    description="3D poses in the world frame and length unit of the rig.",
    coordinates={
        "time": _TIME,
        "frame": _FRAME,
        "space": _SPACE3D,
        "keypoint": _KEYPOINT,
        "individual": _INDIVIDUAL,
    },
    variables={
        "position": Variable(("time", "space", "keypoint", "individual"), "f", "rig", "position in the world"),
        "confidence": Variable(
            ("time", "keypoint", "individual"),
            "f",
            "1",
            "mean 2D confidence of the cameras that were used",
            minimum=0.0,
            maximum=1.0,
        ),
        "reprojection_error": Variable(
            ("time", "keypoint", "individual"),
            "f",
            "px",
            "RMS distance between the 2D positions that were used and the projected 3D position",
            required=False,
            minimum=0.0,
        ),
        "n_cameras": Variable(
            ("time", "keypoint", "individual"), "i", "1", "number of cameras that were used", required=False, minimum=0
        ),
        "status": Variable(
            ("time", "keypoint", "individual"), "i", "1", "0, or why the position is missing", required=False
        ),
        "covariance": Variable(
            ("time", "space", "space_", "keypoint", "individual"),
            "f",
            "rig^2",
            "covariance of the position",
            required=False,
        ),
        "inlier": Variable(
            ("time", "camera", "keypoint", "individual"), "bi", "1", "1 where the camera was used", required=False
        ),
        "residual": Variable(
            ("time", "camera", "keypoint", "individual"),
            "f",
            "px",
            "distance between the 2D position and the projected 3D position, used or not",
            required=False,
            minimum=0.0,
        ),
        "view_probability": Variable(
            ("time", "camera", "keypoint", "individual"),
            "f",
            "1",
            "of a trajectory: probability that the 2D position is of the keypoint, and not lost",
            required=False,
            minimum=0.0,
            maximum=1.0,
        ),
        "repair": Variable(
            ("time", "camera", "keypoint", "individual"),
            "i",
            "1",
            "of a trajectory: 0 for the 2D position as it is, 1 for left and right exchanged, 2 for another candidate",
            required=False,
            minimum=0,
        ),
        "bridged": Variable(
            ("time", "keypoint", "individual"),
            "bi",
            "1",
            "of a trajectory: 1 where fewer than two cameras were used, so that frames around decide",
            required=False,
        ),
        "filled": Variable(
            ("time", "keypoint", "individual"),
            "bi",
            "1",
            "1 where a filter filled a gap by interpolation",
            required=False,
        ),
    },
)


# What there is depends on what was asked for and on the skeleton, so everything is optional but the times.
KINEMATICS = Schema(
    name="Kinematics",
    description="How positions and angles change, and the steps. `<name>_std` is the standard deviation of `<name>`.",
    coordinates={"time": _TIME, "frame": _FRAME},
    variables={},
)
