"""CVAT's XML 1.1 for images: skeletons, or single points of which each label is a keypoint.

Pixels are measured from the corner of the image, so the center of the top-left pixel is (0.5, 0.5). A point that is
"outside" is absent; one that is outside and occluded is occluded at an unknown place. Keypoints that are not labeled
have no element.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

from calibration.errors import FileFormatError, InvalidValueError, SuiteWarning
from calibration.files import write_text
from pose3d.formats._tidy import UNNAMED_INDIVIDUAL
from pose3d.formats.labels._export import copy_images, one_annotator, warn_lost
from pose3d.formats.labels._images import image_names, labeled_images, root_of_images
from pose3d.formats.labels._instances import Instance, Point, instances_of, labels_of_instances
from pose3d.formats.labels.label_format import LabelFormat
from pose3d.labeling.labels import Labels, Visibility
from pose3d.skeleton import Skeleton

__all__ = ["FORMAT", "read_cvat", "write_cvat"]

_WHAT = "annotations of CVAT (XML 1.1 for images)"
_REMEDY = 'Export the task again as "CVAT for images 1.1".'
_SHIFT = 0.5


def read_cvat(path: Path) -> Labels:
    """Labels of an annotations.xml, or of a folder with one.

    Raises:
        FileFormatError: the file is missing, no such XML, of a video, or has no keypoints.

    Warns:
        SuiteWarning: shapes of other kinds are left out.
    """
    file = path / "annotations.xml" if path.is_dir() else path
    root = _parse(file)
    if root.find("track") is not None:
        raise FileFormatError(file, expected=_WHAT, got="tracks of a video", remedy=_REMEDY)
    elements = root.findall("image")
    names = image_names([element.get("name", "") for element in elements])
    if not names or not all(names):
        raise FileFormatError(file, expected=_WHAT, got="no image, or one without a name", remedy=_REMEDY)
    annotator = (root.findtext("meta/task/assignee/username") or root.findtext("meta/job/assignee") or "").strip()
    instances, left_out = [], 0
    for number, element in enumerate(elements):
        found = list(_instances(element, number, annotator, file))
        instances += found
        used = sum(len(element.findall(kind)) for kind in ("skeleton", "points"))
        left_out += len(list(element)) - used
    if left_out:
        warnings.warn(f"{file}: {left_out} shapes are no keypoints and are left out", SuiteWarning, stacklevel=3)
    folder = root_of_images(names, [file.parent, file.parent / "images", file.parent.parent])
    skeleton = _skeleton(root, instances, file)
    return labels_of_instances(labeled_images(names, folder), instances, skeleton, folder, file)


def _parse(file: Path) -> ET.Element:
    try:
        text = file.read_text(encoding="utf-8-sig")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:  # entities can make a small file fill the memory
            raise FileFormatError(file, expected=_WHAT, got="XML with definitions of its own", remedy=_REMEDY)
        root = ET.fromstring(text)  # noqa: S314  # definitions were refused
    except OSError as error:
        raise FileFormatError(
            file, expected=_WHAT, got=error.strerror or str(error), remedy="Check the path."
        ) from error
    except (UnicodeDecodeError, ET.ParseError) as error:
        raise FileFormatError(file, expected=_WHAT, got=f"a file that is no XML ({error})", remedy=_REMEDY) from error
    if root.tag != "annotations":
        raise FileFormatError(file, expected=_WHAT, got=f"XML of <{root.tag}>", remedy=_REMEDY)
    return root


def _instances(image: ET.Element, number: int, annotator: str, file: Path) -> Iterator[Instance]:
    where = f"{file}, image '{image.get('name')}'"
    for skeleton in image.findall("skeleton"):
        points = {}
        for element in skeleton.findall("points"):
            name = element.get("label", "")
            if name in points:
                raise FileFormatError(where, expected=f"one point '{name}' per animal", got="two", remedy=_REMEDY)
            points[name] = _point(element, where)
        yield Instance(number, points, _individual(skeleton), annotator)
    groups: dict[str | None, dict[str, Point]] = {}
    for element in image.findall("points"):
        name, group = element.get("label", ""), _individual(element)
        if name in groups.setdefault(group, {}):
            raise FileFormatError(
                where,
                expected=f"one point '{name}' per animal",
                got="two",
                remedy="Group the points of each animal in CVAT, or use skeletons.",
            )
        groups[group][name] = _point(element, where)
    for group, points in groups.items():
        yield Instance(number, points, group, annotator)


def _individual(element: ET.Element) -> str | None:
    group = element.get("group_id", "0")
    return None if group in ("", "0") else f"individual_{int(group) - 1}" if group.isdigit() else group


def _point(element: ET.Element, where: str) -> Point:
    text = element.get("points", "")
    outside, occluded = (element.get(key, "0") in ("1", "true", "True") for key in ("outside", "occluded"))
    if outside:
        return Point(None, Visibility.OCCLUDED if occluded else Visibility.ABSENT)
    try:
        x, y = map(float, text.split(","))
        if not (math.isfinite(x) and math.isfinite(y)):
            raise ValueError(text)
    except ValueError as error:
        raise FileFormatError(
            f"{where}, '{element.get('label')}'",
            expected="one point x,y",
            got=repr(text)[:60],
            remedy="Label every keypoint by a point of its own.",
        ) from error
    return Point((x - _SHIFT, y - _SHIFT), Visibility.OCCLUDED if occluded else Visibility.VISIBLE)


def _skeleton(root: ET.Element, instances: list[Instance], file: Path) -> Skeleton:
    """The keypoints in the order of the labels of the task, then those that only shapes have."""
    used = dict.fromkeys(name for instance in instances for name in instance.points)
    labels = [label for label in root.iter("label") if label.findtext("type", "points") == "points"]
    listed = [label.findtext("name", "") for label in labels]
    parents = [label.findtext("name", "") for label in root.iter("label") if label.findtext("type") == "skeleton"]
    children = [label.findtext("name", "") for label in labels if label.findtext("parent")]
    names = dict.fromkeys([name for name in (children or listed) if name and name not in parents])
    try:
        return Skeleton(parents[0] if parents else "labels", tuple({**names, **used}))
    except InvalidValueError as error:
        raise FileFormatError(file, expected=_WHAT, got="no keypoints", remedy=_REMEDY) from error


def write_cvat(labels: Labels, folder: Path) -> None:
    """Write annotations.xml and the images into a folder.

    Raises:
        InvalidValueError: several annotators labeled the same image.
        OutputError: a file cannot be written.

    Warns:
        SuiteWarning: names of animals, edges or sizes get lost; image files are missing.
    """
    assert labels.skeleton is not None
    annotator = one_annotator(labels, "CVAT")
    names = [f"images/{frame.image.removeprefix('images/')}" for frame in labels.frames]
    copy_images(labels, names, folder)
    usual = tuple(f"{UNNAMED_INDIVIDUAL[:-1]}{number}" for number in range(len(labels.individuals)))
    if labels.individuals != usual:
        warn_lost(len(labels.individuals), f"names of animals become {usual[0]} and so on: CVAT numbers them")
    warn_lost(len(labels.skeleton.edges), "edges of the skeleton are left out: CVAT keeps them with its task")
    root = ET.Element("annotations")
    _add(root, "version", "1.1")
    task = ET.SubElement(ET.SubElement(root, "meta"), "task")
    _add(task, "name", labels.skeleton.name)
    if annotator:
        _add(ET.SubElement(task, "assignee"), "username", annotator)
    listed = ET.SubElement(task, "labels")
    for name, kind in ((labels.skeleton.name, "skeleton"), *((keypoint, "points") for keypoint in labels.keypoints)):
        label = ET.SubElement(listed, "label")
        _add(label, "name", name)
        _add(label, "type", kind)
        if kind == "points":
            _add(label, "parent", labels.skeleton.name)
    images = []
    for number, (frame, name) in enumerate(zip(labels.frames, names, strict=True)):
        width, height = frame.size or (0, 0)
        attributes = {"id": str(number), "name": name, "width": str(width), "height": str(height)}
        images.append(ET.SubElement(root, "image", attributes))
    warn_lost(sum(frame.size is None for frame in labels.frames), "images are written without their size")
    for row, individual, instance in instances_of(labels):
        _add_skeleton(images[row], labels.skeleton.name, instance, individual + 1 if len(labels.individuals) > 1 else 0)
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode")
    write_text(folder / "annotations.xml", f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n')


def _add(parent: ET.Element, tag: str, text: str) -> None:
    ET.SubElement(parent, tag).text = text


def _add_skeleton(image: ET.Element, name: str, instance: Instance, group: int) -> None:
    attributes = {"label": name, "source": "manual", "z_order": "0"}
    skeleton = ET.SubElement(image, "skeleton", attributes | ({"group_id": str(group)} if group else {}))
    for keypoint, point in instance.points.items():
        x, y = (0.0, 0.0) if point.position is None else np.add(point.position, _SHIFT).tolist()
        ET.SubElement(
            skeleton,
            "points",
            {
                "label": keypoint,
                "source": "manual",
                "outside": str(int(point.position is None)),
                "occluded": str(int(point.visibility is Visibility.OCCLUDED)),
                "points": f"{x!r},{y!r}",
            },
        )


def _sniff(path: Path) -> bool:
    file = path / "annotations.xml" if path.is_dir() else path
    try:
        with file.open("rb") as opened:
            head = opened.read(500)
    except OSError:
        return False
    return head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<") and b"<annotations" in head


FORMAT = LabelFormat(
    name="cvat",
    description="CVAT XML 1.1 for images: skeletons or points",
    sniff=_sniff,
    read=read_cvat,
    write=write_cvat,
)
