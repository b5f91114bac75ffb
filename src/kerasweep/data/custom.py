"""Loads a user's own data with the function that `data.target` names."""

import traceback

from kerasweep.config.data import DataConf
from kerasweep.config.target import check_arguments, import_target, plain_arguments
from kerasweep.data.arrays import Arrays, make_arrays
from kerasweep.errors import ConfigError, DataError


def load_custom(cfg: DataConf) -> Arrays:
    """Calls data.target with data.kwargs; it returns Arrays or pairs of images and labels.

    The pairs are (x_train, y_train), (x_test, y_test), or those of training, validation and test.

    Raises:
        DataError: The function raises, or returns something else.
        ConfigError: The function does not take data.kwargs.
    """
    kwargs = plain_arguments(cfg.kwargs)
    origin = f"data.target={cfg.target}"
    try:
        function = import_target(str(cfg.target))
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:  # a user's module may raise anything
        raise _raised(error, f"The import of {origin}", "Correct the module.") from error
    check_arguments(origin, function, kwargs=kwargs, key="data.kwargs")
    try:
        made = function(**kwargs)
    except (Exception, SystemExit) as error:  # a user's code may raise anything; all of it means: no data
        raise _raised(error, origin, "Correct the function, or its data.kwargs.") from error
    if isinstance(made, Arrays):
        train, test = (made.train_images, made.train_labels), (made.test_images, made.test_labels)
        return make_arrays(train, test, made.class_names, origin, made.validation)
    is_pairs = isinstance(made, (tuple, list)) and len(made) in (2, 3)
    if not is_pairs or not all(isinstance(part, (tuple, list)) and len(part) == 2 for part in made):
        raise DataError(
            f"{origin} must return (x_train, y_train), (x_test, y_test), or three pairs with "
            "(x_val, y_val) in the middle, "
            f"but it returned {type(made).__name__}."
        )
    train, *validation, test = [(part[0], part[1]) for part in made]
    return make_arrays(train, test, None, origin, validation[0] if validation else None)


def _raised(error: Exception | SystemExit, what: str, advice: str) -> DataError:
    """Returns an error that names the line of a user's code which raised."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    # A syntax error names its own line.
    where = "" if isinstance(error, SyntaxError) else f" ({place.filename}, line {place.lineno})"
    return DataError(f"{what} raised {type(error).__name__}: {error}{where}. {advice}")
