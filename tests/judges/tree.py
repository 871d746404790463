"""The directory that the judges look at: small, of known content, with every case they ask for."""

RANGE_PATH = "/11.txt"  # as long as the file of Go's own test
STYLE_PATH = "/style.css"
LARGE_PATH = "/1m.bin"
REDIRECTED_PATH = "/directory"
# Long enough that a part is shorter than the whole.
PAGES = ["/", "/style.css", "/64k.bin"]


def lay(root):
    """Writes the tree into `root`, which exists and is empty."""
    page = "<!doctype html><html lang=en><meta charset=utf-8><title>Judged</title>"
    page += "<p>A page of some length, so that a part of it is shorter than all of it.</p>" * 20
    (root / "index.html").write_text(page)
    (root / "11.txt").write_bytes(b"0123456789\n")
    (root / "style.css").write_text("body { color: black; }\n" * 150)
    (root / "64k.bin").write_bytes(bytes(range(256)) * 256)
    (root / "1m.bin").write_bytes(bytes(range(256)) * 4096)
    (root / "directory").mkdir()
    (root / "directory/index.html").write_text(page)
