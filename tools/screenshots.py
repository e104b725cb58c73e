"""Makes the pictures of the dashboard in docs/figures, with a headless Chromium.

python tools/screenshots.py atlas-demo            # needs pip install '.[web,dev]' and Chromium
python tools/screenshots.py atlas-demo --only dashboard-plan.webp
"""

from __future__ import annotations

import argparse
import base64
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

FIGURES = Path(__file__).resolve().parents[1] / "docs" / "figures"
OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
OPTIONS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
WIDTH, HEIGHT = 1240, 960
SHOTS = {
    "dashboard-plan.webp": "plan?t=cat_Latn,swa_Latn&C=1e22&U.cat_Latn=2e9",
    "dashboard-transfer.webp": "transfer?t=spa_Latn&s=por_Latn",
    "dashboard-runs.webp": "runs?q=swe&runs=mono-swe_Latn-xs-seed0,mono-swe_Latn-s-seed0",
}
QUIET = """async () => {
  const wait = (ms) => new Promise((go) => setTimeout(go, ms));
  for (let quiet = 0; quiet < 8; ) {
    await wait(60);
    quiet = document.documentElement.hasAttribute("data-busy") ? 0 : quiet + 1;
  }
  await document.fonts.ready;
}"""
TO_WEBP = """async (png) => {
  const image = new Image();
  image.src = "data:image/png;base64," + png;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.width, image.height];
  canvas.getContext("2d").drawImage(image, 0, 0);
  return canvas.toDataURL("image/webp", 0.86).split(",")[1];
}"""


def main() -> None:
    """Serve the given paths, visit the views, write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("sources", nargs="*", help="what atlas serve is given")
    parser.add_argument("--only", action="append", help="this picture; repeat it")
    parser.add_argument("--output", type=Path, default=FIGURES)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as saved:
        command = [sys.executable, "-m", "atlas_scaling", "serve", *given.sources]
        server = subprocess.Popen(
            [*command, "--no-browser", "--no-token", "--save", saved],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            address = server.stdout.readline().strip()
            for name, picture in _pictures(address, given.only or list(SHOTS)).items():
                path = given.output / name
                path.write_bytes(picture)
                print(f"{path} ({len(picture) / 1e3:.0f} kB)")
        finally:
            server.terminate()
            server.wait()


def _pictures(address: str, names: list[str]) -> dict[str, bytes]:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=OPTIONS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        return {name: _picture(page, f"{address}#/{SHOTS[name]}") for name in names}


def _picture(page: Any, address: str) -> bytes:
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_selector("main .view")
    page.evaluate(QUIET)
    png = base64.b64encode(page.screenshot()).decode()
    page.goto("about:blank")  # the dashboard's policy allows no such script
    return base64.b64decode(page.evaluate(TO_WEBP, png))


if __name__ == "__main__":
    main()
