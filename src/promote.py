"""`python -m src.promote` in a checkout; installed, the command is `kerasweep-promote`."""

import sys
from pathlib import Path

# The package of this checkout comes before an installed one, and after the working directory.
sys.path.insert(1, str(Path(__file__).parent))

from kerasweep.commands.start import promote  # noqa: E402

if __name__ == "__main__":
    promote()
