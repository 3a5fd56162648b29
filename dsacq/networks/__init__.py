"""The localizing networks and the one file a model is."""
