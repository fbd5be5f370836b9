"""``python -m vcsjob``: the command, where no script is installed."""

import sys

from vcsjob._command import main

if __name__ == "__main__":
    sys.exit(main())
