"""Pictures of a running console, as the README shows them.

    uv run fraud demo && uv run python -m tests.services.console.screenshots

Reads the console of the demo; writes PNG files of under 200 KB.
"""

import argparse
import base64
import io
import shutil
import time
from pathlib import Path
from typing import Any, Final

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.services.console.conftest import FLAGS

OUT: Final = Path("services/console/screenshots")
COLOURS: Final = 255


def shoot(browser: Any, file: Path, width: int = 1360, height: int = 860) -> None:
    """Take a picture of the window."""
    area = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", area)
    taken = browser.execute_cdp_cmd(
        "Page.captureScreenshot", {"format": "png", "captureBeyondViewport": False}
    )
    picture = Image.open(io.BytesIO(base64.b64decode(taken["data"]))).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8070")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
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
        browser.get(given.url)
        wait.until(lambda page: page.find_elements(By.CSS_SELECTOR, "tr[data-id]"))
        browser.find_element(By.TAG_NAME, "body").send_keys("jj")
        time.sleep(3.0)  # some beats of the live chart
        shoot(browser, given.out / "alerts.png")
        case = _richest_case(browser, given.url)
        browser.get(case)
        shoot(browser, given.out / "case.png", height=1000)
        shoot(browser, given.out / "case-phone.png", 400, 860)
        for page in ("model", "experiment"):
            browser.get(f"{given.url}/{page}")
            shoot(browser, given.out / f"{page}.png", height=760)
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
