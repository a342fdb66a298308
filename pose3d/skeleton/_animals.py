"""Animals: rodents, four-legged animals, flies and fish.

The systems of segments follow those of people: x to the front of the animal, y up, z to its right; of bones of legs y
along the bone, from its far to its near end. How such a bone is turned about itself, its neighbor says: the line
through both hips or shoulders, which is square to it. The plane of a joint would vanish where the leg is straight. So
the rotation of a hip or shoulder is zero by definition; its flexion and adduction are exact.

No table says what share of its mass each part of such a body has, so there is none.
"""

from __future__ import annotations

from itertools import pairwise

from pose3d.skeleton.anatomy import Anatomy, Angle, Axis, Joint, Leg, Point, Segment
from pose3d.skeleton.value import Skeleton

__all__ = ["ANIMALS"]

_SWING = ("flexion", "adduction", "rotation")


def _angle(name: str, *points: str) -> Angle:
    return Angle(name, tuple((point,) for point in points))


def _girdle(name: str, trunk: tuple[str, str], left: tuple[str, str], right: tuple[str, str]) -> tuple[Segment, ...]:
    """The trunk where two legs join it, and their first bones, called left_NAME_leg and right_NAME_leg.

    Args:
        name: what it is called.
        trunk: keypoints behind and before.
        left, right: the near and the far end of the first bone of each leg.
    """
    across: tuple[Axis, Point, Point] = ("z", (left[0],), (right[0],))
    bones = (
        Segment(f"{side}_{name}_leg", (near,), ("y", (far,), (near,)), across)
        for side, (near, far) in (("left", left), ("right", right))
    )
    return (Segment(f"{name}_trunk", (left[0], right[0]), ("x", (trunk[0],), (trunk[1],)), across), *bones)


def _swinging(name: str) -> tuple[Joint, ...]:
    """What joins the legs to the trunk; the signs are such that both sides tell the same movement alike."""
    return tuple(
        Joint(f"{side}_{name}_leg", f"{name}_trunk", f"{side}_{name}_leg", "ZXY", _SWING, (1, turn, turn))
        for side, turn in (("left", -1), ("right", 1))
    )


_RODENT_LEGS = {
    "fore": ("shoulder", "elbow", "wrist", "fore_paw"),
    "hind": ("hip", "knee", "ankle", "hind_paw"),
}
_RODENT_CHAINS = tuple(
    tuple(f"{side}_{joint}" for joint in joints) for joints in _RODENT_LEGS.values() for side in ("left", "right")
)
_RODENT_LEG_BONES = tuple(bone for chain in _RODENT_CHAINS for bone in pairwise(chain))


def _rodent_anatomy() -> Anatomy:
    legs = []
    angles = [
        _angle("head", "nose", "neck", "spine"),
        _angle("back", "neck", "spine", "tail_base"),
        _angle("tail_base", "spine", "tail_base", "tail_mid"),
        _angle("tail", "tail_base", "tail_mid", "tail_tip"),
    ]
    for chain in _RODENT_CHAINS:
        side, kind = chain[0].split("_")[0], "fore" if chain[0].endswith("shoulder") else "hind"
        angles += [_angle(chain[0], "spine", *chain[:2])]
        angles += [_angle(chain[i + 1], *chain[i : i + 3]) for i in range(2)]
        near = _RODENT_LEGS[kind][0]
        legs.append(Leg(f"{side}_{kind}", chain[-1], hip=(f"left_{near}", f"right_{near}")))
    fore, hind = (
        _girdle(kind, trunk, (f"left_{a}", f"left_{b}"), (f"right_{a}", f"right_{b}"))
        for kind, trunk, a, b in (
            ("fore", ("spine", "neck"), "shoulder", "elbow"),
            ("hind", ("tail_base", "spine"), "hip", "knee"),
        )
    )
    # Of the head against the fore trunk, to the left, seen from above.
    turn = Angle("head_turn", (("spine",), ("neck",), ("neck",), ("nose",)), ("z", "x"), "fore_trunk")
    return Anatomy(
        (*angles, turn),
        (*fore, *hind),
        (*_swinging("fore"), *_swinging("hind")),
        tuple(legs),
        rear=("tail_base",),
        front=("neck",),
    )


def _rodent(name: str) -> Skeleton:
    """Nose to tail with four legs of four keypoints each; bones of legs are stiff, trunk and tail are not."""
    edges = (
        ("neck", "nose"),
        ("neck", "left_ear"),
        ("neck", "right_ear"),
        ("neck", "spine"),
        ("spine", "tail_base"),
        ("tail_base", "tail_mid"),
        ("tail_mid", "tail_tip"),
        *((("neck" if chain[0].endswith("shoulder") else "tail_base"), chain[0]) for chain in _RODENT_CHAINS),
        *_RODENT_LEG_BONES,
    )
    return Skeleton(
        name,
        (
            *("nose", "left_ear", "right_ear", "neck", "spine", "tail_base", "tail_mid", "tail_tip"),
            *(joint for chain in _RODENT_CHAINS for joint in chain),
        ),
        edges,
        (
            ("left_ear", "right_ear"),
            *((f"left_{joint}", f"right_{joint}") for joints in _RODENT_LEGS.values() for joint in joints),
        ),
        _RODENT_LEG_BONES,
        anatomy=_rodent_anatomy(),
    )


# The keypoints of AP-10K (Yu et al. 2021), with its names: dogs, horses and fifty other species are labeled with them,
# and most networks that find any four-legged animal give them.
_AP_10K = (
    *("L_Eye", "R_Eye", "Nose", "Neck", "Root of tail", "L_Shoulder", "L_Elbow", "L_F_Paw", "R_Shoulder", "R_Elbow"),
    *("R_F_Paw", "L_Hip", "L_Knee", "L_B_Paw", "R_Hip", "R_Knee", "R_B_Paw"),
)


def _quadruped() -> Skeleton:
    rear, front = "Root of tail", "Neck"
    edges = [("L_Eye", "R_Eye"), ("L_Eye", "Nose"), ("R_Eye", "Nose"), ("Nose", front), (front, rear)]
    bones, angles, legs = [], [_angle("neck", "Nose", front, rear)], []
    for side, name in (("L", "left"), ("R", "right")):
        for kind, end, joints in (
            ("fore", front, ("Shoulder", "Elbow", "F_Paw")),
            ("hind", rear, ("Hip", "Knee", "B_Paw")),
        ):
            near, middle, paw = (f"{side}_{joint}" for joint in joints)
            edges += [(end, near), (near, middle), (middle, paw)]
            bones.append((near, middle))  # the one to the paw has a wrist or ankle in it
            opposite = rear if end == front else front
            angles += [
                _angle(f"{name}_{joints[0].lower()}", opposite, near, middle),
                _angle(f"{name}_{joints[1].lower()}", near, middle, paw),
            ]
            legs.append(Leg(f"{name}_{kind}", paw, hip=(f"L_{joints[0]}", f"R_{joints[0]}")))
    fore, hind = (
        _girdle(kind, (rear, front), (f"L_{a}", f"L_{b}"), (f"R_{a}", f"R_{b}"))
        for kind, a, b in (("fore", "Shoulder", "Elbow"), ("hind", "Hip", "Knee"))
    )
    swinging = (*_swinging("fore"), *_swinging("hind"))
    pairs = tuple((name, "R" + name[1:]) for name in _AP_10K if name.startswith("L_"))
    anatomy = Anatomy(tuple(angles), (*fore, *hind), swinging, tuple(legs), rear=(rear,), front=(front,))
    return Skeleton("quadruped", _AP_10K, tuple(edges), pairs, tuple(bones), anatomy=anatomy)


_FLY_LEG = ("Coxa", "Femur", "Tibia", "Tarsus", "Claw")
_FLY_REST = ("Antenna", "Stripe1", "Stripe2", "Stripe3")


def _fly() -> Skeleton:
    """The keypoints of DeepFly3D (Günel et al. 2019), with the names that its post-processing gives them.

    A leg is told by side and place, fore, middle and hind, and a joint by the part that begins there: RFFemur is where
    the coxa of the right foreleg ends. The stripes are on the abdomen.
    """
    keypoints = tuple(
        f"{side}{part}"
        for side in "RL"
        for part in (*(f"{leg}{joint}" for leg in "FMH" for joint in _FLY_LEG), *_FLY_REST)
    )
    rear, middle, front = (tuple(f"{side}{leg}Coxa" for side in "LR") for leg in "HMF")
    edges, bones, angles, reaches, legs = [("LAntenna", "RAntenna")], [], [], [], []
    for side in "LR":
        for leg in "FMH":
            chain = tuple(f"{side}{leg}{joint}" for joint in _FLY_LEG)
            edges += pairwise(chain)
            bones += list(pairwise(chain))[:3]  # the tarsus bends
            angles += [_angle(chain[i + 1], *chain[i : i + 3]) for i in range(3)]
            line = (rear, front, (chain[0],), (chain[-1],))
            # From straight ahead, to the left, seen from above: how far the leg reaches forward.
            reaches.append(Angle(f"{side}{leg}Reach", line, ("z", "x"), "thorax"))
            legs.append(Leg(f"{side}{leg}", chain[-1], hip=(chain[0],)))
        row = ("Antenna", "FCoxa", "MCoxa", "HCoxa", *_FLY_REST[1:])
        edges += pairwise(f"{side}{part}" for part in row)
    thorax = Segment("thorax", middle, ("x", rear, front), ("z", *_split(rear + middle + front)))
    pairs = tuple((name, "R" + name[1:]) for name in keypoints if name.startswith("L"))
    anatomy = Anatomy((*angles, *reaches), (thorax,), legs=tuple(legs), rear=rear, front=front)
    return Skeleton("fly", keypoints, tuple(edges), pairs, tuple(bones), anatomy=anatomy)


def _split(point: Point) -> tuple[Point, Point]:
    """The keypoints of the left and those of the right."""
    return tuple(name for name in point if name[0] == "L"), tuple(name for name in point if name[0] == "R")


def _fish() -> Skeleton:
    """A fish seen from several sides: head, the fins that most species have, and the midline to the tail.

    There is no list of keypoints that many use. The middle of dorsal and pelvic fin stands for the trunk.
    """
    left, right, trunk = ("left_eye",), ("right_eye",), ("dorsal_fin", "pelvic_fin")
    eyes = left + right
    skull = (("snout", "left_eye"), ("snout", "right_eye"), ("left_eye", "right_eye"))
    edges = (
        *skull,
        *(("snout", f"{side}_pectoral_fin") for side in ("left", "right")),
        ("snout", "dorsal_fin"),
        ("snout", "pelvic_fin"),
        ("dorsal_fin", "peduncle"),
        ("pelvic_fin", "peduncle"),
        ("peduncle", "tail_tip"),
    )
    # Bends are to the left seen from above, in the plane of the head; zero where the fish is straight.
    angles = (
        Angle("trunk", (eyes, trunk, ("peduncle",))),
        Angle("tail", (trunk, ("peduncle",), ("tail_tip",))),
        Angle("trunk_bend", (("peduncle",), trunk, trunk, eyes), ("z", "x"), "head"),
        Angle("tail_bend", (("tail_tip",), ("peduncle",), ("peduncle",), trunk), ("z", "x"), "head"),
    )
    return Skeleton(
        "fish",
        (
            *("snout", "left_eye", "right_eye", "left_pectoral_fin", "right_pectoral_fin"),
            *("dorsal_fin", "pelvic_fin", "peduncle", "tail_tip"),
        ),
        edges,
        (("left_eye", "right_eye"), ("left_pectoral_fin", "right_pectoral_fin")),
        skull,
        anatomy=Anatomy(
            angles,
            (Segment("head", eyes, ("z", left, right), ("x", eyes, ("snout",))),),
            rear=("peduncle",),
            front=("snout",),
        ),
    )


ANIMALS = (_rodent("mouse"), _rodent("rat"), _quadruped(), _fly(), _fish())
"""Skeletons of animals."""
