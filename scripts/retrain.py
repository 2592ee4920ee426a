"""The same as `audionet train`; audionet/commands/train.py has its options."""

import sys

from audionet.commands.train import main

if __name__ == "__main__":
    sys.exit(main())
