"""From candidates to animals, and from animals to who they are: files to files, in bounded memory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from calibration.errors import OutputError
from calibration.rig import Rig
from calibration.synchronization import Synchronization
from pose3d.datasets import flag_words
from pose3d.formats.session import ROWS_AT_ONCE, SessionWriter, open_session, save_session
from pose3d.identity import (
    Anchor,
    AssemblySettings,
    IdentityModel,
    IdentitySettings,
    assemble_pieces,
    identify,
    learn_assembly,
    poses2d_of_instances,
)
from pose3d.pipeline._instants import CommonInstants, common_instants
from pose3d.skeleton import Skeleton

__all__ = [
    "AssemblySummary",
    "FollowedIndividual",
    "IdentitySummary",
    "SwapRisk",
    "assemble_session",
    "identify_session",
    "summarize_identity",
]


@dataclass(frozen=True)
class FollowedIndividual:
    """How well one animal was followed.

    Attributes:
        name: what it is called.
        seen: frames in which a camera has it.
        cameras: how many cameras have it then, on average; NaN where none ever has.
        unclear: frames in which two cameras see animals and do not tell whether they are one.
        confidence: mean probability that it is who it was when last seen; NaN where it was never seen.
    """

    name: str
    seen: int
    cameras: float
    unclear: int
    confidence: float


@dataclass(frozen=True)
class SwapRisk:
    """Where two animals may have been exchanged.

    Attributes:
        first, last: frame numbers between which it may have happened.
        individual, other: their names.
        probability: that it did happen.
        reason: "close", or "unseen" where nobody saw them.
    """

    first: int
    last: int
    individual: str
    other: str
    probability: float
    reason: str


@dataclass(frozen=True)
class IdentitySummary:
    """What became known of who is who.

    Attributes:
        output: the file; None where none was written.
        frames: of the recording.
        individuals: the animals, the one that was seen most before all.
        risks: where two may have been exchanged, the most probable first.
        unassigned: camera -> share of its instances that are of no individual; NaN where it has none at all.
        noise: standard deviation of a pixel coordinate at confidence 1, px.
        declared: how many animals there were said to be; 0 where nobody said.
    """

    output: Path | None
    frames: int
    individuals: tuple[FollowedIndividual, ...]
    risks: tuple[SwapRisk, ...]
    unassigned: Mapping[str, float]
    noise: float
    declared: int


@dataclass(frozen=True)
class AssemblySummary:
    """What candidates became.

    Attributes:
        output: the file.
        frames: of the recording.
        instances: places for instances per frame and camera, those of the fullest one.
        animals: camera -> animals per frame, on average.
        fragments: camera -> candidates and parts per frame that are no animal, on average.
        below_threshold: candidates with too little confidence, which were not used.
    """

    output: Path
    frames: int
    instances: int
    animals: Mapping[str, float]
    fragments: Mapping[str, float]
    below_threshold: int


def identify_session(
    instances: xr.Dataset,
    rig: Rig | None,
    output: str | os.PathLike[str],
    *,
    skeleton: Skeleton | None = None,
    settings: IdentitySettings | None = None,
    anchors: Sequence[Anchor] = (),
    model: IdentityModel | None = None,
    synchronization: Synchronization | None = None,
    provenance: Mapping[str, object] | None = None,
    progress: Callable[[str, int], object] | None = None,
    compression: int = 0,
) -> IdentitySummary:
    """Find out who is who, and write a file with the groups /rig, /poses2d and /identity.

    The 2D poses are those of individuals that are the same in all cameras and frames. Memory does not grow with the
    instances, where they are lazily loaded; who is who is known of the whole recording at once, some bytes a frame.

    Of cameras with clocks of their own, animals are told apart at the instants of the reference camera's frames, from
    the nearest frame of every camera; `camera_frame` (time, camera) in /identity says which. The 2D poses are then
    interpolated at these instants, as `pose3d.reconstruction.apply_synchronization` does; instances and poses are
    held in memory for that.

    Args:
        instances: Instances Dataset.
        rig: the cameras; None for one camera.
        output: the netCDF file to write; it appears when it is complete.
        skeleton: whose edges tell animals apart by their lengths.
        settings: how.
        anchors: which animals a person recognized where; the names by which some are called are those that animals
            have when nobody says so.
        model: what noise and animals are like; learned from the instances where None.
        synchronization: clocks of the cameras; frame numbers of instances are then those of each camera's own file.
        provenance: what stands in the file's attribute of that name.
        progress: called with what is done and the number of frames done since the last call.
        compression: zlib level of the file, 0 to 9.

    Raises:
        InvalidValueError, MismatchError: see `pose3d.identity.identify` and
            `pose3d.reconstruction.apply_synchronization`.
        OutputError: the file cannot be written.

    Warns:
        SuiteWarning: more or fewer animals are seen than there are said to be.
    """
    told = progress or (lambda _what, _frames: None)
    shared = None if synchronization is None else common_instants(instances, synchronization)
    source = instances if shared is None else shared.instances
    with SessionWriter(output, rig=rig, provenance=provenance, compression=compression) as writer:
        identity = identify(
            source, rig, skeleton=skeleton, settings=settings, anchors=anchors, model=model, progress=progress
        )
        if shared is not None:
            identity = shared.with_frames(identity)
        # What an Identity says of the whole recording is complete in any of its rows, so all go at once.
        writer.append(identity=identity)
        for poses2d in _pieces(instances, identity, shared):
            writer.append(poses2d=poses2d)
            told("writing", poses2d.sizes["time"])
    return summarize_identity(identity, output)


def _pieces(instances: xr.Dataset, identity: xr.Dataset, shared: CommonInstants | None) -> Iterator[xr.Dataset]:
    """The 2D poses of the individuals, piece by piece."""
    rows = [slice(first, first + ROWS_AT_ONCE) for first in range(0, identity.sizes["time"], ROWS_AT_ONCE)]
    if shared is None:
        ordered = instances.sel(camera=identity["camera"].values)
        yield from (poses2d_of_instances(ordered.isel(time=some), identity.isel(time=some)) for some in rows)
    else:
        whole = shared.poses2d(identity)
        yield from (whole.isel(time=some) for some in rows)


def summarize_identity(identity: xr.Dataset, output: str | os.PathLike[str] | None = None) -> IdentitySummary:
    """What an Identity says, in few numbers.

    Args:
        identity: Identity Dataset.
        output: the file that it was written to.
    """
    seen_by = (identity["instance"] >= 0).sum("camera").transpose("time", "individual").values
    taken = (identity["instance"] >= 0).sum(("time", "individual"))
    if "further" in identity:
        taken = taken + (identity["further"] >= 0).sum(("time", "individual"))
    left = identity["unassigned"].sum("time")
    return IdentitySummary(
        None if output is None else Path(output),
        identity.sizes["time"],
        tuple(_followed(identity, number, seen_by[:, number]) for number in range(identity.sizes["individual"])),
        _risks(identity),
        {
            str(name): _share(float(left.sel(camera=name)), float((left + taken).sel(camera=name)))
            for name in identity["camera"].values
        },
        float(identity.attrs.get("noise", np.nan)),
        int(identity.attrs.get("individuals_declared", 0)),
    )


def _followed(identity: xr.Dataset, number: int, cameras: NDArray[np.int64]) -> FollowedIndividual:
    one = identity.isel(individual=number)
    seen = cameras > 0
    words = flag_words(identity["identity_status"])
    unclear = [code for code, word in words.items() if word == "two_cameras_do_not_tell"]
    confidence = one["identity_confidence"].values
    known = np.isfinite(confidence)
    return FollowedIndividual(
        str(one["individual"].values),
        int(seen.sum()),
        float(cameras[seen].mean()) if seen.any() else float("nan"),
        int(np.isin(one["identity_status"].values, unclear).sum()),
        float(confidence[known].mean(dtype=np.float64)) if known.any() else float("nan"),
    )


def _risks(identity: xr.Dataset) -> tuple[SwapRisk, ...]:
    names = ("first", "last", "individual", "other", "probability", "reason")
    columns = [identity[f"risk_{name}"].values.tolist() for name in names]
    return tuple(SwapRisk(*row) for row in zip(*columns, strict=True))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def assemble_session(
    detections: xr.Dataset,
    skeleton: Skeleton | None,
    individuals: int,
    output: str | os.PathLike[str],
    *,
    settings: AssemblySettings | None = None,
    provenance: Mapping[str, object] | None = None,
    progress: Callable[[int], object] | None = None,
    compression: int = 0,
) -> AssemblySummary:
    """Put candidates together to animals, camera by camera and frame by frame, into a file with the group /instances.

    How many instances the fullest frame has is known at the end only; the pieces wait in a folder beside the output
    until then. Memory does not grow with the recording, where the detections are lazily loaded.

    Args:
        detections: Detections Dataset.
        skeleton: its edges are believed first when lengths are learned.
        individuals: how many animals there are at most; 0: not known.
        output: the netCDF file to write; it appears when it is complete.
        settings: how to assemble.
        provenance: what stands in the file's attribute of that name.
        progress: called with the number of frames of each piece.
        compression: zlib level of the file, 0 to 9.

    Raises:
        InvalidValueError: see `pose3d.identity.assemble`.
        OutputError: the file cannot be written.
    """
    output = Path(output)
    planned = learn_assembly(detections, skeleton, individuals=individuals, settings=settings)
    tally = _AssemblyTally([str(name) for name in detections["camera"].values])
    with _waiting_room(output) as folder:
        parts = []
        for number, piece in enumerate(assemble_pieces(planned, detections, progress=progress)):
            tally.add(piece)
            parts.append(folder / f"{number:06d}.nc")
            save_session(parts[-1], instances=_padded(piece, max(piece.sizes["instance"], 1)))
        with SessionWriter(output, provenance=provenance, compression=compression) as writer:
            for part in parts:
                with open_session(part) as opened:
                    piece = _padded(opened.require("instances").load(), tally.instances)
                writer.append(instances=piece.assign_attrs(below_threshold=tally.below_threshold))
    return tally.summary(output)


class _AssemblyTally:
    """Counts what becomes of candidates, piece by piece."""

    def __init__(self, cameras: Sequence[str]) -> None:
        self.cameras = cameras
        self.instances = 1
        self.below_threshold = 0
        self._frames = 0
        self._counts = np.zeros((2, len(cameras)))

    def add(self, piece: xr.Dataset) -> None:
        self.instances = max(self.instances, piece.sizes["instance"])
        self.below_threshold += int(piece.attrs["below_threshold"])
        self._frames += piece.sizes["time"]
        order = ("time", "camera", "instance")
        there = np.isfinite(piece["position"].transpose(*order, "keypoint", "space").values).all(-1).any(-1)
        fragment = piece["fragment"].transpose(*order).values > 0
        self._counts += [(there & ~fragment).sum((0, 2)), (there & fragment).sum((0, 2))]

    def summary(self, output: Path) -> AssemblySummary:
        animals, fragments = self._counts / max(self._frames, 1)
        return AssemblySummary(
            output,
            self._frames,
            self.instances,
            dict(zip(self.cameras, animals.tolist(), strict=True)),
            dict(zip(self.cameras, fragments.tolist(), strict=True)),
            self.below_threshold,
        )


def _padded(piece: xr.Dataset, length: int) -> xr.Dataset:
    """Instances with so many places; those that are empty come last."""
    if piece.sizes["instance"] == length:
        return piece
    fills = {"confidence": 0.0, "track": -1, "fragment": 0}
    empty = {name: fills.get(str(name), np.nan) for name in piece.data_vars if "instance" in piece[name].dims}
    return piece.reindex(instance=np.arange(length), fill_value=empty)


@contextmanager
def _waiting_room(output: Path) -> Iterator[Path]:
    """A new folder beside a file, which is gone at the end; what a killed run left there is removed first."""
    folder = output.with_name(f"{output.name}.parts")
    try:
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
    except OSError as error:
        raise OutputError(
            folder,
            expected="a folder that can be written",
            got=error.strerror or str(error),
            remedy="Choose another output folder, or free space and permissions there.",
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
