"""The same as `audionet data`; audionet/commands/data.py has its options."""

import sys

from audionet.commands.data import main

if __name__ == "__main__":
    sys.exit(main())
