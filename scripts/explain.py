"""The same as `audionet explain`; audionet/commands/explain.py has its options."""

import sys

from audionet.commands.explain import main

if __name__ == "__main__":
    sys.exit(main())
