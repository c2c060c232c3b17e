"""The life of a rule under load: ``uv run python -m tests.load.rule_life --rate 300``.

Starts the scoring service without a broker: its decisions wait in the outbox. While clients send
transactions of 500 cardholders at a set rate, the rules file changes: the rule is in shadow, live for a share
of the cardholders, and live for all; the file is broken and mended; the rule is retired. A watcher asks for
decisions of 200 cardholders after each change. Prints how long each change took to be seen, the size of the
share, and the latencies. Exits with 1 where an answer was missing or not by the file in force, where the
share was not the same twice, or where a change took longer than 2 s to be seen; it looks every second.
"""

import argparse
import asyncio
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import httpx

from fraud.tools.bench.load import Plan
from tests.load.hostile import free_port, honest, said, start, wait, write_bodies
from tests.load.lists import end
from tests.services.scoring.samples import TRANSACTION

NOBODY: Final = "127.0.0.1:9"
SEEN_S: Final = 2.0
WATCHED: Final = 200
RULE: Final = {"name": "watched", "when": "amount > 0.0", "then": "decline", "reason": "watched"}
SHARE: Final = 0.1
BETWEEN: Final = (0.03, 0.2)
"""Part of the watched cardholders that a share of 10 % may have; outside by chance once in 20,000 draws."""
BROKEN: Final = json.dumps({"version": "broken", "rules": [{**RULE, "when": "no_such_field > 1"}]})


class Wrong(Exception):
    """An answer is not by the file in force."""


class Life:
    """Changes the rules, and looks at what becomes of it."""

    def __init__(self, client: httpx.AsyncClient, rules: Path) -> None:
        self._client, self._rules = client, rules
        self._asked = 0
        self.seen_s: dict[str, float] = {}

    async def run(self) -> set[str]:
        """Go through all states; returns the cardholders of the share."""
        await self._change("shadow", state="shadow")
        for one in await self._ask_all():
            _expect("in shadow it is told and changes nothing", one, [], ["watched"])
        await self._change("share", share=f"{SHARE:.0%}")
        in_share, again = set(await self._hit()), set(await self._hit())
        if in_share != again:
            raise Wrong(f"the share changed from {len(in_share)} to {len(again)} cardholders")
        if not BETWEEN[0] <= len(in_share) / WATCHED <= BETWEEN[1]:
            raise Wrong(f"{len(in_share)} of {WATCHED} cardholders are in the share of {SHARE:.0%}")
        await self._change("live")
        for one in await self._ask_all():
            _expect("live it declines", one, ["watched"], [])
        await self._break()
        await self._change("mended")
        await self._change("retired", state="retired")
        for one in await self._ask_all():
            _expect("retired it does nothing", one, [], [])
        return in_share

    async def _change(self, name: str, **changed: str) -> None:
        """Write a file, and wait until a decision is by it."""
        self._write(json.dumps({"version": name, "rules": [{**RULE, **changed}]}))
        since = time.monotonic()
        while not (await self._ask("w-0"))["policy_version"].startswith(f"{name}+"):
            if time.monotonic() - since > 30.0:
                raise Wrong(f"the rules {name!r} were not seen within 30 s")
            await asyncio.sleep(0.02)
        self.seen_s[name] = time.monotonic() - since

    async def _break(self) -> None:
        """Write a file that cannot be read as rules; the old ones decide, and a metric says so."""
        self._write(BROKEN)
        since = time.monotonic()
        while await self._metric("fraud_scoring_rules_refused") != 1.0:
            if time.monotonic() - since > 30.0:
                raise Wrong("the broken file was not refused within 30 s")
            await asyncio.sleep(0.02)
        self.seen_s["broken"] = time.monotonic() - since
        for one in await self._ask_all():
            if not one["policy_version"].startswith("live+"):
                raise Wrong(f"the broken file changed the version to {one['policy_version']}")
            _expect("beside a broken file it declines", one, ["watched"], [])

    def _write(self, content: str) -> None:
        new = self._rules.with_suffix(".new")
        new.write_text(content)
        new.replace(self._rules)

    async def _hit(self) -> list[str]:
        return [f"w-{at}" for at, one in enumerate(await self._ask_all()) if one["rules"] == ["watched"]]

    async def _ask_all(self) -> list[dict[str, Any]]:
        return [await self._ask(f"w-{at}") for at in range(WATCHED)]

    async def _ask(self, user: str) -> dict[str, Any]:
        """Ask for one decision; again where too many requests wait."""
        while True:
            self._asked += 1
            one = {**TRANSACTION, "transaction_id": f"w-{self._asked}", "user_id": user, "merchant_id": user}
            answer = await self._client.post("/v1/score", json=one)
            if answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
                answer.raise_for_status()
                found: dict[str, Any] = answer.json()
                return found
            await asyncio.sleep(0.05)

    async def _metric(self, name: str) -> float:
        text = (await self._client.get("/metrics")).text
        return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


def _expect(what: str, answer: dict[str, Any], rules: list[str], shadow: list[str]) -> None:
    is_declined = answer["outcome"] == "decline"
    if (answer["rules"], answer["shadow_rules"]) != (rules, shadow) or (rules and not is_declined):
        raise Wrong(f"{what}; but the answer is {json.dumps(answer)}")
    if not rules and answer["outcome"] != answer["outcome_without_rules"]:
        raise Wrong(f"{what}; but the outcome without rules is {answer['outcome_without_rules']}")


async def run(given: argparse.Namespace, home: Path, port: int, rules: Path) -> int:
    """Run the load and the life beside each other, and print; returns the exit status."""
    bodies = home / "transactions.jsonl"
    write_bodies(bodies, int(given.rate * (given.seconds + 3.0)))
    warm = Plan("127.0.0.1", port, "/v1/score", str(bodies), 0, given.rate, 3.0)
    plan = Plan("127.0.0.1", port, "/v1/score", str(bodies), int(given.rate * 3.0), given.rate, given.seconds)
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30.0) as client:
        await honest(warm)
        life = Life(client, rules)
        load, in_share = await asyncio.gather(honest(plan), life.run())
    machine = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    seen = ", ".join(f"{name} {one:.2f}" for name, one in life.seen_s.items())
    print(f"{said('while the rules change', load)}; later than {plan.late_ms:.0f} ms: {load.late}")  # noqa: T201
    print(f"changes were seen after (s): {seen}")  # noqa: T201
    print(f"share of {SHARE:.0%}: {len(in_share)} of {WATCHED} cardholders, twice the same; load {machine}")  # noqa: T201
    unanswered = sum(count for status, count in load.statuses.items() if status not in {"200", "429"})
    return int(unanswered > 0 or max(life.seen_s.values()) > SEEN_S)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, start the service, and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=float, default=300.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=30.0, help="of the load")
    parser.add_argument("--home", type=Path, default=Path(".fraud-rules"), help="removed at the next run")
    given = parser.parse_args(arguments)
    home = given.home.absolute()
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    rules, port = home / "rules.yaml", free_port()
    rules.write_text(json.dumps({"version": "none", "rules": []}))
    process = start(home, NOBODY, port, FRAUD_SCORING_RULES_FILE=str(rules))
    try:
        wait(port, process, home)
        status = asyncio.run(run(given, home, port, rules))
    except Wrong as error:
        sys.exit(str(error))
    finally:
        end(process)
    sys.exit(status)


if __name__ == "__main__":
    main()
