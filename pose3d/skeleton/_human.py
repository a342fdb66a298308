"""People: the keypoints of OpenPose, COCO and HALPE, with the same anatomy as far as their keypoints go.

Systems of segments follow the International Society of Biomechanics (Wu et al. 2002, 2005) for a person who stands: y
up along the bone from its far to its near end, z to the right, x to the front. Keypoints are fewer than the landmarks
that the ISB asks for, so what is seen of a rotation differs:

- The plane of hip, knee and ankle, which would tell how a thigh is turned, vanishes with every straight knee. The line
  through the hips is taken instead: it is square to the thigh but for a leg that is spread by 90 degrees. With it the
  rotation in the hip is zero by definition; flexion and adduction are exact.
- A foot hardly turns under its shank, so the direction of the foot says how the shank is turned. The rotation in the
  knee then is that of hip and knee together, and that in the ankle is zero by definition.
- An upper arm takes the plane of its elbow (the second option of Wu et al. 2005); it is undefined with a straight one.
  The line of the shoulders would be undefined in every arm that is raised sideways.
- The pelvis is level with the hips and upright with the trunk, which no keypoint tells from it.
"""

from __future__ import annotations

from pose3d.skeleton.anatomy import Anatomy, Angle, Axis, Joint, Leg, Mass, Point, Segment
from pose3d.skeleton.value import Skeleton

__all__ = ["HUMANS"]

_Line = tuple[Axis, Point, Point]

_SIDES = ("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "BigToe", "SmallToe", "Heel", "Eye", "Ear")
_PAIRS = tuple((f"L{part}", f"R{part}") for part in _SIDES)
_LIMBS = tuple(
    (f"{side}{a}", f"{side}{b}")
    for side in "LR"
    for a, b in (
        ("Shoulder", "Elbow"),
        ("Elbow", "Wrist"),
        ("Hip", "Knee"),
        ("Knee", "Ankle"),
        ("Ankle", "Heel"),
        ("Ankle", "BigToe"),
        ("BigToe", "SmallToe"),
        ("Eye", "Ear"),
    )
)

# What is as long in every frame; shoulders and hips, as detectors see them, are not.
_BONES = tuple(
    (f"{side}{a}", f"{side}{b}")
    for side in "LR"
    for a, b in (("Shoulder", "Elbow"), ("Elbow", "Wrist"), ("Hip", "Knee"), ("Knee", "Ankle"))
)

_BODY_25 = (
    "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist MidHip RHip RKnee RAnkle LHip LKnee LAnkle REye LEye "
    "REar LEar LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel"
)
_BODY_25B = (
    "Nose LEye REye LEar REar LShoulder RShoulder LElbow RElbow LWrist RWrist LHip RHip LKnee RKnee LAnkle RAnkle Neck "
    "Head LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel"
)
_COCO_17 = (
    "Nose LEye REye LEar REar LShoulder RShoulder LElbow RElbow LWrist RWrist LHip RHip LKnee RKnee LAnkle RAnkle"
)
_COCO_18 = (
    "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist RHip RKnee RAnkle LHip LKnee LAnkle REye LEye REar LEar"
)
# Of AlphaPose and RTMPose, with the names that Pose2Sim gives them: Head is the top of it, Hip the middle of the hips.
_HALPE_26 = f"{_COCO_17} Head Neck Hip LBigToe RBigToe LSmallToe RSmallToe LHeel RHeel"  # as numbered in HALPE, 0 to 25

_HIPS: Point = ("LHip", "RHip")
_SHOULDERS: Point = ("LShoulder", "RShoulder")
_EARS: Point = ("LEar", "REar")
_NAMES = {"L": "left", "R": "right"}

# De Leva 1996, table 4 (adjusted from Zatsiorsky and Seluyanov): mass in percent of the body's, and center of mass in
# percent of the length, from the near end; women, men. The mean of both is taken.
_TRUNK_MASS, _TRUNK_CENTER = (42.57, 43.46), (37.82, 43.10)  # from mid-shoulder to mid-hip
_HEAD_MASS = (6.68, 6.94)
_UPPER_ARM_MASS, _UPPER_ARM_CENTER = (2.55, 2.71), (57.54, 57.72)
_FOREARM_MASS, _FOREARM_CENTER = (1.38, 1.62), (45.59, 45.74)
_HAND_MASS, _HAND_CENTER = (0.56, 0.61), (74.74, 79.00)  # from the wrist to the third knuckle
_FOREARM_LENGTH, _HAND_LENGTH = (264.3, 268.9), (78.0, 86.2)  # mm
_THIGH_MASS, _THIGH_CENTER = (14.78, 14.16), (36.12, 40.95)
_SHANK_MASS, _SHANK_CENTER = (4.81, 4.33), (43.52, 43.95)  # from the center of the knee to that of the ankle
_FOOT_MASS, _FOOT_CENTER = (1.29, 1.37), (40.14, 44.15)  # from the heel to the tip of the toe


def _mean(pair: tuple[float, float]) -> float:
    return round((pair[0] + pair[1]) / 200, 6)


def _joined(
    masses: tuple[tuple[float, float], tuple[float, float]], centers: tuple[tuple[float, float], tuple[float, float]]
) -> tuple[float, float]:
    """Mass and center, in percent, of two parts in one: for women and men, then their mean as shares."""
    mass = tuple(masses[0][sex] + masses[1][sex] for sex in (0, 1))
    center = tuple(sum(masses[i][sex] * centers[i][sex] for i in (0, 1)) / mass[sex] for sex in (0, 1))
    return _mean((mass[0], mass[1])), _mean((center[0], center[1]))


def _masses(keypoints: set[str]) -> tuple[Mass, ...]:
    """Parts of the body for its center of mass.

    No keypoint shows the top of the head with the angle of the jaw, nor the hands: the middle of the ears stands for
    the center of the head, and a hand is counted to its forearm, straight ahead of it. Where there are no keypoints of
    feet, a foot is counted to its shank, at the ankle.
    """
    parts = [
        Mass("head", _EARS, _EARS, _mean(_HEAD_MASS), 0.0),
        Mass("trunk", _SHOULDERS, _HIPS, _mean(_TRUNK_MASS), _mean(_TRUNK_CENTER)),
    ]
    ahead = tuple(100 + _HAND_CENTER[sex] * _HAND_LENGTH[sex] / _FOREARM_LENGTH[sex] for sex in (0, 1))
    forearm = _joined((_FOREARM_MASS, _HAND_MASS), (_FOREARM_CENTER, (ahead[0], ahead[1])))
    shank = _mean(_SHANK_MASS), _mean(_SHANK_CENTER)
    feet = "LHeel" in keypoints
    if not feet:
        shank = _joined((_SHANK_MASS, _FOOT_MASS), (_SHANK_CENTER, (100.0, 100.0)))
    for side, name in _NAMES.items():
        rows = [
            ("upper_arm", "Shoulder", "Elbow", _mean(_UPPER_ARM_MASS), _mean(_UPPER_ARM_CENTER)),
            ("forearm_and_hand", "Elbow", "Wrist", *forearm),
            ("thigh", "Hip", "Knee", _mean(_THIGH_MASS), _mean(_THIGH_CENTER)),
            ("shank" if feet else "shank_and_foot", "Knee", "Ankle", *shank),
            ("foot", "Heel", "BigToe", _mean(_FOOT_MASS), _mean(_FOOT_CENTER)),
        ]
        parts += [Mass(f"{name}_{part}", (side + a,), (side + b,), *rest) for part, a, b, *rest in rows]
    return tuple(part for part in parts if set(part.start + part.end) <= keypoints)


def _segments(keypoints: set[str]) -> tuple[Segment, ...]:
    across: _Line = ("z", ("LHip",), ("RHip",))  # see the head of the module
    parts = [
        Segment("pelvis", _HIPS, across, ("y", _HIPS, _SHOULDERS)),
        Segment("thorax", _SHOULDERS, ("y", _HIPS, _SHOULDERS), ("z", ("LShoulder",), ("RShoulder",))),
        Segment("head", _EARS, ("z", ("LEar",), ("REar",)), ("x", _EARS, ("Nose",))),
    ]
    for side, name in _NAMES.items():
        shoulder, elbow, wrist, hip, knee, ankle, heel, toe, small = (
            (side + part,)
            for part in ("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "Heel", "BigToe", "SmallToe")
        )
        ahead: _Line = ("x", heel, toe) if "LHeel" in keypoints else across
        outward = (small, toe) if side == "L" else (toe, small)  # to the right
        parts += [
            Segment(f"{name}_upper_arm", shoulder, ("y", elbow, shoulder), ("x", elbow, wrist)),
            Segment(f"{name}_thigh", hip, ("y", knee, hip), across),
            Segment(f"{name}_shank", ankle, ("y", ankle, knee), ahead),
            Segment(f"{name}_foot", heel, ("x", heel, toe), ("z", *outward)),
        ]
    return tuple(part for part in parts if {name for point in part.points for name in point} <= keypoints)


def _joints(feet: bool) -> tuple[Joint, ...]:
    """Joints with the signs by which both sides tell the same movement alike.

    About z, to the right, what hangs down swings to the front: flexion of hip and ankle, but extension of the knee.
    About x, to the front, and y, up, the right side is adducted and turned inward, the left one the opposite.

    The shoulder is told as the plane of elevation (0 sideways, 90 degrees to the front), the elevation, and the
    rotation inward (Wu et al. 2005, YXY). An elevation above zero and below 180 degrees is that about -x on the right
    side, which adds half a turn to both angles about y.
    """
    parts = []
    for side, name in _NAMES.items():
        turn = -1 if side == "L" else 1
        swing = ("flexion", "adduction", "rotation")
        parts += [
            Joint(f"{name}_hip", "pelvis", f"{name}_thigh", "ZXY", swing, (1, turn, turn)),
            Joint(f"{name}_knee", f"{name}_thigh", f"{name}_shank", "ZXY", swing, (-1, turn, turn)),
            Joint(
                f"{name}_shoulder",
                "thorax",
                f"{name}_upper_arm",
                "YXY",
                ("plane_of_elevation", "elevation", "rotation"),
                (turn, 1, turn),
                (0.0, 0.0, 0.0) if side == "L" else (180.0, 0.0, 180.0),
            ),
        ]
        if feet:
            ankle = ("dorsiflexion", "inversion", "rotation")
            parts.append(Joint(f"{name}_ankle", f"{name}_shank", f"{name}_foot", "ZXY", ankle, (1, turn, turn)))
    return tuple(parts)


def _angles(feet: bool) -> tuple[Angle, ...]:
    parts = [Angle("neck", (_HIPS, _SHOULDERS, _EARS))]
    for side, name in _NAMES.items():
        rows = [
            ("shoulder", "Hip", "Shoulder", "Elbow"),
            ("elbow", "Shoulder", "Elbow", "Wrist"),
            ("hip", "Shoulder", "Hip", "Knee"),
            ("knee", "Hip", "Knee", "Ankle"),
            *([("ankle", "Knee", "Ankle", "BigToe")] if feet else []),
        ]
        parts += [Angle(f"{name}_{part}", tuple((side + end,) for end in ends)) for part, *ends in rows]
    # From the line of the hips to that of the shoulders, about the axis up the trunk.
    lines = (("LHip",), ("RHip",), ("LShoulder",), ("RShoulder",))
    return (*parts, Angle("trunk_rotation", lines, ("z", "x"), "pelvis"))


def _anatomy(keypoints: set[str]) -> Anatomy:
    """The anatomy of these keypoints.

    The front of a person is where both feet point: a head looks around. Without feet it is where the face is.
    """
    feet = {f"{side}{part}" for side in "LR" for part in ("Heel", "BigToe", "SmallToe")} <= keypoints
    ends = {"foot": "Heel", "heel": "Heel", "toe": "BigToe"} if feet else {"foot": "Ankle"}
    legs = tuple(
        Leg(name, **{end: side + part for end, part in ends.items()}, hip=_HIPS) for side, name in _NAMES.items()
    )
    return Anatomy(
        _angles(feet),
        _segments(keypoints),
        _joints(feet),
        legs,
        _masses(keypoints),
        rear=("LHeel", "RHeel") if feet else _EARS,
        front=("LBigToe", "RBigToe") if feet else ("Nose",),
    )


def _human(name: str, keypoints: str, trunk: tuple[tuple[str, str], ...]) -> Skeleton:
    names = tuple(keypoints.split())
    edges = tuple(edge for edge in _LIMBS + trunk if set(edge) <= set(names))
    pairs = tuple(pair for pair in _PAIRS if set(pair) <= set(names))
    return Skeleton(name, names, edges, pairs, _BONES, anatomy=_anatomy(set(names)))


_FACE = (("Nose", "LEye"), ("Nose", "REye"))
_NECK = (("Neck", "Nose"), *_FACE, ("Neck", "LShoulder"), ("Neck", "RShoulder"))
_FLANKS = (("LHip", "RHip"), ("LShoulder", "LHip"), ("RShoulder", "RHip"))

HUMANS = (
    _human("body_25", _BODY_25, (*_NECK, ("Neck", "MidHip"), ("MidHip", "LHip"), ("MidHip", "RHip"))),
    _human("body_25b", _BODY_25B, (*_NECK, ("Neck", "Head"), *_FLANKS)),
    _human("coco_17", _COCO_17, (*_FACE, ("LShoulder", "RShoulder"), *_FLANKS)),
    _human("coco_18", _COCO_18, (*_NECK, ("Neck", "LHip"), ("Neck", "RHip"))),
    _human(
        "halpe_26",
        _HALPE_26,
        (*_NECK, ("Neck", "Head"), ("Neck", "Hip"), ("Hip", "LHip"), ("Hip", "RHip")),
    ),
)
"""Skeletons of people."""
