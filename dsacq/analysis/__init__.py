"""What comes after localizing: metrics, overlays."""
