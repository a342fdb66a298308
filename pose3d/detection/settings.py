"""How keypoints are looked for."""

from __future__ import annotations

from dataclasses import dataclass

from calibration.errors import InvalidValueError
from pose3d.networks.runtimes import RUNTIMES

__all__ = ["PredictionSettings", "candidates_for"]

_MOST_CANDIDATES = 100
# Where nobody says how many animals there are: eight of them, and as many false peaks. More fit into few scenes, and 16
# candidates of 24 keypoints in 6 cameras already are 3 GB an hour.
_UNKNOWN = 16


def candidates_for(individuals: int) -> int:
    """How many places of a keypoint to keep where there are so many animals: twice as many, as some of them are false.

    Args:
        individuals: how many; 0: not known.
    """
    if individuals < 2:
        return 1 if individuals else _UNKNOWN
    return min(2 * individuals, _MOST_CANDIDATES)


@dataclass(frozen=True)
class PredictionSettings:
    """How keypoints are looked for in videos; a detector that has no such choice ignores it.

    Attributes:
        model: name of a trained network of the project; empty for the newest.
        runtime: what computes it: "auto" for the fastest, "keras", "onnxruntime", "openvino" or "litert".
        candidates: places of a keypoint that are kept; more where several animals are looked for.
        batch_size: frames that are looked at at once; 0 finds the fastest by measuring.
        crop: look at a window that follows the animal, and at the whole frame again when it is lost.
        margin: how far the window reaches beyond the animal, as a share of its extent.

    Raises:
        InvalidValueError: a value is out of its range.
    """

    model: str = ""
    runtime: str = "auto"
    candidates: int = 1
    batch_size: int = 0
    crop: bool = False
    margin: float = 0.4

    def __post_init__(self) -> None:
        runtimes = ("auto", "keras", *RUNTIMES)
        rules = {
            "runtime": (f"one of {', '.join(runtimes)}", self.runtime in runtimes),
            "candidates": (f"1 to {_MOST_CANDIDATES}", 1 <= self.candidates <= _MOST_CANDIDATES),
            "batch_size": ("0 (found by measuring) to 1024", 0 <= self.batch_size <= 1024),
            "margin": ("a share from 0 to 5", 0 <= self.margin <= 5),
        }
        for name, (expected, fine) in rules.items():
            if not fine:
                raise InvalidValueError(
                    f"prediction, {name}",
                    expected=expected,
                    got=repr(getattr(self, name)),
                    remedy="Correct the value.",
                )
