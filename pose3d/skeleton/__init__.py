"""Skeletons: named keypoints, the edges between them, the mirrored pairs, and what they mean for the body."""

from pose3d.skeleton.anatomy import WORLD, Anatomy, Angle, Axis, Joint, Leg, Mass, Point, Segment
from pose3d.skeleton.files import (
    SKELETON_KEYS,
    find_skeleton,
    load_skeleton,
    skeleton_of_table,
    skeleton_table,
    skeleton_text,
)
from pose3d.skeleton.presets import PRESETS
from pose3d.skeleton.value import JointLimit, Skeleton

__all__ = [
    "PRESETS",
    "SKELETON_KEYS",
    "WORLD",
    "Anatomy",
    "Angle",
    "Axis",
    "Joint",
    "JointLimit",
    "Leg",
    "Mass",
    "Point",
    "Segment",
    "Skeleton",
    "find_skeleton",
    "load_skeleton",
    "skeleton_of_table",
    "skeleton_table",
    "skeleton_text",
]
