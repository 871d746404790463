"""The directory that the judges look at: small, of known content, with every case they ask for."""

RANGE_PATH = "/11.txt"  # as long as the file of Go's own test
STYLE_PATH = "/style.css"
LARGE_PATH = "/1m.bin"
REDIRECTED_PATH = "/directory"
# Long enough that a part is shorter than the whole.
PAGES = ["/", "/style.css", "/64k.bin"]


PAGE = ("<!doctype html><html lang=en><meta charset=utf-8><title>Judged</title>"
        + "<p>A page of some length, so that a part of it is shorter than all of it.</p>" * 20)
FILES = {
    "/index.html": PAGE.encode(),
    "/11.txt": b"0123456789\n",
    "/style.css": b"body { color: black; }\n" * 150,
    "/64k.bin": bytes(range(256)) * 256,
    "/1m.bin": bytes(range(256)) * 4096,
    "/directory/index.html": PAGE.encode(),
}


def lay(root):
    """Writes the tree into `root`, which exists and is empty."""
    for path, content in FILES.items():
        target = root / path.lstrip("/")
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(content)
