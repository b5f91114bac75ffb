"""Draws the values of simulated arms, whose truth is known."""

from collections.abc import Callable, Sequence

import numpy as np

from kerasweep.config.metrics import EPOCH_METRICS
from kerasweep.data.split import stratified_half
from kerasweep.trial.metrics import History, choose_epochs, cross_fitted

EPOCHS = 12
ACCURACY, SPREAD = 0.8, 0.01  # of the equal arms; the deviation of a repeat
VALIDATION_SHARE = 0.2
RATES = 8  # random rates of a tuning
IMAGES, DISAGREEMENT = 3_000, 0.1  # images to split; the share on which two arms disagree
VALIDATION = round(IMAGES * VALIDATION_SHARE)  # images
# The deviation of an arm's accuracy by its validation images alone.
IMAGE_LUCK = (DISAGREEMENT / 4 / VALIDATION) ** 0.5
CLASSES, ODD = 10, 7  # a class has seven validation images: one half gets an image more

Random = np.random.Generator
# (arms, repeats): the value of each run.
Draw = Callable[[Random, int, int], np.ndarray]


def normal(random: Random, arms: int, repeats: int) -> np.ndarray:
    return ACCURACY + SPREAD * random.normal(size=(arms, repeats))


def skewed(random: Random, arms: int, repeats: int) -> np.ndarray:
    """Most runs are alike and a few are much worse: an exponential distribution."""
    return ACCURACY + SPREAD * (1 - random.exponential(size=(arms, repeats)))


def heavy_tailed(random: Random, arms: int, repeats: int) -> np.ndarray:
    """Student's t with three degrees of freedom, of the same variance."""
    return ACCURACY + SPREAD * random.standard_t(3, size=(arms, repeats)) / np.sqrt(3)


def erratic(random: Random, arms: int, repeats: int) -> np.ndarray:
    """The first arm varies ten times as much."""
    spread = np.where(np.arange(arms) == 0, 10 * SPREAD, SPREAD)[:, None]
    return ACCURACY + spread * random.normal(size=(arms, repeats))


def shared(random: Random, arms: int, repeats: int) -> np.ndarray:
    """A seed moves all arms three times as far as its own arm."""
    return normal(random, arms, repeats) + 3 * SPREAD * random.normal(size=(1, repeats))


def two_families(random: Random, arms: int, repeats: int) -> np.ndarray:
    """A seed moves each half of the arms, such as two networks, in its own way."""
    family = np.arange(arms) % 2
    return normal(random, arms, repeats) + 2 * SPREAD * random.normal(size=(2, repeats))[family]


def shifted(draw: Draw, shifts: Sequence[float]) -> Draw:
    """Returns a draw whose arms are better by these differences, in deviations of a repeat."""
    return lambda random, arms, repeats: draw(random, arms, repeats) + SPREAD * np.array(shifts)[:, None]


def jumps_of(
    luck: Sequence[float],
    own: Sequence[float] = (),
    patience: int | None = None,
    metric: str = "val_accuracy",
    is_cross_fitted: bool = True,
) -> Draw:
    """Returns the values of arms whose accuracy and loss jump from epoch to epoch.

    Args:
        luck: The deviation of each arm's jumps by the luck of few validation images, repeated for more arms.
        own: The deviation of jumps that are the network's own, on all images; none by default.
        patience: Epochs without improvement after which early stopping ends a training.
        metric: The objective, val_accuracy or val_loss.
        is_cross_fitted: Whether the value is cross-fitted, else that of the best epoch.
    """

    def draw(random: Random, arms: int, repeats: int) -> np.ndarray:
        return np.array(
            [
                [
                    _value(
                        _history(
                            random,
                            luck[arm % len(luck)],
                            own[arm % len(own)] if own else 0.0,
                            ACCURACY + 0.2 * SPREAD * random.normal(),
                        ),
                        patience,
                        metric,
                        is_cross_fitted,
                    )
                    for _ in range(repeats)
                ]
                for arm in range(arms)
            ]
        )

    return draw


def _history(random: Random, luck: float, own: float, accuracy: float) -> History:
    """Returns a training at its plateau, with the scores of both halves of the validation images."""
    level = accuracy + own * random.normal(size=EPOCHS)
    halves = level + luck * np.sqrt(2) * random.normal(size=(2, EPOCHS))
    return _epochs(halves.mean(axis=0), halves[0] / 2)


def _epochs(accuracies: np.ndarray, of_a: np.ndarray) -> History:
    """Returns a history of these accuracies and the first half's part in them; a loss is their negative."""
    return [
        {
            "accuracy": ACCURACY,
            "val_loss": -float(accuracy),
            "val_loss_a": -float(part),
            "val_accuracy": float(accuracy),
            "val_accuracy_a": float(part),
        }
        for accuracy, part in zip(accuracies, of_a, strict=True)
    ]


def _value(history: History, patience: int | None, metric: str, is_cross_fitted: bool) -> float:
    trained = history if patience is None else history[: _stopped(history, patience)]
    if not is_cross_fitted:
        return max(epoch["val_accuracy"] for epoch in trained)
    return cross_fitted(trained, choose_epochs(trained, metric, EPOCH_METRICS[metric]))[metric]


def _stopped(history: History, patience: int) -> int:
    """Returns the number of epochs before keras.callbacks.EarlyStopping ends the training."""
    best, wait = -np.inf, 0
    for number, epoch in enumerate(history, 1):
        wait = 0 if epoch["val_accuracy"] > best else wait + 1
        best = max(best, epoch["val_accuracy"])
        if wait >= patience:
            return number
    return len(history)


def odd_halves(random: Random, arms: int, repeats: int) -> np.ndarray:
    """Returns the values of arms on few images, of odd number in each class, which differ in difficulty.

    Every other arm answers anew in each epoch, the rest as in their first one.
    """
    labels = np.repeat(np.arange(CLASSES), ODD)
    easy = np.linspace(0.6, 1.0, CLASSES)[labels]
    found = np.empty((arms, repeats))
    for arm in range(arms):
        for repeat in range(repeats):
            right = random.random((EPOCHS, len(labels))) < easy
            if arm % 2:
                right[:] = right[0]
            half = stratified_half(labels, int(random.integers(2**31)))
            history = _epochs(right.mean(axis=1), right[:, half].sum(axis=1) / len(labels))
            found[arm, repeat] = _value(history, None, "val_accuracy", True)
    return found


def splits_of(is_resampled: bool, gain: float = 0.0, influence: float = 0.0, pool: int = IMAGES) -> Draw:
    """Returns the accuracies of arms on the validation images of each repeat's split.

    Each arm is right or wrong about an image, the same in each repeat but for the luck of its weights. The
    images are drawn from a population in which all arms are equally good, but for `gain` of the last one.

    Args:
        is_resampled: Whether each repeat has a split of its own.
        gain: Of the last arm, on all images.
        influence: How far the training images move an arm, in units of the deviation by the validation
            images. An arm's accuracy moves by the mean over its training images of what each contributes.
        pool: The number of images of which each split draws its 3,000.
    """

    def draw(random: Random, arms: int, repeats: int) -> np.ndarray:
        # Two arms disagree where one of them, but not the other, deviates from the usual answer.
        deviates = random.random((arms, pool)) < DISAGREEMENT / 2
        usual = random.random(pool) < ACCURACY
        right = np.where(deviates, random.random((arms, pool)) < 0.5, usual).astype(float)
        right[-1] += gain
        unit = random.normal(size=(arms, pool)) if influence else np.zeros((arms, pool))
        contributes = unit * influence * IMAGE_LUCK
        orders = [random.permutation(pool) for _ in range(repeats if is_resampled else 1)]
        found = [
            right[:, order[:VALIDATION]].mean(axis=1)
            + contributes[:, order[VALIDATION:IMAGES]].sum(axis=1) / np.sqrt(IMAGES - VALIDATION)
            for order in (orders[repeat % len(orders)] for repeat in range(repeats))
        ]
        return np.stack(found, axis=1) + 0.3 * SPREAD * random.normal(size=(arms, repeats))

    return draw


def tuned(tunings: int | None = None, gain: float = 0.0, is_listed: bool = False) -> Draw:
    """Returns the values of arms whose rate is tuned by single trainings, for each repeat or `tunings` times.

    The expectation falls with the square of the distance to the best rate, by .03 at a distance of 1.

    Args:
        tunings: The number of tunings that the repeats share; None for one for each repeat.
        gain: Of the last arm.
        is_listed: Whether all tunings try the same three rates, 1 apart; else each draws eight from -1 to 1.
    """

    def expected(rates: np.ndarray) -> np.ndarray:
        return ACCURACY - 3 * SPREAD * rates**2

    def draw(random: Random, arms: int, repeats: int) -> np.ndarray:
        size = (arms, tunings or repeats)
        listed = np.arange(-1, 2) + random.uniform(-0.5, 0.5) if is_listed else None
        rates = random.uniform(-1, 1, size=(*size, RATES)) if listed is None else np.tile(listed, (*size, 1))
        measured = expected(rates) + SPREAD * random.normal(size=rates.shape)
        best = np.take_along_axis(rates, measured.argmax(axis=2)[:, :, None], axis=2)[:, :, 0]
        values = expected(best[:, np.arange(repeats) % best.shape[1]])
        values[-1] += gain
        return values + SPREAD * random.normal(size=values.shape)

    return draw
