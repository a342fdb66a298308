"""Skeletons that many use."""

from __future__ import annotations

from collections.abc import Mapping

from pose3d.skeleton.value import Skeleton

__all__ = ["PRESETS"]

_SIDES = ("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "BigToe", "SmallToe", "Heel", "Eye", "Ear")
_HUMAN_PAIRS = tuple((f"L{part}", f"R{part}") for part in _SIDES)
_HUMAN_LIMBS = tuple(
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
_HUMAN_BONES = tuple(
    (f"{side}{a}", f"{side}{b}")
    for side in "LR"
    for a, b in (("Shoulder", "Elbow"), ("Elbow", "Wrist"), ("Hip", "Knee"), ("Knee", "Ankle"))
)

_BODY_25_KEYPOINTS = (
    "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist MidHip RHip RKnee RAnkle LHip LKnee LAnkle REye LEye "
    "REar LEar LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel"
)
_BODY_25B_KEYPOINTS = (
    "Nose LEye REye LEar REar LShoulder RShoulder LElbow RElbow LWrist RWrist LHip RHip LKnee RKnee LAnkle RAnkle Neck "
    "Head LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel"
)
_COCO_17_KEYPOINTS = (
    "Nose LEye REye LEar REar LShoulder RShoulder LElbow RElbow LWrist RWrist LHip RHip LKnee RKnee LAnkle RAnkle"
)
_COCO_18_KEYPOINTS = (
    "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist RHip RKnee RAnkle LHip LKnee LAnkle REye LEye REar LEar"
)


def _human(name: str, keypoints: str, trunk: tuple[tuple[str, str], ...]) -> Skeleton:
    names = tuple(keypoints.split())
    edges = tuple(edge for edge in _HUMAN_LIMBS + trunk if set(edge) <= set(names))
    pairs = tuple(pair for pair in _HUMAN_PAIRS if set(pair) <= set(names))
    return Skeleton(name, names, edges, pairs, _HUMAN_BONES)


_TRUNK_WITH_NECK = (
    ("Neck", "Nose"),
    ("Nose", "LEye"),
    ("Nose", "REye"),
    ("Neck", "LShoulder"),
    ("Neck", "RShoulder"),
)

PRESETS: Mapping[str, Skeleton] = {
    skeleton.name: skeleton
    for skeleton in (
        _human(
            "body_25",
            _BODY_25_KEYPOINTS,
            (*_TRUNK_WITH_NECK, ("Neck", "MidHip"), ("MidHip", "LHip"), ("MidHip", "RHip")),
        ),
        _human(
            "body_25b",
            _BODY_25B_KEYPOINTS,
            (*_TRUNK_WITH_NECK, ("Neck", "Head"), ("LHip", "RHip"), ("LShoulder", "LHip"), ("RShoulder", "RHip")),
        ),
        _human(
            "coco_17",
            _COCO_17_KEYPOINTS,
            (
                ("Nose", "LEye"),
                ("Nose", "REye"),
                ("LShoulder", "RShoulder"),
                ("LHip", "RHip"),
                ("LShoulder", "LHip"),
                ("RShoulder", "RHip"),
            ),
        ),
        _human("coco_18", _COCO_18_KEYPOINTS, (*_TRUNK_WITH_NECK, ("Neck", "LHip"), ("Neck", "RHip"))),
    )
}
