"""The start judges a store that is not what the checkpoint left; a real job catches up and continues."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fraud.errors import BadState
from fraud.log.rebuild import rebuild
from fraud.store import Epoch, Watermark, open_store
from jobs.stream.recovery import make_whole, remember
from jobs.stream.settings import StreamSettings
from tests.deployed import ENTITIES
from tests.flow.conftest import Job, wait_until
from tests.jobs.stream.test_live_disk import metric
from tests.jobs.stream.test_live_input import decided, good, send
from tests.jobs.stream.test_progress import set_watermark

States = dict[str, dict[float, bytes]]


def nothing(*_given: object) -> list[bytes]:
    """The topic ``scored`` without a scoring service."""
    return []


def states_of(settings: StreamSettings) -> States:
    with open_store(settings.store) as store:
        return {kind: dict(store.scan(kind)) for kind in ENTITIES}


def folder_of(settings: StreamSettings) -> Path:
    return Path(settings.store.removeprefix("lmdb://"))


def test_a_store_that_was_deleted_is_filled_from_the_log(log_copy: StreamSettings) -> None:
    before = states_of(log_copy)
    remember(log_copy)
    shutil.rmtree(folder_of(log_copy))
    make_whole(log_copy, read=nothing)
    assert states_of(log_copy) == before
    make_whole(log_copy, read=nothing)


def test_an_empty_store_at_another_place_is_refused(log_copy: StreamSettings, tmp_path: Path) -> None:
    """It may be a wrong address: the right store may still be there, and the scoring service counts in it."""
    remember(log_copy)
    other = log_copy.model_copy(update={"store_url": f"lmdb://{tmp_path / 'typo'}"})
    with pytest.raises(BadState, match="never seen this checkpoint"):
        make_whole(other, read=nothing)
    assert states_of(other) == {kind: {} for kind in ENTITIES}


def test_an_older_copy_is_folded_forward_by_default_and_refused_where_that_is_off(
    log_copy: StreamSettings,
) -> None:
    before = states_of(log_copy)
    query = (log_copy.checkpoint_path / "query-id").read_text()
    newest = max(int(file.name) for file in (log_copy.checkpoint_path / "commits").iterdir())
    with open_store(log_copy.store) as store:
        set_watermark(store, Watermark(query, Epoch(1, newest - 4)))
    with pytest.raises(BadState, match="older than the checkpoint"):
        make_whole(log_copy.model_copy(update={"catch_up": False}), read=nothing)
    with open_store(log_copy.store) as store:
        assert not store.identity(), "nobody counts in it meanwhile"
    make_whole(log_copy, read=nothing)
    assert states_of(log_copy) == before
    with open_store(log_copy.store) as store:
        mark = store.watermark()
        assert mark is not None
        assert mark.epoch.batch == newest
        assert store.identity()


def test_the_store_of_another_deployment_is_refused_and_not_changed(
    log_copy: StreamSettings, tmp_path: Path
) -> None:
    with open_store(f"lmdb://{tmp_path / 'other'}") as store:
        mark = Watermark("another", Epoch(store.generation_of("another"), 99))
        set_watermark(store, mark)
        name = store.identity()
    other = log_copy.model_copy(update={"store_url": f"lmdb://{tmp_path / 'other'}"})
    remember(other)
    with pytest.raises(BadState, match="another deployment"):
        make_whole(other, read=nothing)
    with open_store(other.store) as store:
        assert (store.watermark(), store.identity()) == (mark, name)


@pytest.mark.flow
def test_a_job_whose_store_is_deleted_or_set_back_goes_on_by_itself(
    kafka: str, make_job: Callable[..., Job], tmp_path: Path
) -> None:
    """Deleted under the running job, then set back while it is stopped: each transaction is decided once."""
    job = make_job()
    job.start()
    send(kafka, [good(number) for number in range(1, 40)])
    wait_until(lambda: len(decided(job)) == 39, job.check)
    began = time.monotonic()
    shutil.rmtree(folder_of(job.settings))
    send(kafka, [good(number) for number in range(40, 80)])
    wait_until(lambda: len(decided(job)) == 79 and job.is_ready(), job.check)
    print(f"deleted: pause {time.monotonic() - began:.1f} s")  # noqa: T201
    assert metric(job, "fraud_stream_catch_ups_total") == 1
    job.stop()
    shutil.copytree(folder_of(job.settings), tmp_path / "older")
    job.start()
    send(kafka, [good(number) for number in range(80, 120)])
    wait_until(lambda: len(decided(job)) == 119, job.check)
    job.kill()
    shutil.rmtree(folder_of(job.settings))
    shutil.copytree(tmp_path / "older", folder_of(job.settings))
    job.start()
    send(kafka, [good(number) for number in range(120, 160)])
    wait_until(lambda: len(decided(job)) == 159, job.check)
    assert metric(job, "fraud_stream_catch_ups_total") == 1
    job.stop()
    rebuild(job.settings, f"lmdb://{tmp_path / 'whole'}")
    assert states_of(job.settings) == states_of(
        job.settings.model_copy(update={"store_url": f"lmdb://{tmp_path / 'whole'}"})
    )
