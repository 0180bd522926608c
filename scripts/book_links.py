"""Checks every link and anchor of the built book, and brings along what the links that lead out of docs/ mean.

A page links to a source file by its place in the repository, so that the link works there. In the book that file lies below `repository/`, as
text, and the link is changed to lead there.
"""

import html
import re
import shutil
import sys
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
# Of HTML that mdBook has written, which is regular.
LINK = re.compile(r'(<(?:a|img|link|script)\b[^>]*?\s(?:href|src)=")([^"]*)(")')
ANCHOR = re.compile(r'\s(?:id|name)="([^"]*)"')


def main() -> int:
    book = Path(sys.argv[1]).resolve()
    # 404.html is shown in the place of any page: its links are relative to the top of a server.
    pages = sorted(page for page in book.rglob("*.html") if page.name not in ("404.html", "toc.html"))
    if not pages:
        print(f"error: there is no page in {book}", file=sys.stderr)
        return 1
    anchors: dict[Path, set[str]] = {}
    dead: list[str] = []
    links = 0
    for page in pages:
        text = page.read_text()

        def changed(match: re.Match[str]) -> str:
            nonlocal links
            before, link, after = match.groups()
            parts = urlsplit(html.unescape(link))
            if parts.scheme or parts.netloc:
                return match.group()
            links += 1
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if target.is_dir():
                target = target / "index.html"
            index = target.with_name("index.html")
            # mdBook calls a README.md so, and changes no links to it.
            is_readme = target.name == "README.html" and not target.exists()
            if is_readme and target.is_relative_to(book) and index.is_file():
                target = index
                parts = parts._replace(path=parts.path.removesuffix("README.html") + "index.html")
            if target.is_relative_to(book) and target.is_file():
                if parts.fragment and target.suffix == ".html":
                    if target not in anchors:
                        anchors[target] = {html.unescape(found) for found in ANCHOR.findall(target.read_text())}
                    if unquote(parts.fragment) not in anchors[target]:
                        dead.append(f"{page.relative_to(book)}: no such anchor: {link}")
                return before + html.escape(parts.geturl()) + after if is_readme else match.group()
            source = source_of(page.relative_to(book).parent, unquote(parts.path))
            if source is None:
                dead.append(f"{page.relative_to(book)}: dead link: {link}")
                return match.group()
            copied = brought(source, book)
            up = "../" * len(page.relative_to(book).parent.parts)
            return before + up + quote(str(copied.relative_to(book))) + after

        written = LINK.sub(changed, text)
        if written != text:
            page.write_text(written)
    for line in dead:
        print(f"error: {line}", file=sys.stderr)
    print(f"{len(pages)} pages, {links} links, {len(dead)} of them dead")
    return 1 if dead else 0


def source_of(folder: Path, path: str) -> Path | None:
    """The file or folder of the repository that a link of a page means, if it lies outside of docs/."""
    source = (DOCS / folder / path).resolve()
    # mdBook has made a page of what ends with .md.
    for candidate in (source, source.with_suffix(".md")):
        if candidate.exists() and candidate.is_relative_to(ROOT) and not candidate.is_relative_to(DOCS):
            return candidate
    return None


def brought(source: Path, book: Path) -> Path:
    """A copy of a file that a browser shows, or a list of those in a folder."""
    place = book / "repository" / source.relative_to(ROOT)
    if source.is_file():
        copied = place if source.suffix in (".png", ".svg") else place.with_name(place.name + ".txt")
        if not copied.exists():
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copied)
        return copied
    listing = place / "index.html"
    if not listing.exists():
        listing.parent.mkdir(parents=True, exist_ok=True)
        listing.touch()
        entries = []
        for entry in sorted(source.rglob("*")):
            parts = entry.relative_to(source).parts
            if entry.is_file() and not any(part in ("target", "node_modules", "__pycache__", "dist") for part in parts):
                copied = brought(entry, book).relative_to(place)
                entries.append(f'<li><a href="{quote(str(copied))}">{html.escape("/".join(parts))}</a></li>')
        name = html.escape(str(source.relative_to(ROOT)))
        listing.write_text(
            f'<!doctype html><meta charset="utf-8"><title>{name}</title><h1>{name}</h1><ul>{"".join(entries)}</ul>\n'
        )
    return listing


if __name__ == "__main__":
    sys.exit(main())
