"""Writes what a stranger needs to use an exported model: signature.json and README.md."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasweep.handover.export_check import Figures
from kerasweep.handover.export_folder import SIGNATURE
from kerasweep.handover.export_formats import Format
from kerasweep.handover.runtimes import Loaded, Tensor

README = "README.md"
# The images that files hold, by their number of channels: Pillow's mode, and a name.
IMAGES = {1: ("L", "a grayscale image"), 3: ("RGB", "an RGB image")}


@dataclass(frozen=True)
class Runtime:
    """How a program runs a format."""

    package: str
    imports: str
    # From `pixels` to the `probabilities` of one image.
    predict: str


RUNTIMES = {
    "saved_model": Runtime(
        "tensorflow",
        "import tensorflow as tf",
        'model = tf.saved_model.load("model")\n'
        'probabilities = model.serve(pixels)["probabilities"].numpy()[0]',
    ),
    "onnx": Runtime(
        "onnxruntime",
        "import onnxruntime",
        'probabilities = onnxruntime.InferenceSession("model.onnx").run(None, {"pixels": pixels})[0][0]',
    ),
    "litert": Runtime(
        "ai-edge-litert",
        "from ai_edge_litert.interpreter import Interpreter",
        'classify = Interpreter("model.tflite").get_signature_runner()\n'
        'probabilities = classify(pixels=pixels)["probabilities"][0]',
    ),
}


def write_files(
    folder: Path, format: Format, loaded: Loaded, figures: Figures, about: Mapping[str, Any]
) -> None:
    """Writes signature.json and README.md beside the model.

    Args:
        folder: The folder of the export.
        format: Its format.
        loaded: The model as its file declares it.
        figures: How it did on the test images.
        about: Where the model comes from, with its `quantize` and `class_names`.
    """
    signature = {
        **about,
        "file": format.file,
        "inputs": [{**_described(loaded.input), "values": "raw pixels, 0 to 255"}],
        "outputs": [_described(loaded.output)],
        "check": figures.as_mapping(),
    }
    text = json.dumps(signature, indent=2, ensure_ascii=False)
    (folder / SIGNATURE).write_text(text + "\n", encoding="utf-8")
    (folder / README).write_text(_readme(format, loaded, about["quantize"]), encoding="utf-8")


def _described(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "dtype": tensor.dtype, "shape": list(tensor.shape)}


def _readme(format: Format, loaded: Loaded, quantize: str | None) -> str:
    _, height, width, channels = loaded.input.shape
    _, image = IMAGES.get(channels or 0, ("", f"an image of {channels} channels"))
    title = f"{format.name} with weights and activations in {quantize}" if quantize else format.name
    return f"""# An image classifier: {title}

`{format.file}` takes `{loaded.input.name}`, {loaded.input.dtype} (n, {height}, {width}, {channels}): \
the raw values 0 to 255 of {image} of {height}×{width} pixels. It returns `{loaded.output.name}`, \
{loaded.output.dtype} (n, {loaded.output.shape[1]}), in the order of `class_names` in `{SIGNATURE}`. \
That file also names the run that trained the model, and holds the result of its test.

Run this in the folder, with `pip install {RUNTIMES[format.name].package} numpy pillow`:

```python
{example(format, loaded.input)}
```
"""


def example(format: Format, pixels: Tensor) -> str:
    """Returns Python that classifies IMAGE.png; IMAGE.npy if no image file has these channels."""
    _, height, width, channels = pixels.shape
    read: tuple[str, ...] = ("", 'image = np.load("IMAGE.npy")')
    if channels in IMAGES:
        read = (
            "from PIL import Image",
            'image = Image.open("IMAGE.png").convert("RGBA")',
            'image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)  # if transparent',
            f'image = image.convert("RGB").convert("{IMAGES[channels][0]}")',
            f"image = image.resize(({width}, {height}), Image.Resampling.BILINEAR)",
        )
    lines = (
        "import json",
        "import numpy as np",
        read[0],
        RUNTIMES[format.name].imports,
        *read[1:],
        f"pixels = np.asarray(image, np.uint8).reshape(1, {height}, {width}, {channels})",
        RUNTIMES[format.name].predict,
        f'class_names = json.load(open("{SIGNATURE}", encoding="utf-8"))["class_names"]',
        "print(class_names[probabilities.argmax()], probabilities.max())",
    )
    return "\n".join(line for line in lines if line)
