"""Synchronization: offset, drift and dropped frames of recordings that were not triggered together.

Every camera has a clock: `reference time = offset + rate * camera time`, where the camera time of a frame follows from
its number, the frame rate and the frames that were dropped before it. Offset and rate come from time stamps, a sound,
a blinking light, or the motion of keypoints or board corners; the result is verified by epipolar residuals, written to
`sync.toml`, and applied by interpolating 2D positions to common instants.
"""

from __future__ import annotations

from calibration.synchronization.audio import AudioSettings, read_sound, synchronize_audio
from calibration.synchronization.clocks import Clock, Synchronization, Timing, Verification
from calibration.synchronization.files import load_synchronization, save_synchronization
from calibration.synchronization.flashes import FlashSettings, find_flashes, read_brightness, synchronize_flashes
from calibration.synchronization.motion import MotionSettings, Track, synchronize_motion, tracks_of_corners
from calibration.synchronization.recording import Recording, find_videos, synchronize_recording
from calibration.synchronization.resampling import resample_positions, resample_values
from calibration.synchronization.timestamps import read_timestamps, synchronize_timestamps
from calibration.synchronization.timing import timing_of, video_timing
from calibration.synchronization.verification import verify

__all__ = [
    "AudioSettings",
    "Clock",
    "FlashSettings",
    "MotionSettings",
    "Recording",
    "Synchronization",
    "Timing",
    "Track",
    "Verification",
    "find_flashes",
    "find_videos",
    "load_synchronization",
    "read_brightness",
    "read_sound",
    "read_timestamps",
    "resample_positions",
    "resample_values",
    "save_synchronization",
    "synchronize_audio",
    "synchronize_flashes",
    "synchronize_motion",
    "synchronize_recording",
    "synchronize_timestamps",
    "timing_of",
    "tracks_of_corners",
    "verify",
    "video_timing",
]
