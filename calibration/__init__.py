"""Measurements that join devices and physics: cameras, bead scans, pupil, reports."""
