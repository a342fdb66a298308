"""Frames of a video by presentation time, exact seek, and writing; folders of images read in the same way."""

from __future__ import annotations

from calibration.video.images import IMAGE_SUFFIXES, VIDEO_SUFFIXES, ImageSequence, image_size, read_image, write_png
from calibration.video.reading import Frame, PixelFormat, Video, open_video, read_frames
from calibration.video.writing import VideoWriter

__all__ = [
    "IMAGE_SUFFIXES",
    "VIDEO_SUFFIXES",
    "Frame",
    "ImageSequence",
    "PixelFormat",
    "Video",
    "VideoWriter",
    "image_size",
    "open_video",
    "read_frames",
    "read_image",
    "write_png",
]
