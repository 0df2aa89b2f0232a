"""A headless Chromium for tests of the HTML pages, which are skipped where there is none."""

import base64
import json
import shutil
from pathlib import Path

import pytest

INSTALL = "apt-get install chromium chromium-driver && python -m pip install selenium"
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars",
]  # fmt: skip


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """A `Browser`, the same for all tests."""
    program = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip(f"no Chromium with ChromeDriver is installed: {INSTALL}")
    pytest.importorskip("selenium", reason=f"Selenium is not installed: {INSTALL}")
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = program
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=ChromeService(driver))
    try:
        yield Browser(driver)
    finally:
        driver.quit()


class Browser:
    """What tests do with a page: open it, run script in it, read its logs, take its picture.

    `driver` is Selenium's, for clicks and keys.
    """

    def __init__(self, driver):
        self.driver = driver

    def open(self, page, width=1280, height=900, dark=False, reduced_motion=False):
        """Open a file, or an address, in a window of that size, with empty logs."""
        self.resize(width, height)
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {
                "name": "prefers-reduced-motion",
                "value": "reduce" if reduced_motion else "no-preference",
            },
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.driver.get("about:blank")  # another "#..." alone would not load the page again
        self.errors(), self.requests()
        self.driver.get(page.as_uri() if isinstance(page, Path) else page)

    def resize(self, width, height):
        """Set the size of the viewport; a window cannot be as narrow as a phone."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def run(self, script, *arguments):
        """Value of a script's `return`."""
        return self.driver.execute_script(script, *arguments)

    def errors(self):
        """Messages on the console since the last call, but for debugging and information."""
        levels = ("WARNING", "SEVERE")
        return [e["message"] for e in self.driver.get_log("browser") if e["level"] in levels]

    def requests(self):
        """Addresses asked for since the last call, the page's own among them."""
        events = [json.loads(e["message"])["message"] for e in self.driver.get_log("performance")]
        sent = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
        urls = [event["request"]["url"] for event in sent]
        return [url for url in urls if not url.startswith(("data:", "about:", "blob:"))]

    def screenshot(self, path):
        """Picture of the whole page, at the width of the window."""
        size = self.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
        shot = {"captureBeyondViewport": True, "clip": {**size, "scale": 1}}
        data = self.driver.execute_cdp_cmd("Page.captureScreenshot", shot)["data"]
        Path(path).write_bytes(base64.b64decode(data))
