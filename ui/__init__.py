"""Both faces of the program: the command line and the window."""
