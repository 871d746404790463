"""A set of rules as a grown site has it: 50 globs that set fields, 20 redirects.

The same set in the words of downpour's flags and in nginx's directives. Knows nothing of how either
is started.
"""

import re

FIELDS_COUNT = 50
REDIRECTS_COUNT = 20

# These match what is measured, and each adds a field to the answer.
MATCHING = [
    ("/*", "X-Content-Type-Options", "nosniff"),
    ("/*.txt", "X-Robots-Tag", "noindex"),
    ("/body-*", "Cache-Control", "max-age=60"),
]
# And these are as common, and match nothing that is asked for.
SECTIONS = ["docs", "blog", "shop", "forum", "press", "jobs", "legal", "media", "labs", "archive",
            "events", "people"]
OTHERS = [
    ("/{}/*.css", "Cache-Control", "max-age=31536000, immutable"),
    ("/{}/*/print.html", "X-Robots-Tag", "noindex"),
    ("/{}/private/*", "Cache-Control", "no-store"),
    ("/{}/*.json", "Access-Control-Allow-Origin", "*"),
]

FIELDS = (MATCHING + [(glob.format(section), name, value) for section in SECTIONS
                      for glob, name, value in OTHERS])[:FIELDS_COUNT]
# A quarter carries over what follows.
REDIRECTS = [(f"/old-{index}/*", f"/new-{index}/:splat", 301) if index % 4 == 0 else
             (f"/old-{index}", f"/new-{index}", 308 if index % 2 else 301)
             for index in range(REDIRECTS_COUNT)]

# What an answer to the measured paths has from the rules, and a redirect to try.
ADDED = tuple((name.lower(), value) for _, name, value in MATCHING)
TRIED = {"/old-1": (308, "/new-1"), "/old-4/a/b": (301, "/new-4/a/b")}


def downpour_flags():
    return [*[word for glob, name, value in FIELDS
              for word in ("--header", f"{glob} {name}: {value}")],
            *[word for source, target, status in REDIRECTS
              for word in ("--redirect", f"{source} {target} {status}")]]


def nginx_maps():
    """For its `http` block: a map for each field, because a location's fields would replace those
    of another that matches too, and here they add up."""
    lines = []
    for name in field_names():
        lines.append(f"    map $uri {variable(name)} {{")
        lines += [f"        ~{expression(glob)} \"{value}\";"
                  for glob, own, value in reversed(FIELDS) if own == name]
        lines.append("    }")
    return "\n".join(lines)


def nginx_locations():
    """For its `server` block. A redirect of one path is an exact location, the cheapest kind."""
    lines = [f"        add_header {name} {variable(name)};" for name in field_names()]
    for source, target, status in REDIRECTS:
        if source.endswith("/*"):
            prefix, target = source.removesuffix("*"), target.replace(":splat", "$1")
            lines.append(f"        location {prefix} {{ rewrite ^{prefix}(.*)$ {target} "
                         "permanent; }")
        else:
            lines.append(f"        location = {source} {{ return {status} {target}; }}")
    return "\n".join(lines)


def field_names():
    return list(dict.fromkeys(name for _, name, _ in FIELDS))


def variable(name):
    return "$field_" + name.lower().replace("-", "_")


def expression(glob):
    """A glob as a regular expression; a star stands for anything, slashes too."""
    return "^" + re.escape(glob).replace(r"\*", ".*") + "$"
