"""How a set of tracked emitters turns and moves as one body, and what is left without that.

Kabsch, Acta Cryst. A 32, 922 (1976); outliers are dropped, and the fit is done again.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from dsacq.data import POSITION, Localizations
from dsacq.errors import SettingsError

Floats = NDArray[np.float64]

LEAST = 4  # emitters in both frames
_OUTLYING = 3.0  # robust standard deviations
_ROUNDS = 3


@dataclass(frozen=True, eq=False)
class RigidMotion:
    """frame (F,); rotation_rad (F, 3): axis times angle since the reference; shift_um (F, 3) of the
    emitters' centre; residual_um (F,): rms distance that is left, per axis. NaN in frames with
    fewer than 4 common emitters."""

    frame: NDArray[np.int64]
    rotation_rad: Floats
    shift_um: Floats
    residual_um: Floats

    @property
    def angle_rad(self) -> Floats:
        """(F,) since the reference."""
        return np.asarray(np.linalg.norm(self.rotation_rad, axis=1))


def rigid_motion(
    table: Localizations, reference_frame: int | None = None
) -> tuple[RigidMotion, Localizations]:
    """The motion of the whole, and the table without it, as seen from the reference frame.

    reference_frame: by default the one with the most emitters. Frames without a motion are left out
    of the table. Raises SettingsError for a table that is not linked, or has too few emitters.
    """
    if "track" not in table.table.columns:
        raise SettingsError("The table is not linked: it has no column track. Use `dsacq link`.")
    rows = table.table[table.table["track"] >= 0]
    counts = rows["frame"].value_counts()
    if reference_frame is None and len(counts):
        reference_frame = int(np.asarray(counts.index)[counts.to_numpy().argmax()])
    base = rows[rows["frame"] == reference_frame]
    if len(base) < LEAST:
        raise SettingsError(
            f"The reference frame has {len(base)} linked emitters; {LEAST} or more are needed."
        )
    at_reference = base.set_index("track")[list(POSITION)].astype(np.float64)
    centre = at_reference.to_numpy().mean(0)
    frames: list[int] = []
    turns: list[Floats] = []
    shifts: list[Floats] = []
    residuals: list[float] = []
    still: list[Localizations] = []
    for _, here in rows.groupby("frame"):
        own = here.set_index("track")[list(POSITION)].astype(np.float64)
        both = at_reference.index.intersection(own.index)
        frames.append(int(here["frame"].iloc[0]))
        if len(both) < LEAST:
            turns.append(np.full(3, np.nan))
            shifts.append(np.full(3, np.nan))
            residuals.append(np.nan)
            continue
        before, now = at_reference.loc[both].to_numpy() - centre, own.loc[both].to_numpy() - centre
        turn, shift, residual = _fitted(before, now)
        turns.append(turn.as_rotvec())
        shifts.append(shift)
        residuals.append(residual)
        moved = here.copy()
        place = own.to_numpy() - centre - shift
        moved[list(POSITION)] = (turn.inv().apply(place) + centre).astype(np.float32)
        still.append(Localizations(moved, table.origin))
    motion = RigidMotion(np.array(frames), np.array(turns), np.array(shifts), np.array(residuals))
    return motion, Localizations.joined(still, table.origin | {"rigid_motion_removed": True})


def _fitted(before: Floats, now: Floats) -> tuple[Rotation, Floats, float]:
    """now = turn(before) + shift, without emitters that do not follow."""
    kept = np.ones(len(before), bool)
    for _ in range(_ROUNDS):
        mean_before, mean_now = before[kept].mean(0), now[kept].mean(0)
        turn, _ = Rotation.align_vectors(now[kept] - mean_now, before[kept] - mean_before)
        shift = mean_now - turn.apply(mean_before)
        away = np.linalg.norm(now - turn.apply(before) - shift, axis=1)
        usual = 1.4826 * np.median(away[kept]) + 1e-12
        again = away < _OUTLYING * usual
        if again.sum() < LEAST or np.array_equal(again, kept):
            break
        kept = again
    return turn, np.asarray(shift), float(np.sqrt((away[kept] ** 2).mean() / 3))
