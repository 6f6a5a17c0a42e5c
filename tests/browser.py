"""A real browser, for pages that are tested as people see them."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
from html.parser import HTMLParser

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt-get install chromium")


def browse(page, profile, *flags):
    """Opens the file `page` in Chromium, with a profile in the folder `profile`; returns what it prints."""
    return subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", *flags, page.resolve().as_uri()],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=60,
        check=True,
    ).stdout


@contextlib.contextmanager
def visit(address, profile):
    """Has Chromium show the page at `address` while a `with` block runs; it reaches this machine alone."""
    alone = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    command = [CHROMIUM, *FLAGS, alone, f"--user-data-dir={profile}", address]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, start_new_session=True, **quiet) as browser:
        try:
            yield
        finally:
            os.killpg(browser.pid, signal.SIGTERM)


class Page(HTMLParser):
    """What a page holds.

    Attributes:
        numbers: values of `<data>` by id.
        tables: cells of each row of each table's body, by the table's id.
        buttons: how many there are.
        images: addresses of images.
        addresses: of everything else that an element asks for.
    """

    ASKING = ("src", "srcset", "href", "action", "data", "poster", "background", "xlink:href")

    def __init__(self, text):
        super().__init__()
        self.numbers, self.tables, self.buttons, self.images, self.addresses = {}, {}, 0, [], []
        self.rows, self.is_text = None, False
        self.feed(text)
        self.addresses += re.findall(r"url\([^)]*\)|@import", text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag == "img":
            self.images.append(found.pop("src"))
        self.addresses += [found[name] for name in self.ASKING if found.get(name)]
        self.buttons += tag == "button"
        if tag == "data":
            self.numbers[found["id"]] = float(found["value"])
        elif tag == "table":
            self.rows = self.tables.setdefault(found["id"], [])
        elif tag == "tr" and self.rows is not None:
            self.rows.append([])
        elif tag == "td":
            self.rows[-1].append(found.get("data-value") or "")
        self.is_text = tag == "td" and "data-value" not in found

    def handle_data(self, data):
        if self.is_text:
            self.rows[-1][-1] += data

    def handle_endtag(self, tag):
        self.is_text = False
        if tag == "table":
            self.rows[:] = filter(None, self.rows)
