"""Devices: cameras, stages, SLMs, lasers, real and simulated."""

import dsacq as _first  # noqa: F401  # before numpy is imported: see there
