"""The commands ``fraud rates``, over a broker whose address is an option."""

import os
import subprocess
import sys
from pathlib import Path

from tests.fraud.kafka.broker import Broker

PAYMENTS = Path(__file__).parents[2] / "fraud" / "money" / "payments.yaml"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "FRAUD_SCHEMA_FILE": str(PAYMENTS), "COLUMNS": "200"}
    command = [sys.executable, "-m", "fraud", "rates", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_rates_are_sent_to_the_brokers_that_are_named_and_shown_from_there(tmp_path: Path) -> None:
    file = tmp_path / "rates.csv"
    file.write_text("currency,base,rate,since\nCHF,USD,1.0625,2026-01-01T00:00:00Z\n")
    broker = Broker()
    try:
        sent = run("publish", str(file), "--bootstrap", broker.address)
        assert (sent.returncode, sent.stderr) == (0, "")
        assert broker.address in sent.stdout
        shown = run("show", "--bootstrap", broker.address)
    finally:
        broker.stop()
    assert "1.0625" in shown.stdout
