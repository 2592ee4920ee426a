"""The same as `audionet similar`; audionet/commands/similar.py has its options."""

import sys

from audionet.commands.similar import main

if __name__ == "__main__":
    sys.exit(main())
