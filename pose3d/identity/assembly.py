"""Animals in one view: which keypoint candidates belong together.

A pair of candidates is scored by how likely it is of one animal: by the affinities of the detector where it gives some,
and by distance and direction as the recording itself shows them. The skeleton need not be known, and no single edge
decides: all pairs of keypoints have a say, so that a missing keypoint does not cut an animal in two. The best division
of all candidates of a view is searched as a whole, see `pose3d.identity._assembly_kernels`.

Frames are assembled one by one: nothing is carried from frame to frame. Cameras are learned and assembled one by one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import InvalidValueError, MismatchError
from calibration.nearest import nearest_name
from calibration.schema import check
from pose3d.datasets import DETECTIONS, INSTANCES
from pose3d.identity._assembly_affinity import AffinityScores, learn_affinities
from pose3d.identity._assembly_geometry import Geometry, Views, learn_geometry
from pose3d.identity._assembly_instances import gather
from pose3d.identity._assembly_settings import AssemblySettings
from pose3d.identity.settings import MOST_INDIVIDUALS
from pose3d.skeleton import Skeleton

__all__ = ["AssemblyPlan", "AssemblySettings", "assemble", "assemble_pieces", "learn_assembly"]

_BLOCK = 20  # frames of the pilot that follow each other, since files are read in blocks
_PIECE = 1_000_000  # candidates that are assembled at once


@dataclass(frozen=True, eq=False)
class AssemblyPlan:
    """What is known of a recording before its frames are assembled.

    Attributes:
        cameras, keypoints: names, as in the detections.
        individuals: how many animals there are at most; 0: not known.
        unique: numbers of the keypoints that exist once per scene.
        settings: how to assemble.
        geometry: scores of distances and directions.
        affinities: scores of affinities; None where there are none.
    """

    cameras: tuple[str, ...]
    keypoints: tuple[str, ...]
    individuals: int
    unique: tuple[int, ...]
    settings: AssemblySettings
    geometry: Geometry
    affinities: AffinityScores | None


def assemble(
    detections: xr.Dataset,
    skeleton: Skeleton | None = None,
    *,
    individuals: int = 0,
    unique: Sequence[str] = (),
    settings: AssemblySettings | None = None,
    progress: Callable[[int], object] | None = None,
) -> xr.Dataset:
    """Animals of every frame and camera, out of keypoint candidates.

    Every candidate with enough confidence is in exactly one instance. What belongs to no animal is an instance by
    itself: a fragment, behind the animals. Two candidates at one place stay two: they may be of two animals that
    touch, and where they are not, the second one is a fragment.

    Args:
        detections: Detections Dataset, with affinities or without.
        skeleton: its edges are believed first when lengths are learned; without it, the shortest tree.
        individuals: how many animals there are at most; 0: not known. Surplus parts that do not contradict each other
            are joined; what is still too many are fragments.
        unique: keypoints that exist once per scene. Their best candidates are an instance of the track "single", the
            others are fragments.
        settings: how to assemble.
        progress: called with the number of frames of each piece that is done.

    Returns:
        An Instances Dataset: in every frame and camera, animals come first, the one with most confidence before all.
        Besides the variables of the schema it has `fragment` (time, camera, instance), 1 for what is no animal: a
        candidate by itself, and what is beyond `individuals`; and `assembly_confidence` (time, camera, instance), the
        share of its keypoints that are expected to be its own, NaN where there is no animal. Attributes:
        `below_threshold` is the number of candidates with too little confidence, `assembly` the settings as JSON.
        `appearance` (time, camera, candidate, keypoint, feature) becomes the mean over the keypoints of an instance.

    Raises:
        InvalidValueError: the Dataset does not follow the schema, edges of affinities or `unique` name keypoints that
            do not exist or the same twice, or the number of individuals is out of range.
    """
    check(detections, DETECTIONS)
    planned = learn_assembly(detections, skeleton, individuals=individuals, unique=unique, settings=settings)
    pieces = list(assemble_pieces(planned, detections, progress=progress))
    longest = max(piece.sizes["instance"] for piece in pieces)
    fills = {"confidence": 0.0, "track": -1, "fragment": 0}
    empty = {name: fills.get(str(name), np.nan) for name in pieces[0].data_vars if "instance" in pieces[0][name].dims}
    even = [
        piece if piece.sizes["instance"] == longest else piece.reindex(instance=np.arange(longest), fill_value=empty)
        for piece in pieces
    ]
    result = even[0] if len(even) == 1 else xr.concat(
        even, dim="time", data_vars="minimal", coords="minimal", compat="override", join="override",
        combine_attrs="override",
    )  # fmt: skip
    return result.assign_attrs(below_threshold=sum(piece.attrs["below_threshold"] for piece in pieces))


def learn_assembly(
    detections: xr.Dataset,
    skeleton: Skeleton | None = None,
    *,
    individuals: int = 0,
    unique: Sequence[str] = (),
    settings: AssemblySettings | None = None,
) -> AssemblyPlan:
    """Learn from parts of a recording, which may be lazily loaded, what tells its animals apart.

    Args:
        detections, skeleton, individuals, unique, settings: as for `assemble`.

    Raises:
        InvalidValueError: as for `assemble`.
    """
    check(detections, DETECTIONS, values=False)
    settings = settings or AssemblySettings()
    if not 0 <= individuals <= MOST_INDIVIDUALS:
        raise InvalidValueError(
            "individuals",
            expected=f"0 (not known) to {MOST_INDIVIDUALS}",
            got=str(individuals),
            remedy="Give the number of animals in the scene.",
        )
    cameras, keypoints = (tuple(map(str, detections[name].values)) for name in ("camera", "keypoint"))
    single = tuple(_place(name, keypoints, "unique") for name in unique)
    if len(set(single)) < len(single):
        raise InvalidValueError(
            "unique", expected="each keypoint once", got=", ".join(unique), remedy="Remove the repeated names."
        )
    affinity_edges = _affinity_edges(detections, keypoints)
    pilot = _pilot(detections, settings.pilot_frames)
    nothing = Geometry.none(len(cameras), len(keypoints))
    planned = AssemblyPlan(cameras, keypoints, individuals, single, settings, nothing, None)
    if affinity_edges is not None and settings.affinity > 0:
        usable = _usable(planned, pilot)
        scores = learn_affinities(pilot["affinity"].values, usable, affinity_edges, settings.affinity)
        planned = replace(planned, affinities=scores)
    if not settings.geometry or not pilot.sizes["candidate"]:
        return planned
    views = _views(planned, pilot)
    edges = [] if skeleton is None else skeleton.select(keypoints).edges
    numbered = [(keypoints.index(first), keypoints.index(second)) for first, second in edges]
    geometry = learn_geometry(views, numbered, individuals, settings.tolerance, _extent(pilot, views))
    return replace(planned, geometry=geometry)


def assemble_pieces(
    planned: AssemblyPlan, detections: xr.Dataset, *, progress: Callable[[int], object] | None = None
) -> Iterator[xr.Dataset]:
    """Instances piece by piece along time, in memory that does not grow with the recording.

    Args:
        planned: see `learn_assembly`.
        detections: Detections of the same cameras and keypoints, which may be lazily loaded.
        progress: called with the number of frames of each piece.

    Yields:
        As `assemble` returns; the number of instances is that of the fullest frame of the piece.

    Raises:
        InvalidValueError: the Dataset does not follow the schema.
        MismatchError: its cameras, keypoints or affinities are not those of the plan.
    """
    check(detections, DETECTIONS, values=False)
    _check_same(planned, detections)
    length = detections.sizes["time"]
    per_frame = detections.sizes["camera"] * detections.sizes["candidate"] * detections.sizes["keypoint"]
    size = max(1, _PIECE // max(per_frame, 1))
    for first in range(0, max(length, 1), size):
        piece = detections.isel(time=slice(first, first + size)).compute()
        views = _views(planned, piece)
        label, margin = planned.geometry.assemble(views, planned.individuals, planned.settings.tolerance)
        result = gather(piece, _usable(planned, piece, unique=True), label, margin, planned.unique, planned.individuals)
        with np.errstate(invalid="ignore"):
            weak = (piece["confidence"].values > 0) & (piece["confidence"].values < planned.settings.minimum_confidence)
        record = {
            "below_threshold": int(weak.sum()),
            "assembly": json.dumps(
                asdict(planned.settings)
                | {"individuals": planned.individuals, "unique": [planned.keypoints[each] for each in planned.unique]}
            ),
        }
        if progress is not None:
            progress(piece.sizes["time"])
        yield check(result.assign_attrs(record), INSTANCES)


def _place(name: str, keypoints: Sequence[str], subject: str) -> int:
    if name not in keypoints:
        raise InvalidValueError(
            subject,
            expected=f"keypoints of the detections: {', '.join(keypoints)}",
            got=f"'{name}'",
            remedy=nearest_name(name, keypoints) or "Correct the name, or remove it.",
        )
    return list(keypoints).index(name)


def _affinity_edges(detections: xr.Dataset, keypoints: Sequence[str]) -> NDArray[np.int64] | None:
    """(edge, 2) numbers of the keypoints of the edges of affinities; None where there are none."""
    if "affinity" not in detections:
        return None
    if "edge_keypoint" not in detections:
        raise InvalidValueError(
            DETECTIONS.name,
            expected="a variable 'edge_keypoint' beside 'affinity'",
            got="none",
            remedy="Add the two keypoints of every edge, or drop 'affinity'.",
        )
    pairs = detections["edge_keypoint"].values.reshape(-1, 2)
    places = [[_place(str(name), keypoints, f"{DETECTIONS.name}, edge_keypoint") for name in pair] for pair in pairs]
    loops = [keypoints[one] for one, two in places if one == two]
    if loops:
        raise InvalidValueError(
            f"{DETECTIONS.name}, edge_keypoint",
            expected="edges between two keypoints",
            got=f"from '{loops[0]}' to itself",
            remedy="Remove the edge.",
        )
    return np.array(places, dtype=np.int64).reshape(-1, 2)


def _pilot(detections: xr.Dataset, wanted: int) -> xr.Dataset:
    """Blocks of frames spread evenly over the recording, or all of a short one; loaded."""
    length = detections.sizes["time"]
    if length <= wanted:
        return detections.compute()
    starts = np.linspace(0, length - _BLOCK, max(wanted // _BLOCK, 1)).round().astype(int) if length > _BLOCK else [0]
    rows = np.unique((np.asarray(starts)[:, None] + np.arange(_BLOCK)).clip(0, length - 1))
    return detections.isel(time=rows).compute()


def _usable(planned: AssemblyPlan, piece: xr.Dataset, *, unique: bool = False) -> NDArray[np.bool_]:
    """(time, camera, candidate, keypoint) candidates with enough confidence; those of unique keypoints if asked for."""
    confidence = piece["confidence"].values
    with np.errstate(invalid="ignore"):
        sure = (confidence >= planned.settings.minimum_confidence) & (confidence > 0)
    sure &= np.isfinite(piece["position"].values).all(axis=-1)
    if not unique:
        sure[..., list(planned.unique)] = False
    return sure


def _views(planned: AssemblyPlan, piece: xr.Dataset) -> Views:
    usable = _usable(planned, piece)
    shape = piece["position"].shape
    scores, edges = np.zeros((shape[0], shape[1], 0, 1, 1), np.float32), np.zeros((0, 2), np.int64)
    if planned.affinities is not None:
        scores, edges = planned.affinities.scores(piece["affinity"].values), planned.affinities.edges
    position, confidence = (np.nan_to_num(piece[name].values.astype(np.float64)) for name in ("position", "confidence"))
    return Views(position, usable, confidence, scores, edges)


def _extent(pilot: xr.Dataset, views: Views) -> NDArray[np.float64]:
    """(camera, 2) size of the images; where it is not known, over which the candidates are spread."""
    result = np.ones((views.usable.shape[1], 2))
    for camera in range(len(result)):
        points = views.position[:, camera][views.usable[:, camera]]
        if len(points):
            result[camera] = np.maximum(np.ptp(points, axis=0), 1e-6)
    if "image_size" in pilot:
        size = pilot["image_size"].values.astype(np.float64)
        result = np.where(np.isfinite(size), size, result)
    return result


def _check_same(planned: AssemblyPlan, detections: xr.Dataset) -> None:
    names = {name: tuple(map(str, detections[name].values)) for name in ("camera", "keypoint")}
    edges = _affinity_edges(detections, names["keypoint"])
    same = names == {"camera": planned.cameras, "keypoint": planned.keypoints}
    if planned.affinities is not None:
        same = same and edges is not None and np.array_equal(edges, planned.affinities.edges)
    if not same:
        raise MismatchError(
            "detections",
            expected=f"the cameras, keypoints and edges that were learned: {', '.join(planned.cameras)}",
            got=", ".join(names["camera"]),
            remedy="Learn from the same recording, or from one of the same rig and network.",
        )
