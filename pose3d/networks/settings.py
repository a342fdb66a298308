"""What a network is, and how it is trained: small frozen objects with visible defaults."""

from __future__ import annotations

from dataclasses import dataclass, field

from calibration.errors import InvalidValueError

__all__ = ["GROUPINGS", "STRIDES", "AugmentationSettings", "NetworkSettings", "TrainingSettings"]

STRIDES = (4, 8)
GROUPINGS = ("session and animal", "session", "image")


@dataclass(frozen=True)
class NetworkSettings:
    """A network that finds keypoints in one image.

    Attributes:
        keypoints: names, in the order of the output channels.
        backbone: name of a registered backbone, see `backbones.BACKBONES`.
        stride: pixels of the network's input per cell of its maps, 4 or 8.
        width: channels of the head.
        scale: factor by which images are resized before they enter the network.
        sigma: standard deviation of the peak around a keypoint, in cells of the map.

    Raises:
        InvalidValueError: a value is out of its range.
    """

    keypoints: tuple[str, ...]
    backbone: str = "mobilenetv2_0.35"
    stride: int = 8
    width: int = 64
    scale: float = 1.0
    sigma: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "keypoints", tuple(map(str, self.keypoints)))
        _require(self, "keypoints", bool(self.keypoints), "at least one name")
        _require(self, "stride", self.stride in STRIDES, f"one of {', '.join(map(str, STRIDES))}")
        _require(self, "width", 8 <= self.width <= 1024, "8 to 1024 channels")
        _require(self, "scale", 0.05 <= self.scale <= 4, "a factor from 0.05 to 4")
        _require(self, "sigma", 0.3 <= self.sigma <= 5, "0.3 to 5 cells")


@dataclass(frozen=True)
class AugmentationSettings:
    """How training images are varied; every range is drawn from uniformly.

    Attributes:
        rotation: largest turn to either side, degrees.
        scale: smallest and largest factor.
        translation: largest shift, as a share of the width and height; of images that are cropped, see
            `TrainingSettings`, any part may be taken that the animal is in.
        elsewhere: share of the crops that may be any part of the image, so that the network sees all of it.
        flip: share of images that are mirrored, with the mirrored pairs of the skeleton swapped; 0 where the skeleton
            has no pairs.
        motion_blur: share of images that are blurred along a line, and its longest length in pixels.
        noise: largest standard deviation of the noise, gray levels.
        contrast: largest relative change of contrast; brightness changes by the same share of the range.
        occlusion: share of images in which rectangles are covered.
    """

    rotation: float = 25.0
    scale: tuple[float, float] = (0.75, 1.3)
    translation: float = 0.1
    elsewhere: float = 0.3
    flip: float = 0.0
    motion_blur: tuple[float, float] = (0.2, 7.0)
    noise: float = 8.0
    contrast: float = 0.3
    occlusion: float = 0.3

    def __post_init__(self) -> None:
        _require(self, "rotation", 0 <= self.rotation <= 180, "0 to 180 degrees")
        _require(self, "scale", 0 < self.scale[0] <= self.scale[1], "a smaller and a larger factor, both above 0")
        _require(self, "translation", 0 <= self.translation <= 1, "a share from 0 to 1")
        for name in ("elsewhere", "flip", "occlusion"):
            _require(self, name, 0 <= getattr(self, name) <= 1, "a share from 0 to 1")
        _require(self, "motion_blur", 0 <= self.motion_blur[0] <= 1, "a share from 0 to 1 and a length")
        _require(self, "noise", 0 <= self.noise <= 255, "0 to 255 gray levels")
        _require(self, "contrast", 0 <= self.contrast < 1, "a share from 0 to below 1")


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained.

    Attributes:
        steps: number of batches.
        batch_size: images per batch.
        crop: largest width and height of what the network sees at once in training, pixels of its input; larger images
            are cropped, mostly so that an animal is in the crop.
        learning_rate: at its highest, after warm-up; falls along a cosine to a hundredth.
        warm_up: share of the steps.
        weight_decay: of AdamW.
        average: of the weights over steps (exponential, the share that is kept); 0 switches it off.
        weights: "imagenet", "none", or a file, see `zoo`.
        mixed_precision: compute in 16 bits where there is a GPU, which gains by it.
        evaluate_every: steps between evaluations on held-out frames.
        patience: evaluations without a better error after which training ends.
        missing: what a keypoint without a label means: "unknown" (it does not count) or "absent".
        held_out: share of the labeled images that are kept from training, and decide when it ends.
        group_by: what is kept together when images are held out: "session and animal", "session" or "image".
        seed: of all that is random.
        augmentation: how images are varied.
    """

    steps: int = 3000
    batch_size: int = 8
    crop: tuple[int, int] = (384, 384)
    learning_rate: float = 1e-3
    warm_up: float = 0.05
    weight_decay: float = 1e-4
    average: float = 0.99
    weights: str = "none"
    mixed_precision: bool = True
    evaluate_every: int = 250
    patience: int = 8
    missing: str = "unknown"
    held_out: float = 0.1
    group_by: str = "session and animal"
    seed: int = 0
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "evaluate_every", "patience"):
            _require(self, name, getattr(self, name) >= 1, "1 or more")
        _require(self, "crop", min(self.crop) >= 32, "at least 32 x 32 pixels")
        _require(self, "learning_rate", 0 < self.learning_rate < 1, "a rate between 0 and 1")
        _require(self, "warm_up", 0 <= self.warm_up < 1, "a share from 0 to below 1")
        _require(self, "weight_decay", 0 <= self.weight_decay < 1, "0 to below 1")
        _require(self, "average", 0 <= self.average < 1, "0 to below 1")
        _require(self, "missing", self.missing in ("unknown", "absent"), "'unknown' or 'absent'")
        _require(self, "held_out", 0 <= self.held_out < 0.9, "a share from 0 to below 0.9")
        _require(self, "group_by", self.group_by in GROUPINGS, f"one of {', '.join(GROUPINGS)}")


def _require(settings: object, name: str, fine: bool, expected: str) -> None:
    if not fine:
        raise InvalidValueError(
            f"{type(settings).__name__}, {name}",
            expected=expected,
            got=repr(getattr(settings, name)),
            remedy="Correct the value where the settings are made.",
        )
