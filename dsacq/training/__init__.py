"""Fitting networks to simulated frames."""
