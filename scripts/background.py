"""The same as `audionet background`; audionet/commands/background.py has its options."""

import sys

from audionet.commands.background import main

if __name__ == "__main__":
    sys.exit(main())
