"""Trains and evaluates a compiled network by graph calls that later trials of the same graph reuse."""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasweep.config.data import AugmentConf
from kerasweep.config.training import OptimizerConf, TrainingConf
from kerasweep.data.augment import Augmentation
from kerasweep.data.feeds import Feed, Pace
from kerasweep.data.scaling import Scaling
from kerasweep.model.parts import AdjustableParts
from kerasweep.training.cost import median_ms
from kerasweep.training.losses import Smoothing, build_losses
from kerasweep.training.optimizers import adjust, build_optimizer

MAX_EVALUATED = 256
EVALUATED_PIXELS = 2**18


class Program:
    """A network, its optimizer, and the graph calls that train and evaluate it.

    Learning rate, batch size, order, scaling and seeds are arguments of these calls; `begin` resets the
    optimizer and sets the numbers of the loss and of the augmentation, and `AdjustableParts.begin` resets
    the network. A call lasts about half a second (see `Pace`), so that a user can interrupt it, and carries
    its sums to the next: how an epoch is divided changes no bit.

    Args:
        model: From scaled float32 images (n, height, width, channels), or from features (n, d), to
            probabilities (n, classes).
        parts: The parts of the model; None for a custom network.
        optimizer: Its learning rate and weight decay are set again by `begin`.
        labels: `sparse` or `one_hot`: what the loss is computed from.
        training: Its loss, and whether labels are smoothed and classes weighted.
        augment: The augmentation of training batches, done in the graph.
        jit_compile: Whether XLA compiles the training step.
        frozen: The weights among the trainable ones that `train` leaves as they are if `is_frozen`.
    """

    def __init__(
        self,
        model: keras.Model,
        parts: AdjustableParts | None,
        optimizer: OptimizerConf,
        labels: str,
        training: TrainingConf,
        augment: AugmentConf,
        jit_compile: bool,
        frozen: Sequence[Any] = (),
    ) -> None:
        model.compile(optimizer=build_optimizer(optimizer), jit_compile=False)
        self.model = model
        self.parts = parts
        self.optimizer = model.optimizer
        self.optimizer.build(model.trainable_variables)
        self.traces = 0
        classes = model.output_shape[-1]
        self._augmentation = Augmentation(augment, classes)
        self._smoothing = Smoothing(classes) if training.label_smoothing else None
        self._class_weights = (
            None if training.class_weight is None else tf.Variable(tf.ones([classes]), trainable=False)
        )
        is_one_hot = labels == "one_hot" or self._augmentation.mixes_labels
        self._losses = build_losses(training.loss, is_one_hot, self._smoothing)
        # Slots begin at zero in most optimizers, in Adagrad and Ftrl at another number.
        self._initial = {
            variable.path: variable.numpy()
            for variable in self.optimizer.variables
            if np.any(variable.numpy())
        }
        self._pace, self._evaluation_pace = Pace(), Pace()
        is_features = len(model.input_shape) == 2
        images = tf.TensorSpec([None, *model.input_shape[1:]], tf.float32 if is_features else tf.uint8)
        vector, integer = tf.TensorSpec([None], tf.float32), tf.TensorSpec([], tf.int64)
        integers, sums = tf.TensorSpec([None], tf.int64), tf.TensorSpec([2], tf.float64)
        halves, both_sums = tf.TensorSpec([None], tf.float64), tf.TensorSpec([2, 2], tf.float64)
        read = [images, integers, integers, integer, vector, vector]
        signature = [*read, integer, integer, integer, vector, sums]
        weights, left = model.trainable_weights, {id(weight) for weight in frozen}
        others = [weight for weight in weights if id(weight) not in left]
        self._train = self._train_function(weights, jit_compile, signature)
        self._train_frozen = self._train_function(others, jit_compile, signature) if left else self._train
        evaluated = {"input_signature": [*read, halves, both_sums], "autograph": False}
        self._evaluate = tf.function(self._evaluate_piece, **evaluated)
        self._evaluate_and_predict = tf.function(partial(self._evaluate_piece, predicts=True), **evaluated)
        self._predict = tf.function(
            self._predict_batch, input_signature=[images, vector, vector], autograph=False
        )

    @property
    def variables_mb(self) -> float:
        """The memory of the network's and the optimizer's variables in MiB."""
        return sum(v.value.shape.num_elements() * v.value.dtype.size for v in self.variables) / 2**20

    @property
    def variables(self) -> list[Any]:
        """Weights, moving statistics and random states, then the optimizer's, its loss scale among them."""
        return [*self.model.variables, *self.optimizer.variables]

    def begin(
        self,
        optimizer: OptimizerConf,
        augment: AugmentConf,
        label_smoothing: float = 0.0,
        class_weights: np.ndarray | None = None,
    ) -> None:
        """Resets the optimizer to its state when it was built, and sets the numbers of a training.

        Args:
            optimizer: Its learning rate and weight decay.
            augment: The limits of the transforms that the program was built with.
            label_smoothing: See `Smoothing`; for a program that was built with some.
            class_weights: The factor of each class in the training loss (classes,); likewise.
        """
        self.begin_optimizer(optimizer)
        self._augmentation.set(augment)
        if self._smoothing is not None:
            self._smoothing.set(label_smoothing)
        if self._class_weights is not None:
            assert class_weights is not None
            self._class_weights.assign(class_weights)
        self.model.stop_training = False

    def begin_optimizer(self, optimizer: OptimizerConf) -> None:
        """Resets the optimizer alone."""
        for variable in self.optimizer.variables:
            if variable.path in self._initial:
                variable.assign(self._initial[variable.path])
            else:
                variable.assign(tf.zeros_like(variable.value))
        adjust(self.optimizer, optimizer)

    def train(
        self,
        feed: Feed,
        scaling: Scaling,
        order: np.ndarray,
        batch_size: int,
        seed: int,
        epoch: int,
        rates: Sequence[float],
        is_frozen: bool = False,
    ) -> dict[str, float]:
        """Trains an epoch, or the beginning of one.

        Args:
            feed: The images and labels.
            scaling: Applied to each batch in the graph.
            order: int64 (n,), see `epoch_order`.
            batch_size: The last batch may be smaller.
            seed: Seeds the augmentation.
            epoch: Counted from 1.
            rates: The learning rate of each step. Fewer rates than batches train the beginning of the epoch.
            is_frozen: Whether the weights `frozen` stay as they are.

        Returns:
            The means of loss (with penalties) and accuracy over the images.
        """
        sums, first, numbers = tf.zeros([2], tf.float64), 0, _numbers(scaling, self.model.input_shape)
        train = self._train_frozen if is_frozen else self._train
        for piece in feed.pieces(order[: len(rates) * batch_size], batch_size, self._pace.steps):
            began, steps = time.perf_counter(), -(-len(piece.order) // batch_size)
            chunk = np.asarray(rates[first : first + steps], np.float32)
            read = (piece.images, piece.labels, piece.order, batch_size, *numbers)
            sums = train(*read, seed, epoch, first, chunk, sums)
            sums.numpy()  # waits for it
            self._pace.update(steps, time.perf_counter() - began)
            first += steps
        return _means(sums, min(len(order), len(rates) * batch_size))

    def evaluate(
        self,
        feed: Feed,
        scaling: Scaling,
        batch_size: int,
        half: np.ndarray | None = None,
        batches: list[np.ndarray] | None = None,
    ) -> dict[str, float]:
        """Evaluates the network in inference.

        Small images are evaluated in larger batches than `batch_size`, that of the training.

        Args:
            feed: The images and labels.
            scaling: Applied to each batch in the graph.
            batch_size: The last batch may be smaller.
            half: bool (n,), which images belong to the first half.
            batches: Gets the probabilities of the images, float32 (b, classes) each.

        Returns:
            The means of loss and accuracy over the images; with `half`, also `loss_a` and `accuracy_a`: the
            sums over the first half, divided by the number of all images.
        """
        size = self._inference_size(batch_size)
        is_first = np.zeros(len(feed)) if half is None else half.astype(np.float64)
        sums, numbers, first = tf.zeros([2, 2], tf.float64), _numbers(scaling, self.model.input_shape), 0
        for piece in feed.pieces(np.arange(len(feed)), size, self._evaluation_pace.steps):
            began, count = time.perf_counter(), len(piece.order)
            read = (piece.images, piece.labels, piece.order, size, *numbers)
            if batches is None:
                sums = self._evaluate(*read, is_first[first : first + count], sums)
            else:
                sums, outputs = self._evaluate_and_predict(*read, is_first[first : first + count], sums)
                batches.append(outputs.numpy())
            sums.numpy()  # waits for it
            self._evaluation_pace.update(-(-count // size), time.perf_counter() - began)
            first += count
        whole = _means(sums[0], len(feed))
        if half is None:
            return whole
        return whole | {f"{name}_a": value for name, value in _means(sums[1], len(feed)).items()}

    def probabilities(self, feed: Feed, scaling: Scaling, batch_size: int) -> np.ndarray:
        """Returns float32 probabilities (n, classes) in the feed's order, by the batches of `evaluate`."""
        batches, size = [], self._inference_size(batch_size)
        for piece in feed.pieces(np.arange(len(feed)), size, lambda: 1):
            for start in range(0, len(piece.order), size):
                images = tf.gather(piece.images, piece.order[start : start + size])
                batches.append(self._predict(images, *_numbers(scaling, self.model.input_shape)).numpy())
        return np.concatenate(batches)

    def latency_ms(self, image: np.ndarray, scaling: Scaling) -> float:
        """Returns the milliseconds in which one image uint8 (1, height, width, channels) is classified."""
        pixels, numbers = tf.constant(image), _numbers(scaling, self.model.input_shape)
        return median_ms(lambda: self._predict(pixels, *numbers).numpy())

    def _inference_size(self, batch_size: int) -> int:
        """Returns the images per batch where nothing is trained."""
        return inference_size(self.model, batch_size)

    def _train_function(self, weights: Sequence[Any], jit_compile: bool, signature: Sequence[Any]) -> Any:
        def step(*batch: Any) -> Any:
            return self._step(weights, *batch)

        optimize = tf.function(step, autograph=False, jit_compile=True) if jit_compile else step
        return tf.function(
            lambda *read: self._train_piece(optimize, *read), input_signature=signature, autograph=False
        )

    def _train_piece(
        self,
        optimize: Any,
        images: Any,
        labels: Any,
        order: Any,
        batch_size: Any,
        scale: Any,
        offset: Any,
        seed: Any,
        epoch: Any,
        first: Any,
        rates: Any,
        sums: Any,
    ) -> Any:
        self.traces += 1  # runs when TensorFlow traces, not when the graph runs

        def step(number: Any, sums: Any) -> tuple[Any, Any]:
            index = order[number * batch_size : (number + 1) * batch_size]
            batch = tf.gather(images, index), tf.gather(labels, index)
            augmented = self._augmentation(*batch, seed, epoch, first + number)
            return number + 1, sums + optimize(*augmented, scale, offset, tf.gather(rates, number))

        count = tf.size(rates, out_type=tf.int64)
        zero = tf.constant(0, tf.int64)
        return tf.while_loop(lambda number, _: number < count, step, [zero, sums], parallel_iterations=1)[1]

    def _step(
        self, weights: Sequence[Any], images: Any, labels: Any, scale: Any, offset: Any, rate: Any
    ) -> Any:
        """Makes one step of the optimizer, as keras.Model.train_step; returns its addition to the sums."""
        with tf.GradientTape() as tape:
            loss, _, is_correct, _ = self._measure(images, labels, scale, offset, training=True)
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, [weight.value for weight in weights])
        self.optimizer.learning_rate.assign(rate)
        self.optimizer.apply(gradients, weights)
        return _sums(loss, is_correct)

    def _evaluate_piece(
        self,
        images: Any,
        labels: Any,
        order: Any,
        batch_size: Any,
        scale: Any,
        offset: Any,
        half: Any,
        sums: Any,
        predicts: bool = False,
    ) -> Any:
        count = tf.size(order, out_type=tf.int64)

        def evaluate(start: Any, sums: Any, *outputs: Any) -> tuple[Any, ...]:
            index = order[start : start + batch_size]
            batch = tf.gather(images, index), tf.gather(labels, index)
            loss, losses, is_correct, probabilities = self._measure(*batch, scale, offset, training=False)
            if predicts:
                probabilities = tf.cast(probabilities, tf.float32)
                outputs = (outputs[0].write(tf.cast(start // batch_size, tf.int32), probabilities),)
            penalty = loss - tf.reduce_mean(losses)
            both = tf.stack([tf.cast(losses + penalty, tf.float64), is_correct])
            of_half = tf.reduce_sum(both * half[start : start + batch_size], axis=1)
            return start + batch_size, sums + tf.stack([_sums(loss, is_correct), of_half]), *outputs

        zero = tf.constant(0, tf.int64)
        state = [zero, sums]
        if predicts:
            shape = [None, self.model.output_shape[-1]]
            state.append(tf.TensorArray(tf.float32, 0, True, infer_shape=False, element_shape=shape))
        results = tf.while_loop(lambda start, *_: start < count, evaluate, state, parallel_iterations=1)
        return (results[1], results[2].concat()) if predicts else results[1]

    def _measure(self, images: Any, labels: Any, scale: Any, offset: Any, training: bool) -> tuple[Any, ...]:
        """Returns the loss with its penalties, and of each image its loss, correctness and probabilities.

        Mixed labels are (b, classes): the class with the largest share is the correct one, as in Keras.
        Losses are (b,), the correctness is float64 (b,), probabilities are (b, classes).
        """
        probabilities = self.model(_scaled(images, scale, offset), training=training)
        losses = self._losses(labels, tf.cast(probabilities, tf.float32))  # as Keras's losses cast
        if training and self._class_weights is not None:
            losses *= tf.cast(_of_labels(self._class_weights, labels), losses.dtype)
        loss = tf.reduce_mean(losses)
        for penalty in self.model.losses:
            loss += tf.reduce_sum(tf.cast(penalty, loss.dtype))
        classes = labels if labels.shape.rank == 1 else tf.argmax(labels, axis=-1)
        is_correct = tf.cast(tf.argmax(probabilities, axis=-1) == classes, tf.float64)
        return loss, losses, is_correct, probabilities

    def _predict_batch(self, images: Any, scale: Any, offset: Any) -> Any:
        return tf.cast(self.model(_scaled(images, scale, offset), training=False), tf.float32)


def inference_size(model: keras.Model, batch_size: int) -> int:
    """Returns the images per batch where nothing is trained, at least `batch_size`."""
    pixels = int(np.prod(model.input_shape[1:3])) if len(model.input_shape) == 4 else 1
    return max(batch_size, min(MAX_EVALUATED, EVALUATED_PIXELS // pixels))


def _of_labels(weights: Any, labels: Any) -> Any:
    """Returns each label's weight (b,); that of mixed labels (b, classes) is mixed likewise."""
    return tf.gather(weights, labels) if labels.shape.rank == 1 else tf.linalg.matvec(labels, weights)


def _scaled(images: Any, scale: Any, offset: Any) -> Any:
    """Scales images, or features, by one number or by those of a row of pixels (width · channels,).

    TensorFlow multiplies by a long row several times as fast as by the numbers of three channels.
    """
    pixels = tf.cast(images, tf.float32)
    if images.shape.rank == 4:
        height, width, channels = images.shape[1:]
        pixels = tf.reshape(pixels, [-1, height, width * channels])
    # Without its shape, one channel times a vector of unknown length has unknown length: Keras would take
    # the first convolution for a grouped one, which it compiles with XLA and runs at half the speed.
    return tf.reshape(pixels * scale + offset, [-1, *images.shape[1:]])


def _numbers(scaling: Scaling, input_shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Returns scale and offset, float32: one number each, or those of a row of pixels, see `_scaled`."""
    width = 1 if len(scaling.scale) == 1 else input_shape[2]
    scale, offset = (np.array(numbers, np.float32) for numbers in (scaling.scale, scaling.offset))
    return np.tile(scale, width), np.tile(offset, width)


def _sums(loss: Any, is_correct: Any) -> Any:
    """Returns float64 (2,): loss × images, number of correct answers."""
    count = tf.cast(tf.size(is_correct), tf.float64)
    return tf.stack([tf.cast(loss, tf.float64) * count, tf.reduce_sum(is_correct)])


def _means(sums: Any, count: int) -> dict[str, float]:
    loss, correct = (float(total) / count for total in sums.numpy())
    return {"loss": loss, "accuracy": correct}
