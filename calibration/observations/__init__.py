"""Board videos -> Corners: the pictures of every camera are found, matched in time, and looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from calibration.lazy import lazy_names

if TYPE_CHECKING:
    from calibration.observations.detection import detect_corners
    from calibration.observations.examples import write_examples
    from calibration.observations.matching import Instants, match_pictures, match_times
    from calibration.observations.settings import ObservationSettings
    from calibration.observations.sources import Source, find_sources, open_source
    from calibration.observations.statistics import CameraStatistics, statistics_of
    from calibration.observations.timestamps import CameraStamps, read_timestamps

_HOMES = {
    "CameraStamps": "timestamps",
    "CameraStatistics": "statistics",
    "Instants": "matching",
    "ObservationSettings": "settings",
    "Source": "sources",
    "detect_corners": "detection",
    "find_sources": "sources",
    "match_pictures": "matching",
    "match_times": "matching",
    "open_source": "sources",
    "read_timestamps": "timestamps",
    "statistics_of": "statistics",
    "write_examples": "examples",
}

__all__ = [
    "CameraStamps",
    "CameraStatistics",
    "Instants",
    "ObservationSettings",
    "Source",
    "detect_corners",
    "find_sources",
    "match_pictures",
    "match_times",
    "open_source",
    "read_timestamps",
    "statistics_of",
    "write_examples",
]

# Worker processes import `_worker` from here and need neither xarray nor what else the rest imports.
__getattr__, __dir__ = lazy_names(__name__, _HOMES, __all__)
