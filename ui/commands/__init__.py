"""The commands, a module per subject. Each only asks the packages below and tells the result."""
