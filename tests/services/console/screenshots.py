"""Pictures of the console, as the README and the docs show them: PNG files of under 200 KB.

    uv run python -m tests.services.console.screenshots

Runs ``fraud demo --experiment`` on free ports in a folder of its own, with the example rules and a list. It
takes the pictures, and stops the demo. ``--url`` takes them of a console that runs already.
"""

import argparse
import base64
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from fraud.local import platform
from fraud.local.settings import LocalSettings
from tests.services.console.conftest import FLAGS

OUT: Final = Path("services/console/screenshots")
RULES: Final = Path("services/scoring/rules.example.yaml")
COLOURS: Final = 255
MOST_BYTES: Final = 200_000
ENTRIES: Final = {"device-4711": "reported as stolen, case 17", "device-4712": "same owner, case 17"}


def shoot(browser: Any, file: Path, width: int = 1360, height: int = 860) -> None:
    """Take a picture of the window."""
    area = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", area)
    taken = browser.execute_cdp_cmd(
        "Page.captureScreenshot", {"format": "png", "captureBeyondViewport": False}
    )
    picture = Image.open(io.BytesIO(base64.b64decode(taken["data"]))).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)
    if file.stat().st_size > MOST_BYTES:
        raise SystemExit(f"{file} has {file.stat().st_size:,} bytes, more than {MOST_BYTES:,}")


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="", help="A console that runs; default: of a demo that this starts.")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--small", action="store_true", help="The small demo.")
    parser.add_argument("--rate", default="", help="Transactions per second, for a busy machine.")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.url:
        take(given.url, given.out)
        return
    options = [*(["--small"] if given.small else []), *(["--rate", given.rate] if given.rate else [])]
    with demo(options) as url:
        take(url, given.out)


@contextmanager
def demo(options: list[str]) -> Iterator[str]:
    """Run the demo with rules and a list; gives the console's address, and stops all of it afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        home, rules = Path(folder) / "home", Path(folder) / "rules.yaml"
        shutil.copy(RULES, rules)
        ports = (
            "KAFKA",
            "KAFKA_CONTROLLER",
            "MLFLOW",
            "PREDICTOR",
            "CANARY",
            "STREAM_METRICS",
            "SCORING",
            "CONSOLE",
        )
        environment = {
            **os.environ,
            **{f"FRAUD_LOCAL_{port}_PORT": "0" for port in ports},
            "FRAUD_STREAM_RULES_FILE": str(rules),
            "FRAUD_CONSOLE_RULES_FILE": str(rules),
            "FRAUD_CONSOLE_RULES_DAYS": "3650",  # the demo's transactions were received today
        }
        settings = LocalSettings(home=home)

        def fraud(*words: str, **more: str) -> None:
            command = [sys.executable, "-m", "fraud", *words]
            subprocess.run(command, env={**environment, **more}, check=True)

        try:
            fraud("demo", "--experiment", "--home", str(home), *options)
            urls = {part.name: part.url or "" for part in platform.status(settings)}
            kafka = {"FRAUD_STREAM_KAFKA_BOOTSTRAP": urls["broker"]}
            fraud("lists", "create", "stolen_devices", "--by", "ana", "--why", "reported by issuers", **kafka)
            for value, why in ENTRIES.items():
                fraud("lists", "add", "stolen_devices", value, "--by", "ana", "--why", why, **kafka)
            yield urls["console"]
        finally:
            fraud("down", "--home", str(home))


def take(url: str, out: Path) -> None:
    """Take the pictures of a console."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for flag in FLAGS:
        options.add_argument(flag)
    browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        wait = WebDriverWait(browser, 30)
        area = {"width": 1360, "height": 860, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", area)
        calm = [{"name": "prefers-reduced-motion", "value": "reduce"}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": calm})
        browser.get(url)
        wait.until(lambda page: page.find_elements(By.CSS_SELECTOR, "tr[data-id]"))
        browser.find_element(By.TAG_NAME, "body").send_keys("jj")
        time.sleep(3.0)  # some beats of the live chart
        shoot(browser, out / "alerts.png")
        case = _richest_case(browser, url)
        browser.get(case)
        shoot(browser, out / "case.png", height=1000)
        shoot(browser, out / "case-phone.png", 400, 860)
        for page, path in (
            ("model", "model"),
            ("experiment", "experiment"),
            ("rules", "rules"),
            ("lists", "lists?list=stolen_devices"),
        ):
            browser.get(f"{url}/{path}")
            shoot(browser, out / f"{page}.png", height=760)
    finally:
        browser.quit()


def _richest_case(browser: Any, url: str) -> str:
    """Choose, of the first alerts, the one whose history tells most."""
    links = browser.execute_script(
        "return [...document.querySelectorAll('td.who a')].slice(0, 25).map((link) => link.href)"
    )
    best, most = url, -1
    for link in links:
        browser.get(link)
        drawn = len(browser.find_elements(By.CSS_SELECTOR, "svg.timeline .event"))
        placed = len(browser.find_elements(By.CSS_SELECTOR, "svg.map .event"))
        told = (
            min(drawn, 60)
            + (20 if placed else 0)
            + 8 * len(browser.find_elements(By.CSS_SELECTOR, ".reasons li"))
        )
        if told > most:
            best, most = link, told
    return str(best)


if __name__ == "__main__":
    main()
