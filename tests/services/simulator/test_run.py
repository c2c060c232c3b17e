"""The container: settings from the environment, metrics of what was sent, an orderly end."""

import threading

import pytest
from prometheus_client import REGISTRY

from fraud.contracts import LABELS, TRANSACTIONS
from fraud.errors import BadConfig
from fraud.synthetic.files import write
from fraud.synthetic.settings import GeneratorSettings
from services.simulator.run import run
from services.simulator.settings import SimulatorSettings

SMALL = {"transactions": 400, "users": 50, "merchants": 40, "days": 30, "at_end": "exit"}


def sent(topic: str) -> float:
    return REGISTRY.get_sample_value("fraud_simulator_sent_total", {"topic": topic}) or 0.0


def test_settings_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("FRAUD_SIMULATOR_RATE_PER_S", "25")
    monkeypatch.setenv("FRAUD_SIMULATOR_KAFKA_OPTIONS", '{"security.protocol": "SSL"}')
    settings = SimulatorSettings()
    assert settings.rate_per_s == 25.0
    assert settings.kafka_options == {"security.protocol": "SSL"}


def test_a_wrong_setting_is_named(monkeypatch):
    monkeypatch.setenv("FRAUD_SIMULATOR_METRICS_PORT", "none")
    with pytest.raises(BadConfig, match="metrics_port"):
        SimulatorSettings()


def test_a_generated_data_set_is_played_and_counted(broker):
    before = sent(TRANSACTIONS), sent(LABELS)
    counts = run(SimulatorSettings(kafka_bootstrap=broker.address, **SMALL), threading.Event())
    assert (counts.transactions, counts.labels) == (400, 400)
    assert (sent(TRANSACTIONS) - before[0], sent(LABELS) - before[1]) == (400, 400)


def test_a_data_set_on_disk_is_played_from_where_it_was_told(broker, data_set, tmp_path):
    write(data_set, tmp_path)
    times = data_set.transactions["event_time"].to_pylist()
    settings = SimulatorSettings(
        kafka_bootstrap=broker.address,
        data=tmp_path,
        labels=False,
        play_from=times[100],
        play_until=times[350],
        at_end="exit",
    )
    counts = run(settings, threading.Event())
    assert (counts.transactions, counts.labels) == (250, 0)


class WatchedEvent(threading.Event):
    """Tells when someone begins to wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.is_awaited = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.is_awaited.set()
        return super().wait(timeout)


def test_it_stays_with_everything_sent_until_it_is_stopped(broker):
    stopped = WatchedEvent()
    stay = SimulatorSettings(kafka_bootstrap=broker.address, **(SMALL | {"at_end": "stay"}))
    before = sent(LABELS)
    thread = threading.Thread(target=run, args=(stay, stopped))
    thread.start()
    assert stopped.is_awaited.wait(timeout=30)
    assert sent(LABELS) - before == 400
    assert thread.is_alive()
    stopped.set()
    thread.join(timeout=10)
    assert not thread.is_alive()


def test_a_stop_before_the_first_record_sends_nothing(broker):
    stopped = threading.Event()
    stopped.set()
    counts = run(SimulatorSettings(kafka_bootstrap=broker.address, **SMALL), stopped)
    assert (counts.transactions, counts.labels) == (0, 0)


def test_whatever_can_be_generated_can_be_set() -> None:
    assert set(GeneratorSettings.model_fields) <= set(SimulatorSettings.model_fields)
