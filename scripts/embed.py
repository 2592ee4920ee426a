"""The same as `audionet embed`; audionet/commands/embed.py has its options."""

import sys

from audionet.commands.embed import main

if __name__ == "__main__":
    sys.exit(main())
