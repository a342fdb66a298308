"""Stages that are done once: a stage runs where its inputs, its settings or its outputs are not what they were.

What a stage was made from is kept in one small file per group of stages (a session): hashes of the content of its
inputs and outputs, and its settings. Times of files do not count, so a project can be copied. An output that somebody
changed afterwards is left alone, and what follows is made from it.
"""

from __future__ import annotations

import hashlib
import json
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from calibration.errors import CalibrationError, FileFormatError, SuiteError
from calibration.files import write_text
from pose3d.formats.provenance import plain_values

__all__ = ["ContentHashes", "Stage", "StageOutcome", "StageState", "names_of", "run_stages", "state_of"]


class StageState(StrEnum):
    """What there is of a stage."""

    DONE = "done"
    CHANGED = "outdated"
    MISSING = "to do"
    EDITED = "changed by hand"
    FAILED = "failed"
    SKIPPED = "not tried"


@dataclass(frozen=True, eq=False)
class Stage:
    """One step from files to files.

    Attributes:
        name: as the user reads it.
        inputs: files that it reads.
        outputs: files that it writes.
        settings: what else it depends on, as plain values or a dataclass.
        work: does it; writes every output, each complete or not at all. A text that it returns is told to the user.
        once: it is not done again while its outputs are there, whatever changes.
        adds: its outputs are files of stages before, to which it adds something; they count as unchanged for these.
    """

    name: str
    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]
    settings: object
    work: Callable[[], object]
    once: bool = False
    adds: bool = False


@dataclass(frozen=True)
class StageOutcome:
    """How a stage went.

    Attributes:
        group: the session, or what else it belongs to.
        stage: name.
        state: what there is of it now.
        ran: whether it was done just now.
        reason: why it was done, or why it failed; in words.
        details: the traceback of an error that nobody foresaw.
        note: what the work said of its result.
    """

    group: str
    stage: str
    state: StageState
    ran: bool = False
    reason: str = ""
    details: str = ""
    note: str = ""


@dataclass(eq=False)
class ContentHashes:
    """Hashes of files, kept so that an hour of video is not read again for every stage.

    Attributes:
        root: folder that paths are relative to.
        file: where they are kept.
    """

    root: Path
    file: Path
    _known: dict[str, Any] = field(default_factory=dict)
    _loaded: bool = False

    def of(self, path: Path) -> str | None:
        """Hash of the content of a file; None where it is not there."""
        if not self._loaded:
            self._known, self._loaded = _read_table(self.file), True
        try:
            stat = path.stat()
        except OSError:
            return None
        name = _relative(path, self.root)
        stamp: list[object] = [stat.st_size, stat.st_mtime_ns]
        known = self._known.get(name)
        if known is not None and known[:2] == stamp:
            return str(known[2])
        try:
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=20)).hexdigest()
        except OSError as error:
            raise FileFormatError(
                path,
                expected="a file that can be read",
                got=error.strerror or str(error),
                remedy="Check the path and its permissions.",
            ) from error
        self._known[name] = [*stamp, digest]
        return digest

    def save(self) -> None:
        """Keep them."""
        if self._loaded:
            write_text(self.file, json.dumps(self._known, indent=0, sort_keys=True) + "\n")


def _relative(path: Path, root: Path) -> str:
    """POSIX path of a file, relative to the root where it is inside."""
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return path.as_posix()


def state_of(stage: Stage, hashes: ContentHashes, log: Path) -> tuple[StageState, str]:
    """What there is of a stage, and in words why it is not done.

    Args:
        stage: the stage.
        hashes: of files.
        log: the file of its group.
    """
    missing = [path for path in stage.outputs if not path.exists()]
    record = _read_table(log).get(stage.name)
    if missing:
        if isinstance(record, Mapping) and "error" in record:
            return StageState.FAILED, str(record["error"])
        return StageState.MISSING, f"{missing[0].name} is not there"
    if stage.once:
        return StageState.DONE, ""
    if stage.adds:
        return _state_of_addition(stage, hashes, log, record)
    if not isinstance(record, Mapping) or "outputs" not in record:
        return StageState.CHANGED, "nothing is known of how its files were made"
    now, then = _description(stage, hashes), record.get("made_from")
    outputs = {_relative(path, hashes.root): hashes.of(path) for path in stage.outputs}
    if outputs != record["outputs"]:
        changed = [name for name, digest in outputs.items() if digest != record["outputs"].get(name)]
        return StageState.EDITED, f"{', '.join(changed)} was changed afterwards"
    if now != then:
        return StageState.CHANGED, _difference(then, now)
    return StageState.DONE, ""


def _state_of_addition(stage: Stage, hashes: ContentHashes, log: Path, record: object) -> tuple[StageState, str]:
    """See `state_of`. What a stage before has made anew since has nothing added; what nobody made is left alone."""
    if isinstance(record, Mapping) and "error" in record:
        return StageState.FAILED, str(record["error"])
    if not isinstance(record, Mapping):
        return StageState.MISSING, "it was not added yet"
    if "outputs" not in record:
        return StageState.CHANGED, "adding it was interrupted"
    outputs = {_relative(path, hashes.root): hashes.of(path) for path in stage.outputs}
    if outputs != record["outputs"]:
        others = [other.get("outputs", {}) for name, other in _read_table(log).items() if name != stage.name]
        anew = all(any(other.get(name) == digest for other in others) for name, digest in outputs.items())
        names = ", ".join(name for name, digest in outputs.items() if digest != record["outputs"].get(name))
        if anew:
            return StageState.CHANGED, f"{names} is new"
        return StageState.EDITED, f"{names} was changed afterwards"
    now = _description(stage, hashes)
    if now != record.get("made_from"):
        return StageState.CHANGED, _difference(record.get("made_from"), now)
    return StageState.DONE, ""


def run_stages(
    group: str,
    stages: Sequence[Stage],
    hashes: ContentHashes,
    log: Path,
    *,
    dry_run: bool = False,
    coming: Iterable[Path] = (),
    report: Callable[[StageOutcome], None] | None = None,
) -> list[StageOutcome]:
    """Do the stages of a group, in order, that are not done; after one that fails the others are not tried.

    Args:
        group: name of the group, for messages.
        stages: in the order in which each needs those before.
        hashes: of files.
        log: file that remembers what was done.
        dry_run: only say what would be done, and which inputs are not there.
        coming: files that other groups will have made.
        report: told of every stage when it is over, and before one that is going to run (state "to do" or "outdated").

    Raises:
        OutputError: the log cannot be written.
    """
    outcomes: list[StageOutcome] = []
    failed = ""
    made = set(coming)  # by the stages before
    for place, stage in enumerate(stages):
        if failed:
            outcome = StageOutcome(group, stage.name, StageState.SKIPPED, reason=f"{failed} failed")
        else:
            state, reason = state_of(stage, hashes, log)
            absent = [path for path in stage.inputs if path not in made and not path.exists()]
            if dry_run and absent and state is not StageState.DONE:
                reason = f"{reason}; it needs {absent[0]}, which is not there either"
            outcome = StageOutcome(group, stage.name, state, reason=reason)
            if state not in (StageState.DONE, StageState.EDITED) and not dry_run:
                if report is not None:
                    report(outcome)
                if stage.adds:
                    _remember(log, stage.name, {"adding": reason})  # a run that is killed now has not added it
                outcome = _do(group, stage, reason, hashes, log)
                if stage.adds and outcome.state is StageState.DONE:
                    _count_as_unchanged(stage, [other.name for other in stages[:place]], hashes, log)
                failed = stage.name if outcome.state is StageState.FAILED else ""
        made.update(stage.outputs)
        outcomes.append(outcome)
        if report is not None:
            report(outcome)
    return outcomes


def _do(group: str, stage: Stage, reason: str, hashes: ContentHashes, log: Path) -> StageOutcome:
    made_from = _description(stage, hashes)
    details = ""
    try:
        said = stage.work()
        lost = [path for path in stage.outputs if not path.exists()]
        if lost:
            raise CalibrationError(
                f"stage '{stage.name}'",
                expected=f"the file {lost[0]}",
                got="none",
                remedy="Report this as a defect of pose3d.",
            )
    except SuiteError as error:
        words = str(error)
    except Exception as error:  # noqa: BLE001 - one session must not take the others with it
        words, details = f"{type(error).__name__}: {error}", traceback.format_exc()
    else:
        outputs = {_relative(path, hashes.root): hashes.of(path) for path in stage.outputs}
        _remember(log, stage.name, {"made_from": made_from, "outputs": outputs})
        hashes.save()
        note = said if isinstance(said, str) else ""
        return StageOutcome(group, stage.name, StageState.DONE, ran=True, reason=reason, note=note)
    _remember(log, stage.name, {"error": words})
    return StageOutcome(group, stage.name, StageState.FAILED, ran=True, reason=words, details=details)


def _count_as_unchanged(stage: Stage, before: Sequence[str], hashes: ContentHashes, log: Path) -> None:
    """Let the stages before know the files that were added to as what they made and used."""
    table = _read_table(log)
    digests = {_relative(path, hashes.root): hashes.of(path) for path in stage.outputs}
    for name in before:
        record = table.get(name, {})
        for known in (record.get("outputs", {}), record.get("made_from", {}).get("inputs", {})):
            known.update({file: digest for file, digest in digests.items() if file in known})
    write_text(log, json.dumps(table, indent=1, sort_keys=True) + "\n")


def _description(stage: Stage, hashes: ContentHashes) -> dict[str, object]:
    return {
        "inputs": {_relative(path, hashes.root): hashes.of(path) for path in stage.inputs},
        "settings": plain_values(stage.settings),
    }


def _difference(then: object, now: Mapping[str, object]) -> str:
    """What changed, in words."""
    if not isinstance(then, Mapping):
        return "nothing is known of how its files were made"
    words = []
    for what in ("inputs", "settings"):
        old, new = then.get(what), now[what]
        if old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            names = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
            words.append(f"{what} changed: {', '.join(map(str, names))}")
        else:
            words.append(f"{what} changed")
    return "; ".join(words)


def _remember(log: Path, name: str, record: Mapping[str, object]) -> None:
    table = _read_table(log)
    table[name] = record
    write_text(log, json.dumps(table, indent=1, sort_keys=True) + "\n")


def _read_table(file: Path) -> dict[str, Any]:
    """What is remembered; nothing where the file is missing or damaged: then the work is done again."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def names_of(outcomes: Iterable[StageOutcome]) -> list[str]:
    """Groups that failed, each once."""
    return list(dict.fromkeys(one.group for one in outcomes if one.state is StageState.FAILED))
