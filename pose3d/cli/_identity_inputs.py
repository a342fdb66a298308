"""What the commands that tell animals apart have in common: options, and reading animals that nobody told apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from pose3d.cli._console import console, progress

if TYPE_CHECKING:
    import xarray as xr

    from calibration.rig import Rig
    from pose3d.identity import Anchor, IdentitySettings
    from pose3d.pipeline.identification import IdentitySummary
    from pose3d.skeleton import Skeleton

__all__ = ["Sources", "find_animals", "follow_animals", "identity_options", "read_animals"]

_FILE = click.Path(path_type=Path)

_OPTIONS = (
    click.option(
        "--individuals", type=click.IntRange(1, 64), help="How many animals there are, always. [as many as are seen]"
    ),
    click.option(
        "--anchors",
        "anchors_path",
        type=_FILE,
        help="CSV of who was recognized where: frame, individual, and camera, x, y or called.",
    ),
)


def identity_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which animals there are."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True)
class Sources:
    """Files of animals that nobody told apart.

    Attributes:
        paths: files or folders, or NAME=PATH.
        format, frame_rate, keypoints: of them, None where they say so themselves.
        sync: clocks of the cameras, or None.
    """

    paths: tuple[str, ...]
    format: str | None
    frame_rate: float | None
    keypoints: str | None
    sync: Path | None


def read_animals(
    sources: Sources, rig: Rig | None, skeleton: Skeleton | None, individuals: int, output: Path, stack: ExitStack
) -> xr.Dataset:
    """The Instances of all cameras; candidates of keypoints are put together first.

    Args:
        sources: what to read.
        rig: the cameras, None for one.
        skeleton: of the animals.
        individuals: how many there are, 0 where unknown.
        output: beside which there may be files until `stack` is closed.
        stack: closes what is open.
    """
    from pose3d.formats import holds_candidates, load_candidates, load_instances, open_session

    with console().status("Reading the animals ..."):
        if not holds_candidates(list(sources.paths), format=sources.format):
            return load_instances(
                list(sources.paths),
                rig=rig,
                format=sources.format,
                frame_rate=sources.frame_rate,
                keypoints=sources.keypoints,
                skeleton=skeleton,
            )
        candidates = load_candidates(list(sources.paths), rig=rig, format=sources.format, frame_rate=sources.frame_rate)
    from pose3d.pipeline.identification import assemble_session

    file = _folder_beside(output, stack) / "instances.nc"
    with progress("Putting keypoints together", candidates.sizes["time"], "frames") as bar:
        assemble_session(
            candidates,
            _assembling(skeleton, candidates),
            individuals,
            file,
            progress=lambda frames: bar.advance(bar.task_ids[0], frames),
        )
    return stack.enter_context(open_session(file)).require("instances")


def _assembling(skeleton: Skeleton | None, candidates: xr.Dataset) -> Skeleton | None:
    names = {str(name) for name in candidates["keypoint"].values}
    return skeleton if skeleton is not None and names & set(skeleton.keypoints) else None


def _folder_beside(output: Path, stack: ExitStack) -> Path:
    """A folder beside a file to write, on the same disk, that is gone in the end."""
    from calibration.errors import OutputError

    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        folder = TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent)
    except OSError as error:
        raise OutputError(
            output, expected="a folder that can be written to", got=str(error), remedy="Choose another place."
        ) from error
    return Path(stack.enter_context(folder))


def follow_animals(
    instances: xr.Dataset,
    rig: Rig | None,
    output: Path,
    *,
    skeleton: Skeleton | None,
    settings: IdentitySettings,
    anchors: Sequence[Anchor],
    sync: Path | None,
    provenance: dict[str, object] | None,
    compression: int = 0,
) -> IdentitySummary:
    """Tell animals apart, and write who is who, with a progress bar."""
    from calibration.synchronization import load_synchronization
    from pose3d.pipeline.identification import identify_session

    words = {
        "learning": "Learning noise and size (kernels are compiled once, 60 s)",
        "following": "Following the animals",
        "linking": "Finding out who is who",
        "writing": "Writing",
    }
    with progress("Learning ...", instances.sizes["time"], "frames") as bar:
        task = bar.task_ids[0]

        def tell(what: str, frames: int) -> None:
            bar.update(task, description=words.get(what, what))
            if what == "following":
                bar.advance(task, frames)

        return identify_session(
            instances,
            rig,
            output,
            skeleton=skeleton,
            settings=settings,
            anchors=anchors,
            synchronization=None if sync is None else load_synchronization(sync),
            provenance=provenance,
            progress=tell,
            compression=compression,
        )


def find_animals(
    sources: Sources,
    rig: Rig,
    output: Path,
    stack: ExitStack,
    *,
    skeleton: Skeleton | None,
    settings: IdentitySettings,
    anchors: Sequence[Anchor],
) -> tuple[xr.Dataset, xr.Dataset, IdentitySummary]:
    """The Poses2D of animals that nobody told apart, lazily, their Identity, and what there is to say of it."""
    from pose3d.formats import open_session

    instances = read_animals(sources, rig, skeleton, settings.individuals, output, stack)
    file = _folder_beside(output, stack) / "identity.nc"
    summary = follow_animals(
        instances,
        rig,
        file,
        skeleton=skeleton,
        settings=settings,
        anchors=anchors,
        sync=sources.sync,
        provenance=None,
    )
    session = stack.enter_context(open_session(file))
    return session.require("poses2d"), session.require("identity").load(), summary
