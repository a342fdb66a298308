"""Pieces of pages, and the page around them: escaped, without network, readable in both looks."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from calibration.findings import Finding, Level, Verdict, graded, percent
from calibration.page import (
    TONES,
    Section,
    inline_figure,
    render_page,
    text_table,
    tiles,
    value_table,
    verdict_items,
)
from calibration.page.html import color_variables
from calibration.plots import INK, PALETTE, new_figure, style_axes

EVIL = "<b onclick='x'>&\"</b>"


class Tags(HTMLParser):
    """Tags with attributes, and the text between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def names(self) -> set[str]:
        return {name for name, _ in self.tags}


def page(script: str = "", style: str = "") -> str:
    sections = [Section("one", EVIL, "<p>first</p>"), Section("two", "Two", "<p>second</p>", look="verdict good")]
    return render_page("Kind", EVIL, sections, about=EVIL, footer=EVIL, script=script, style=style)


def policy(text: str) -> str:
    (content,) = (
        attributes["content"] or ""
        for name, attributes in Tags(text).tags
        if name == "meta" and "http-equiv" in attributes
    )
    return content


def test_a_page_without_script_may_run_none() -> None:
    text = page()
    assert policy(text) == (
        "default-src 'none'; img-src data:; media-src data: 'self' file:; style-src 'unsafe-inline'; script-src 'none'"
    )
    assert "script" not in Tags(text).names()


def test_a_page_may_run_its_own_script_and_no_other() -> None:
    script = "document.title = '$x';"
    text = page(script)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy(text)
    assert f"<script>{script}</script>" in text


def test_titles_and_names_are_text() -> None:
    tags = Tags(page())
    assert "b" not in tags.names()
    assert "".join(tags.text).count(EVIL) == 5  # title twice, about, navigation, footer
    assert [attributes["href"] for name, attributes in tags.tags if name == "a"] == ["#one", "#two"]


def test_dollars_in_content_and_style_stay() -> None:
    text = render_page("k", "t", [Section("a", "A", "<p>$title costs $5</p>")], about="", footer="", style="/*$x*/")
    assert "<p>$title costs $5</p>" in text
    assert "/*$x*/" in text


def test_both_looks_know_every_color_of_the_palette() -> None:
    for dark in (False, True):
        variables = color_variables(dark=dark)
        assert all(f"--c-{color[1:]}:#" in variables for color in PALETTE)
    assert color_variables(dark=False) != color_variables(dark=True)


def test_figures_follow_the_page() -> None:
    figure = new_figure(4.0, 2.0)
    axes = style_axes(figure.subplots(), title="$cost$ of <b>", xlabel="x")
    axes.plot([0, 1], [0, 1], color=PALETTE[1])
    svg = inline_figure(figure, EVIL)
    (attributes,) = (attributes for name, attributes in Tags(svg).tags if name == "svg")
    assert attributes["aria-label"] == EVIL
    assert attributes["viewbox"]
    assert attributes["style"] == f"max-width:{4.0 * 72 * 1.55:.0f}px"
    assert f"var(--c-{PALETTE[1][1:]})" in svg
    assert "var(--ink)" in svg
    assert INK not in svg
    assert "<metadata>" not in svg
    assert inline_figure(figure, EVIL) == svg


def test_facts_may_be_nested_and_empty() -> None:
    tags = Tags(text_table({EVIL: EVIL, "list": [1, EVIL], "nothing": None, "none": [], "inner": {"a": {}, EVIL: 2}}))
    assert "b" not in tags.names()
    assert tags.text == [EVIL, EVIL, "list", f"1, {EVIL}", "nothing", "–", "none", "–", "inner", "a", "–", EVIL, "2"]


def table(columns: list[tuple[str, str]], rows: list[tuple[str, list[object]]]) -> list[tuple[str, str]]:
    """Class and text of all cells of the body."""
    text = value_table("name", columns, rows, caption="c")
    return re.findall(r"<td(?: class=\"(\w+)\")?[^>]*>([^<]*)</td>", text)


def test_numbers_are_written_with_the_digits_that_matter() -> None:
    columns = [(name, "") for name in ("a", "b", "c", "d", "e", "share %", "shift frames", "same frames")]
    row: list[object] = [1.234, 0.01234, 12, None, float("nan"), 0.255, 1.0, 0.001]
    assert table(columns, [("x", row)]) == [
        *(("", "1.23"), ("", "0.012"), ("", "12"), ("none", "–"), ("none", "–")),
        *(("bar", "25.5"), ("", "+1.00"), ("", "0.00")),
    ]


def test_values_stay_on_a_line_and_sentences_wrap() -> None:
    columns = [("model", ""), ("reason", "")]
    cells = table(columns, [("x", ["1407.5 ± 0.6", "a sentence that is longer than any value"]), ("y", ["f", "short"])])
    assert [look for look, _ in cells] == ["value", "words", "value", "words"]


def test_bars_end_at_the_whole() -> None:
    text = value_table("n", [("share %", EVIL)], [("x", [7.0]), (EVIL, [-1.0])], caption=EVIL)
    assert "--share:1.000" in text
    assert "--share:0.000" in text
    assert "b" not in Tags(text).names()


@pytest.mark.parametrize(("count", "narrow"), [(1, True), (3, True), (4, False)])
def test_tables_of_few_columns_do_not_fill_the_page(count: int, narrow: bool) -> None:
    text = value_table("n", [(f"c{index}", "") for index in range(count)], [("x", [1.0] * count)], caption="")
    assert ("numbers few" in text) == narrow


def test_tiles_show_what_is_not_known() -> None:
    assert Tags(tiles([(EVIL, 0.4321, "px"), ("share", 0.02, "%"), ("no", np.nan, EVIL)])).text == [
        *(EVIL, "0.432 ", "px", "share", "2.0 ", "%", "no", "– ", EVIL)
    ]


def test_findings_have_their_level_next_step_and_limits() -> None:
    good = Finding("Good?", Level.GOOD, EVIL)
    bad = Finding("Bad?", Level.BROKEN, "No.", next_step=EVIL, limits=EVIL)
    tags = Tags(verdict_items(Verdict(Level.BROKEN, "h", (bad, good))))
    assert [attributes["class"] for name, attributes in tags.tags if name == "li"] == ["broken", "good"]
    assert [name for name, _ in tags.tags].count("details") == 1
    assert "b" not in tags.names()
    assert tags.text.count(EVIL) == 3
    assert set(TONES) == set(Level)


@pytest.mark.parametrize(
    ("value", "level"),
    [(0.5, Level.GOOD), (1.0, Level.GOOD), (1.5, Level.LOOK), (2.5, Level.BROKEN), (np.nan, Level.UNKNOWN)],
)
def test_numbers_are_graded_by_two_limits(value: float, level: Level) -> None:
    assert graded(value, (1.0, 2.0)) == level


def test_shares_have_digits_where_they_are_small() -> None:
    assert [percent(share) for share in (0.0, 0.25, 0.01, 0.0005)] == ["0.0 %", "25.0 %", "1.0 %", "0.05 %"]


def test_levels_are_ordered_from_good_to_bad() -> None:
    assert sorted(Level) == [Level.GOOD, Level.UNKNOWN, Level.LOOK, Level.BROKEN]
    assert Level.LOOK.words == "look at this"
