"""The database of labels: what is written stays, with its history; what is wrong is refused; nothing is lost."""

import json
import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration.errors import FileFormatError, InvalidValueError, MismatchError, OutputError, SuiteError
from calibration.video import write_png
from pose3d.labeling import LabeledImage, Labels, LabelStore, Visibility
from pose3d.skeleton import JointLimit, Skeleton

MOUSE = Skeleton("mouse", ("nose", "tail"), (("nose", "tail"),))
SIZE = (64, 48)
IMAGES = tuple(
    LabeledImage(f"labels/frames/day1/left/{frame}.png", "sessions/day1/left.mp4", frame, "day1", "left", SIZE)
    for frame in (3, 7, 12)
)


def labels(
    images: tuple[LabeledImage, ...] = IMAGES,
    shift: float = 0.0,
    annotator: str = "anna",
    keypoints: tuple[str, ...] = ("nose", "tail"),
) -> Labels:
    """All visible; the position says which image and keypoint it is."""
    rows, columns = np.mgrid[: len(images), : len(keypoints)]
    position = np.stack([rows + shift, columns + 10.0], axis=-1)[:, None]
    seen = np.ones(position.shape[:-1], dtype=np.int8)
    return Labels(keypoints, images, position, seen, annotator=(annotator,) * len(images))


def without(some: Labels, row: int, keypoint: int, visibility: Visibility = Visibility.UNLABELED) -> Labels:
    position, seen = some.position.copy(), some.visibility.copy()
    position[row, 0, keypoint], seen[row, 0, keypoint] = np.nan, visibility
    return replace(some, position=position, visibility=seen)


def assert_equal(found: Labels, expected: Labels) -> None:
    assert found.frames == expected.frames
    assert found.annotator == expected.annotator
    assert found.keypoints == expected.keypoints
    assert found.individuals == expected.individuals
    np.testing.assert_array_equal(found.position, expected.position)
    np.testing.assert_array_equal(found.visibility, expected.visibility)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "labels.sqlite"


@pytest.fixture
def store(path: Path):
    with LabelStore.create(path, MOUSE, author="anna") as opened:
        yield opened


def test_labels_come_back_as_they_were_written(store: LabelStore, path: Path) -> None:
    given = without(without(labels(), 0, 1, Visibility.ABSENT), 2, 0, Visibility.OCCLUDED)
    store.import_labels(given)
    assert_equal(store.labels(), given)
    with LabelStore(path, read_only=True) as again:
        assert_equal(again.labels(), given)
        assert again.skeleton == MOUSE
        assert again.labels().root == path.parent


def test_positions_are_kept_to_the_last_bit(store: LabelStore) -> None:
    given = labels(shift=1 / 3)
    store.import_labels(given)
    np.testing.assert_array_equal(store.labels().position, given.position)


def test_images_wait_for_labels(store: LabelStore) -> None:
    assert store.add_images(IMAGES) == 3
    assert store.add_images(IMAGES[:2]) == 0
    assert store.images() == IMAGES
    assert len(store.labels()) == 0
    store.write(labels(IMAGES[1:2]))
    assert store.labels().frames == IMAGES[1:2]
    assert store.labels(unlabeled=True).frames == IMAGES
    assert store.labels("anna", unlabeled=True).annotator == ("anna",) * 3


def test_several_people_label_the_same_image(store: LabelStore) -> None:
    store.import_labels(labels(annotator="anna"))
    outcome = store.import_labels(labels(IMAGES[:1], shift=0.5, annotator="ben"))
    assert (outcome.added, outcome.images) == (2, 0)
    assert store.annotators() == ("anna", "ben")
    both = store.labels()
    assert both.annotator == ("anna", "ben", "anna", "anna")
    assert both.position[1, 0, 0, 0] - both.position[0, 0, 0, 0] == 0.5
    assert_equal(store.labels("ben"), labels(IMAGES[:1], shift=0.5, annotator="ben"))


def test_several_animals(store: LabelStore) -> None:
    two = replace(
        labels(),
        individuals=("b", "a"),
        position=np.repeat(labels().position, 2, axis=1),
        visibility=np.repeat(labels().visibility, 2, axis=1),
    )
    store.import_labels(two)
    store.import_labels(replace(labels(IMAGES[:1]), individuals=("c",)))
    found = store.labels()
    assert found.individuals == ("b", "a", "c")
    assert found.visibility[:, 2].tolist() == [[1, 1], [0, 0], [0, 0]]


def test_writing_replaces_what_the_annotator_said_of_these_keypoints(store: LabelStore) -> None:
    store.import_labels(labels())
    store.import_labels(labels(annotator="ben"))
    nose = without(labels(IMAGES[:1], keypoints=("nose",)), 0, 0)
    assert store.write(nose) == 1  # nothing is said of the nose any more
    found = store.labels("anna")
    assert found.visibility[0, 0].tolist() == [Visibility.UNLABELED, Visibility.VISIBLE]
    assert_equal(found.select([1, 2]), labels().select([1, 2]))
    assert_equal(store.labels("ben"), labels(annotator="ben"))
    assert store.write(nose) == 0


def test_writing_to_unknown_images_and_keypoints(store: LabelStore) -> None:
    with pytest.raises(InvalidValueError, match=r"image 'labels/frames/day1/left/3\.png'.*not registered"):
        store.write(labels())
    store.add_images(IMAGES)
    with pytest.raises(MismatchError, match="keypoints of the skeleton: nose, tail, got also ear"):
        store.write(labels(keypoints=("nose", "ear")))


# Collisions


def test_an_import_that_collides_changes_nothing(store: LabelStore) -> None:
    store.import_labels(labels(IMAGES[:2]))
    before = store.labels()
    with pytest.raises(MismatchError, match=r"4 of 6 labels, in 2 images, differ.*--keep.*--replace"):
        store.import_labels(labels(shift=1.0))
    assert_equal(store.labels(), before)
    assert store.images() == IMAGES[:2]
    assert len(store.history()) == 1


def test_the_same_again_is_no_collision(store: LabelStore) -> None:
    store.import_labels(labels(IMAGES[:2]))
    outcome = store.import_labels(labels())
    assert (outcome.images, outcome.added, outcome.equal, outcome.kept, outcome.replaced) == (1, 2, 4, 0, 0)
    again = store.import_labels(labels())
    assert again.edit is None
    assert len(store.history()) == 2


def test_collisions_can_be_kept(store: LabelStore) -> None:
    store.import_labels(labels(IMAGES[:2]))
    outcome = store.import_labels(labels(shift=1.0), collisions="keep")
    assert (outcome.added, outcome.kept, outcome.replaced) == (2, 4, 0)
    assert_equal(store.labels().select([0, 1]), labels(IMAGES[:2]))


def test_collisions_can_be_replaced_and_brought_back(store: LabelStore) -> None:
    store.import_labels(labels())
    outcome = store.import_labels(labels(shift=1.0), collisions="replace")
    assert (outcome.added, outcome.kept, outcome.replaced) == (0, 0, 6)
    assert_equal(store.labels(), labels(shift=1.0))
    store.undo()
    assert_equal(store.labels(), labels())


def test_what_an_import_does_not_say_stays(store: LabelStore) -> None:
    store.import_labels(labels())
    store.import_labels(without(labels(shift=1.0), 0, 0), collisions="replace")
    assert store.labels().position[0, 0, 0].tolist() == [0, 10]


# The journal


def test_every_edit_says_who_when_and_what(store: LabelStore, path: Path) -> None:
    store.import_labels(labels(), note="from dlc")
    with LabelStore(path, author="ben") as other:
        other.write(labels(IMAGES[:1], shift=2.0, annotator="anna"))
    newest, oldest = store.history()
    assert (newest.author, newest.action, newest.labels, newest.images) == ("ben", "label", 2, 0)
    assert (oldest.author, oldest.action, oldest.labels, oldest.images, oldest.note) == (
        "anna",
        "import",
        6,
        3,
        "from dlc",
    )
    assert oldest.time <= newest.time
    assert oldest.time.endswith("+00:00")
    rows = sqlite3.connect(path).execute("SELECT old_x, new_x FROM changes WHERE edit = ?", (newest.number,)).fetchall()
    assert rows == [(0.0, 2.0), (0.0, 2.0)]


def test_undo_and_redo_step_by_step(store: LabelStore) -> None:
    store.add_images(IMAGES)
    states = [labels(shift=shift) for shift in (0.0, 1.0, 2.0)]
    for state in states:
        store.write(state)
    for state in (states[1], states[0]):
        assert store.undo() is not None
        assert_equal(store.labels(), state)
    store.undo()
    assert len(store.labels()) == 0
    for state in states:
        assert store.redo() is not None
        assert_equal(store.labels(), state)
    assert store.redo() is None
    for step in (store.undo, store.undo, store.redo):
        step()
    assert_equal(store.labels(), states[1])
    assert not [finding for finding in store.check() if "image files" not in finding]


def test_nothing_to_undo_or_redo(store: LabelStore) -> None:
    assert store.undo() is None
    assert store.redo() is None
    store.import_labels(labels())
    store.undo()
    store.import_labels(labels(IMAGES[:1]))
    assert store.redo() is None  # something else was done since


def test_undoing_an_import_takes_its_images_away(store: LabelStore) -> None:
    store.add_images(IMAGES[:1])
    store.import_labels(labels())
    store.undo()
    assert store.images() == IMAGES[:1]
    assert len(store.labels()) == 0
    store.redo()
    assert_equal(store.labels(), labels())


def test_an_image_that_someone_labeled_meanwhile_stays(store: LabelStore, path: Path) -> None:
    store.import_labels(labels())
    with LabelStore(path, author="ben") as other:
        other.write(labels(IMAGES[:1], annotator="ben"))
    store.undo(author="anna")
    assert store.images() == IMAGES[:1]
    assert store.labels().annotator == ("ben",)


def test_undo_of_one_author_leaves_others_alone(store: LabelStore, path: Path) -> None:
    store.import_labels(labels())
    with LabelStore(path, author="ben") as other:
        other.write(labels(shift=3.0, annotator="ben"))
    store.undo(author="anna")
    assert_equal(store.labels(), labels(shift=3.0, annotator="ben"))


def test_labels_that_were_changed_again_are_not_undone(store: LabelStore, path: Path) -> None:
    store.import_labels(labels())
    with LabelStore(path, author="ben") as other:
        other.write(labels(IMAGES[:1], shift=5.0, annotator="anna"))
    before = store.labels()
    with pytest.raises(MismatchError, match=r"2 of 6 changed again by later edits.*pose3d labels history"):
        store.undo(author="anna")
    assert_equal(store.labels(), before)


# The skeleton


def test_a_new_keypoint_is_taken_over(store: LabelStore, path: Path) -> None:
    store.import_labels(labels())
    more = Skeleton("mouse", ("ear", "nose", "tail"))
    with LabelStore(path, more) as again:
        found = again.labels()
        assert found.keypoints == ("ear", "nose", "tail")
        assert found.visibility[0, 0].tolist() == [0, 1, 1]
        np.testing.assert_array_equal(found.position[:, :, 1:], labels().position)
        assert again.history(1)[0].note == "added ear"
    with LabelStore(path) as again:
        assert again.skeleton == more


def test_a_labeled_keypoint_that_is_gone_is_refused(store: LabelStore, path: Path) -> None:
    store.import_labels(labels())
    with pytest.raises(
        MismatchError, match=r"a skeleton without tail \(3 labels\).*rename-keypoint PROJECT 'tail' 'tail_base'"
    ):
        LabelStore(path, Skeleton("mouse", ("nose", "tail_base")))
    assert_equal(store.labels(), labels())


def test_a_keypoint_without_labels_can_go(store: LabelStore, path: Path) -> None:
    store.import_labels(labels(keypoints=("nose",)))
    with LabelStore(path, Skeleton("mouse", ("nose",))) as again:
        assert again.labels().keypoints == ("nose",)
        assert again.history(1)[0].note == "removed tail"
    with LabelStore(path, Skeleton("mouse", ("nose", "tail"))) as again:
        assert again.labels().visibility[0, 0].tolist() == [1, 0]


def test_a_keypoint_is_renamed_with_its_labels(store: LabelStore, path: Path) -> None:
    store.import_labels(labels())
    store.rename_keypoint("tail", "tail_base")
    renamed = Skeleton("mouse", ("nose", "tail_base"), (("nose", "tail_base"),))
    assert store.skeleton == renamed
    with LabelStore(path, renamed) as again:
        np.testing.assert_array_equal(again.labels().position, labels().position)
        assert again.history(1)[0].note == "keypoint 'tail' to 'tail_base'"
    for old, new in (("tail", "x"), ("nose", "tail_base"), ("nose", " ")):
        with pytest.raises(InvalidValueError, match=r"expected one of nose, tail_base, and a new name"):
            store.rename_keypoint(old, new)


def leg(knee: str = "knee") -> Skeleton:
    edges = (("hip", knee), (knee, "ankle"))
    limits = (JointLimit(("hip", knee, "ankle"), 40.0, 180.0),)
    return Skeleton("leg", ("hip", knee, "ankle"), edges, bones=edges[:1], joint_limits=limits)


def test_bones_and_limits_are_kept_and_renamed(path: Path) -> None:
    with LabelStore.create(path, leg(), author="anna") as store:
        assert store.skeleton == leg()
    with LabelStore(path) as again:
        assert again.skeleton == leg()
        again.rename_keypoint("knee", "left_knee")
    with LabelStore(path) as renamed:
        assert renamed.skeleton == leg("left_knee")


def test_a_file_from_before_bones_opens(path: Path) -> None:
    LabelStore.create(path, MOUSE, author="anna").close()
    connection = sqlite3.connect(path)
    (text,) = connection.execute("SELECT value FROM meta WHERE key = 'skeleton'").fetchone()
    old = {key: value for key, value in json.loads(text).items() if key not in ("bones", "joint_limits")}
    assert len(old) == 4
    connection.execute("UPDATE meta SET value = ? WHERE key = 'skeleton'", (json.dumps(old),))
    connection.commit()
    connection.close()
    with LabelStore(path) as store:
        assert store.skeleton == MOUSE
    with_bones = replace(MOUSE, bones=MOUSE.edges)
    with LabelStore(path, with_bones) as store:
        assert store.skeleton == with_bones


def test_a_removed_keypoint_does_not_come_back_by_undo(store: LabelStore, path: Path) -> None:
    store.import_labels(labels(keypoints=("nose",)))
    store.import_labels(labels(keypoints=("tail",)))
    store.undo()
    with LabelStore(path, Skeleton("mouse", ("nose",))) as again:
        with pytest.raises(MismatchError, match=r"a skeleton without tail"):
            again.redo()
        assert_equal(again.labels(), labels(keypoints=("nose",)))


def test_a_skeleton_that_another_program_changed(store: LabelStore, path: Path) -> None:
    store.import_labels(labels())
    with LabelStore(path) as other:
        other.rename_keypoint("tail", "tail_base")
    with pytest.raises(MismatchError, match="a skeleton without tail_base"):
        store.labels()


# Files


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "got an empty file"),
        (b"not a database at all", "got a file that begins with b'not a database a'"),
        (b"SQLite format 3\x00" + bytes(4096), "damaged|another program"),
    ],
)
def test_what_is_no_file_of_labels(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=message):
        LabelStore(path)
    assert path.read_bytes() == content


def test_a_database_of_another_program(path: Path) -> None:
    sqlite3.connect(path).executescript("CREATE TABLE labels (a); INSERT INTO labels VALUES (1);")
    with pytest.raises(FileFormatError, match="an SQLite file of another program"):
        LabelStore(path)


def test_a_file_of_a_newer_version(store: LabelStore, path: Path) -> None:
    sqlite3.connect(path).execute("PRAGMA user_version = 99")
    with pytest.raises(FileFormatError, match=r"labels of version 1, got version 99\. Update pose3d"):
        LabelStore(path)


def test_a_damaged_file_is_named(store: LabelStore, path: Path) -> None:
    store.import_labels(labels())
    store.close()
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"labels\.sqlite: .*damaged.*backup"):
        LabelStore(path).labels()


def test_bytes_that_were_changed_anywhere_are_an_error_in_words_or_do_no_harm(store: LabelStore, path: Path) -> None:
    store.import_labels(labels())
    store.close()
    content, random = path.read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        changed = bytearray(content)
        # Most pages of a small file are empty: what is not zero is of interest.
        for place in random.choice(np.flatnonzero(np.frombuffer(content, dtype=np.uint8)), 1):
            changed[place] = random.integers(256)
        path.write_bytes(changed)
        try:
            with LabelStore(path) as again:
                again.labels()
                again.history()
                again.check()
                again.undo()
        except SuiteError:
            refused += 1
    assert 0 < refused < 150


def test_a_missing_file(path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"No such file.*Check the path"):
        LabelStore(path)
    assert not path.exists()


def test_a_file_is_never_made_over_another(store: LabelStore, path: Path) -> None:
    store.import_labels(labels())
    with pytest.raises(OutputError, match="got one that exists"):
        LabelStore.create(path, MOUSE)
    with LabelStore.open_or_create(path, MOUSE) as again:
        assert_equal(again.labels(), labels())
    assert [item.name for item in path.parent.iterdir() if "part" in item.name] == []


def test_a_read_only_store_changes_nothing(store: LabelStore, path: Path) -> None:
    with LabelStore(path, read_only=True) as reader, pytest.raises(OutputError, match="readonly"):
        reader.import_labels(labels())


# Findings


def test_findings_of_a_good_store(store: LabelStore, path: Path) -> None:
    for image in IMAGES:
        write_png(path.parent / image.image, np.zeros(SIZE[::-1], dtype=np.uint8))
    store.import_labels(labels())
    assert store.check() == ()


def test_findings_of_images_and_labels(store: LabelStore, path: Path) -> None:
    write_png(path.parent / IMAGES[0].image, np.zeros((48, 60), dtype=np.uint8))
    write_png(path.parent / IMAGES[1].image, np.zeros(SIZE[::-1], dtype=np.uint8))
    store.import_labels(labels(shift=62.0))
    assert store.check() == (
        "2 labels lie outside of their image (first: labels/frames/day1/left/12.png, nose at (64.0, 10.0)).",
        "1 image files are missing or cannot be read (first: labels/frames/day1/left/12.png).",
        "1 image files have another size than when they were labeled (first: labels/frames/day1/left/3.png is 60x48, "
        "was 64x48).",
    )


def test_a_change_by_hand_is_found(store: LabelStore, path: Path) -> None:
    store.import_labels(labels())
    other = sqlite3.connect(path)
    other.execute("UPDATE labels SET x = 1.5 WHERE keypoint = 1 AND image = 1")
    other.commit()
    assert "1 labels are not as the journal left them" in store.check()[0]


# Several programs


def test_a_writer_that_does_not_finish_is_waited_for_and_then_named(path: Path, store: LabelStore) -> None:
    blocking = sqlite3.connect(path, isolation_level=None)
    blocking.execute("BEGIN IMMEDIATE")
    with LabelStore(path, patience=0.2) as waiting:
        with pytest.raises(OutputError, match=r"another one is writing.*Nothing was changed"):
            waiting.import_labels(labels())
        assert len(waiting.labels()) == 0  # reading is possible all the time
        blocking.execute("ROLLBACK")
        waiting.import_labels(labels())
        assert_equal(waiting.labels(), labels())


def test_errors_in_a_transaction_undo_all_of_it(store: LabelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    from pose3d.labeling import _journal

    def fail(*_arguments: object, **_options: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(_journal, "apply", fail)
    with pytest.raises(KeyboardInterrupt):
        store.import_labels(labels())
    monkeypatch.undo()
    assert store.images() == ()
    assert store.import_labels(labels()).images == 3
