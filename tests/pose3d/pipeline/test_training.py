"""From the labels of a project to models/<run>, to folds, and on after an interruption."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration.errors import FileFormatError, InvalidValueError, MismatchError, OutputError
from pose3d.labeling import LabelStore
from pose3d.labeling.labels import LabeledImage, Labels
from pose3d.networks.training_data import groups_of
from pose3d.pipeline.evaluation import (
    compare_run,
    evaluate_folds,
    evaluate_run,
    find_run,
    fold_runs,
    human_variability,
    save_folds,
)
from pose3d.pipeline.projects import new_project
from pose3d.pipeline.training import next_run_name, train_folds, train_project, unfinished
from pose3d.pipeline.training_inputs import labeled_data, training_options
from pose3d.project import Project, load_project
from pose3d.skeleton import Skeleton

pytest.importorskip("keras")


@pytest.fixture
def trained(labeled_project, options, backbones):  # type: ignore[no-untyped-def]
    return train_project(labeled_project, "first", options, backbones=backbones)


def test_a_run_holds_out_whole_sessions_and_is_measured_on_them(trained, labeled_project, backbones) -> None:
    run, comparison = trained
    assert run.path == labeled_project.models_folder / "first"
    assert len(run.split.held_out) == 5
    assert len({name.split("/")[2] for name in run.split.held_out}) == 1
    assert not set(run.split.held_out) & set(run.split.train)
    assert run.split.grouped_by == "session and animal"
    assert run.metrics["images"] == 5
    weights = sum(one.nbytes for one in run.model(backbones=backbones).get_weights())
    assert (run.path / "weights.weights.h5").stat().st_size < 2 * weights + 100_000  # without the optimizer's
    assert run.metrics["decided_when_to_stop"]
    assert run.mirrored_pairs == (("red", "green"),)
    assert not unfinished(labeled_project, "first").exists()
    # what was measured at the end of training is what is measured afterwards
    told, again = evaluate_run(labeled_project, run.path, backbones=backbones)
    np.testing.assert_allclose(again.distance, comparison.distance, atol=1e-3)
    assert told["held_out"]["overall"]["rmse"]["value"] == pytest.approx(run.metrics["overall"]["rmse"]["value"], 1e-3)
    assert told["train"]["labels"] == 30
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_an_interrupted_training_goes_on_from_the_step_it_was_at(labeled_project, options, backbones) -> None:
    whole, _ = train_project(labeled_project, "whole", options, backbones=backbones)

    def stop(progress) -> None:  # type: ignore[no-untyped-def]
        if progress.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_project(labeled_project, "first", options, report=stop, backbones=backbones)
    with pytest.raises(OutputError, match="--run first --resume"):
        train_project(labeled_project, "first", options, backbones=backbones)
    steps: list[int] = []
    other = replace(options, training=replace(options.training, steps=99))  # the interrupted run knows its own
    run, _ = train_project(
        labeled_project,
        "first",
        other,
        resume=True,
        report=lambda progress: steps.append(progress.step),
        backbones=backbones,
    )
    assert steps == [3, 4, 5, 6]
    assert run.training.steps == 6
    weights = [each.model(backbones=backbones).get_weights() for each in (run, whole)]
    for one, same in zip(*weights, strict=True):
        np.testing.assert_allclose(one, same, rtol=1e-3, atol=1e-5)


def test_labels_that_changed_since_the_interruption_are_refused(labeled_project, options, backbones) -> None:
    def stop(progress) -> None:  # type: ignore[no-untyped-def]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_project(labeled_project, "first", options, report=stop, backbones=backbones)
    with LabelStore(labeled_project.labels_file) as store:
        store.undo()
        labels = store.labels()
        assert len(labels) == 0
        store.redo()
        one = store.labels().select([0])
        store.write(replace(one, position=one.position + 1))
    with pytest.raises(MismatchError, match="labels that were changed since"):
        train_project(labeled_project, "first", options, resume=True, backbones=backbones)


def test_a_run_is_never_overwritten_and_names_are_free(trained, labeled_project, options, backbones) -> None:
    with pytest.raises(OutputError, match="one that is finished"):
        train_project(labeled_project, "first", options, backbones=backbones)
    with pytest.raises(InvalidValueError, match="name of the run"):
        train_project(labeled_project, "../first", options, backbones=backbones)
    with pytest.raises(FileFormatError, match="Leave out --resume"):
        train_project(labeled_project, "other", options, resume=True, backbones=backbones)
    assert next_run_name(labeled_project) == "run1"
    (labeled_project.models_folder / "run1").mkdir()
    assert next_run_name(labeled_project) == "run2"


def test_a_cross_validation_sees_every_image_once(labeled_project, options, backbones) -> None:
    told = []
    done = train_folds(labeled_project, "cv", options, 2, report=lambda fold, _: told.append(fold), backbones=backbones)
    assert told == [1] * 6 + [2] * 6
    held_out = [name for run, _ in done for name in run.split.held_out]
    assert len(held_out) == len(set(held_out)) == 20
    assert not done[0][0].metrics["decided_when_to_stop"]
    assert [run.name for run in fold_runs(labeled_project, "cv")] == ["cv_fold1", "cv_fold2"]
    summary = evaluate_folds(labeled_project, "cv", [(run.name, found) for run, found in done], options.evaluation)
    each = [one["rmse"]["value"] for one in summary["folds"].values()]
    assert summary["mean_rmse"] == pytest.approx(np.mean(each))
    assert summary["held_out"]["images"] == 20
    assert json.loads(save_folds(labeled_project, summary).read_text()) == summary
    # what is done is not done again
    told.clear()
    again = train_folds(
        labeled_project, "cv", options, 2, resume=True, report=lambda f, _: told.append(f), backbones=backbones
    )
    assert told == []
    np.testing.assert_allclose(again[1][1].distance, done[1][1].distance, atol=1e-3)


def test_runs_are_found_by_name_or_the_newest(trained, labeled_project, tmp_path: Path) -> None:
    assert find_run(labeled_project) == find_run(labeled_project, "first") == trained[0].path
    with pytest.raises(FileFormatError, match="there are first"):
        find_run(labeled_project, "second")
    empty = replace(labeled_project, root=tmp_path / "empty")
    with pytest.raises(FileFormatError, match="pose3d train PROJECT"):
        find_run(empty)


def test_a_skeleton_that_changed_is_refused(trained, labeled_project, backbones) -> None:
    more = replace(labeled_project, skeleton=Skeleton("dots", ("red", "green", "blue")))
    with pytest.raises(MismatchError, match=r"it lacks blue"):
        compare_run(more, trained[0].path, backbones=backbones)
    swapped = replace(labeled_project, skeleton=Skeleton("dots", ("green", "red"), (), (("red", "green"),)))
    _, found, _ = compare_run(swapped, trained[0].path, backbones=backbones)
    np.testing.assert_allclose(found.distance, trained[1].distance, atol=1e-3)


def test_labels_that_cannot_be_trained_on_are_named(labeled_project, options) -> None:
    project: Project = labeled_project
    with pytest.raises(FileFormatError, match="none yet"):
        labeled_data(replace(project, root=project.root / "nowhere"), options.training)
    image = next(project.frames_folder.rglob("*.png"))
    kept = image.read_bytes()
    image.unlink()
    with pytest.raises(InvalidValueError, match=r"1 of 20 are missing, first labels/frames/day"):
        labeled_data(project, options.training)
    image.write_bytes(kept)
    with LabelStore(project.labels_file) as store:
        one = store.labels().select([0])
        store.write(replace(one, position=one.position + 60))
    with pytest.raises(InvalidValueError, match=r"keypoint 'red'.*inside of 64 x 64 pixels, got \("):
        labeled_data(project, options.training)


def test_fewer_than_two_labeled_images_are_refused(labeled_project, options) -> None:
    with LabelStore(labeled_project.labels_file) as store:
        labels = store.labels()
        others = labels.select(np.arange(1, 20))
        store.write(replace(others, position=others.position * np.nan, visibility=np.zeros_like(others.visibility)))
    with pytest.raises(InvalidValueError, match="got 1 images with 2 labeled keypoints"):
        labeled_data(labeled_project, options.training)


def test_people_are_compared_where_two_labeled_the_same(labeled_project) -> None:
    assert human_variability(labeled_project) is None
    with LabelStore(labeled_project.labels_file) as store:
        one = store.labels().select([0, 1, 2])
        store.import_labels(replace(one, position=one.position + np.array([3.0, 4.0]), annotator=("bob",) * 3))
    told = human_variability(labeled_project)
    assert told is not None
    assert (told["pairs"], told["overall"]["labels"]) == (3, 6)
    assert told["overall"]["rmse"] == pytest.approx(5.0)
    assert told["keypoints"]["red"]["median"] == pytest.approx(5.0)


def test_a_new_project_shows_all_settings_and_reads_them_back(tmp_path: Path) -> None:
    project = new_project(tmp_path / "mice", cameras=["top"], skeleton=Skeleton("m", ("a", "b"), (), (("a", "b"),)))
    text = project.file.read_text()
    for line in ("[network]", "backbone = ", "[training]", 'weights = "imagenet"', "held_out = 0.1", "[augmentation]"):
        assert line in text
    options = training_options(load_project(project.root))
    assert options.network.keypoints == ("a", "b")
    assert options.training.augmentation.flip == 0.5
    project.file.write_text(text.replace("held_out = 0.1", "held_out = 2.0"))
    with pytest.raises(FileFormatError, match=r"\[training\].*held_out"):
        training_options(load_project(project.root))
    project.file.write_text(text.replace("[network]", '[network]\nkeypoints = ["a"]'))
    with pytest.raises(FileFormatError, match=r"\[network\].*remove this line"):
        training_options(load_project(project.root))


def _placed(visibility: np.ndarray) -> np.ndarray:
    return np.repeat(np.where(visibility[..., None] > 0, 1.0, np.nan), 2, axis=-1)


def test_what_is_kept_together() -> None:
    frames = tuple(LabeledImage(f"{n}.png", "v.mp4", n, session) for n, session in enumerate(("a", "a", "b", "c")))
    visibility = np.zeros((4, 2, 1), dtype=np.int8)
    visibility[[0, 1, 2], 0] = 1
    visibility[3, 1] = 1
    labels = Labels(("k",), frames, _placed(visibility), visibility, ("m1", "m2"))
    assert groups_of(labels, "session") == ("a", "a", "b", "c")
    assert groups_of(labels, "session and animal") == ("a", "a", "a", "c")  # m1 is in a and b
    assert groups_of(labels, "image") == ("0.png", "1.png", "2.png", "3.png")
    visibility[3, 0] = 1  # one animal in all: sessions are better than nothing
    whole = Labels(("k",), frames, _placed(visibility), visibility, ("m1", "m2"))
    assert groups_of(whole, "session and animal") == ("a", "a", "b", "c")
