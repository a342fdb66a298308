"""Stages run when they must, and only then; one that fails stops its own session only."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from calibration.errors import InvalidValueError
from pose3d.pipeline.stages import ContentHashes, Stage, StageState, names_of, run_stages, state_of


@dataclass(frozen=True)
class Settings:
    gain: int = 1


class Recipe:
    """Two stages: a.txt -> b.txt -> c.txt; counts how often each is done."""

    def __init__(self, root: Path) -> None:
        self.root, self.gain, self.done, self.broken = root, 1, [], ""
        self.a, self.b, self.c = (root / name for name in ("a.txt", "b.txt", "c.txt"))
        self.a.write_text("1")

    def stages(self) -> list[Stage]:
        return [
            Stage("first", (self.a,), (self.b,), Settings(self.gain), lambda: self.make("first", self.a, self.b)),
            Stage("second", (self.b,), (self.c,), None, lambda: self.make("second", self.b, self.c)),
        ]

    def make(self, name: str, source: Path, target: Path) -> None:
        self.done.append(name)
        if self.broken == name:
            raise InvalidValueError("b.txt", expected="x", got="y", remedy="Mend it.")
        if self.broken == "defect":
            raise ZeroDivisionError("by accident")
        if self.broken == "killed":
            raise KeyboardInterrupt
        target.write_text(source.read_text() + str(self.gain))

    def run(self, **options: object) -> list[tuple[str, StageState]]:
        hashes = ContentHashes(self.root, self.root / ".state" / "hashes.json")
        self.done = []
        outcomes = run_stages("monday", self.stages(), hashes, self.root / ".state" / "monday.json", **options)  # type: ignore[arg-type]
        self.outcomes = outcomes
        return [(one.stage, one.state) for one in outcomes]


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return Recipe(tmp_path)


def test_what_is_done_and_unchanged_is_not_done_again(recipe: Recipe) -> None:
    assert recipe.run() == [("first", StageState.DONE), ("second", StageState.DONE)]
    assert recipe.done == ["first", "second"]
    recipe.run()
    assert recipe.done == []


def test_a_file_that_was_only_touched_or_copied_counts_as_the_same(recipe: Recipe) -> None:
    recipe.run()
    os.utime(recipe.a, (1, 1))
    recipe.run()
    assert recipe.done == []


def test_changed_content_is_followed_through_all_stages(recipe: Recipe) -> None:
    recipe.run()
    recipe.a.write_text("2")
    recipe.run()
    assert recipe.done == ["first", "second"]
    assert "inputs changed: a.txt" in recipe.outcomes[0].reason
    assert recipe.c.read_text() == "211"


def test_changed_settings_are_named(recipe: Recipe) -> None:
    recipe.run()
    recipe.gain = 3
    recipe.run()
    assert recipe.done == ["first", "second"]
    assert recipe.outcomes[0].reason == "settings changed: gain"


def test_a_removed_output_is_made_again_and_nothing_else(recipe: Recipe) -> None:
    recipe.run()
    recipe.c.unlink()
    recipe.run()
    assert recipe.done == ["second"]


def test_an_output_changed_by_hand_is_kept_and_used(recipe: Recipe) -> None:
    recipe.run()
    recipe.b.write_text("mine")
    assert recipe.run() == [("first", StageState.EDITED), ("second", StageState.DONE)]
    assert recipe.b.read_text() == "mine"
    assert recipe.c.read_text() == "mine1"


def test_a_dry_run_does_nothing_and_says_what_would_be_done(recipe: Recipe) -> None:
    assert recipe.run(dry_run=True) == [("first", StageState.MISSING), ("second", StageState.MISSING)]
    assert recipe.done == []
    assert not (recipe.root / ".state").exists()
    assert "which is not there either" not in "".join(one.reason for one in recipe.outcomes)  # b.txt will be


def test_a_dry_run_says_which_inputs_are_missing(recipe: Recipe) -> None:
    recipe.a.unlink()
    recipe.run(dry_run=True)
    assert f"it needs {recipe.a}, which is not there either" in recipe.outcomes[0].reason
    recipe.run(dry_run=True, coming=[recipe.a])
    assert "it needs" not in recipe.outcomes[0].reason


def test_after_a_failure_the_rest_is_not_tried_and_the_next_run_begins_there(recipe: Recipe) -> None:
    recipe.broken = "second"
    assert recipe.run() == [("first", StageState.DONE), ("second", StageState.FAILED)]
    assert "Mend it." in recipe.outcomes[1].reason
    assert names_of(recipe.outcomes) == ["monday"]
    hashes = ContentHashes(recipe.root, recipe.root / ".state" / "hashes.json")
    state, reason = state_of(recipe.stages()[1], hashes, recipe.root / ".state" / "monday.json")
    assert state is StageState.FAILED
    assert "Mend it." in reason
    recipe.broken = ""
    assert recipe.run() == [("first", StageState.DONE), ("second", StageState.DONE)]
    assert recipe.done == ["second"]


def test_the_stages_after_a_failure_are_named_as_not_tried(recipe: Recipe) -> None:
    recipe.broken = "first"
    assert recipe.run() == [("first", StageState.FAILED), ("second", StageState.SKIPPED)]
    assert recipe.outcomes[1].reason == "first failed"


def test_a_defect_is_a_failure_with_its_traceback(recipe: Recipe) -> None:
    recipe.broken = "defect"
    recipe.run()
    assert recipe.outcomes[0].reason == "ZeroDivisionError: by accident"
    assert "make" in recipe.outcomes[0].details


def test_a_killed_run_goes_on_where_it_was(recipe: Recipe) -> None:
    recipe.run()
    recipe.a.write_text("2")
    recipe.broken = "killed"
    with pytest.raises(KeyboardInterrupt):
        recipe.run()
    recipe.broken = ""
    recipe.run()
    assert recipe.done == ["first", "second"]
    assert recipe.c.read_text() == "211"


def test_a_stage_that_is_done_once_stays(recipe: Recipe) -> None:
    once = [Stage("rig", (recipe.a,), (recipe.b,), None, lambda: recipe.make("rig", recipe.a, recipe.b), once=True)]
    recipe.stages = lambda: once  # type: ignore[method-assign]
    recipe.run()
    recipe.a.write_text("2")
    recipe.run()
    assert recipe.done == []


def test_a_damaged_log_means_that_the_work_is_done_again(recipe: Recipe) -> None:
    recipe.run()
    log = recipe.root / ".state" / "monday.json"
    log.write_text(log.read_text()[:20])
    recipe.run()
    assert recipe.done == ["first", "second"]


def test_nothing_in_the_log_depends_on_the_machine(recipe: Recipe, tmp_path: Path) -> None:
    recipe.run()
    text = (recipe.root / ".state" / "monday.json").read_text()
    assert str(tmp_path) not in text
    assert set(json.loads(text)) == {"first", "second"}


class Addition(Recipe):
    """A stage that makes b.txt, one that uses it, one that adds a line to it, and one that reads all of it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.d, self.line = root / "d.txt", "more"

    def stages(self) -> list[Stage]:
        first, second = super().stages()
        return [
            first,
            second,
            Stage("third", (), (self.b,), self.line, self.add, adds=True),
            Stage("fourth", (self.b,), (self.d,), None, lambda: self.make("fourth", self.b, self.d)),
        ]

    def add(self) -> None:
        self.done.append("third")
        if self.broken == "third":
            raise KeyboardInterrupt
        self.b.write_text(self.b.read_text().split("+")[0] + "+" + self.line)
        if self.broken == "third, just done":
            raise KeyboardInterrupt


@pytest.fixture
def addition(tmp_path: Path) -> Addition:
    return Addition(tmp_path)


def test_what_is_added_to_a_file_leaves_the_stages_before_done(addition: Addition) -> None:
    addition.run()
    assert addition.done == ["first", "second", "third", "fourth"]
    assert addition.d.read_text() == "11+more1"
    assert set(dict(addition.run()).values()) == {StageState.DONE}
    assert addition.done == []


def test_another_addition_is_made_without_the_stages_before(addition: Addition) -> None:
    addition.run()
    addition.line = "else"
    addition.run()
    assert addition.done == ["third", "fourth"]
    assert addition.b.read_text() == "11+else"


def test_a_file_that_is_made_anew_is_added_to_again(addition: Addition) -> None:
    addition.run()
    addition.a.write_text("2")
    addition.run()
    assert addition.done == ["first", "second", "third", "fourth"]
    assert addition.b.read_text() == "21+more"


def test_a_file_with_an_addition_that_was_changed_by_hand_is_kept(addition: Addition) -> None:
    addition.run()
    addition.b.write_text("mine+mine")
    states = dict(addition.run())
    assert states["first"] is states["third"] is StageState.EDITED
    assert addition.b.read_text() == "mine+mine"
    assert addition.done == ["second", "fourth"]


@pytest.mark.parametrize("moment", ["third", "third, just done"])
def test_an_addition_that_was_interrupted_is_made_again(addition: Addition, moment: str) -> None:
    addition.run()
    addition.line, addition.broken = "else", moment
    with pytest.raises(KeyboardInterrupt):
        addition.run()
    addition.broken = ""
    addition.run()
    assert addition.b.read_text() == "11+else"
    assert set(dict(addition.run()).values()) == {StageState.DONE}
