"""Fetches a URL again and again, and writes a line when it has it for the first time.

python scrape.py URL SECONDS_BETWEEN
"""

from __future__ import annotations

import sys
import time
from urllib.request import urlopen


def main(url: str, pause: str) -> None:
    """Until it is terminated."""
    told = False
    while True:
        with urlopen(url, timeout=10) as answer:
            answer.read()
        if not told:
            print("fetched", flush=True)
            told = True
        time.sleep(float(pause))


if __name__ == "__main__":
    main(*sys.argv[1:])
