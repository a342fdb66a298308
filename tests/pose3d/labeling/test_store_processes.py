"""The database of labels under kills, and with several programs that write at once."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pose3d.labeling import LabelStore
from pose3d.skeleton import Skeleton

ROOT = Path(__file__).parents[3]
MOUSE = Skeleton("mouse", ("nose", "tail"))
ANIMALS, KEYPOINTS, IMAGES = 1, 2, 50

# What every program below begins with: PATH and NAME are its arguments.
_BEGIN = f"""
import sys
import numpy as np
from pose3d.labeling import LabeledImage, Labels, LabelStore
from pose3d.skeleton import Skeleton

path, name = sys.argv[1:]
mouse = Skeleton("mouse", ("nose", "tail"))
images = tuple(LabeledImage(f"{{number}}.png", "video.mp4", number, size=(64, 48)) for number in range({IMAGES}))

def labels(value):
    shape = ({IMAGES}, {ANIMALS}, {KEYPOINTS})
    position = np.full((*shape, 2), float(value))
    return Labels(("nose", "tail"), images, position, np.ones(shape), annotator=(name,) * {IMAGES})
"""


def program(code: str, path: Path, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _BEGIN + code, str(path), name], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def value_of(path: Path, name: str) -> float:
    """The one value that all labels of an annotator have; a half edit would leave two."""
    with LabelStore(path, read_only=True) as store:
        found = store.labels(name)
    assert found.has_position.sum() == IMAGES * KEYPOINTS
    assert np.ptp(found.position) == 0
    return float(found.position.flat[0])


@pytest.mark.parametrize("delay", [0.0, 0.013, 0.041])
def test_a_kill_leaves_all_that_was_reported_and_no_half_edit(tmp_path: Path, delay: float) -> None:
    path = tmp_path / "labels.sqlite"
    with LabelStore.create(path, MOUSE):
        pass
    code = """
with LabelStore(path, author=name) as store:
    store.add_images(images)
    for number in range(1_000_000):
        store.write(labels(number))
        print(number, flush=True)
"""
    with program(code, path, "anna") as writer:
        assert writer.stdout is not None
        reported = [int(writer.stdout.readline()) for _ in range(5)]
        time.sleep(delay)
        os.kill(writer.pid, signal.SIGKILL)
        reported += [int(line) for line in writer.stdout.read().splitlines() if line]
    # The last edit may have been done without having been reported.
    assert reported[-1] <= value_of(path, "anna") <= reported[-1] + 1
    with LabelStore(path) as store:
        assert not [finding for finding in store.check() if "image files" not in finding]
        store.undo()
    assert value_of(path, "anna") >= reported[-1] - 1


def test_programs_that_make_the_file_and_write_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "labels.sqlite"
    code = """
with LabelStore.open_or_create(path, mouse, author=name) as store:
    for number in range(10):
        store.import_labels(labels(number), collisions="replace")
"""
    names = ("anna", "ben", "cleo")
    programs = [program(code, path, name) for name in names]
    assert [running.communicate(timeout=60)[0] for running in programs] == ["", "", ""]
    assert [running.returncode for running in programs] == [0, 0, 0]
    for name in names:
        assert value_of(path, name) == 9
    with LabelStore(path) as store:
        assert sorted(edit.author for edit in store.history()) == sorted(names * 10)
    assert [item.name for item in tmp_path.iterdir()] == ["labels.sqlite"]
