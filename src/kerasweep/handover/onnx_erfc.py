"""Teaches tf2onnx the complementary error function, with which TensorFlow computes gelu."""

from functools import cache
from typing import Any


@cache
def register_erfc() -> None:
    """Registers `Erfc` as 1 - Erf(x), which ONNX has since its version 9."""
    import numpy as np
    from tf2onnx.handler import tf_op
    from tf2onnx.utils import make_name, map_onnx_to_numpy_type

    def to_onnx(context: Any, node: Any, **_: Any) -> None:
        dtype, shape = context.get_dtype(node.output[0]), context.get_shape(node.output[0])
        one = context.make_const(make_name("one"), np.ones((), map_onnx_to_numpy_type(dtype)))
        error = context.make_node("Erf", list(node.input), dtypes=[dtype], shapes=[shape])
        context.remove_node(node.name)
        context.make_node(
            "Sub", [one.output[0], error.output[0]], outputs=node.output, dtypes=[dtype], shapes=[shape]
        )

    tf_op("Erfc").register_compat_handler(to_onnx, 9)
