"""Designing phase masks: for the precision of single emitters, or together with a network."""
