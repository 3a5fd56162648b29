"""Science and data: physics, simulation, networks, localization, files. Knows no device, no Qt."""

import os

# Fortran's runtime under some builds of numpy and scipy for Windows would end the process on
# Ctrl+C or a closed console, before lasers are dark. It asks once, when it is loaded: so here,
# before any other import. What the user has set stays.
os.environ.setdefault("FOR_DISABLE_CONSOLE_CTRL_HANDLER", "1")
