"""The same as `audionet runs`; audionet/commands/runs.py has its options."""

import sys

from audionet.commands.runs import main

if __name__ == "__main__":
    sys.exit(main())
