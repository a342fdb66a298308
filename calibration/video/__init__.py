"""Frames of a video by presentation time, exact seek, and writing."""

from __future__ import annotations

from calibration.video.reading import Frame, PixelFormat, Video, open_video, read_frames
from calibration.video.writing import VideoWriter

__all__ = ["Frame", "PixelFormat", "Video", "VideoWriter", "open_video", "read_frames"]
