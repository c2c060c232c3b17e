"""Hooks of MkDocs: generated pages, files outside docs/, links that work on GitHub and on the site.

Reads the Markdown files and pictures of the repository; adds them to the site that ``mkdocs build`` writes.
"""

import posixpath
import re
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from fraud.tools.docs.reference import PAGES

__all__ = ["on_files", "on_page_markdown"]

ROOT: Final = Path(__file__).parents[3]
OUTSIDE: Final = {
    "README.md": "index.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "DECISIONS.md": "decisions.md",
    "SECURITY.md": "security-policy.md",
    "fraud/features/FEATURES.md": "reference/features.md",
}
"""Pages of the site that stand elsewhere in the repository: where they stand, and their place on the site."""
_HOME: Final = {place: path for path, place in OUTSIDE.items()}
_LINK: Final = re.compile(r"(!?)\[([^\[\]]*)\]\(([^)\s]+)\)")
_FENCE: Final = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_LIST: Final = re.compile(r"(?:[-*] |\d+\. |\|)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and the pages and pictures that stand outside docs/."""
    for place, write in PAGES.items():
        files.append(File.generated(config, place, content=write()))
    for path, place in OUTSIDE.items():
        files.append(File.generated(config, place, content=(ROOT / path).read_text()))
    for folder in ("fraud", "jobs", "services"):
        for picture in (ROOT / folder).rglob("*.png"):
            place = picture.relative_to(ROOT).as_posix()
            files.append(File.generated(config, place, abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository into links of the site."""
    own = _HOME.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def link(found: re.Match[str]) -> str:
        bang, label, target = found.groups()
        if re.match(r"[a-z]+:|#", target):
            return found[0]
        path, hash_, anchor = target.partition("#")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(own), path))
        place = OUTSIDE.get(path, path.removeprefix("docs/"))
        if files.get_file_from_path(place) is not None:
            place = posixpath.relpath(place, posixpath.dirname(page.file.src_uri) or ".")
            return f"{bang}[{label}]({place}{hash_}{anchor})"
        if not (ROOT / path).exists() or (path.startswith("docs/") and path.endswith(".md")):
            return found[0]  # a strict build refuses it
        return f"[{label}]({config.repo_url}/blob/main/{path})" if config.repo_url else label

    parts = _FENCE.split(markdown)
    return "".join(part if part.startswith("```") else _LINK.sub(link, spaced(part)) for part in parts)


def spaced(text: str) -> str:
    r"""Put an empty line before lists and tables: GitHub needs none, Python-Markdown does.

    Examples
    --------
    >>> spaced("Parts:\n- one\n- two")
    'Parts:\n\n- one\n- two'
    """
    lines: list[str] = []
    for line in text.split("\n"):
        begins = _LIST.match(line) and lines and lines[-1].strip()
        if begins and not _LIST.match(lines[-1]) and not lines[-1].startswith((" ", "#")):
            lines.append("")
        lines.append(line)
    return "\n".join(lines)
