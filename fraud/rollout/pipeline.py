"""The rollout of one version: canary, stage by stage, then champion, then back if it does not hold.

Reads and writes the registry's aliases and tags; the model servers, and through them the stream and the
scoring service, follow without a restart.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from fraud.errors import FraudError, Unavailable
from fraud.model.aliases import CANARY, CHAMPION, GATE, GATE_REASONS
from fraud.model.canary import PERCENT, UNTIL
from fraud.model.registry import ModelVersions, open_registry
from fraud.rollout.measure import Judgement, Scraped, ServedSums, judge, read
from fraud.rollout.places import Place
from fraud.rollout.settings import RolloutSettings
from fraud.rollout.watch import await_version
from fraud.runtime.waiting import retry, wait_until

Tell = Callable[[str], None]
EXIT: Final = {"promoted": 0, "rolled back": 1, "refused": 3}
"""Exit code of a program that has rolled out, by the outcome's word."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a rollout ended."""

    version: str
    word: Literal["promoted", "refused", "rolled back"]
    why: str
    champion: str | None
    """The champion now."""


def roll_out(
    version: str, settings: RolloutSettings, place: Place, tell: Tell = lambda _: None, *, force: str = ""
) -> Outcome:
    """Roll a version out, or take it back.

    Parameters
    ----------
    version
        Number or alias.
    settings
        Stages and limits.
    place
        Where the canary runs.
    tell
        Told, in words, what begins.
    force
        Reason to try it although the gate did not accept it.

    Raises
    ------
    BadInput
        When there is no such version.
    Unavailable
        When registry or model server do not answer, or another version is being rolled out; nothing is
        changed, or what was is taken back.
    """
    with open_registry(settings.mlflow_uri, "", settings.registry_uri):
        rollout = _Rollout(ModelVersions(settings.model_name), settings, place, tell)
        return rollout.run(rollout.versions.resolve(version), force)


class _Rollout:
    def __init__(self, versions: ModelVersions, settings: RolloutSettings, place: Place, tell: Tell) -> None:
        self.versions = versions
        self._settings = settings
        self._place = place
        self._tell = tell

    def run(self, version: str, force: str) -> Outcome:
        champion, tags = self.versions.at(CHAMPION), self.versions.tags(version)
        if champion == version:
            return self._end(version, "promoted", "it is the champion already")
        refused = "" if force else _refusal(tags)
        if refused:
            return self._end(version, "refused", refused)
        if champion is None or not self._are_served():
            why = "nothing is served here (setting place)" if champion else "there was no champion"
            self.versions.promote(version, force or "gate")
            return self._end(version, "promoted", f"untried, as {why}")
        self._begin(version)
        found = self._try(version, champion)
        if found.word == "bad":
            return self._take_back(version, "; ".join(found.reasons))
        now = self.versions.at(CHAMPION)
        if now != champion:
            return self._end(
                version, "refused", f"version {now} has become the champion since; compare with it again"
            )
        self._tell(f"version {version} becomes the champion")
        self.versions.promote(version, force or "gate and canary")
        return self._watch(version)

    def _are_served(self) -> bool:
        """Whether there are model servers to try a version on, seen before anything is changed."""
        try:
            servers = self._place.servers()
            read(servers)
        except Unavailable as error:
            raise Unavailable(
                f"{error}; start it (`fraud up`), or give --place registry where nothing is served"
            ) from error
        return bool(servers)

    def _begin(self, version: str) -> None:
        """Take the alias, with no share yet; a version's own dead rollout is gone over."""
        other = self.versions.at(CANARY)
        if other not in {None, version}:
            until = float(self.versions.tags(other).get(UNTIL, 0.0))
            if until > time.time():
                raise Unavailable(
                    f"version {other} is being rolled out; try again when that has ended, or, if it died, "
                    f"after {datetime.fromtimestamp(until, UTC):%H:%M:%S} UTC"
                )
        self._lease(version, 0.0, self._settings.ready_s)

    def _try(self, version: str, champion: str) -> Judgement:
        """Give the canary its shares; whatever happens, it ends without any."""
        self._tell(f"version {version} starts as a canary beside version {champion}")
        try:
            with self._place.canary(version):
                try:
                    for percent in self._settings.percents:
                        found = self._stage(version, champion, percent)
                        if found.word == "bad":
                            return found
                finally:
                    self._withdraw(version)
        except FraudError:  # perhaps the canary never started
            self._withdraw(version)
            raise
        return Judgement("good")

    def _stage(self, version: str, champion: str, percent: float) -> Judgement:
        self._tell(f"version {version} gets {percent:g} % of the requests")
        started = time.monotonic()
        sums = ServedSums()
        while True:
            self._lease(version, percent, self._settings.lease_s)
            passed_s = time.monotonic() - started
            sums.take(self._look())
            own = sums.of(version)
            found = judge(sums.of(champion), own, self._settings)
            if found.word == "bad" or (found.word == "good" and passed_s >= self._settings.stage_s):
                self._tell(f"{own.rows:,.0f} rows at {percent:g} %: {found.word} {'; '.join(found.reasons)}")
                return found
            if passed_s >= max(self._settings.stage_max_s, self._settings.stage_s):
                return Judgement("bad", (f"too few rows at {percent:g} % to judge it",))
            time.sleep(self._settings.poll_s)

    def _lease(self, version: str, percent: float, seconds: float) -> None:
        until = time.time() + seconds
        self.versions.tag(version, {PERCENT: f"{percent:g}", UNTIL: f"{until:.0f}"})
        if self.versions.at(CANARY) != version:
            self.versions.name_as(CANARY, version)

    def _withdraw(self, version: str) -> None:
        """Take the canary's share away, and wait until every model server has seen that."""
        self.versions.tag(version, {PERCENT: "0", UNTIL: "0"})
        if self.versions.at(CANARY) is not None:
            self.versions.unname(CANARY)

        def has_none() -> bool:
            try:
                return read(self._place.servers())[1] == 0.0
            except Unavailable as error:
                self._tell(str(error))
                return False

        wait_until(has_none, self._settings.lease_s, min(self._settings.poll_s, 1.0))

    def _watch(self, version: str) -> Outcome:
        """See every model server take the champion up, and answer with it."""
        settings = self._settings
        try:
            for url in self._servers():
                await_version(f"{url}/v2/models/{settings.served_name}", version, settings.ready_s)
        except Unavailable as error:
            return self._go_back(version, str(error))
        give_up, sums = time.monotonic() + settings.after_s, ServedSums()
        looked = self._look()
        sums.take(looked)
        while time.monotonic() < give_up:
            time.sleep(min(settings.poll_s, settings.after_s))
            looked = self._look()
            sums.take(looked)
            seen = sums.of(version)
            asked = seen.answers + seen.failures
            if seen.failures >= settings.min_failures and seen.failures > settings.max_failures * asked:
                return self._go_back(version, f"{seen.failures:,.0f} of {asked:,.0f} failed")
        if not looked:
            return self._go_back(version, "the model servers' metrics could not be read in the end")
        return self._end(version, "promoted", "it holds")

    def _servers(self) -> list[str]:
        """Name the model servers, when they can be named."""
        pause_s = min(self._settings.poll_s, 1.0)
        return retry(
            self._place.servers,
            Unavailable,
            self._settings.ready_s,
            pause_s=lambda _: pause_s,
            tell=self._tell,
        )

    def _look(self) -> Scraped:
        """Read the model servers' counts; nothing while one of them comes or goes."""
        try:
            return read(self._place.servers())[0]
        except Unavailable as error:
            self._tell(str(error))
            return {}

    def _go_back(self, version: str, why: str) -> Outcome:
        if self.versions.at(CHAMPION) != version:  # somebody has promoted another one
            return self._take_back(version, why)
        self.versions.rollback(why)
        return self._end(version, "rolled back", why)

    def _take_back(self, version: str, why: str) -> Outcome:
        self.versions.tag(version, {"rolled_back_at": f"{time.time():.0f}", "rolled_back_because": why})
        return self._end(version, "rolled back", why)

    def _end(self, version: str, word: Literal["promoted", "refused", "rolled back"], why: str) -> Outcome:
        self._tell(f"version {version}: {word}: {why}")
        return Outcome(version, word, why, self.versions.at(CHAMPION))


def _refusal(tags: Mapping[str, str]) -> str:
    """Tell why a version may not be tried; empty: it may."""
    if tags.get(GATE) != "accepted":
        return tags.get(GATE_REASONS, "the gate has not judged it")
    if "rolled_back_at" in tags:
        return f"it was taken back before: {tags['rolled_back_because']}"
    return ""
