"""What can go wrong with a camera, on demand: for tests of whatever takes its frames."""

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

_Number = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Faults:
    """The table [bench.faults] of a rig file: numbers of exposures in each sequence, from 0.

    drop: lost in the computer; the index jumps. drop_in_camera: lost before; camera_index jumps.
    duplicate: delivered twice. resize_at: delivered with half its rows.
    reset_index_at: from here, the index counts from 0 again.
    stall_at: from here no frame comes, while the camera says it runs. raise_at: instead of this
    frame, the camera fails. overflow_at: instead of this frame, the sequence ends by overflow.
    """

    drop: tuple[_Number, ...] = ()
    drop_in_camera: tuple[_Number, ...] = ()
    duplicate: tuple[_Number, ...] = ()
    resize_at: _Number | None = None
    reset_index_at: _Number | None = None
    stall_at: _Number | None = None
    raise_at: _Number | None = None
    overflow_at: _Number | None = None
