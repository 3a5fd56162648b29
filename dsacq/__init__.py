"""Science and data: physics, simulation, networks, localization, files. Knows no device, no Qt."""
