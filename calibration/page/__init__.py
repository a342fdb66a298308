"""Pages of HTML that need no network: tables, figures as SVG, findings, and the page around them."""

from __future__ import annotations

from calibration.page.html import inline_figure, text_table, value_table
from calibration.page.layout import TONES, Section, render_page, tiles, verdict_items

__all__ = ["TONES", "Section", "inline_figure", "render_page", "text_table", "tiles", "value_table", "verdict_items"]
