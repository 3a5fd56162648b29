"""What went wrong, in words for the person at the rig."""

import errno

NO_MEMORY = (
    "not enough memory; close other programs, or take less at once: a smaller --tile, a --roi, "
    "fewer frames."
)
_OF_MEMORY = (  # how libraries word it that have no kind of error for it
    "not enough memory",
    "out of memory",
    "cannot allocate memory",
    "can't allocate memory",
    "unable to allocate",
    "bad_alloc",
    "can't start new thread",
    "failed to map segment",
    "paging file is too small",
)


class UserError(Exception):
    """Something the user can mend. The message is one sentence: what is wrong and what to do."""


class FileError(UserError):
    """A file cannot be read or written: missing, damaged, truncated or of an unknown kind."""


class SettingsError(UserError):
    """A setting is misspelt, missing or impossible."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the system refused memory, whichever library met that."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    kinds = OSError, RuntimeError, ImportError
    return isinstance(error, kinds) and any(one in str(error).lower() for one in _OF_MEMORY)
