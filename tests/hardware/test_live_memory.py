"""What a simulated camera keeps while frames are only looked at."""

from live_samples import LiveBench, wait_for


def test_while_looking_only_the_truth_of_the_newest_frame_is_kept() -> None:
    bench = LiveBench()
    bench.laser.on()
    bench.camera.start(newest_only=True)
    for _ in range(20):
        frame = bench.camera.next_frame(30.0)
        assert frame is not None
    bench.camera.stop()
    truth = bench.camera.take_truth().table
    assert truth["frame"].nunique() == 1
    assert truth["frame"].max() >= frame.index


def test_frames_that_nobody_takes_leave_no_truth() -> None:
    bench = LiveBench()
    bench.laser.on()
    bench.camera.start(newest_only=True)
    wait_for(lambda: bench.camera._buffer._truth_rows > 0)
    first = bench.camera._buffer._truth[0]["frame"][0]
    wait_for(lambda: bench.camera._buffer._truth[0]["frame"][0] > first + 20)
    bench.camera.stop()
    assert len(bench.camera.take_truth().table["frame"].unique()) == 1
