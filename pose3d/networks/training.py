"""Training: batches in, weights, a history and checkpoints out.

A run that was killed goes on from its last checkpoint with the very batches it would have had; the weights, the state
of the optimizer and the history are kept together, and a checkpoint replaces the one before as a whole.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.errors import InvalidValueError
from calibration.processors import available_processors
from pose3d.networks.backbones import Backbone
from pose3d.networks.batches import FrameCache, crop_size, prefetch
from pose3d.networks.checkpoints import TrainingState, load_checkpoint, save_checkpoint
from pose3d.networks.devices import has_gpu
from pose3d.networks.evaluation import compare
from pose3d.networks.memory import enough_memory
from pose3d.networks.model import HEADS, SIDE, build_model
from pose3d.networks.predicting import Maps, keras_maps
from pose3d.networks.settings import NetworkSettings, TrainingSettings
from pose3d.networks.targets import OCCLUDED, VISIBLE, losses

__all__ = ["Progress", "TrainedNetwork", "TrainingData", "compiled_model", "held_out_errors", "train"]

Integers = NDArray[np.int64]

# Running means of normalization are to follow within a hundred batches; networks made for a million of them are slower.
_MOMENTUM = 0.97
# Threads that make batches for a GPU.
_MOST_WORKERS = 8


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Labeled images.

    Attributes:
        read: decodes an image by its number: (height, width, 3) RGB.
        points: (image, individual, keypoint, 3) pixels and code, see `targets`.
        sizes: (image,) width and height.
        keypoints: names.
        mirrored: places of keypoints that swap when the image is mirrored.
    """

    read: Callable[[int], NDArray[np.uint8]]
    points: NDArray[np.float32]
    sizes: tuple[tuple[int, int], ...]
    keypoints: tuple[str, ...]
    mirrored: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Progress:
    """Where training is.

    Attributes:
        step: batches done.
        loss: of the last ones.
        error: median distance on held-out frames in pixels, of the last evaluation; NaN before.
        best: the smallest so far.
        step_seconds: per batch.
        steps: batches in all.
    """

    step: int
    loss: float
    error: float
    best: float
    step_seconds: float
    steps: int


@dataclass(eq=False)
class TrainedNetwork:
    """A model and how it came about.

    Attributes:
        model: the Keras model with the best weights.
        network, training: the settings.
        history: one entry per evaluation: step, loss, losses of the maps, learning_rate, rmse, median (held out, px),
            seconds.
        best_step: of the weights that were kept.
        size: width and height of what the network saw in training.
    """

    model: Any
    network: NetworkSettings
    training: TrainingSettings
    history: list[dict[str, float]] = field(default_factory=list)
    best_step: int = 0
    size: tuple[int, int] = (0, 0)


def train(
    data: TrainingData,
    chosen: Integers,
    held_out: Integers,
    network: NetworkSettings,
    settings: TrainingSettings,
    *,
    checkpoint: Path | None = None,
    report: Callable[[Progress], None] | None = None,
    backbones: Mapping[str, Backbone] | None = None,
) -> TrainedNetwork:
    """Train a network on chosen images, and keep the weights that do best on those held out.

    Args:
        data: labeled images.
        chosen: numbers of the images to train on.
        held_out: numbers of the images that decide when to stop; may be empty, then the last weights are kept.
        network, settings: what and how.
        checkpoint: folder from which an interrupted run goes on, and where this one is kept until it is done.
        report: is told of every step; a KeyboardInterrupt that it raises ends training, and this step is kept.
        backbones: to choose from, instead of `BACKBONES`.

    Raises:
        InvalidValueError: there are fewer than two images, or no keypoint is labeled in them.
        FileFormatError: the checkpoint is of other settings, or damaged.
        OutOfMemoryError: a batch does not fit into the memory.
    """
    _check(data, chosen)
    run = _Run(data, held_out, network, settings, backbones)
    state = (
        TrainingState() if checkpoint is None else load_checkpoint(checkpoint, run.model, run.key) or TrainingState()
    )
    first, start = state.step, time.perf_counter()
    # One thread keeps up with a network on a processor, and takes little of what it needs.
    workers = min(_MOST_WORKERS, available_processors()) if has_gpu() else 1
    batches = prefetch(
        run.cache, chosen, run.size(chosen), settings, data.mirrored, range(first, settings.steps), workers=workers
    )
    less = f"Train with a smaller batch_size (now {settings.batch_size}) or a smaller crop."
    for images, points in batches:
        with enough_memory("training", less):
            told = run.model.train_on_batch(images, dict.fromkeys(run.model.output_names, points), return_dict=True)
        state.step += 1
        seconds = (time.perf_counter() - start) / (state.step - first)
        if state.step % settings.evaluate_every == 0 or state.step == settings.steps:
            run.evaluate(state, {name: float(value) for name, value in told.items()}, seconds)
            run.model.reset_metrics()
            if checkpoint is not None:
                save_checkpoint(checkpoint, run.model, run.key, state)
        if report is not None:
            error = state.history[-1]["median"] if state.history else float("nan")
            try:
                report(Progress(state.step, float(told["loss"]), error, state.best, seconds, settings.steps))
            except KeyboardInterrupt:  # between two steps, where all fits together
                if checkpoint is not None:
                    save_checkpoint(checkpoint, run.model, run.key, state)
                raise
        if state.worse >= settings.patience:
            break
    assert state.weights is not None  # the last step is evaluated
    run.model.set_weights(state.weights)
    return TrainedNetwork(run.model, network, settings, state.history, state.best_step, run.size(chosen))


class _Run:
    """The model and the images of a training."""

    def __init__(
        self,
        data: TrainingData,
        held_out: Integers,
        network: NetworkSettings,
        settings: TrainingSettings,
        backbones: Mapping[str, Backbone] | None,
    ) -> None:
        import keras

        keras.utils.set_random_seed(settings.seed)
        self.data, self.held_out, self.network, self.settings = data, held_out, network, settings
        self.model = compiled_model(network, settings, backbones)
        self.maps = keras_maps(self.model)
        self.cache = FrameCache(data.read, data.points, network.scale)
        self.key = json.dumps({"network": asdict(network), "training": asdict(settings)}, sort_keys=True)

    def size(self, chosen: Integers) -> tuple[int, int]:
        """Width and height of training images."""
        scale = self.network.scale
        scaled = [(round(w * scale), round(h * scale)) for w, h in (self.data.sizes[index] for index in chosen)]
        return crop_size(scaled, self.settings.crop, SIDE)

    def evaluate(self, state: TrainingState, losses: dict[str, float], seconds: float) -> None:
        """Note the held-out error of the averaged weights, and keep them where they are the best."""
        now = _copied(self.model)
        if self.settings.average > 0:
            self.model.optimizer.finalize_variable_values(self.model.trainable_variables)
            # The averages and the weights are one array now, which JAX would give up with the model's next call.
            self.model.set_weights(_copied(self.model))
        error = held_out_errors(self.maps, self.data, self.held_out, self.network)
        known = error[np.isfinite(error)]
        mean = float(known.mean()) if len(known) else -float(state.step)  # nothing held out: the last is the best
        entry = {"step": float(state.step), "seconds": seconds, **losses}
        entry["learning_rate"] = float(np.asarray(self.model.optimizer.learning_rate))
        entry["mean"] = float(known.mean()) if len(known) else float("nan")
        entry["median"] = float(np.median(known)) if len(known) else float("nan")
        entry["rmse"] = float(np.sqrt((known**2).mean())) if len(known) else float("nan")
        state.history.append(entry)
        state.worse += 1
        if mean < state.best:
            state.best, state.best_step, state.worse = mean, state.step, 0
            state.weights = _copied(self.model)
        self.model.set_weights(now)


def _copied(model: Any) -> list[NDArray[Any]]:
    """The weights of a model, in memory of their own."""
    return [np.array(one) for one in model.get_weights()]


def compiled_model(
    network: NetworkSettings, settings: TrainingSettings, backbones: Mapping[str, Backbone] | None = None
) -> Any:
    """A model ready to be trained."""
    import keras

    before = keras.config.dtype_policy()
    # Without a GPU a step in 16 bits takes six times as long (TensorFlow 2.21, a processor with bfloat16).
    half = settings.mixed_precision and has_gpu()
    keras.config.set_dtype_policy("mixed_bfloat16" if half else "float32")
    try:
        model = build_model(
            network, weights=None if settings.weights == "none" else settings.weights, backbones=backbones
        )
    finally:
        keras.config.set_dtype_policy(before)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = _MOMENTUM
    warm = max(1, round(settings.warm_up * settings.steps))
    rate = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate / 100,
        max(1, settings.steps - warm),
        alpha=0.01,
        warmup_target=settings.learning_rate,
        warmup_steps=warm,
    )
    average = {"use_ema": True, "ema_momentum": settings.average} if settings.average > 0 else {}
    optimizer = keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay, **average)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    # XLA makes steps on a processor fifteen times slower.
    model.compile(optimizer, loss=losses(network), jit_compile=keras.backend.backend() == "jax")
    # Variables that are made inside the first step make TensorFlow trace its graph twice.
    optimizer.build(model.trainable_variables)
    maps = {head.name: keras.ops.zeros((1, 1, 1, head.channels(network))) for head in HEADS}
    model.compute_loss(y={name: np.zeros((1, 1, len(network.keypoints), 3), np.float32) for name in maps}, y_pred=maps)
    model.reset_metrics()
    return model


def held_out_errors(
    maps: Maps, data: TrainingData, chosen: Integers, network: NetworkSettings, batch_size: int = 8
) -> NDArray[np.float64]:
    """(image, individual, keypoint) distance in pixels of the nearest candidate; NaN where nothing is labeled."""
    distance = compare(maps, data, chosen, network, batch_size=batch_size).distance
    return np.where(np.isfinite(distance), distance, np.nan)


def _check(data: TrainingData, chosen: Integers) -> None:
    known = np.isin(data.points[chosen][..., 2], (VISIBLE, OCCLUDED))
    if len(chosen) < 2 or not known.any():
        raise InvalidValueError(
            "training",
            expected="at least two labeled images",
            got=f"{len(chosen)} images with {int(known.sum())} labeled keypoints",
            remedy="Label more frames; a few dozen from several videos are a good start.",
        )
