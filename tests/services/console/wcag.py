"""WCAG 2.2, levels A and AA, and good practice, as far as axe-core can check a page that a browser shows."""

from importlib.resources import files
from typing import Any, Final

AXE: Final = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
TAGS: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SCHEMES: Final = ("light", "dark")
_RUN: Final = """
const [tags, done] = arguments;
axe.run(document, { runOnly: tags, resultTypes: ["violations"] })
  .then((found) => done(found.violations), (error) => done([{ id: "axe", help: String(error), nodes: [] }]));
"""


def violations(browser: Any) -> list[str]:
    """List what breaks a rule on the open page, in both colour schemes: scheme, rule, element."""
    found = []
    for scheme in SCHEMES:
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        browser.execute_script(AXE)
        for rule in browser.execute_async_script(_RUN, TAGS):
            places = [f"{node['html'][:160]} {node['any'][:1]}" for node in rule["nodes"]] or [""]
            found += [f"{scheme}: {rule['id']} ({rule['help']}): {place}" for place in places]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    return found
