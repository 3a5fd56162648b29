"""Linked tracks are the true ones, as far as frames can tell."""

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from pydantic import ValidationError

from dsacq.analysis.link import Linker, LinkSettings, link
from dsacq.data import Localizations

# The benchmark: free diffusion, a few emitters missed, a few false.
SIGMA_UM = (0.02, 0.02, 0.05)
VOLUME_UM = (20.0, 20.0, 4.0)
DIFFUSION_UM2_PER_S, INTERVAL_S, MEMORY = 0.01, 0.03, 2
SETTINGS = LinkSettings(
    diffusion_um2_per_s=DIFFUSION_UM2_PER_S,
    frame_interval_s=INTERVAL_S,
    largest_step_um=0.25,
    memory_frames=MEMORY,
)


def brownian(particles: int, frames: int, volume_um: ArrayLike = VOLUME_UM) -> list[Localizations]:
    """A table per frame, rows shuffled; `true` is the particle, or -1 for what is none."""
    draw = np.random.default_rng(0)
    size = np.asarray(volume_um)
    place = draw.uniform(0, size, (particles, 3))
    step_um = (2 * DIFFUSION_UM2_PER_S * INTERVAL_S) ** 0.5
    tables = []
    for frame in range(frames):
        if frame:
            place = place + draw.normal(0, step_um, place.shape)
            place = size - np.abs(size - np.abs(place))  # reflected at the walls
        seen = np.flatnonzero(draw.random(particles) < 0.95)
        false = draw.uniform(0, size, (draw.poisson(0.02 * particles), 3))
        xyz = np.concatenate([place[seen] + draw.normal(0, SIGMA_UM, (len(seen), 3)), false])
        true = np.concatenate([seen, np.full(len(false), -1)])
        order = draw.permutation(len(xyz))
        tables.append(table(frame, xyz[order], SIGMA_UM, true=true[order]))
    return tables


def table(
    frame: int,
    xyz_um: ArrayLike,
    sigma_um: ArrayLike = (np.nan, np.nan, np.nan),
    **others: ArrayLike,
) -> Localizations:
    places = np.asarray(xyz_um, float).reshape(-1, 3)
    sigmas = np.broadcast_to(np.asarray(sigma_um, float), places.shape)
    names = ("x_um", "y_um", "z_um", "sigma_x_um", "sigma_y_um", "sigma_z_um")
    columns = dict(zip(names, np.concatenate([places, sigmas], 1).T, strict=True))
    return Localizations.from_columns(frame=np.full(len(places), frame), **columns, **others)


def links(of: pd.DataFrame, column: str) -> set[tuple[int, int]]:
    """Pairs of rows that follow each other in a track, over the frames that memory spans."""
    ordered = of[of[column] >= 0].sort_values([column, "frame"], kind="stable")
    track, frame = ordered[column].to_numpy(), ordered["frame"].to_numpy()
    joined = (np.diff(track) == 0) & (np.diff(frame) <= MEMORY + 1)
    rows = ordered.index.to_numpy()
    return set(zip(rows[:-1][joined].tolist(), rows[1:][joined].tolist(), strict=True))


def scores(linked: pd.DataFrame) -> tuple[float, float]:
    """Recall and precision of links."""
    true, found = links(linked, "true"), links(linked, "track")
    return len(true & found) / len(true), len(true & found) / len(found)


def linked(tables: list[Localizations], settings: LinkSettings = SETTINGS) -> pd.DataFrame:
    return Localizations.joined(link(tables, settings)).table


def by_trackpy(of: list[Localizations], radius_um: float) -> pd.DataFrame:
    trackpy = pytest.importorskip("trackpy")
    trackpy.quiet()
    names = ["x_um", "y_um", "z_um"]
    movie = Localizations.joined(of).table.astype(dict.fromkeys(names, float))
    done: pd.DataFrame = trackpy.link(movie, radius_um, pos_columns=names, memory=MEMORY)
    done = done.rename(columns={"particle": "track"})
    return done.sort_index()


@pytest.mark.parametrize(
    ("particles", "frames", "volume_um", "recall", "precision"),
    [
        (50, 100, VOLUME_UM, 0.997, 0.998),
        (300, 40, VOLUME_UM, 0.997, 0.998),
        (600, 30, (10, 10, 3), 0.985, 0.985),
    ],
)
def test_true_links_are_found(
    particles: int, frames: int, volume_um: ArrayLike, recall: float, precision: float
) -> None:
    found = scores(linked(brownian(particles, frames, volume_um)))
    assert found[0] > recall
    assert found[1] > precision


@pytest.mark.filterwarnings("default")  # the library's own
@pytest.mark.parametrize(("particles", "volume_um"), [(300, VOLUME_UM), (600, (10, 10, 3))])
def test_as_good_as_trackpy(particles: int, volume_um: ArrayLike) -> None:
    movie = brownian(particles, 30, volume_um)
    ours, theirs = scores(linked(movie)), scores(by_trackpy(movie, 0.25))
    assert ours[0] >= theirs[0] - 2e-4
    assert ours[1] >= theirs[1] - 2e-4


def test_the_default_step_bridges_gaps_better() -> None:
    movie = brownian(300, 40)
    settings = LinkSettings(diffusion_um2_per_s=DIFFUSION_UM2_PER_S, frame_interval_s=INTERVAL_S)
    assert min(scores(linked(movie, settings))) > 0.999


def tracks(tables: list[Localizations], settings: LinkSettings) -> list[list[int]]:
    linker = Linker(settings)
    return [linker.add(one).table["track"].tolist() for one in tables]


SLOW = LinkSettings(diffusion_um2_per_s=0.001, frame_interval_s=0.1, memory_frames=2)


def test_tracks_are_numbered_in_order_of_birth() -> None:
    frames = [table(0, [[1, 1, 1], [3, 3, 1]]), table(1, [[9, 9, 1], [3, 3, 1], [1, 1, 1]])]
    assert tracks(frames, SLOW) == [[0, 1], [2, 1, 0]]


def test_particles_that_cross_in_depth_stay_apart() -> None:
    """They pass above each other, nearer in x and y than they move from frame to frame."""
    frames = [
        table(k, [[0.05 * k, 0, 1.0], [0.5 - 0.05 * k, 0, 1.4]], (0.02, 0.02, 0.04))
        for k in range(11)
    ]
    assert tracks(frames, SLOW) == [[0, 1]] * 11


def test_all_are_decided_together() -> None:
    """The nearest partner of the first is that of the second."""
    frames = [table(0, [[0, 0, 0], [0.1, 0, 0]]), table(1, [[0.06, 0, 0], [0.17, 0, 0]])]
    assert tracks(frames, SLOW) == [[0, 1], [0, 1]]


def test_an_error_along_the_axis_counts_by_its_size() -> None:
    """Off by 80 nm in z is nothing, off by 60 nm in x is much."""
    sigma = (0.01, 0.01, 0.05)
    settings = LinkSettings(diffusion_um2_per_s=0.0)
    frames = [table(0, [[0, 0, 0]], sigma), table(1, [[0.06, 0, 0], [0, 0, 0.08]], sigma)]
    assert tracks(frames, settings) == [[0], [1, 0]]


def test_a_gap_is_bridged_up_to_the_memory() -> None:
    here = [[1.0, 1.0, 1.0]]
    assert tracks([table(0, here), table(3, here), table(7, here)], SLOW) == [[0], [0], [1]]
    missed = [table(0, here), Localizations.empty(), table(2, [[5, 5, 1]]), table(3, here)]
    assert tracks(missed, SLOW) == [[0], [], [1], [0]]
    forgetful = LinkSettings(memory_frames=0)
    assert tracks([table(0, here), table(1, here), table(3, here)], forgetful) == [[0], [0], [1]]


def test_a_longer_gap_allows_a_longer_step() -> None:
    settings = LinkSettings(diffusion_um2_per_s=0.003, memory_frames=5)
    start, end = table(0, [[0, 0, 0]], SIGMA_UM), [[0.3, 0, 0]]
    assert tracks([start, table(1, end, SIGMA_UM)], settings) == [[0], [1]]
    assert tracks([start, table(6, end, SIGMA_UM)], settings) == [[0], [0]]


def test_a_recent_track_goes_before_one_lost_for_long() -> None:
    lost, followed = [0.0, 0, 0], [0.24, 0, 0]
    frames = [
        table(0, [lost, followed], SIGMA_UM),
        table(1, [followed], SIGMA_UM),
        table(2, [followed], SIGMA_UM),
        table(3, [[0.14, 0, 0]], SIGMA_UM),  # fewer sigma from the lost one, whose are wider
    ]
    assert tracks(frames, LinkSettings(diffusion_um2_per_s=0.005))[3] == [1]


def test_no_step_is_longer_than_allowed() -> None:
    settings = LinkSettings(diffusion_um2_per_s=10.0, largest_step_um=0.2)
    start = table(0, [[0, 0, 0]])
    assert tracks([start, table(1, [[0.199, 0, 0]])], settings) == [[0], [0]]
    assert tracks([start, table(1, [[0.201, 0, 0]])], settings) == [[0], [1]]


@pytest.mark.parametrize("unknown", [np.nan, np.inf, 0.0, -1.0])
def test_an_unknown_error_is_that_of_the_settings(unknown: float) -> None:
    settings = LinkSettings(diffusion_um2_per_s=0.0, unknown_sigma_um=(0.01, 0.01, 0.05))
    moved = [[0.0, 0, 0.3]]
    for sigma in ((unknown, unknown, unknown), (0.01, 0.01, unknown), (0.01, 0.01, 0.05)):
        frames = [table(0, [[0, 0, 0]], sigma), table(1, moved, sigma)]
        assert tracks(frames, settings) == [[0], [0]]
    sharp = (0.01, unknown, 0.02)
    assert tracks([table(0, [[0, 0, 0]], sharp), table(1, moved, sharp)], settings) == [[0], [1]]


def test_no_localizations() -> None:
    linker = Linker(SLOW)
    nothing = linker.add(Localizations.empty())
    assert len(nothing) == 0
    assert nothing.table["track"].dtype == np.int64
    assert list(link([], SLOW)) == []
    assert [len(part) for part in link([Localizations.empty()], SLOW)] == [0]


def test_frames_come_in_their_order() -> None:
    linker = Linker(SLOW)
    linker.add(table(4, [[1, 1, 1]]))
    for number in (3, 4):
        with pytest.raises(ValueError, match=rf"frame=\[{number}\].*after frame 4"):
            linker.add(table(number, [[1, 1, 1]]))
    two = Localizations.joined([table(5, [[1, 1, 1]]), table(6, [[1, 1, 1]])])
    with pytest.raises(ValueError, match=r"frame=\[5, 6\]"):
        linker.add(two)
    with pytest.raises(ValueError, match="finite"):
        linker.add(table(7, [[1, np.nan, 1]]))
    assert linker.add(table(5, [[1, 1, 1]])).table["track"].tolist() == [0]  # nothing was harmed


def test_everything_else_stays() -> None:
    before = table(0, [[1, 1, 1], [3, 3, 1]], photons=[10, 20], nucleus=[1, 2])
    before = Localizations(before.table.set_axis([7, 3]), {"model": "m"})
    after = Linker(SLOW).add(before)
    pd.testing.assert_frame_equal(after.table.drop(columns="track"), before.table)
    assert "track" not in before.table
    assert after.origin["model"] == "m"
    assert after.origin["link"]["memory_frames"] == 2
    again = Linker(SLOW).add(Localizations(after.table.assign(track=[5, 5])))
    assert again.table["track"].tolist() == [0, 1]


def test_a_whole_table_is_split_by_frames() -> None:
    parts = brownian(20, 12)
    whole = Localizations.joined(parts).table
    one_by_one = linked(parts)
    assert linked([Localizations(whole)])["track"].tolist() == one_by_one["track"].tolist()
    shuffled = list(link([Localizations(whole.sample(frac=1, random_state=0))], SETTINGS))
    assert [len(part) for part in shuffled] == [len(part) for part in parts]
    together = pd.concat([part.table for part in shuffled])
    assert links(together, "track") == links(one_by_one, "track")


def test_only_live_tracks_are_kept() -> None:
    """Emitters that each shine once: their tracks are forgotten."""
    draw = np.random.default_rng(0)
    linker = Linker(LinkSettings(memory_frames=2))
    sizes = []
    for frame in range(60):
        linker.add(table(frame, draw.uniform(0, 1000, (20, 3))))
        sizes.append(len(pickle.dumps(linker)))
    assert sizes[-1] < sizes[5] + 100


@pytest.mark.parametrize(
    "wrong",
    [
        {"diffusion_um2_per_s": -1},
        {"frame_interval_s": 0},
        {"largest_step_um": float("nan")},
        {"memory_frames": -1},
        {"unknown_sigma_um": (0, 1, 1)},
        {"memory": 2},
    ],
)
def test_impossible_settings(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        LinkSettings(**wrong)  # type: ignore[arg-type]


places = st.lists(st.tuples(*[st.sampled_from([0.0, 0.03, 0.1, 0.4, 1.0])] * 3), max_size=12)


@given(st.lists(st.tuples(st.integers(1, 4), places), max_size=6), st.sampled_from([0.0, 0.01, 1]))
def test_each_has_one_track_and_no_track_is_twice_in_a_frame(
    frames: list[tuple[int, list[tuple[float, ...]]]], diffusion: float
) -> None:
    numbers = np.cumsum([step for step, _ in frames])
    tables = [table(int(k), xyz) for k, (_, xyz) in zip(numbers, frames, strict=True)]
    settings = LinkSettings(diffusion_um2_per_s=diffusion, memory_frames=1)
    done = tracks(tables, settings)
    assert done == tracks(tables, settings)
    last: dict[int, int] = {}
    for number, one, rows in zip(numbers, tables, done, strict=True):
        assert len(rows) == len(one)
        assert len(set(rows)) == len(rows)
        for track in rows:
            assert number - last.get(track, number) <= 2
        born = [track for track in rows if track not in last]
        assert born == list(range(len(last), len(last) + len(born)))
        last |= dict.fromkeys(rows, int(number))
