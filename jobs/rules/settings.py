"""Settings of publishing rules (``FRAUD_RULES_*``): which file, and who acts."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from fraud.errors import BadConfig
from fraud.http.access import Client, Keys, KeyScope
from fraud.http.problems import Problem
from fraud.rules.audit_copies import Copy
from fraud.rules.audit_table import TableCopy
from fraud.rules.audit_topic import TopicCopy
from fraud.rules.publishing import Publishing
from fraud.settings.access import JudgedTables
from fraud.settings.base import Settings
from fraud.settings.stream import KafkaSettings, LakeSettings


class PublishSettings(Settings):
    """Environment variables ``FRAUD_RULES_...``."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_RULES_", frozen=True, extra="forbid")

    file: Path
    """Rules file of the stream and the scoring service; an approval writes it."""
    audit: Path | None = None
    """Who published what; default: ``<file>.audit.jsonl``."""
    keys_file: Path
    """People's API keys, as of the scoring service; the scope ``rules`` lets propose and approve."""
    key: SecretStr = Field(min_length=1)
    """API key of the person who runs the command."""
    copies: bool = False
    """Whether every record of the audit goes to the topic and the Delta table ``audit`` too, which
    FRAUD_STREAM_KAFKA_BOOTSTRAP and FRAUD_STREAM_DELTA name."""

    def open(self) -> Publishing:
        """Let the person act.

        Raises
        ------
        BadConfig
            When the key is not in the keys file, or lacks the scope.
        """
        copies = copies_of_audit() if self.copies else ()
        return Publishing(self.file, _client(self).name, self.audit, copies=copies, tell=print)


def copies_of_audit() -> tuple[Copy, Copy]:
    """Name the copies of the audit by FRAUD_STREAM_*."""
    kafka, lake = KafkaSettings(), LakeSettings()
    return (
        TopicCopy(kafka.kafka_bootstrap, kafka.kafka_options),
        TableCopy(lake.delta_path, lake.delta_options),
    )


def _client(settings: PublishSettings) -> Client:
    keys = Keys(settings.keys_file, "127.0.0.1", "FRAUD_RULES")
    client = keys.find(settings.key.get_secret_value().encode())
    if client is None:
        raise BadConfig(
            f"FRAUD_RULES_KEY: no person in {settings.keys_file} has this key; "
            "give your own key, not its hash"
        )
    try:
        client.need(KeyScope.RULES)
    except Problem as problem:
        raise BadConfig(f"FRAUD_RULES_KEY: {problem.detail}") from problem
    return client


class RuleGuardSettings(JudgedTables):
    """Environment variables ``FRAUD_GUARD_...``: what is watched, and whether rules go into shadow."""

    model_config = SettingsConfigDict(env_prefix="FRAUD_GUARD_", frozen=True, extra="forbid")

    file: Path | None = None
    """Rules file of the stream and the scoring service; None: the rules that the stream used last."""
    audit: Path | None = None
    """Who published what; default: ``<file>.audit.jsonl``."""
    days: int = Field(default=35, ge=9)
    """How many of the newest days are examined."""
    maturity_days: float = Field(default=14.0, ge=0.0)
    """Age from which a transaction without a label counts as honest, days."""
    copies: bool = False
    """Whether each record of the audit also goes to the topic and the table ``audit``."""
    returns_to_shadow: bool = False
    """Whether a rule that breaks its guard is put into shadow; needs ``file``. Else it is only reported."""
    publishes: bool = True
    """Whether the figures go to the Delta table ``figures``, which the stream exports to Prometheus."""
    is_strict: bool = False
    """Whether a finding ends the command with exit code 3; else 0, whatever was found."""
