"""The runtimes that load an exported network, by name; each session computes one image at a time on its own threads.

As many sessions of one thread as there are processors are faster than one session of many threads: 0.35 x MobileNetV2
at 256 x 256 on two processors, 3.5 ms against 9.4 ms of processor time per image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.errors import FileFormatError, InvalidValueError
from pose3d.networks.predicting import MAPS, Maps

__all__ = ["RUNTIMES", "Runtime", "find_runtime", "installed_runtimes", "open_runtime"]

Floats = NDArray[np.float32]
_One = Callable[[NDArray[np.uint8]], Sequence[Any]]


@dataclass(frozen=True)
class Runtime:
    """A library that loads an exported network.

    Attributes:
        name: as settings call it.
        package: the module it is imported from.
        distribution: what to install.
        file: the exported file it reads.
        open: of a file and a number of threads; gives a function from an image (1, height, width, 3) to its maps.
    """

    name: str
    package: str
    distribution: str
    file: str
    open: Callable[[Path, int], _One]


def open_runtime(folder: Path, name: str, threads: int = 1) -> Maps:
    """An exported network as a function from images to maps; not to be called by two threads at once.

    Args:
        folder: what `export_model` wrote.
        name: a key of `RUNTIMES`.
        threads: of this session.

    Raises:
        InvalidValueError: the runtime is unknown or not installed.
        FileFormatError: the file is missing, damaged, or no network.
    """
    runtime = find_runtime(name)
    path = folder / runtime.file
    _check_kind(path)
    try:
        one = runtime.open(path, threads)
    except (RuntimeError, ValueError, OSError, KeyError) as error:
        raise _no_network(path, str(error).partition("\n")[0][:120]) from error
    except Exception as error:
        # ONNX Runtime raises classes of its own, which are exceptions and nothing else.
        if type(error).__module__.partition(".")[0] != "onnxruntime":
            raise
        raise _no_network(path, str(error).partition("\n")[0][:120]) from error

    def maps(images: NDArray[np.uint8]) -> tuple[Floats, Floats, Floats]:
        found = [one(images[place : place + 1]) for place in range(len(images))]
        heatmap, offset, visible = (np.concatenate(each) for each in zip(*found, strict=True))
        return heatmap, offset, visible

    return maps


def installed_runtimes() -> tuple[str, ...]:
    """Names of the runtimes that are installed, Keras not among them."""
    return tuple(name for name, runtime in RUNTIMES.items() if find_spec(runtime.package) is not None)


def find_runtime(name: str) -> Runtime:
    """The runtime of that name.

    Raises:
        InvalidValueError: it is unknown or not installed.
    """
    runtime = RUNTIMES.get(name)
    if runtime is None:
        known = ", ".join(("auto", "keras", *RUNTIMES))
        raise InvalidValueError("runtime", expected=f"one of {known}", got=repr(name), remedy="Correct the name.")
    if find_spec(runtime.package) is None:
        raise InvalidValueError(
            f"runtime '{name}'",
            expected=f"the package {runtime.distribution}",
            got="not installed",
            remedy=f"Install it: pip install {runtime.distribution}; or use --runtime auto.",
        )
    return runtime


def _check_kind(path: Path) -> None:
    """Look at the first bytes before a library reads the file."""
    try:
        with path.open("rb") as stream:
            head = stream.read(8)
    except OSError as error:
        raise _no_network(path, error.strerror or str(error)) from error
    # ONNX is a protocol buffer whose first field is the version of the format, LiteRT a flat buffer with a name.
    fine = head[4:8] == b"TFL3" if path.suffix == ".tflite" else head[:1] == b"\x08"
    if not fine:
        raise _no_network(path, f"a file that begins with {head!r}")


def _no_network(path: Path, got: str) -> FileFormatError:
    return FileFormatError(
        path,
        expected="an exported network",
        got=got,
        remedy="Remove its folder; it is exported again when it is needed.",
    )


def _open_onnxruntime(path: Path, threads: int) -> _One:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda image: session.run(MAPS, {name: image})


def _open_openvino(path: Path, threads: int) -> _One:
    import openvino

    # Where the processor has bfloat16, OpenVINO computes in it unless it is told not to, and peaks move by pixels.
    # Pinned threads of several sessions would share one processor.
    configuration = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
    }
    core = openvino.Core()
    request = core.compile_model(core.read_model(str(path)), "CPU", configuration).create_infer_request()

    def one(image: NDArray[np.uint8]) -> Sequence[Any]:
        request.infer([image], share_inputs=True)
        # The next image overwrites the tensors.
        return [request.get_tensor(name).data.copy() for name in MAPS]

    return one


def _open_litert(path: Path, threads: int) -> _One:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=threads)
    interpreter.allocate_tensors()
    runner = interpreter.get_signature_runner()
    (name,) = runner.get_input_details()

    def one(image: NDArray[np.uint8]) -> Sequence[Any]:
        found = runner(**{name: image})
        return [found[each] for each in MAPS]

    return one


RUNTIMES: dict[str, Runtime] = {
    "onnxruntime": Runtime("onnxruntime", "onnxruntime", "onnxruntime", "network.onnx", _open_onnxruntime),
    "openvino": Runtime("openvino", "openvino", "openvino", "network.onnx", _open_openvino),
    "litert": Runtime("litert", "ai_edge_litert", "ai-edge-litert", "network.tflite", _open_litert),
}
