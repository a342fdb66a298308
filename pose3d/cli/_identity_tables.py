"""What is shown of who is who: a line per animal, and the moments that a person should look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pose3d.cli._console import console, plain_number, print_table

if TYPE_CHECKING:
    from pose3d.pipeline.identification import IdentitySummary

__all__ = ["identity_as_json", "show_identity"]

# Moments that are listed; the result file has all of them.
_LISTED = 10


def show_identity(summary: IdentitySummary | None) -> None:
    """Tables of the animals and of the risks; nothing where animals were not told apart."""
    if summary is None:
        return
    from rich.markup import escape
    from rich.table import Table

    to = console(result=True)
    table = Table(box=None, pad_edge=False)
    for title in ("animal", "seen", "cameras", "unclear", "sure"):
        table.add_column(title, justify="left" if title == "animal" else "right")
    for one in summary.individuals:
        share, unclear = one.seen / max(summary.frames, 1), one.unclear / max(summary.frames, 1)
        table.add_row(escape(one.name), f"{share:.1%}", f"{one.cameras:.1f}", f"{unclear:.1%}", f"{one.confidence:.2%}")
    print_table(table)
    nobody = {camera: share for camera, share in summary.unassigned.items() if share > 0}
    if nobody:
        told = ", ".join(f"{escape(camera)} {share:.1%}" for camera, share in nobody.items())
        to.print(f"Instances that are nobody's: {told}")
    if not summary.risks:
        to.print("No moment was found at which two animals might have been exchanged.")
        return
    to.print("Look at these moments: two animals may have been exchanged.")
    risks = Table(box=None, pad_edge=False)
    for title in ("frames", "animals", "probability", "why"):
        risks.add_column(title, justify="right" if title == "probability" else "left")
    for risk in summary.risks[:_LISTED]:
        pair = f"{escape(risk.individual)}, {escape(risk.other)}"
        risks.add_row(f"{risk.first} to {risk.last}", pair, f"{risk.probability:.1%}", risk.reason)
    print_table(risks)
    if len(summary.risks) > _LISTED:
        to.print(f"and {len(summary.risks) - _LISTED} less probable ones")


def identity_as_json(summary: IdentitySummary | None) -> dict[str, object]:
    """The same as plain values, under `identity`; nothing where animals were not told apart."""
    if summary is None:
        return {}
    return {
        "identity": {
            "animals": {
                one.name: {
                    "seen": one.seen,
                    "cameras": plain_number(one.cameras),
                    "unclear": one.unclear,
                    "confidence": plain_number(one.confidence),
                }
                for one in summary.individuals
            },
            "unassigned": {camera: plain_number(share) for camera, share in summary.unassigned.items()},
            "noise_px": plain_number(summary.noise),
            "risks": [vars(risk) for risk in summary.risks],
        }
    }
