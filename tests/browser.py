"""A headless Chromium through its WebDriver: opens pages, runs scripts in them, tells what its console said."""

import contextlib
import json
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", "--hide-scrollbars")
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
WAIT_S = 60


def missing() -> str:
    """What of it is not installed; empty when nothing is."""
    if not shutil.which("chromedriver"):
        return "chromedriver"
    return "" if any(map(shutil.which, NAMES)) else "chromium"


class Browser:
    """One window, as a context manager."""

    def __init__(self, folder: Path):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
        for line in self.driver.stdout:
            if found := re.search(r"started successfully on port (\d+)", line):
                break
        self.address = f"http://127.0.0.1:{found[1]}/session"
        binary = next(filter(None, map(shutil.which, NAMES)))
        options = {"args": [*FLAGS, f"--user-data-dir={folder}"], "binary": binary}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        session = self._ask("POST", "", {"capabilities": {"alwaysMatch": wanted}})
        self.address += f"/{session['sessionId']}"

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *error) -> None:
        with contextlib.suppress(OSError):
            self._ask("DELETE", "")
        self.driver.terminate()
        self.driver.wait(WAIT_S)

    def open(self, page: Path) -> None:
        """A file, until it is loaded."""
        self._ask("POST", "/url", {"url": page.absolute().as_uri()})

    def run(self, script: str):
        """What the body of a function returns in the page."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": []})

    def command(self, name: str, **arguments):
        """A command of the DevTools protocol."""
        return self._ask("POST", "/goog/cdp/execute", {"cmd": name, "params": arguments})

    def console(self) -> list[dict]:
        """What was said since the last time: level, message."""
        return self._ask("POST", "/se/log", {"type": "browser"})

    def _ask(self, method: str, path: str, content: dict | None = None):
        data = json.dumps(content).encode() if content is not None else None
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
            return json.load(answer)["value"]
