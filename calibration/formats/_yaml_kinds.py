"""Which program wrote a YAML file of cameras: the keys of some are found in no other's."""

from __future__ import annotations

import re
from typing import Literal

__all__ = ["YamlKind", "yaml_kind"]

YamlKind = Literal["kalibr", "easymocap", "jarvis"]

_NUMBER = r"[-+.\deE]+"
_MATRIX = re.compile(rf"^intrinsicMatrix\s*:.*?data\s*:\s*\[((?:\s*{_NUMBER}\s*,){{8}}\s*{_NUMBER}\s*)\]", re.M | re.S)


def yaml_kind(text: str) -> YamlKind | None:
    """The program, None for any other (OpenCV and ROS among them); also of texts that break off."""
    keys = set(re.findall(r"^([A-Za-z_]\w*)\s*:", text, re.MULTILINE))
    if any(re.fullmatch(r"cam\d+", key) for key in keys) and re.search(
        r"^\s+(camera_model|T_cn_cnm1|distortion_coeffs)\s*:", text, re.MULTILINE
    ):
        return "kalibr"
    if "names" in keys and re.search(r"^(K|dist|R|Rot|T)_[^:\n]+:\s*!!opencv-matrix", text, re.MULTILINE):
        return "easymocap"
    if {"intrinsicMatrix", "distortionCoefficients"} <= keys and _is_transposed(text):
        return "jarvis"
    return None


def _is_transposed(text: str) -> bool:
    """Whether the principal point is in the last row, as JARVIS has it; other programs use the same keys without."""
    found = _MATRIX.search(text)
    if found is None:
        return True  # broken off; the reader of JARVIS says what is missing
    values = found[1].split(",")
    try:
        matrix = [float(value) for value in values]
    except ValueError:
        return True
    return matrix[2] == matrix[5] == 0.0 and (matrix[6] != 0.0 or matrix[7] != 0.0)
