"""`python -m src.predict` in a checkout; installed, the command is `kerasweep-predict`."""

import sys
from pathlib import Path

# This checkout's package, whichever one is installed; behind the working directory.
sys.path.insert(1, str(Path(__file__).parent))

from kerasweep.commands.predict import main  # noqa: E402

if __name__ == "__main__":
    main()
