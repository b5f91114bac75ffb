"""Computes a frozen backbone's outputs once; then heads train on them instead of images."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

import keras
import numpy as np
import tensorflow as tf

from kerasweep.data.features import Extraction, cached_features
from kerasweep.data.prepare import Part, Prepared
from kerasweep.training.program import inference_size

log = logging.getLogger(__name__)
DIGITS = 24
# A part of images -> the newest backbone and its part of features; TensorFlow's copies end with the part.
_parts: WeakKeyDictionary[Part, tuple[str, "FeaturePart"]] = WeakKeyDictionary()


@dataclass(frozen=True)
class FeaturePart:
    """A part of features."""

    part: Part
    parameters: int  # of the backbone that computed them


class FrozenBackbone:
    """Gives the features of the parts of a data set.

    Args:
        prepared: The images. Splits of the same images share their features.
        folder: The cache.
        backbone: Names the backbone, its weights and its preprocessing by their content.
        build: Builds it: pixels 0..255 (n, height, width, channels) to features (n, d). Called if the cache
            lacks features, or a model is saved.
    """

    def __init__(
        self, prepared: Prepared, folder: Path, backbone: str, build: Callable[[], keras.Model]
    ) -> None:
        self._prepared = prepared
        self._folder = folder
        self._backbone = backbone
        self._build = build
        self._extractor: keras.Model | None = None
        train = self._features_of(prepared.train)
        self.dimension: int = train.part.source.shape[1]
        self.parameters = train.parameters

    @property
    def extractor(self) -> keras.Model:
        """The backbone, built at the first use."""
        if self._extractor is None:
            self._extractor = self._build()
        return self._extractor

    def part(self, part: Part) -> Part:
        """Returns the same part with features (n, d) in place of images."""
        return self._features_of(part).part

    def _features_of(self, part: Part) -> FeaturePart:
        newest, kept = _parts.get(part, ("", None))
        if kept is None or newest != self._backbone:
            rows = self._rows(part)
            whole = Part(part.source, np.zeros(len(rows), np.int64), rows)
            features = cached_features(self._folder, self._key(whole), lambda: self._extract(whole))
            indices = np.arange(len(part)) if part.indices is None else part.indices
            positions = np.searchsorted(rows, indices)
            kept = FeaturePart(Part(features.values, part.labels, positions), features.parameters)
            _parts[part] = self._backbone, kept
        return kept

    def _rows(self, part: Part) -> np.ndarray:
        """Returns the rows of a part's source that the data set uses, so that its splits share an entry."""
        parts = (part, self._prepared.train, self._prepared.validation, self._prepared.test)
        same = [other for other in parts if other.source is part.source]
        rows = [np.arange(len(other)) if other.indices is None else other.indices for other in same]
        return np.unique(np.concatenate(rows))

    def _key(self, part: Part) -> str:
        digest = hashlib.sha256(json.dumps([self._backbone, len(part), *part.image_shape]).encode())
        for images in part.pieces():
            digest.update(np.ascontiguousarray(images).data)
        return digest.hexdigest()[:DIGITS]

    def _extract(self, part: Part) -> Extraction:
        extractor = self.extractor
        dimension = int(extractor.output_shape[-1])
        log.info("computing the backbone's outputs of %d images, once", len(part))
        return Extraction((len(part), dimension), extractor.count_params(), _outputs(extractor, part))


def _outputs(extractor: keras.Model, part: Part) -> Iterator[np.ndarray]:
    images = tf.TensorSpec([None, *extractor.input_shape[1:]], tf.float32)
    compute = tf.function(
        lambda batch: tf.cast(extractor(batch, training=False), tf.float32),
        input_signature=[images],
        autograph=False,
    )
    for batch in part.pieces(inference_size(extractor, 1)):
        yield compute(batch.astype(np.float32)).numpy()
