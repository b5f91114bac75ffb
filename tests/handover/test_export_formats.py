"""A command that asks for an impossible format is refused before anything is read."""

import sys

import pytest

from kerasweep.errors import ConfigError
from kerasweep.handover.export_formats import FORMATS, chosen_formats


def test_formats_keep_their_order_and_come_once() -> None:
    chosen = chosen_formats(["onnx", "saved_model", "onnx"], None)
    assert [format.name for format in chosen] == ["onnx", "saved_model"]


@pytest.mark.parametrize(
    ("names", "quantize", "message"),
    [
        (
            [],
            None,
            "format needs one of saved_model, onnx, litert, or a list of them: format=[onnx,litert].",
        ),
        (["onnx", "tflite"], None, "format must be one of saved_model, onnx, litert, but got tflite."),
        (["onnx"], "int4", "quantize must be one of int8, but got int4."),
        (
            ["litert", "saved_model"],
            "int8",
            "format=saved_model has no quantize=int8. Choose format=onnx or format=litert, "
            "or leave quantize out.",
        ),
    ],
)
def test_wrong_request_is_one_sentence(names: list[str], quantize: str | None, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        chosen_formats(names, quantize)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("name", "missing", "message"),
    [
        ("onnx", ["tf2onnx"], "format=onnx needs tf2onnx: pip install 'kerasweep[onnx]'."),
        (
            "onnx",
            ["tf2onnx", "onnx", "onnxruntime"],
            "format=onnx needs tf2onnx, onnx, onnxruntime: pip install 'kerasweep[onnx]'.",
        ),
        (
            "litert",
            ["ai_edge_litert"],
            "format=litert needs ai-edge-litert: pip install 'kerasweep[litert]'.",
        ),
    ],
)
def test_missing_packages_are_named_with_their_extra(
    name: str, missing: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in missing:
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError) as raised:
        chosen_formats([name], None)
    assert str(raised.value) == message
    assert chosen_formats(["saved_model"], None) == [FORMATS["saved_model"]]
