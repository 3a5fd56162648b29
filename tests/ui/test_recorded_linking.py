"""How a movie is linked, by what the movie and its recording tell."""

from dataclasses import replace
from pathlib import Path

from recording_samples import facts, record

from dsacq.files.movies import open_movie
from ui.recorded_linking import recorded_linking


def test_linking_is_as_live_with_the_movie_s_interval(tmp_path: Path) -> None:
    record(tmp_path, 1)
    link = {"diffusion_um2_per_s": 0.5, "frame_interval_s": 9.0}
    told = replace(facts(), about={"rig": {"use": {"link": link}}})
    with open_movie(tmp_path) as movie:
        settings = recorded_linking(movie, told)
        assert (settings.diffusion_um2_per_s, settings.frame_interval_s) == (0.5, 0.02)
        assert recorded_linking(movie, None).diffusion_um2_per_s == 0.01
