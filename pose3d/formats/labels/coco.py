"""COCO keypoints as JSON, and what CVAT exports so.

Visibility is 0 (not labeled), 1 (occluded) or 2 (visible). What COCO cannot hold (who labeled, the names of animals,
absent keypoints, from which video an image is) is written in keys of our own, which other programs pass over, and read
back. COCO's keypoints are indices of pixels, so the center of the top-left pixel is (0, 0), as here; CVAT's are
measured from the corner of the image, half a pixel away, and it exports them as they are. See docs/label-formats.md.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from calibration.errors import FileFormatError, InvalidValueError, SuiteWarning
from calibration.files import write_text
from pose3d.formats.labels._export import copy_images, edges_as_numbers, warn_lost
from pose3d.formats.labels._images import image_names, labeled_images, root_of_images
from pose3d.formats.labels._instances import Instance, Point, instances_of, labels_of_instances
from pose3d.formats.labels.label_format import LabelFormat
from pose3d.labeling.labels import LabeledImage, Labels, Visibility
from pose3d.skeleton import Skeleton

__all__ = ["CVAT_COCO_FORMAT", "FORMAT", "read_coco", "read_cvat_coco", "write_coco", "write_cvat_coco"]

_VISIBILITY = {0: Visibility.UNLABELED, 1: Visibility.OCCLUDED, 2: Visibility.VISIBLE}
_REMEDY = "Export it again as COCO keypoints, or correct this entry."
# From the corner of the image, where CVAT's pixels begin, to the center of the first pixel.
_CVAT_SHIFT = 0.5
_DESCRIPTION = "labels of pose3d; the center of the top-left pixel is (0, 0)"
_CVAT_INFO = ("contributor", "date_created", "description", "url", "version", "year")


def read_coco(path: Path) -> Labels:
    """Labels of a COCO keypoints JSON, or of a folder with one.

    Raises:
        FileFormatError: the file is missing, no JSON, or something in it is missing or wrong.
    """
    return _read(path, 0.0)


def read_cvat_coco(path: Path) -> Labels:
    """Labels of CVAT's "COCO Keypoints" export; see `read_coco`."""
    return _read(path, _CVAT_SHIFT)


def _read(path: Path, shift: float) -> Labels:
    file = _json_file(path)
    content = _content(file)
    skeleton, keypoints_of = _categories(content, file)
    names = image_names([_get(image, "file_name", str, file, "images") for image in content["images"]])
    numbers = {_get(image, "id", int, file, "images"): n for n, image in enumerate(content["images"])}
    folders = [file.parent, file.parent.parent]
    images = [folder / "images" for folder in folders]
    subset = file.stem.rpartition("_")[2]
    root = root_of_images(names, [*folders, *images, *(folder / subset for folder in images)])
    known = labeled_images(names, root)
    known = [_with_extras(one, image) for one, image in zip(known, content["images"], strict=True)]
    instances, without = [], 0
    for annotation in content["annotations"]:
        keypoints = keypoints_of.get(annotation.get("category_id"))
        if not keypoints or "keypoints" not in annotation:
            without += 1
            continue
        image = annotation.get("image_id")
        if image not in numbers:
            raise _wrong(file, f"annotation {annotation.get('id')}, image_id", "the id of an image", image)
        instances.append(_instance(annotation, keypoints, numbers[image], shift, file))
    if without:
        warnings.warn(f"{file}: {without} annotations have no keypoints and are left out", SuiteWarning, stacklevel=4)
    return labels_of_instances(known, instances, skeleton, root, file)


def _json_file(path: Path) -> Path:
    """The file itself, or the one JSON with keypoints in a folder."""
    if not path.is_dir():
        return path
    found = [file for file in sorted([*path.glob("*.json"), *path.glob("annotations/*.json")]) if _looks_like(file)]
    if len(found) != 1:
        raise FileFormatError(
            path,
            expected="one file with COCO keypoints",
            got=", ".join(file.name for file in found) or "none",
            remedy="Give the file itself.",
        )
    return found[0]


def _content(file: Path) -> dict[str, list[Any]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        got = error.strerror if isinstance(error, OSError) else f"no JSON ({error})"
        raise FileFormatError(file, expected="COCO keypoints as JSON", got=got or "", remedy=_REMEDY) from error
    for key in ("images", "annotations", "categories"):
        entries = content.get(key) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise _wrong(file, key, f"a list {key} of objects", entries)
    return content


def _categories(content: Mapping[str, list[Any]], file: Path) -> tuple[Skeleton, dict[object, list[str]]]:
    """One skeleton of all categories, and the keypoints of each by its id."""
    keypoints_of: dict[object, list[str]] = {}
    edges: dict[tuple[str, str], None] = {}
    pairs: dict[tuple[str, str], None] = {}
    name = "labels"
    for category in content["categories"]:
        names = category.get("keypoints", [])
        if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
            raise _wrong(file, f"category {category.get('name')}, keypoints", "a list of names", names)
        keypoints_of[category.get("id")] = names
        name = str(category.get("name", name)) if names else name
        for edge in category.get("skeleton") or []:
            if all(isinstance(one, int) and 1 <= one <= len(names) for one in edge) and len(set(edge)) == 2:
                edges[names[edge[0] - 1], names[edge[1] - 1]] = None
        for pair in category.get("mirrored_pairs") or []:
            if isinstance(pair, list) and len(pair) == 2 and set(pair) <= set(names):
                pairs[pair[0], pair[1]] = None
    keypoints = tuple(dict.fromkeys(one for names in keypoints_of.values() for one in names))
    try:
        return Skeleton(name, keypoints, tuple(edges), tuple(pairs)), keypoints_of
    except InvalidValueError as error:
        raise FileFormatError(f"{file}, categories", expected=error.expected, got=error.got, remedy=_REMEDY) from error


def _with_extras(known: LabeledImage, entry: Mapping[str, Any]) -> LabeledImage:
    """The image with what `write_coco` said of it, and with its size where the file itself is missing."""
    extra = entry.get("pose3d")
    told = extra if isinstance(extra, dict) else {}
    texts = {key: told[key] if isinstance(told.get(key), str) else "" for key in ("video", "session", "camera")}
    frame = told.get("frame")
    return LabeledImage(
        known.image,
        texts["video"] or known.video,
        frame if isinstance(frame, int) else known.frame,
        texts["session"],
        texts["camera"],
        known.size,
    )


def _instance(
    annotation: Mapping[str, Any], keypoints: Sequence[str], image: int, shift: float, file: Path
) -> Instance:
    values = annotation["keypoints"]
    numbers = isinstance(values, list) and all(type(one) in (int, float) and math.isfinite(one) for one in values)
    if not numbers or len(values) != 3 * len(keypoints):
        raise _wrong(
            file,
            f"annotation {annotation.get('id')}, keypoints",
            f"{3 * len(keypoints)} numbers, x, y and visibility of {len(keypoints)} keypoints",
            f"{len(values)} entries" if isinstance(values, list) else values,
        )
    own = annotation.get("pose3d")
    told = own if isinstance(own, dict) else {}
    unplaced = told.get("without_position", {})
    points = {}
    for keypoint, x, y, seen in zip(keypoints, values[::3], values[1::3], values[2::3], strict=True):
        if seen not in _VISIBILITY:
            raise _wrong(file, f"annotation {annotation.get('id')}, keypoint '{keypoint}'", "0, 1 or 2", seen)
        if seen:
            points[keypoint] = Point((x - shift, y - shift), _VISIBILITY[seen])
        elif isinstance(unplaced, dict) and unplaced.get(keypoint) in ("occluded", "absent"):
            points[keypoint] = Point(None, Visibility[unplaced[keypoint].upper()])
    individual, annotator = told.get("individual"), told.get("annotator", "")
    attributes = annotation.get("attributes")
    track = annotation.get("track_id", attributes.get("track_id") if isinstance(attributes, dict) else None)
    if not isinstance(individual, str):
        individual = None if track is None else f"individual_{track}"
    return Instance(image, points, individual, annotator if isinstance(annotator, str) else "")


def write_coco(labels: Labels, folder: Path) -> None:
    """Write annotations.json and the images into a folder.

    Raises:
        OutputError: a file cannot be written.

    Warns:
        SuiteWarning: image files are missing.
    """
    _write(labels, folder, 0.0)


def write_cvat_coco(labels: Labels, folder: Path) -> None:
    """As `write_coco`, with pixels as CVAT has them, for its import of COCO keypoints."""
    _write(labels, folder, _CVAT_SHIFT)


def _write(labels: Labels, folder: Path, shift: float) -> None:
    assert labels.skeleton is not None
    frames = list(dict.fromkeys(labels.frames))
    names = {frame: f"images/{frame.image.removeprefix('images/')}" for frame in frames}
    copy_images(labels, [names[frame] for frame in labels.frames], folder)
    warn_lost(sum(frame.size is None for frame in frames), "images are written without their size, which is not known")
    category = {
        "id": 1,
        "name": labels.skeleton.name,
        "supercategory": "animal",
        "keypoints": list(labels.keypoints),
        "skeleton": edges_as_numbers(labels, first=1),
        "mirrored_pairs": [list(pair) for pair in labels.skeleton.mirrored_pairs],
    }
    annotations = [
        _annotation(number, frames.index(labels.frames[row]) + 1, instance, labels.keypoints, shift)
        for number, (row, _, instance) in enumerate(instances_of(labels), start=1)
    ]
    content = {
        # As in CVAT's own exports, by which the shift of half a pixel is recognized.
        "licenses": [{"name": "", "id": 0, "url": ""}] if shift else [],
        "info": dict.fromkeys(_CVAT_INFO, "")
        if shift
        else {"description": "labels of pose3d; the center of the top-left pixel is (0, 0)"},
        "categories": [category],
        "images": [_image(number, frame, names[frame]) for number, frame in enumerate(frames, start=1)],
        "annotations": annotations,
    }
    write_text(folder / "annotations.json", json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False))


def _image(number: int, frame: LabeledImage, name: str) -> dict[str, object]:
    size = {} if frame.size is None else {"width": frame.size[0], "height": frame.size[1]}
    own = {"video": frame.video, "frame": frame.frame, "session": frame.session, "camera": frame.camera}
    return {"id": number, "file_name": name, **size, "pose3d": own}


def _annotation(
    number: int, image: int, instance: Instance, keypoints: Sequence[str], shift: float
) -> dict[str, object]:
    values: list[float] = []
    unplaced = {}
    placed = []
    for keypoint in keypoints:
        point = instance.points.get(keypoint)
        if point is None or point.position is None:
            values += [0, 0, 0]
            if point is not None:
                unplaced[keypoint] = point.visibility.name.lower()
            continue
        placed.append((point.position[0] + shift, point.position[1] + shift))
        values += [*placed[-1], 2 if point.visibility is Visibility.VISIBLE else 1]
    left, top = (min((one[axis] for one in placed), default=0.0) for axis in (0, 1))
    width = max((x for x, _ in placed), default=0.0) - left
    height = max((y for _, y in placed), default=0.0) - top
    own = {"individual": instance.individual, "annotator": instance.annotator, "without_position": unplaced}
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "iscrowd": 0,
        "area": width * height,
        "bbox": [left, top, width, height],
        "num_keypoints": len(placed),
        "keypoints": values,
        **({"attributes": {"occluded": False}} if shift else {}),
        "pose3d": own,
    }


def _get(entry: Mapping[str, Any], key: str, kind: type, file: Path, where: str) -> Any:
    value = entry.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise _wrong(file, f"{where}, {key}", f"a {kind.__name__} in every entry", value)
    return value


def _wrong(file: Path, subject: str, expected: str, got: object) -> FileFormatError:
    return FileFormatError(
        f"{file}, {subject}", expected=expected, got="none" if got is None else str(got)[:80], remedy=_REMEDY
    )


def _looks_like(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            if opened.read(64).lstrip()[:1] != b"{":
                return False
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    keys = {"images", "annotations", "categories"}
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in keys):
        return False
    return any(isinstance(one, dict) and one.get("keypoints") for one in content["categories"])


def _is_cvat(path: Path) -> bool:
    """CVAT writes by Datumaro, which leaves these traces."""
    try:
        content = json.loads(_json_file(path).read_text(encoding="utf-8"))
    except (FileFormatError, OSError, ValueError, RecursionError):
        return False
    info = content.get("info") if isinstance(content, dict) else None
    if not isinstance(info, dict) or content.get("licenses") != [{"name": "", "id": 0, "url": ""}]:
        return False
    return set(info) == set(_CVAT_INFO)


def _sniff(path: Path) -> bool:
    if path.is_dir():
        files = [*path.glob("*.json"), *path.glob("annotations/*.json")]
        return sum(map(_looks_like, files)) == 1
    return path.suffix.lower() == ".json" and _looks_like(path)


FORMAT = LabelFormat(
    name="coco",
    description="COCO keypoints JSON",
    sniff=lambda path: _sniff(path) and not _is_cvat(path),
    read=read_coco,
    write=write_coco,
)

CVAT_COCO_FORMAT = LabelFormat(
    name="cvat-coco",
    description="COCO keypoints as CVAT exports them",
    sniff=lambda path: _sniff(path) and _is_cvat(path),
    read=read_cvat_coco,
    write=write_cvat_coco,
)
