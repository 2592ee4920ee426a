"""The same as `audionet experiment`; audionet/commands/experiment.py has its options."""

import sys

from audionet.commands.experiment import main

if __name__ == "__main__":
    sys.exit(main())
