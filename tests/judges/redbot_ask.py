"""Run by the Python of REDbot's own environment: its command cannot send fields.

usage: redbot_ask.py URL [NAME:VALUE…]

Prints REDbot's notes of all that it tried as JSON.
"""

import json
import sys
from configparser import ConfigParser

import thor
from redbot.formatter import find_formatter
from redbot.resource import HttpResource


def main():
    url, *fields = sys.argv[1:]
    parser = ConfigParser()
    parser.read_dict({"redbot": {"enable_local_access": "True"}})
    resource = HttpResource(parser["redbot"])
    resource.set_request(url, headers=[tuple(field.split(":", 1)) for field in fields])
    pieces = []
    formatter = find_formatter("har", "har", False)(
        parser["redbot"], resource, pieces.append, {"tty_out": False})
    formatter.bind_resource(resource)
    thor.events.on(formatter)(formatter_done)
    resource.check()
    thor.run()
    entries = json.loads("".join(pieces))["log"]["entries"]
    print(json.dumps([note for entry in entries for note in entry.get("_red_messages", [])]))


def formatter_done():
    thor.stop()


if __name__ == "__main__":
    main()
