"""Labels of other tools into a project, and out of it, with their images."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from calibration.errors import FileFormatError, InvalidValueError, OutputError, SuiteWarning
from calibration.files import VIDEO_SUFFIXES, atomic_path
from calibration.video import image_size, open_video, write_png
from pose3d.camera_names import matching_cameras
from pose3d.formats.labels import read_labels, write_labels
from pose3d.labeling.labels import LabeledImage, Labels
from pose3d.labeling.store import Collisions, ImportOutcome, LabelStore
from pose3d.project import Project

__all__ = ["export_labels", "import_labels"]


@dataclass(frozen=True)
class _Source:
    """Where an image comes from, and where it goes: a file, or a frame of a video."""

    image: LabeledImage
    file: Path
    video: Path | None


def import_labels(
    project: Project,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,  # noqa: A002
    session: str | None = None,
    camera: str | None = None,
    collisions: Collisions = "refuse",
    author: str | None = None,
) -> ImportOutcome:
    """Import labels of another tool, and copy their images to labels/frames/<session>/<camera>.

    An image that the project has already (the same bytes) is recognized, whatever its name, so labels that were
    exported and changed elsewhere come back to their images. Frames that the other tool kept in a video only are taken
    out of it.

    Args:
        project: the project; its skeleton must have all keypoints of the labels.
        path: see `read_labels`.
        format: by default the content says it.
        session: name for the images; by default the name of their folder, which other tools call by the video.
        camera: name of the camera; by default the name of the folder or video says it, or there is one camera only.
        collisions: what happens where labels differ from those that are there: see `LabelStore.import_labels`.
        author: for the history; the name of the user's account by default.

    Raises:
        FileFormatError: see `read_labels`.
        InvalidValueError: the camera is unknown, or not clear.
        MismatchError: labels collide, or keypoints are not in the skeleton.
        OutputError: another image has the name that one would get; or the labels cannot be written.

    Warns:
        SuiteWarning: see `read_labels`; frames of videos cannot be taken out.
    """
    labels = read_labels(path, format)
    place = Path(path).absolute()
    with LabelStore.open_or_create(project.labels_file, project.skeleton, author=author) as store:
        sources = _plan(project, labels, store.images(), place, session, camera)
        _check_targets(project, [source for source in sources.values() if isinstance(source, _Source)])
        images = {frame: source.image if isinstance(source, _Source) else source for frame, source in sources.items()}
        here = replace(
            labels,
            frames=tuple(images[frame] for frame in labels.frames),
            individuals=_animals(labels, store.labels()),
            root=project.root,
        )
        outcome = store.import_labels(here, collisions=collisions, note=f"from {place.name}")
        # Images come last: after a kill in between, the same import adds what is missing.
        new = [source for source in sources.values() if isinstance(source, _Source)]
        _bring(project, new)
        store.add_images([_sized(project, source.image) for source in new])
    return outcome


def _animals(labels: Labels, present: Labels) -> tuple[str, ...]:
    """Names of the animals of labels to import.

    Formats of one animal do not name it. Where the project has one, too, it is the same: under another name every label
    would be there twice.
    """
    named = present.individuals if len(present) else ()
    return named if labels.individuals == Labels.individuals and len(named) == 1 else labels.individuals


def export_labels(
    project: Project,
    path: str | os.PathLike[str],
    format: str,  # noqa: A002
    *,
    annotator: str | None = None,
    sessions: Sequence[str] | None = None,
) -> Labels:
    """Write the labels of a project, and copies of their images, into a new folder in the format of another tool.

    Args:
        project: the project.
        path: the folder, which must not exist, or be empty.
        format: a name out of `pose3d.formats.labels.LABEL_FORMATS`.
        annotator: only what this one labeled.
        sessions: only images of these sessions.

    Returns:
        what was written.

    Raises:
        InvalidValueError: there is nothing to write, or the format cannot hold it.
        FileFormatError: there is no file of labels, or it is damaged.
        OutputError: there is something in the folder.

    Warns:
        SuiteWarning: what the format cannot hold.
    """
    with LabelStore(project.labels_file, project.skeleton, read_only=True) as store:
        labels = store.labels(annotator)
        names = store.annotators()
    if annotator is not None and annotator not in names:
        raise InvalidValueError(
            f"{project.labels_file}, annotator '{annotator}'",
            expected=f"one of {', '.join(names)}",
            got="nothing labeled by this one",
            remedy="Correct the name.",
        )
    if sessions is not None:
        labels = labels.select(np.array([frame.session in sessions for frame in labels.frames], dtype=bool))
    write_labels(labels, path, format)
    return labels


def _plan(
    project: Project,
    labels: Labels,
    registered: Sequence[LabeledImage],
    place: Path,
    session: str | None,
    camera: str | None,
) -> dict[LabeledImage, _Source | LabeledImage]:
    """For every image the one of the project that is the same, or where it will be copied to."""
    known = _KnownImages(project, registered)
    plan: dict[LabeledImage, _Source | LabeledImage] = {}
    for frame in dict.fromkeys(labels.frames):
        name = session or frame.session or _session_of(frame, place, labels)
        same = known.same(labels.root / frame.image, PurePosixPath(frame.image).name)
        plan[frame] = same or _source(project, labels, frame, name, camera)
    return plan


class _KnownImages:
    """The images of the project, found by their content; each is found once."""

    def __init__(self, project: Project, images: Sequence[LabeledImage]) -> None:
        self._by_size: dict[int, list[tuple[Path, LabeledImage]]] = {}
        self._hashes: dict[Path, str] = {}
        for image in images:
            path = project.root / image.image
            if path.is_file():
                self._by_size.setdefault(path.stat().st_size, []).append((path, image))

    def same(self, file: Path, name: str) -> LabeledImage | None:
        """The image with the same bytes as a file; of several the one of the same name."""
        candidates = self._by_size.get(file.stat().st_size, []) if file.is_file() else []
        for entry in sorted(candidates, key=lambda entry: entry[0].name != name):
            if self._hash(entry[0]) == self._hash(file):
                candidates.remove(entry)
                return entry[1]
        return None

    def _hash(self, path: Path) -> str:
        if path not in self._hashes:
            self._hashes[path] = hashlib.sha256(path.read_bytes()).hexdigest()
        return self._hashes[path]


def _session_of(frame: LabeledImage, place: Path, labels: Labels) -> str:
    """The folder of the image, unless every tool has a folder of that name; then that of the labels."""
    folder = PurePosixPath(frame.image).parent.name
    if folder in ("", "images", "labeled-data", "default"):
        folder = labels.root.absolute().name if place.is_file() else place.name
    return re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", folder).strip(" .-") or "imported"


def _source(project: Project, labels: Labels, frame: LabeledImage, session: str, camera: str | None) -> _Source:
    name = camera or frame.camera or _camera_of(project, frame)
    if name not in project.cameras:
        raise InvalidValueError(
            f"camera '{name}'",
            expected=f"one of {', '.join(project.cameras)}",
            got=f"'{name}'",
            remedy="Correct the name: --camera NAME.",
        )
    target = project.frames_folder / session / name / PurePosixPath(frame.image).name
    video = project.sessions.get(session, {}).get(name)
    image = LabeledImage(
        target.relative_to(project.root).as_posix(),
        video or target.parent.relative_to(project.root).as_posix(),
        frame.frame,
        session,
        name,
        frame.size,
    )
    film = labels.root / frame.video
    from_video = frame.size is None and film.suffix.lower() in VIDEO_SUFFIXES and frame.frame >= 0
    return _Source(image, labels.root / frame.image, film if from_video else None)


def _camera_of(project: Project, frame: LabeledImage) -> str:
    if len(project.cameras) == 1:
        return project.cameras[0]
    parts = [PurePosixPath(frame.image).parent.name, PurePosixPath(frame.video).stem]
    found = matching_cameras(parts, project.cameras)
    if len(found) != 1:
        raise InvalidValueError(
            f"image '{frame.image}'",
            expected=f"the name of one of the cameras {', '.join(project.cameras)} in the name of its folder",
            got=" and ".join(found) or "none",
            remedy="Say which camera it is: --camera NAME.",
        )
    return found[0]


def _check_targets(project: Project, sources: Sequence[_Source]) -> None:
    """Refuse to write over other images, or two to the same place."""
    taken: dict[str, Path] = {}
    for source in sources:
        target = project.root / source.image.image
        other = taken.setdefault(source.image.image, source.file)
        differs = target.is_file() and source.file.is_file() and target.read_bytes() != source.file.read_bytes()
        if other != source.file or differs:
            raise OutputError(
                target,
                expected=f"a free place for the image {source.file}",
                got=f"also {other}" if other != source.file else "another image",
                remedy="Give these labels a session of their own: --session NAME.",
            )


def _bring(project: Project, sources: Sequence[_Source]) -> None:
    videos: dict[Path, list[_Source]] = {}
    for source in sources:
        target = project.root / source.image.image
        if target.is_file():
            continue
        if source.file.is_file():
            with atomic_path(target) as partial:
                shutil.copyfile(source.file, partial)
        elif source.video is not None:
            videos.setdefault(source.video, []).append(source)
    for path, wanted in videos.items():
        _take_out(project, path, {source.image.frame: source for source in wanted})


def _take_out(project: Project, path: Path, wanted: dict[int, _Source]) -> None:
    """Frames of a video as images; what cannot be read is said."""
    try:
        with open_video(path) as video:
            numbers = [number for number in sorted(wanted) if number < len(video)]
            for frame in video.frames(numbers):
                write_png(project.root / wanted[frame.index].image.image, frame.image)
    except FileFormatError as error:
        warnings.warn(f"{len(wanted)} images stay missing, their labels are kept: {error}", SuiteWarning, stacklevel=4)


def _sized(project: Project, image: LabeledImage) -> LabeledImage:
    """The image with its size, if it is there now."""
    if image.size is not None:
        return image
    try:
        return replace(image, size=image_size(project.root / image.image))
    except FileFormatError:
        return image
