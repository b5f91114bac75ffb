"""Lists the formats of src.export, and checks which ones a command asks for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from kerasweep.config.bounds import one_of
from kerasweep.errors import ConfigError

INT8 = "int8"


@dataclass(frozen=True)
class Format:
    """A format of a file of the model."""

    name: str
    # The model's file or folder in the folder of the export.
    file: str
    # Packages that convert or run it.
    packages: tuple[str, ...] = ()
    # The extra of kerasweep that installs them; empty if kerasweep needs no more.
    extra: str = ""
    # Whether quantize=int8 is possible.
    can_quantize: bool = False


FORMATS: Mapping[str, Format] = {
    each.name: each
    for each in (
        Format("saved_model", "model"),
        Format("onnx", "model.onnx", ("tf2onnx", "onnx", "onnxruntime"), "onnx", can_quantize=True),
        Format("litert", "model.tflite", ("ai_edge_litert",), "litert", can_quantize=True),
    )
}


def chosen_formats(names: Sequence[str], quantize: str | None) -> list[Format]:
    """Returns the formats of these names.

    Args:
        names: The command's `format`.
        quantize: INT8, or None for the numbers of the Keras model.

    Raises:
        ConfigError: A name is unknown, a format cannot be quantized, or its packages are missing.
    """
    if not names:
        raise ConfigError(
            f"format needs one of {', '.join(FORMATS)}, or a list of them: format=[onnx,litert]."
        )
    for name in names:
        one_of("format", name, FORMATS)
    if quantize is not None:
        one_of("quantize", quantize, (INT8,))
    formats = [FORMATS[name] for name in dict.fromkeys(names)]
    for each in formats:
        if quantize and not each.can_quantize:
            able = " or ".join(f"format={other.name}" for other in FORMATS.values() if other.can_quantize)
            raise ConfigError(
                f"format={each.name} has no quantize={quantize}. Choose {able}, or leave quantize out."
            )
        _check_installed(each)
    return formats


def _check_installed(format: Format) -> None:
    missing = [package for package in format.packages if find_spec(package) is None]
    if missing:
        packages = ", ".join(package.replace("_", "-") for package in missing)
        raise ConfigError(f"format={format.name} needs {packages}: pip install 'kerasweep[{format.extra}]'.")
