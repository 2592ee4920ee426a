"""The same as `audionet timeline`; audionet/commands/timeline.py has its options."""

import sys

from audionet.commands.timeline import main

if __name__ == "__main__":
    sys.exit(main())
