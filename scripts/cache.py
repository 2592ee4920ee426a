"""The same as `audionet cache`; audionet/commands/cache.py has its options."""

import sys

from audionet.commands.cache import main

if __name__ == "__main__":
    sys.exit(main())
