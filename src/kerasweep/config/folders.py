"""Where the config files lie: `conf` and `sweeps`, inside the installed package or in a checkout."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def config_folder(name: str) -> str:
    """The absolute path of the folder `conf` or `sweeps`.

    A wheel carries both inside the package; a checkout has them beside `src`.
    """
    packaged = PACKAGE / name
    return str(packaged if packaged.is_dir() else PACKAGE.parents[1] / name)
