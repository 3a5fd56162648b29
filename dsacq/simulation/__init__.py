"""Who emits where, and the frames that come of it."""
