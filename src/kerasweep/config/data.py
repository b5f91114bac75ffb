"""Declares the schemas of the groups `data` and `augment`."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING, DictConfig

SOURCES = (
    "digits",
    "cifar10",
    "cifar100",
    "fashion_mnist",
    "mnist",
    "image_folder",
    "table",
    "hugging_face",
    "npz",
    "custom",
)
IMAGE_FILES = (
    "image_folder",
    "table",
    "hugging_face",
)  # sources of files that may differ in size or be damaged
SCALINGS = ("none", "min_max", "z_score")
LABELS = ("sparse", "one_hot")
RESIZES = ("stretch", "pad", "crop")


def open_mapping() -> Any:
    """Returns an empty mapping that accepts any key from the command line without a `+`."""
    return DictConfig({}, flags={"struct": False})


@dataclass
class DataConf:
    source: str = MISSING  # one of SOURCES
    path: str | None = None  # a local copy; None: the cache or the download of Keras
    ship: bool = False  # whether the driver sends the decoded data to the nodes of a Ray cluster
    limit: int | None = None  # the number of training images, and the most test images; None: all
    test_split: float = 0.2  # the share of each class for the test set, if the source has none
    validation_split: float = 0.2  # the share of each class of the training images
    seed: int = 0  # of the splits and of the subset for `limit`
    # Of the validation split and the training subset alone, so that the test set stays; None: data.seed.
    split_seed: int | None = None
    # How many stratified folds the training images have. Seed s of the split validates on fold s - data.seed;
    # the seeds after the last fold divide the images anew. None: `validation_split`.
    folds: int | None = None
    scaling: str = "min_max"  # one of SCALINGS
    labels: str = "sparse"  # one of LABELS; the losses are equal
    image_size: list[int] | None = None  # [height, width] in pixels, for IMAGE_FILES
    resize: str = "stretch"  # one of RESIZES: images of other aspect ratios, with image_size
    skip_corrupt: bool = False  # whether IMAGE_FILES go on without files that cannot be read
    image_column: str = "path"  # of a table: the files, relative to the table's folder
    label_column: str = "label"  # of a table or hugging_face: the name or number of the class
    # Of a table: train, val or test. The default column may be missing; None: the images are divided anew.
    split_column: str | None = "split"
    cache_dir: str | None = None  # for decoded images; None: the cache folder of this machine
    target: str | None = None  # package.module:function, for custom
    kwargs: Any = field(default_factory=open_mapping)  # arguments of that function


@dataclass
class AugmentConf:
    horizontal_flip: bool = False  # of a random half of the images
    crop_padding: int = 0  # pixels added to each side before a random crop; 0: no crop
    # The largest change in either direction, as the factors of keras.layers.Random…; 0: none.
    rotation: float = 0.0  # a share of a full turn
    zoom: float = 0.0  # a share of the visible section's sides
    brightness: float = 0.0  # a share of 255
    contrast: float = 0.0  # a share of each pixel's distance from the mean
    cutout: float = 0.0  # the sides of the erased rectangle as a share of the image's; 0: none is erased
    mixup: float = 0.0  # the alpha of the Beta distribution by which two images are mixed; 0: not mixed
