"""One disturbed stream, played once, for whoever reads its log."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.stream.settings import StreamSettings
from tests.load.parity import Played, play

TRANSACTIONS = int(os.environ.get("FRAUD_TEST_TRANSACTIONS", "4000"))


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """5% out of order, 2% twice, 1% a day late, late labels, micro-batches that run twice."""
    return play(tmp_path_factory.mktemp("played") / "stream", TRANSACTIONS, batch=TRANSACTIONS // 15)


@pytest.fixture
def log_copy(played: Played, tmp_path: Path) -> Iterator[StreamSettings]:
    """A home of one's own, with the same log, checkpoint and store."""
    home = tmp_path / "a home"
    shutil.copytree(played.settings.home, home)
    yield StreamSettings(home=home)
    shutil.rmtree(home)
