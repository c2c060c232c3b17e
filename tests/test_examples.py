"""What the documentation says to run, runs; every block of shell says what becomes of it."""

import os
import re
from pathlib import Path

import pytest

from tests.commands import EXAMPLE, NAMED, ON_THE_DEMO, ROOT, RUN, blocks, marked, run

PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))  # runbooks are for a cluster, all of them

COMMAND_LINE = re.compile(r"^ *(?:uv run|fraud|kubectl|helm|docker) ", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_of_commands_is_run_or_is_marked_as_an_example(page: Path) -> None:
    known = {RUN, ON_THE_DEMO, EXAMPLE, *NAMED}
    assert [commands for mark, commands in blocks(page) if mark not in known] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_in_blocks_of_shell(page: Path) -> None:
    """A block without a language would escape the rule above. Transcripts show a prompt."""
    every = re.findall(
        r"^ *```(\w*)\n(.*?)^ *```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    others = [block for language, block in every if language != "sh"]
    assert [one for one in others if COMMAND_LINE.search(one)] == []


@pytest.mark.parametrize("page", [page for page in PAGES if marked(page, RUN)], ids=lambda page: page.name)
def test_the_commands_of_a_page_run(page: Path, tmp_path: Path) -> None:
    run(marked(page, RUN), tmp_path, os.environ)


def test_a_command_that_fails_is_found(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"missing\.yaml"):
        run("uv run fraud schema check missing.yaml\nuv run fraud status\n", tmp_path, os.environ)
