"""How long the dashboard's first view takes, and a plan while a slider moves.

    python benchmarks/dashboard.py [--repeats 5]

A fresh browser context each time (nothing cached), a server on this machine. First view: from the
request to the plan on the page. Slider: from the key press to the new headline on the page. The
API's own time for the same plan stands beside them; all in one run, medians.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from typing import Any

OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
OPTIONS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
QUESTION = {"targets": ["cat_Latn", "swa_Latn"], "flops": 1e21, "unique": {"cat_Latn": 2e9}}
MOVED = """async () => {
  const slider = document.querySelector("input[type=range]");
  const before = document.querySelector(".lead-sentence").innerText;
  const began = performance.now();
  slider.value = Number(slider.value) + 20;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
  while (document.querySelector(".lead-sentence").innerText === before) {
    await new Promise((go) => requestAnimationFrame(go));
  }
  return performance.now() - began;
}"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as saved:
        command = [sys.executable, "-m", "atlas_scaling", "serve"]
        command += ["--no-browser", "--no-token", "--save", saved]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            address = server.stdout.readline().strip()
            api = [_api(address) for _ in range(repeats + 1)][1:]
            views, sliders = _browser(address, repeats)
        finally:
            server.terminate()
            server.wait()
    print(f"first view          {statistics.median(views):6.0f} ms of {repeats}")
    print(f"slider to new plan  {statistics.median(sliders):6.0f} ms of {len(sliders)}")
    print(f"the plan's request  {statistics.median(api):6.0f} ms of {len(api)}")


def _api(address: str) -> float:
    request = urllib.request.Request(
        f"{address}api/plan/allocate",
        data=json.dumps(QUESTION).encode(),
        headers={"content-type": "application/json"},
    )
    began = time.perf_counter()
    with urllib.request.urlopen(request) as answer:
        answer.read()
    return 1e3 * (time.perf_counter() - began)


def _browser(address: str, repeats: int) -> tuple[list[float], list[float]]:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    views: list[float] = []
    sliders: list[float] = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=OPTIONS)
        for _ in range(repeats):
            page: Any = browser.new_page()
            began = time.perf_counter()
            page.goto(address)
            page.wait_for_selector(".lead-sentence")
            views.append(1e3 * (time.perf_counter() - began))
            sliders += [page.evaluate(MOVED) for _ in range(5)]
            page.close()
    return views, sliders


if __name__ == "__main__":
    main()
