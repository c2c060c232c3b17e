"""Links of the documentation lead somewhere, its commands and settings exist; the site builds from it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fraud.cli import COMMANDS
from fraud.tools.docs.commands_page import commands
from fraud.tools.docs.reference import PAGES
from fraud.tools.docs.settings_page import settings

ROOT = Path(__file__).parent.parent
COMMAND = re.compile(r"(?<!-n )(?<![\w./-])fraud ((?:[a-z][a-z-]*\b ?)+)([^`&|;#\n]*)")
VARIABLE = re.compile(r"\bFRAUD_[A-Z0-9_]+\b")
STYLE = ROOT / ".vale/Fraud"
"""Rules of vale for our texts. vale reads the pages; the tests here read what is generated, too."""
RIDDLES = re.compile(
    r"\b(?:" + "|".join(yaml.safe_load((STYLE / "Plain.yml").read_text())["tokens"]) + r")\b", re.IGNORECASE
)
"""Words that cost a reader a second look; docs/glossary.md has those to use."""
FRAGMENTS = re.compile(r"(?:^|\| |[.] )(?:Of|Whose) (?:the|a|an|each|all|them|its|their)\b", re.MULTILINE)
"""Meanings that only the name before them completes."""
MOST_WORDS: int = yaml.safe_load((STYLE / "Length.yml").read_text())["max"]
"""In a sentence."""
TERMS: dict[str, str] = yaml.safe_load((STYLE / "Terms.yml").read_text())["swap"]
"""The word to write, by a pattern of the others."""
FORMULAS = "fraud/features/FEATURES.md"
"""Its words are part of the features' version: another word would be another model's table."""
CONTRACTS = "reference/contracts.md"
"""Its words are the packaged schema's, and part of its version."""
HISTORY = {"CHANGELOG.md", "DECISIONS.md"}
"""Say what was, not what is."""
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def pages() -> list[Path]:
    found = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, check=True, capture_output=True, text=True)
    return [ROOT / line for line in found.stdout.splitlines() if (ROOT / line).exists()]


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ +(.+)$", prose(page), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", one)) for one in headings]
    return {one.strip().lower().replace(" ", "-") for one in plain}


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_leads_somewhere(page: Path) -> None:
    wrong = []
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            wrong.append(link)
    assert wrong == []


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "services/console/screenshots/alerts.png").exists()


def test_the_readme_has_at_most_200_lines() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200


def guides() -> list[Path]:
    return [page for page in pages() if str(page.relative_to(ROOT)) not in HISTORY]


def code_of(page: Path) -> list[str]:
    text = page.read_text()
    return [
        *re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL),
        *re.findall(r"`([^`\n]+)`", prose(page)),
    ]


def unknown_in(code: str, known: dict[str, set[str]]) -> list[str]:
    """Name each command that does not exist, and each option that its command does not have."""
    wrong = []
    for words, rest in COMMAND.findall(code):
        parts = words.split()
        name = next((" ".join(parts[:n]) for n in (2, 1) if " ".join(parts[:n]) in known), None)
        families = {one.split()[0] for one in known}
        if name is None:
            wrong += [] if parts[0] in families and not rest.startswith("-") else [f"fraud {words}"]
            continue
        options = re.findall(r"(?<![\w-])--[a-z][a-z-]*", rest)
        wrong += [f"fraud {name} {option}" for option in options if option not in known[name]]
    return wrong


@pytest.fixture(scope="module")
def known() -> dict[str, set[str]]:
    return {
        name: {"--help", *(opt for one in command.params for opt in [*one.opts, *one.secondary_opts])}
        for name, command in commands()
    }


@pytest.mark.parametrize("page", guides(), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_command_and_its_options_exist(page: Path, known: dict[str, set[str]]) -> None:
    assert [wrong for code in code_of(page) for wrong in unknown_in(code, known)] == []


@pytest.mark.parametrize(
    "code", ["fraud demonstrate", "uv run fraud demo --tiny", "fraud features build --data x"]
)
def test_a_command_that_is_wrong_is_found(code: str, known: dict[str, set[str]]) -> None:
    assert unknown_in(code, known)


@pytest.mark.parametrize("page", guides(), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_setting_exists(page: Path) -> None:
    found = settings()
    names = {prefix + field.upper() for prefix, fields in found.items() for field in fields} | set(found)
    code = "".join(
        file.read_text() for folder in ("fraud", "tests") for file in (ROOT / folder).rglob("*.py")
    )
    named = VARIABLE.findall(page.read_text())
    assert [one for one in named if one not in names and f'"{one}"' not in code] == []


def riddles_in(text: str) -> list[str]:
    text = re.sub(r"`[^`]*`", "", text)  # names in code are what they are
    return [text[max(0, found.start() - 40) : found.end() + 40] for found in RIDDLES.finditer(text)]


@pytest.mark.parametrize("page", guides(), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_uses_plain_words(page: Path) -> None:
    text = page.read_text()
    if str(page.relative_to(ROOT)) == FORMULAS:
        text = re.sub(r"^\|.*$", "", text, flags=re.MULTILINE)
    assert riddles_in(text) == []


def sentences(page_text: str) -> list[str]:
    """Divide a page into sentences, without its code; a cell of a table is a text of its own."""
    text = re.sub(r"^ *```.*?^ *```|<!--.*?-->", "\n", page_text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"`[^`]*`", "`", text)
    texts = re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.|#+)\s)|^#.*$|\|", text, flags=re.MULTILINE)
    return [one for part in texts for one in re.split(r"(?<=[.!?])[\"')*]*\s+", " ".join(part.split()))]


def words_in(sentence: str) -> int:
    return len(re.findall(r"\b[\w'-]+\b", sentence))


@pytest.mark.parametrize("page", guides(), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_sentence_is_short(page: Path) -> None:
    """Formulas of the features are in tables, and their words are kept."""
    text = page.read_text()
    if str(page.relative_to(ROOT)) == FORMULAS:
        text = re.sub(r"^\|.*$", "", text, flags=re.MULTILINE)
    assert [one for one in sentences(text) if words_in(one) > MOST_WORDS] == []


def test_a_long_sentence_is_found() -> None:
    long = f"Then {'very ' * MOST_WORDS}`code` long."
    found = sentences(f"It begins. {long}\n- A list\n\n| a | b |")
    assert [one for one in found if words_in(one) > MOST_WORDS] == [long.replace("`code`", "`")]


def other_terms_in(text: str) -> list[str]:
    text = re.sub(r"^ *```.*?^ *```|`[^`]*`|\]\([^)]*\)", "", text, flags=re.MULTILINE | re.DOTALL)
    return [found for term in TERMS for found in re.findall(rf"\b{term}\b", text, re.IGNORECASE)]


@pytest.mark.parametrize("page", guides(), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_has_one_word_for_one_thing(page: Path) -> None:
    assert other_terms_in(page.read_text()) == []


def test_another_term_is_found() -> None:
    assert other_terms_in("The file of rules; `dead-letter` in code.") == ["file of rules"]


@pytest.mark.parametrize("place", PAGES)
def test_help_settings_metrics_and_alerts_use_plain_words(place: str) -> None:
    text = PAGES[place]()
    assert riddles_in(text) == []
    assert other_terms_in(text) == []
    if place != CONTRACTS:
        assert FRAGMENTS.findall(text) == []


@pytest.mark.parametrize("text", ["the store is away; mend it", "it is told of in vain"])
def test_a_riddle_is_found(text: str) -> None:
    assert riddles_in(text) != []


def test_a_meaning_that_its_name_must_complete_is_found() -> None:
    assert FRAGMENTS.findall("| `PORT` | 9092 | Of the broker, for its clients. |") != []


def test_the_readme_names_every_command() -> None:
    section = (ROOT / "README.md").read_text().partition("## Commands")[2].partition("\n## ")[0]
    assert [name for name in COMMANDS if not re.search(rf"`(fraud )?{name}\b", section)] == []
