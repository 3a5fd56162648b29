"""Both faces of the program: the command line and the window."""

import dsacq as _first  # noqa: F401  # before numpy is imported: see there
