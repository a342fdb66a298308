"""Labels that go out to another tool and come back are the same animal, whatever it is called here."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pose3d.labeling import LabelStore
from pose3d.pipeline.labels import export_labels, import_labels
from pose3d.project import Project


def renamed(project: Project, name: str) -> None:
    """Call the only animal of the project by a name that formats of one animal cannot hold."""
    with LabelStore(project.labels_file, project.skeleton, read_only=True) as store:
        labels = store.labels()
    project.labels_file.unlink()
    with LabelStore.open_or_create(project.labels_file, project.skeleton) as store:
        store.import_labels(replace(labels, individuals=(name,)))


@pytest.mark.filterwarnings("ignore::calibration.errors.SuiteWarning")  # what formats cannot hold
@pytest.mark.parametrize("kind", ["lightning-pose", "deeplabcut", "cvat", "coco", "sleap"])
def test_what_comes_back_is_no_second_animal(labeled_project: Project, tmp_path: Path, kind: str) -> None:
    pytest.importorskip({"deeplabcut": "tables", "sleap": "sleap_io"}.get(kind, "numpy"))
    renamed(labeled_project, "Maja")
    with LabelStore(labeled_project.labels_file, labeled_project.skeleton, read_only=True) as store:
        before = store.labels()
    export_labels(labeled_project, tmp_path / "out", kind)
    import_labels(labeled_project, tmp_path / "out", camera=labeled_project.cameras[0], collisions="keep")
    with LabelStore(labeled_project.labels_file, labeled_project.skeleton, read_only=True) as store:
        after = store.labels()
    assert after.individuals == ("Maja",)
    assert {frame.image for frame in after.frames} == {frame.image for frame in before.frames}
    assert np.isfinite(after.position).any(axis=(1, 2, 3)).all()
