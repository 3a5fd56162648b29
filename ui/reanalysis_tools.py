"""What can be done with the localizations of a run, as the window does it: another run."""

from collections.abc import Generator
from dataclasses import asdict, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from ui.reanalysis import Opened, Progress, Run

if TYPE_CHECKING:
    from dsacq.data import Localizations


class Tool(StrEnum):
    """Kinds of treatment."""

    link = "link"
    merge = "merge"
    drift = "drift"
    still = "still"


def treated(opened: Opened, run: Run, tool: Tool) -> Generator[Progress | Run]:
    """Progress, and last the run that comes out. Raises SettingsError where it cannot be done."""
    from ui.recorded_linking import recorded_linking

    remark = ""
    yield Progress(0, 100, 0.0)
    match tool:
        case Tool.link:
            from dsacq.analysis.link import link
            from dsacq.data import Localizations

            settings = recorded_linking(opened.movie, opened.facts)
            origin = run.found.origin | {"link": asdict(settings)}
            found = Localizations.joined(link([run.found], settings), origin)
            remark = f"{found.table['track'].nunique() if len(found) else 0} tracks."
        case Tool.merge:
            from dsacq.analysis.merging import merged

            found = merged(run.found)
            remark = f"{len(run.found)} localizations became {len(found)}."
        case Tool.drift:
            found, remark = yield from _without_drift(run)
        case Tool.still:
            import numpy as np

            from dsacq.analysis.rigid_motion import rigid_motion

            motion, found = rigid_motion(run.found)
            turned = np.degrees(np.nanmax(motion.angle_rad))
            remark = f"All together turned by up to {turned:.1f} degrees."
    rows = found.table.sort_values("frame", kind="stable", ignore_index=True)
    found = replace(found, table=rows)
    # Scores hold for the positions that the movie shows.
    yield replace(run, name=f"{run.name}, {tool.value}", found=found, scores=None, remark=remark)


def _without_drift(run: Run) -> "Generator[Progress, None, tuple[Localizations, str]]":
    import numpy as np

    from dsacq.analysis.drift import corrected, estimate_drift

    work = estimate_drift(run.found)
    while True:
        try:
            yield Progress(next(work), 100, 0.0)
        except StopIteration as end:
            drift = end.value
            break
    span = 1e3 * np.ptp(drift.drift_um, axis=0)
    return corrected(run.found, drift), (
        f"The sample drifted over x {span[0]:.0f}, y {span[1]:.0f}, z {span[2]:.0f} nm."
    )
