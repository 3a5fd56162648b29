"""Measurements that join devices and physics: cameras, bead scans, pupil, reports."""

import dsacq as _first  # noqa: F401  # before numpy is imported: see there
