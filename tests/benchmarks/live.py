"""How soon a change is on the screen of an open page, in a real browser.

    python3 manage.py up                                   # in another terminal
    python3 manage.py bench live --session KEY --deployment web [--rounds 20]

A pause (or resume) is asked for through the API; the time runs from its answer, which comes when
the change is committed, until the page's own observer sees the verdict change. KEY is the value of
a logged-in browser's `sessionid` cookie.
"""

from __future__ import annotations

import argparse
import statistics
import time

from playwright.sync_api import sync_playwright

from orchestrator.home import state_folder
from tests.benchmarks import cluster

WATCH = """() => {
  const shown = () => document.querySelector("#head .pill").textContent;
  const before = shown();
  window.seen = 0;
  const observer = new MutationObserver(() => {
    if (!window.seen && shown() !== before) { window.seen = Date.now(); observer.disconnect(); }
  });
  observer.observe(document.getElementById("head"), {
    subtree: true, childList: true, characterData: true, attributes: true });
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--session", required=True)
    parser.add_argument("--deployment", default="web")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    client = cluster.connect()
    address = (state_folder() / "run/server").read_text().strip()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        context = browser.new_context()
        context.add_cookies([{"name": "sessionid", "value": options.session, "url": address}])
        page = context.new_page()
        page.goto(f"{address}/deployments/default/{options.deployment}/")
        page.wait_for_timeout(1500)
        times = []
        for number in range(options.rounds):
            page.evaluate(WATCH)
            verb = "pause" if number % 2 == 0 else "resume"
            client.call("POST", f"namespaces/default/deployments/{options.deployment}/{verb}/")
            answered = time.time() * 1000
            while not (seen := page.evaluate("() => window.seen")):
                time.sleep(0.01)
            times.append(seen - answered)
            page.wait_for_timeout(1200)
        browser.close()
    ordered = sorted(times)
    print(
        f"answer → on the screen: median {statistics.median(ordered):.0f} ms, "
        f"worst {ordered[-1]:.0f} ms of {len(ordered)}"
    )


if __name__ == "__main__":
    main()
