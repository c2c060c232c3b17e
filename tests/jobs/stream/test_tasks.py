"""Batches and tasks follow from the number of tasks that there may be: no core waits."""

import pytest

from jobs.stream.settings import HANDED_ON, RECORDS_OF_A_TASK, StreamSettings


@pytest.mark.parametrize("partitions", [2, 3, 4, 8, 16, 64])
def test_a_full_micro_batch_is_work_for_every_task(partitions: int) -> None:
    settings = StreamSettings(partitions=partitions)
    assert settings.tasks_for(settings.most_records) == partitions
    assert settings.tasks_for(settings.most_records // 2 + 1) == partitions
    assert settings.most_records >= min(RECORDS_OF_A_TASK * partitions, 60_000)


@pytest.mark.parametrize("partitions", [2, 3, 4, 8, 16, 64])
def test_one_task_alone_is_chosen_where_it_is_not_slower(partitions: int) -> None:
    settings = StreamSettings(partitions=partitions)
    for records in range(0, settings.most_records, 100):
        alone, together = records, HANDED_ON + records / partitions
        chosen = alone if settings.tasks_for(records) == 1 else together
        assert chosen <= min(alone, together) + 1.0


def test_two_tasks_are_as_they_were_measured() -> None:
    settings = StreamSettings(partitions=2)
    assert settings.most_records == 20_000
    assert (settings.tasks_for(10_000), settings.tasks_for(10_001)) == (1, 2)


def test_given_values_hold() -> None:
    settings = StreamSettings(partitions=4, max_records_per_batch=500, one_task_records=0)
    assert settings.most_records == 500
    assert (settings.tasks_for(1), settings.tasks_for(None)) == (4, 4)
    assert StreamSettings(partitions=1).tasks_for(60_000) == 1
