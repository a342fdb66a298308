"""The schemas of `pose3d.datasets`."""

from __future__ import annotations

from calibration.schema import Schema, Variable

__all__ = ["DETECTIONS", "IDENTITY", "INSTANCES", "KINEMATICS", "POSES2D", "POSES3D"]

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
    variables={
        **_found(
            ("time", "camera", "candidate", "keypoint"),
            "probability, 0 where nothing was found, NaN where the frame could not be decoded",
        ),
        "affinity": Variable(
            ("time", "camera", "edge", "candidate", "candidate_"),
            "f",
            "1",
            "probability that two candidates, of the first and of the second keypoint of an edge, are of one animal",
            required=False,
            minimum=0.0,
            maximum=1.0,
        ),
        "edge_keypoint": Variable(("edge", "end"), "U", None, "the two keypoints of every edge", required=False),
    },
)

INSTANCES = Schema(
    name="Instances",
    description=(
        "Animals that were found in every camera, in any order: an instance of one camera has nothing to do with that "
        "of another camera or frame at the same place."
    ),
    coordinates={
        "time": _TIME,
        "frame": _FRAME,
        "camera": _CAMERA,
        "instance": Variable(("instance",), "i", None, "0, 1, 2, ...: the place in the frame of a camera"),
        "keypoint": _KEYPOINT,
        "space": _SPACE2D,
    },
    variables={
        **_found(("time", "camera", "instance", "keypoint"), "score of the detector, 1 where it gives none"),
        "track": Variable(
            ("time", "camera", "instance"),
            "i",
            "1",
            "number of the track that the source put it into, into `track_name`; -1 where none",
            required=False,
            minimum=-1,
        ),
        "track_name": Variable(("source_track",), "U", None, "names of those tracks", required=False),
        "fragment": Variable(
            ("time", "camera", "instance"),
            "i",
            "1",
            "1 where it is too little of an animal: a candidate by itself, or beyond the number of animals",
            required=False,
            minimum=0,
            maximum=1,
        ),
        "assembly_confidence": Variable(
            ("time", "camera", "instance"),
            "f",
            "1",
            "share of its keypoints that are expected to be its own; NaN where there is no animal",
            required=False,
            minimum=0.0,
            maximum=1.0,
        ),
        "appearance": Variable(
            ("time", "camera", "instance", "feature"),
            "f",
            "1",
            "what it looks like, as a vector: alike for the same animal",
            required=False,
        ),
    },
)

IDENTITY = Schema(
    name="Identity",
    description="Which instance of every camera is which individual, how sure that is, and where it may be wrong.",
    coordinates={"time": _TIME, "frame": _FRAME, "camera": _CAMERA, "individual": _INDIVIDUAL},
    variables={
        "instance": Variable(
            ("time", "camera", "individual"), "i", "1", "place among the instances of the camera; -1: none", minimum=-1
        ),
        "identity_confidence": Variable(
            ("time", "individual"),
            "f",
            "1",
            "probability that it is who was called so when last seen; NaN where not seen",
            minimum=0.0,
            maximum=1.0,
        ),
        "identity_status": Variable(("time", "individual"), "i", "1", "0, or why nothing is known", minimum=0),
        "unassigned": Variable(("time", "camera"), "i", "1", "instances that are of no individual", minimum=0),
        "further": Variable(
            ("time", "camera", "individual"),
            "i",
            "1",
            "place of a second part of it, where the camera has it in two; -1: none",
            required=False,
            minimum=-1,
        ),
        "chain": Variable(
            ("time", "individual"), "i", "1", "number of the chain of tracks that it is in; -1: none", minimum=-1
        ),
        "step_row": Variable(("step",), "i", "1", "row of the frame from which on names may be others", minimum=0),
        "step_first": Variable(("step",), "i", "1", "a chain whose name may be exchanged ...", minimum=0),
        "step_second": Variable(("step",), "i", "1", "... with that of this one; -1: a cost by name", minimum=-1),
        "step_begin": Variable(
            ("step",), "i", "1", "row of the first frame of a meeting of the two; -1 for what is none", minimum=-1
        ),
        "step_unseen": Variable(("step",), "i", "1", "1 for a meeting that nobody saw", minimum=0),
        "step_price": Variable(
            ("step", "choice"), "f", "1", "cost of no exchange and of one; or of every name", finite=False
        ),
        "risk_first": Variable(("risk",), "i", "1", "frame number at which identities come close to each other"),
        "risk_last": Variable(("risk",), "i", "1", "frame number at which they are apart again"),
        "risk_individual": Variable(("risk",), "U", None, "whose identity"),
        "risk_other": Variable(("risk",), "U", None, "with whose it may have been exchanged"),
        "risk_probability": Variable(
            ("risk",), "f", "1", "probability that they were exchanged; the largest first", minimum=0.0, maximum=1.0
        ),
        "risk_reason": Variable(("risk",), "U", None, "close or unseen"),
    },
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


def _kinematic(
    dims: str, units: str | None, description: str, kind: str = "f", minimum: float | None = None
) -> Variable:
    return Variable(tuple(dims.split()), kind, units, description, required=False, minimum=minimum)


# The measures of a stride: unit and meaning.
_STRIDES = {
    "stride_duration": ("s", "from contact to the next contact of the foot"),
    "stance_duration": ("s", "from contact to lift-off"),
    "swing_duration": ("s", "from lift-off to the next contact"),
    "duty_factor": ("1", "share of the stride in which the foot is on the ground"),
    "cadence": ("1/min", "strides of this leg per minute"),
    "stride_length": ("rig", "from footprint to the next footprint; on a treadmill, on the belt"),
    "step_length": ("rig", "from the footprint of the mirrored leg before, in the direction of travel"),
    "step_width": ("rig", "from the footprint of the mirrored leg before, across the direction of travel"),
    "stride_speed": ("rig/s", "stride length by stride duration"),
    "foot_clearance": ("rig", "greatest height of the foot in swing over the footprints"),
}

KINEMATICS = Schema(
    name="Kinematics",
    description=(
        "How positions and angles change, and the steps. What there is depends on what was asked for and on the "
        "skeleton. `<name>_std`, with the same dimensions and unit, is the standard deviation of `<name>`, for all "
        "that are measured; `<name>_status` says why a value is missing. Of every measure of a stride there are also, "
        "over leg and individual, `<name>_mean`, `_sd`, `_n`, `_cv` and `_symmetry`."
    ),
    coordinates={"time": _TIME, "frame": _FRAME},
    variables={
        "velocity": _kinematic("time space keypoint individual", "rig/s", "of every keypoint"),
        "speed": _kinematic("time keypoint individual", "rig/s", "of every keypoint", minimum=0.0),
        "acceleration": _kinematic("time space keypoint individual", "rig/s^2", "of every keypoint"),
        "jerk": _kinematic("time space keypoint individual", "rig/s^3", "of every keypoint"),
        "curvature": _kinematic("time keypoint individual", "rig^-1", "of the path of every keypoint", minimum=0.0),
        "body_speed": _kinematic("time individual", "rig/s", "of the body; its attribute `of` says of which point"),
        "body_axis": _kinematic("time space individual", "1", "unit vector from the rear to the front of the body"),
        "body_yaw": _kinematic("time individual", "rad", "direction of that axis, from x to y"),
        "body_pitch": _kinematic("time individual", "rad", "angle of that axis above the ground plane"),
        "center_of_mass": _kinematic("time space individual", "rig", "of the parts that are seen"),
        "center_of_mass_share": _kinematic("time individual", "1", "share of the mass that is seen"),
        "bone_length": _kinematic("time edge individual", "rig", "length of every edge", minimum=0.0),
        "joint_angle": _kinematic("time angle individual", "rad", "angles of the skeleton"),
        "joint_coordinate": _kinematic("time joint component individual", "rad", "three angles of every joint"),
        "leg_phase": _kinematic("time leg individual", "rad", "phase in the stride, 0 at contact", minimum=0.0),
        "event_time": _kinematic("event", "s", "when a foot meets the ground or leaves it"),
        "event_frame": _kinematic("event", "1", "the nearest frame", "i"),
        "event_leg": _kinematic("event", "1", "which leg", "U"),
        "event_individual": _kinematic("event", "1", "whose", "U"),
        "event_kind": _kinematic("event", "1", "contact or lift_off", "U"),
        "event_confidence": _kinematic("event", "1", "from 0 to 1", minimum=0.0),
        "event_method": _kinematic("event", "1", "how it was found", "U"),
        "leg_status": _kinematic("leg individual", "1", "0, or why a leg has no steps", "i"),
        "candidates_dropped": _kinematic("leg individual", "1", "possible events that are none", "i"),
        "belt_speed": _kinematic("individual", "rig/s", "of a treadmill; 0 over ground"),
        "stride_period": _kinematic("individual", "s", "usual time of a stride"),
        "travel_direction": _kinematic("individual space", "1", "mean direction of travel, a unit vector"),
        "stride_leg": _kinematic("stride", "1", "which leg", "U"),
        "stride_individual": _kinematic("stride", "1", "whose", "U"),
        "stride_start": _kinematic("stride", "s", "contact at the start"),
        "stride_lift_off": _kinematic("stride", "s", "lift-off"),
        "stride_end": _kinematic("stride", "s", "contact at the end"),
        **{name: _kinematic("stride", unit, meaning) for name, (unit, meaning) in _STRIDES.items()},
        "stride_regularity": _kinematic(
            "individual", "1", "autocorrelation of the body's vertical acceleration, a stride"
        ),
        "step_regularity": _kinematic("individual", "1", "the same at half a stride"),
        "phase_difference": _kinematic("leg individual", "rad", "circular mean of the phase behind the first leg"),
        "phase_concentration": _kinematic("leg individual", "1", "length of the mean resultant of that difference"),
        "phase_difference_n": _kinematic("leg individual", "1", "frames in which both phases are known", "i"),
        "gait_individual": _kinematic("gait_stride", "1", "whose stride of the reference leg", "U"),
        "gait_start": _kinematic("gait_stride", "s", "when it starts"),
        "gait_end": _kinematic("gait_stride", "s", "when it ends"),
        "gait_class": _kinematic("gait_stride", "1", "gait in that stride", "U"),
        "gait_confidence": _kinematic("gait_stride", "1", "from 0 to 1", minimum=0.0),
        "touchdown": _kinematic("gait_stride leg", "1", "contact of every leg, as share of that stride"),
        "cycle_joint_angle_mean": _kinematic(
            "individual leg cycle_phase angle",
            "rad",
            "mean angle over the stride; likewise `_sd`, `_mean_std`, `_band_low`, `_band_high`, `_n`",
        ),
        "cycle_joint_coordinate_mean": _kinematic(
            "individual leg cycle_phase joint component", "rad", "the same of the joint coordinates"
        ),
    },
)
