"""What a movie tells of the microscope that took it; above all one that dsacq recorded."""

from typing import TYPE_CHECKING, Any, get_args

from dsacq.errors import SettingsError

if TYPE_CHECKING:
    from dsacq.analysis.link import LinkSettings
    from dsacq.files.movies import Movie
    from dsacq.files.recording import Facts
    from dsacq.networks.model_file import ModelCard
    from dsacq.physics.camera import Camera
    from dsacq.physics.optics import Optics
    from dsacq.physics.pupil import PsfModel

_PIXEL_TOLERANCE = 0.02


def recorded_optics(
    movie: "Movie", facts: "Facts | None", card: "ModelCard"
) -> "tuple[Optics, PsfModel]":
    """Of the movie, as far as it tells; else the model's. Refuses a model for other optics."""
    from dsacq.config import validated
    from dsacq.physics.optics import Optics, differing_fields
    from dsacq.physics.pupil import PsfModel

    name, rig = str(movie.path), _rig(facts)
    told = rig.get("optics") or movie.metadata.get("optics")
    optics = validated(Optics, told, name) if isinstance(told, dict) else card.optics
    different = differing_fields(optics, card.optics)
    stated = movie.metadata.get("pixel_um")
    wanted = card.optics.pixel_um
    if not different and isinstance(stated, float) and abs(stated / wanted - 1) > _PIXEL_TOLERANCE:
        different = [f"pixel_um {stated:.4g} (model {wanted:.4g})"]
    if different:
        raise SettingsError(
            f"The model {card.name} was made for other optics than {movie.path.name}: "
            f"{'; '.join(different)}. Choose a model made for these."
        )
    return optics, validated(PsfModel, rig["psf"], name) if rig.get("psf") else card.psf


def recorded_camera(
    movie: "Movie", facts: "Facts | None", card: "ModelCard"
) -> "tuple[Camera | None, str]":
    """Of the recording, else the model's; and a remark where the recording's cannot be had."""
    from dsacq.config import validated
    from dsacq.physics.camera import Camera

    rig = _rig(facts)
    noise = rig.get("noise")
    if noise is None and rig.get("camera", {}).get("kind") == "simulated":
        noise = rig.get("bench", {}).get("noise")
    if noise is None:
        return card.camera, ""
    if any(isinstance(value, str) for key, value in noise.items() if key != "kind"):
        return card.camera, (
            "recording.json does not hold the camera's maps, so the camera of the model was taken."
        )
    kinds = {kind.kind: kind for kind in get_args(Camera)}
    return validated(kinds[noise["kind"]], noise, str(movie.path)), ""


def recorded_linking(movie: "Movie", facts: "Facts | None") -> "LinkSettings":
    """As it was linked live, or the defaults; with the time between the movie's frames."""
    from dsacq.analysis.link import LinkSettings
    from dsacq.config import validated

    values = dict(_rig(facts).get("use", {}).get("link", {}))
    metadata = movie.metadata
    if interval_s := metadata.get("interval_s") or metadata.get("exposure_s"):
        values["frame_interval_s"] = interval_s
    return validated(LinkSettings, values, str(movie.path))


def _rig(facts: "Facts | None") -> dict[str, Any]:
    """The rig file that recording.json carries, or nothing."""
    rig = facts.about.get("rig") if facts is not None else None
    return rig if isinstance(rig, dict) else {}
