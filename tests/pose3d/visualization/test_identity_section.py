"""Who is who in the report: what is said is what the Dataset says, and the level follows from it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from calibration.errors import InvalidValueError
from calibration.findings import Level
from pose3d.cli import main
from pose3d.formats import save_session
from pose3d.visualization import collect_evidence, judge, write_report
from pose3d.visualization.coloring import individual_colors
from pose3d.visualization.identity_section import identity_pictures, identity_section
from pose3d.visualization.identity_verdict import identity_findings
from pose3d.visualization.player import player_data
from tests.pose3d.visualization.identities import NOT_SEEN, ONE_CAMERA, TWO_CAMERAS, Moment, hide, make_identity

EVIL = '<script>alert("x")</script>'


def meetings(*probabilities: float) -> list[Moment]:
    return [(value, 10 * place, 10 * place + 4, "ada", "bob", "close") for place, value in enumerate(probabilities)]


def of_pair(pair) -> xr.Dataset:
    """An Identity of the two animals of the recording."""
    names = [str(name) for name in pair.poses3d["individual"].values]
    frames = pair.poses3d.sizes["time"]
    return make_identity(frames, names, len(pair.rig), risks=[(0.3, 10, 14, *names, "close")], rate=100.0)


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"<svg.*?</svg>", "", html, flags=re.DOTALL)))


# Findings


def test_animals_that_are_never_in_doubt_are_told_apart() -> None:
    told, number = identity_findings(make_identity(risks=meetings(0.04, 0.01)))
    assert told.level == number.level == Level.GOOD
    assert told.merit == "all animals told apart"
    assert not told.next_step


def test_a_moment_of_doubt_is_worth_a_look_and_said_with_its_frames() -> None:
    told = identity_findings(make_identity(frames=1000, risks=meetings(0.3, 0.06, 0.02)))[0]
    assert told.level == Level.LOOK
    assert "2 moments" in told.answer
    assert "0 to 4 (ada and bob, 30 %), 10 to 14 (ada and bob, 6 %)" in told.answer
    assert "0.38 exchanges" in told.answer  # the sum of all three
    assert "anchors" in told.next_step
    assert told.limits


def test_of_many_moments_the_first_are_said_and_the_rest_counted() -> None:
    told = identity_findings(make_identity(frames=100_000, risks=meetings(*np.linspace(0.2, 0.1, 12))))[0]
    assert told.answer.count("ada and bob") == 5
    assert "and 7 more" in told.answer


@pytest.mark.parametrize(("frames", "level"), [(1000, Level.BROKEN), (100_000, Level.LOOK)])
def test_names_that_do_not_last_a_minute_are_no_names(frames: int, level: Level) -> None:
    assert identity_findings(make_identity(frames, risks=meetings(*[0.4] * 10)))[0].level == level


def test_one_moment_in_a_short_recording_does_not_break_it() -> None:
    assert identity_findings(make_identity(60, risks=meetings(0.5)))[0].level == Level.LOOK


def test_one_more_animal_than_declared_is_said() -> None:
    identity = make_identity().assign_attrs(surplus=0.12)
    number = identity_findings(identity)[1]
    assert number.level == Level.LOOK
    assert number.concern == "there seems to be an animal more than declared"
    assert "12.0 %" in number.answer
    assert identity_findings(identity.assign_attrs(surplus=0.01))[1].level == Level.GOOD


def test_fewer_animals_than_declared_are_said() -> None:
    number = identity_findings(make_identity().assign_attrs(individuals_declared=4))[1]
    assert number.level == Level.LOOK
    assert number.concern == "3 of 4 animals were found"


def test_instances_of_nobody_are_judged_by_the_typical_camera() -> None:
    identity = make_identity()
    identity["unassigned"].values[:, 0] = 3  # one camera looks into the corridor
    number = identity_findings(identity)[1]
    assert number.level == Level.GOOD
    assert "of cam_1 50.0 %" in number.answer
    identity["unassigned"].values[:] = 1
    assert identity_findings(identity)[1].level == Level.LOOK


def test_what_two_cameras_leave_open_is_said_where_there_is_any() -> None:
    identity = make_identity(cameras=2)
    assert len(identity_findings(identity)) == 2
    hide(identity, slice(0, 20), 1, TWO_CAMERAS)
    cameras = identity_findings(identity)[2]
    assert cameras.level == Level.LOOK
    assert "20.0 %" in cameras.answer
    assert "bob" in cameras.answer


def test_one_animal_cannot_be_mistaken() -> None:
    told = identity_findings(make_identity(individuals=["ada"]))[0]
    assert told.level == Level.GOOD
    assert told.merit == ""


@pytest.mark.parametrize("identity", [make_identity(individuals=[]), make_identity(frames=0)])
def test_of_nobody_nothing_is_known(identity: xr.Dataset) -> None:
    assert identity_findings(identity)[0].level == Level.UNKNOWN


# The verdict


def test_the_verdict_takes_identities_into_account_where_there_are_any(pair) -> None:
    evidence = collect_evidence(pair.poses3d, pair.poses2d, pair.rig)
    without = judge(evidence, pair.poses3d, skeleton=pair.skeleton)
    verdict = judge(evidence, pair.poses3d, skeleton=pair.skeleton, identity=of_pair(pair))
    assert {each.question for each in verdict.findings} - {each.question for each in without.findings} == {
        "Who is who?",
        "How many animals are there?",
    }
    assert verdict.level >= Level.LOOK
    assert "may have been exchanged" in verdict.headline


# The section


def test_the_headline_says_how_many_how_often_seen_and_what_to_do() -> None:
    identity = make_identity(risks=meetings(0.3, 0.2))
    hide(identity, slice(0, 10), 0, NOT_SEEN)
    text = text_of(identity_section(identity))
    assert "3 animals, seen in 90.0 % to 100.0 % of the frames. 2 moments are doubtful" in text
    assert "anchors.csv" in text
    calm = text_of(identity_section(make_identity()))
    assert "3 animals, seen in 100.0 % of the frames. No moment is doubtful" in calm


def test_the_list_for_proofreading_has_frames_pair_probability_and_reason() -> None:
    identity = make_identity(risks=[(0.31, 48, 52, "ada", "bob", "close"), (0.2, 70, 70, "bob", "cid", "unseen")])
    rows = re.findall(r"<tr><th scope=\"row\">(\d+)</th>(.*?)</tr>", identity_section(identity))
    assert [number for number, _ in rows] == ["1", "2"]
    assert all(word in rows[0][1] for word in ("48 to 52", "ada and bob", "31.0", "close to each other"))
    assert all(word in rows[1][1] for word in (">70<", "bob and cid", "20.0", "unseen at the same time"))


def test_a_long_list_is_cut_and_says_so() -> None:
    section = identity_section(make_identity(frames=1000, risks=meetings(*np.linspace(0.5, 0.1, 50))))
    assert "30 less probable ones are in the result file" in section


def test_tables_hold_the_shares_of_every_animal_and_camera() -> None:
    identity = make_identity()
    hide(identity, slice(0, 30), 0, ONE_CAMERA)
    identity["unassigned"].values[:, 1] = 1
    text = text_of(identity_section(identity))
    assert "ada 70.0 30.0 0.0 0.0 0.0" in text
    assert "cam_1 0.0 300" in text
    assert "cam_2 27.0 370" in text  # 270 of somebody: there, nobody saw ada for thirty frames


def test_of_one_camera_there_are_no_columns_about_several() -> None:
    text = text_of(identity_section(make_identity(cameras=1)))
    assert "one camera" not in text
    assert "two do not tell" not in text


def test_pictures_are_those_that_the_data_allow(pair) -> None:
    identity = of_pair(pair)
    assert list(identity_pictures(identity)) == ["timeline"]
    everything = identity_pictures(
        identity, poses3d=pair.poses3d, poses2d=pair.poses2d, rig=pair.rig, skeleton=pair.skeleton
    )
    assert list(everything) == ["timeline", "risks", "shape"]
    for draw in everything.values():
        assert draw().axes


def test_nobody_makes_an_honest_section() -> None:
    assert "No animal was found" in identity_section(make_identity(individuals=[]))


def test_names_from_files_are_escaped() -> None:
    identity = make_identity(individuals=[EVIL, "bob"], risks=[(0.3, 1, 2, EVIL, "bob", EVIL)])
    assert "<script" not in identity_section(identity)


def test_another_dataset_is_refused(pair) -> None:
    with pytest.raises(InvalidValueError, match="Identity"):
        identity_section(pair.poses3d)


# The report


def test_the_player_has_the_color_of_every_individual(pair) -> None:
    names = [str(name) for name in pair.poses3d["individual"].values]
    assert json.loads(player_data(pair.poses3d))["individualColors"] == list(individual_colors(names).values())


def test_the_report_has_the_section_only_with_an_identity(pair, tmp_path: Path) -> None:
    given = {"poses3d": pair.poses3d, "poses2d": pair.poses2d, "rig": pair.rig, "skeleton": pair.skeleton}
    write_report(tmp_path / "with.html", **given, identity=of_pair(pair))
    write_report(tmp_path / "without.html", **given)
    pages = [(tmp_path / name).read_text(encoding="utf-8") for name in ("with.html", "without.html")]
    assert 'id="identity"' in pages[0]
    assert "Where two may have been exchanged" in pages[0]
    assert 'id="identity"' not in pages[1]
    assert "Who is who" not in pages[1]


def test_the_command_takes_the_identity_of_the_result_file(pair, tmp_path: Path) -> None:
    result, page = tmp_path / "session.nc", tmp_path / "session.html"
    save_session(result, rig=pair.rig, poses2d=pair.poses2d, poses3d=pair.poses3d, identity=of_pair(pair))
    with pytest.raises(SystemExit) as ended:
        main(["report", str(result), "-o", str(page)])
    assert ended.value.code == 0
    assert 'id="identity"' in page.read_text(encoding="utf-8")
