"""How a movie's localizations are linked, above all those of a recording of dsacq."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dsacq.analysis.link import LinkSettings
    from dsacq.files.movies import Movie
    from dsacq.files.recording import Facts


def recorded_linking(movie: "Movie", facts: "Facts | None") -> "LinkSettings":
    """As it was linked live, or the defaults; with the time between the movie's frames."""
    from dsacq.analysis.link import LinkSettings
    from dsacq.config import validated

    rig = facts.about.get("rig") if facts is not None else None
    use = rig.get("use", {}) if isinstance(rig, dict) else {}
    values = dict(use.get("link", {}))
    metadata = movie.metadata
    if interval_s := metadata.get("interval_s") or metadata.get("exposure_s"):
        values["frame_interval_s"] = interval_s
    return validated(LinkSettings, values, str(movie.path))
