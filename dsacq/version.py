"""Which dsacq this is."""

from importlib.metadata import PackageNotFoundError, version


def software() -> str:
    """Name and version, as results carry it."""
    try:
        return f"dsacq {version('dsacq')}"
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "dsacq (not installed)"
