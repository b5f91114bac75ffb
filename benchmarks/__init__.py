"""Measures kerasweep on this machine, side by side with its peers."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# `python -m src.train` from any folder, and `import kerasweep`.
PYTHONPATH = f"{ROOT}{os.pathsep}{ROOT / 'src'}"
