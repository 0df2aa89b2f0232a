"""A headless Chromium for the tests of HTML pages, which skip where there is none."""

import json
import shutil
from contextlib import contextmanager

import pytest

INSTALL = (
    "a browser is needed to drive the page: apt-get install chromium chromium-driver, "
    "and python -m pip install selenium"
)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium(profile):
    """A selenium driver with a profile of its own; the test skips where there is no browser."""
    webdriver = pytest.importorskip("selenium.webdriver", reason=INSTALL)
    binary = shutil.which("chromium") or shutil.which("chromium-browser")
    server = shutil.which("chromedriver")
    if not (binary and server):
        pytest.skip(INSTALL)
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=server)
    driver = webdriver.Chrome(options=options, service=service)
    try:
        driver.get("about:blank")  # in place of the new tab's page, with its own requests
        console(driver), requests(driver)
        yield driver
    finally:
        driver.quit()


def resize(driver, width, height):
    """Give the page this many CSS pixels."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def prefer(driver, **features):
    """Set media features such as prefers_color_scheme="dark"."""
    named = [{"name": k.replace("_", "-"), "value": v} for k, v in features.items()]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": named})


def console(driver):
    """What the console said since the last call, warnings and errors alike."""
    return [entry["message"] for entry in driver.get_log("browser")]


def requests(driver):
    """Addresses asked for since the last call, but for those that the page's policy held back."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked, blocked = {}, set()
    for event in events:
        name, details = event["method"], event["params"]
        if name == "Network.requestWillBeSent":
            asked[details["requestId"]] = details["request"]["url"]
        elif name == "Network.loadingFailed" and details.get("blockedReason") == "csp":
            blocked.add(details["requestId"])
    return [url for request, url in asked.items() if request not in blocked]
