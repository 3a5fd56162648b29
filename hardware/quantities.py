"""Quantities of rig files, within what devices of microscopes have."""

from typing import Annotated

from pydantic import Field

from dsacq.bounds import bounded

_FINITE = Field(allow_inf_nan=False)

Milliwatts = Annotated[float, _FINITE, Field(gt=0), bounded(0, 1e5, "mW", ("uW",))]
Seconds = Annotated[float, _FINITE, Field(gt=0), bounded(0, 3600, "s", ("ms", "us"))]
Position = Annotated[float, _FINITE, bounded(-1e6, 1e6, "um", ("nm",))]  # of a stage
