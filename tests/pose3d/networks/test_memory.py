"""Memory that runs out is told in words, whoever asked for it."""

import pickle

import numpy as np
import pytest

from calibration.errors import OutOfMemoryError
from pose3d.networks.memory import enough_memory
from pose3d.networks.training import train


class ResourceExhaustedError(Exception):
    """As TensorFlow calls it."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        ResourceExhaustedError("OOM when allocating tensor with shape[8,64,512,512]"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 68719476736 bytes."),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        Exception("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : std::bad_alloc"),
    ],
)
def test_memory_that_runs_out_is_told_with_a_remedy(error: Exception) -> None:
    told = r"training.*enough free memory.*smaller batch"
    with (
        pytest.raises(OutOfMemoryError, match=told) as caught,
        enough_memory("training", "Train with a smaller batch."),
    ):
        raise error
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), MemoryError)


def test_other_errors_pass_as_they_are() -> None:
    with pytest.raises(KeyError, match="left"), enough_memory("training", "Nothing."):
        raise KeyError("left")


def test_an_array_that_does_not_fit_is_told() -> None:
    with pytest.raises(OutOfMemoryError), enough_memory("frames", "Fewer."):
        np.empty(2**50, dtype=np.float64)


def test_training_names_the_settings_to_lower(dots, network, quick, backbones, monkeypatch) -> None:
    import keras

    def full(*_arguments: object, **_more: object) -> None:
        raise ResourceExhaustedError("OOM when allocating tensor")

    monkeypatch.setattr(keras.Model, "train_on_batch", full)
    with pytest.raises(OutOfMemoryError, match=r"batch_size \(now 4\)"):
        train(dots, np.arange(20), np.arange(20, 24), network, quick, backbones=backbones)
