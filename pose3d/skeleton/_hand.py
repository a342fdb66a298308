"""One hand, as MediaPipe and OpenPose see it, with the names of MediaPipe."""

from __future__ import annotations

from itertools import pairwise

from pose3d.skeleton.anatomy import Anatomy, Angle, Point, Segment
from pose3d.skeleton.value import Skeleton

__all__ = ["HAND"]

_FINGERS = {
    "THUMB": ("CMC", "MCP", "IP", "TIP"),
    **dict.fromkeys(("INDEX_FINGER", "MIDDLE_FINGER", "RING_FINGER", "PINKY"), ("MCP", "PIP", "DIP", "TIP")),
}


def _hand() -> Skeleton:
    """Wrist and five fingers: all that joins them are bones.

    The palm is that of a hand that hangs down with its palm to the front: y along it to the wrist, x out of the palm,
    z to the right, which is the side of the thumb for a right hand. Of a left hand z points to the thumb too, and x
    out of its back.
    """
    chains = {finger: ("WRIST", *(f"{finger}_{joint}" for joint in joints)) for finger, joints in _FINGERS.items()}
    edges = tuple(bone for chain in chains.values() for bone in pairwise(chain))
    angles = [
        Angle(chain[i + 1], tuple((name,) for name in chain[i : i + 3])) for chain in chains.values() for i in range(3)
    ]
    for one, other in pairwise(chains):
        # How far two neighbors are spread: between their first bones, of the thumb that to its knuckle.
        lines: tuple[Point, ...] = tuple((chains[finger][i],) for finger in (one, other) for i in (1, 2))
        angles.append(Angle(f"{one}_{other}_SPREAD", lines))
    palm = Segment(
        "palm",
        ("WRIST",),
        ("y", ("MIDDLE_FINGER_MCP",), ("WRIST",)),
        ("z", ("PINKY_MCP",), ("INDEX_FINGER_MCP",)),
    )
    return Skeleton(
        "hand",
        ("WRIST", *(name for chain in chains.values() for name in chain[1:])),
        edges,
        bones=edges,
        anatomy=Anatomy(tuple(angles), (palm,), rear=("WRIST",), front=("MIDDLE_FINGER_MCP",)),
    )


HAND = _hand()
"""The skeleton of a hand."""
