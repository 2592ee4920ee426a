"""The same as `audionet recipes`; audionet/commands/recipes.py has its options."""

import sys

from audionet.commands.recipes import main

if __name__ == "__main__":
    sys.exit(main())
