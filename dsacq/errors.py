"""What went wrong, in words for the person at the rig."""


class UserError(Exception):
    """Something the user can mend. The message is one sentence: what is wrong and what to do."""


class FileError(UserError):
    """A file cannot be read or written: missing, damaged, truncated or of an unknown kind."""


class SettingsError(UserError):
    """A setting is misspelt, missing or impossible."""
