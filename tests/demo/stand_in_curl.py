"""As much of curl as the demo's examples use, for machines that have none."""

import argparse
import sys

import httpx2

options = argparse.ArgumentParser(prog="curl", allow_abbrev=False)
options.add_argument("-sS", action="store_true", required=True)
options.add_argument("-w", dest="after", choices=["\\n"])
options.add_argument("-X", dest="method", required=True)
options.add_argument("-H", dest="headers", action="append", default=[])
options.add_argument("-d", dest="body")
options.add_argument("url")
given = options.parse_args()

headers = [tuple(header.split(": ", 1)) for header in given.headers]
response = httpx2.request(given.method, given.url, headers=headers, content=given.body, trust_env=False)
sys.stdout.write(response.text + ("\n" if given.after else ""))
