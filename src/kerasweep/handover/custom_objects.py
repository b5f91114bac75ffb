"""Lets Keras load networks with layers of the user's own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from kerasweep.config.target import import_target
from kerasweep.training.runtime import start_tensorflow


@contextmanager
def custom_objects(targets: Sequence[str]) -> Iterator[None]:
    """Imports classes and functions that a model needs; Keras finds them inside the block.

    Args:
        targets: Each is `package.module:name`, also of a module in the working directory.

    Raises:
        ConfigError: There is no such module or name. An error inside the module is not caught.
    """
    if not targets:
        yield
        return
    start_tensorflow()
    import keras

    with keras.saving.custom_object_scope(
        {target.partition(":")[2]: import_target(target) for target in targets}
    ):
        yield
