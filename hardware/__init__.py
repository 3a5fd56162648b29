"""Devices: cameras, stages, SLMs, lasers, real and simulated."""
