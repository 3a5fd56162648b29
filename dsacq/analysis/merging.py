"""One localization in place of those of a molecule that shines over consecutive frames."""

import numpy as np
import pandas as pd
from scipy.spatial import KDTree

from dsacq.analysis.link import LinkSettings, link
from dsacq.data import POSITION, Localizations
from dsacq.errors import SettingsError

_SIGMAS = ("sigma_x_um", "sigma_y_um", "sigma_z_um")


def merged(
    table: Localizations, *, largest_step_um: float = 0.08, memory_frames: int = 1
) -> Localizations:
    """Localizations that continue each other become one, in the frame of the first.

    Positions are means weighted by 1/sigma^2, sigmas those of the mean; photons add up, background
    is the mean, probability the highest. `localizations`: how many each was made of. Where sigmas
    are unknown, all weigh the same and stay unknown.
    """
    if not len(table):
        return table
    settings = LinkSettings(
        diffusion_um2_per_s=0.0, largest_step_um=largest_step_um, memory_frames=memory_frames
    )
    rows = Localizations.joined(link([table], settings)).table
    track = rows["track"].to_numpy()
    _, first, group = np.unique(track, return_index=True, return_inverse=True)
    count = np.bincount(group)
    columns: dict[str, np.ndarray] = {"frame": rows["frame"].to_numpy()[first]}
    for name, sigma_name in zip(POSITION, _SIGMAS, strict=True):
        sigma = rows[sigma_name].to_numpy(np.float64)
        known = np.isfinite(sigma) & (sigma > 0)
        # A molecule with a sigma missing has no better weight than one for all.
        whole = np.bincount(group, known) == count
        weight = np.where(whole[group], 1 / np.where(known, sigma, 1.0) ** 2, 1.0)
        total = np.bincount(group, weight)
        columns[name] = np.bincount(group, weight * rows[name].to_numpy(np.float64)) / total
        columns[sigma_name] = np.where(whole, 1 / np.sqrt(total), np.nan)
    columns["photons"] = np.bincount(group, rows["photons"].to_numpy(np.float64))
    columns["background"] = np.bincount(group, rows["background"].to_numpy(np.float64)) / count
    highest = pd.Series(rows["probability"].to_numpy()).groupby(group).max()
    columns["probability"] = highest.to_numpy()
    columns["localizations"] = count
    return Localizations.from_columns(
        table.origin | {"merged": {"um": largest_step_um, "frames": memory_frames}}, **columns
    )


def without_duplicates(table: Localizations, closer_um: float) -> Localizations:
    """Of localizations in one frame that are closer than this in 3D, only the surest stays.

    Raises SettingsError for a distance that is none.
    """
    if not closer_um > 0:
        raise SettingsError(f"A distance of {closer_um:g} um is not above 0.")
    place, frame = table.positions_um(), table.table["frame"].to_numpy()
    # Frames are far apart along a fourth axis.
    tree = KDTree(np.column_stack((place, frame * (4 * closer_um))))
    pairs = tree.query_pairs(closer_um, output_type="ndarray")
    worth = table.table["probability"].to_numpy(np.float64)
    worth = np.where(np.isfinite(worth), worth, 0.0)
    photons = table.table["photons"].to_numpy(np.float64)
    rank = np.lexsort((np.nan_to_num(photons), worth)).argsort()
    kept = np.ones(len(place), bool)
    # The surest first, so that a row dropped by it drops no other.
    order = np.argsort(-np.maximum(rank[pairs[:, 0]], rank[pairs[:, 1]]))
    for one, other in pairs[order]:
        if kept[one] and kept[other]:
            kept[other if rank[one] > rank[other] else one] = False
    return Localizations(table.table[kept].reset_index(drop=True), table.origin)


def local_density(table: Localizations, radius_um: float) -> np.ndarray:
    """(N,) localizations per um^3 within a radius of each, itself not counted."""
    if not radius_um > 0:
        raise SettingsError(f"A radius of {radius_um:g} um is not above 0.")
    place = table.positions_um()
    tree = KDTree(place)
    near = tree.query_ball_point(place, radius_um, return_length=True) - 1
    return np.asarray(near / (4 / 3 * np.pi * radius_um**3))
