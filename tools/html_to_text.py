#!/usr/bin/env python3
"""Plain text of a DocBook book in HTML (one page a section, as Debian packages ship them), in reading order.

usage: html_to_text.py FOLDER                   lists the chapters: number, bytes, pages, title
       html_to_text.py FOLDER --chapters 2,5-7  prints those chapters

The reading order follows each page's <link rel="next"> from index.html; a page whose body holds a
<div class="chapter"> (or preface, appendix) begins a chapter. Navigation, tables of contents and images are
left out; paragraphs are separated by an empty line.
"""

import argparse
import os
import re
import sys
from html.parser import HTMLParser

BLOCKS = {"p", "div", "li", "ul", "ol", "dl", "dt", "dd", "table", "tr", "h1", "h2", "h3", "h4", "h5", "h6",
          "pre", "blockquote", "body"}
VOID = {"br", "hr", "img", "input", "link", "meta", "col", "area", "base", "wbr"}
CHAPTER_CLASSES = {"chapter", "preface", "appendix"}
SKIPPED_TAGS = {"head", "script", "style"}
SKIPPED_CLASSES = {"docnav", "toc", "banner"}
SKIPPED_IDS = {"title", "banner", "breadcrumbs"}


class Page(HTMLParser):
    """One page: .paragraphs, .next (file name of the next page or None), .starts_chapter."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.paragraphs = []
        self.next = None
        self.starts_chapter = False
        self._open = []  # (tag, whether it and what it holds is skipped)
        self._text = ""
        self.feed(html)
        self.close()
        self._end_paragraph()

    def _skipping(self):
        return bool(self._open) and self._open[-1][1]

    def _end_paragraph(self):
        if any(tag == "pre" for tag, _ in self._open):
            text = self._text.strip("\n").rstrip()
        else:
            text = re.sub(r"\s+", " ", self._text).strip()
        if text:
            self.paragraphs.append(text)
        self._text = ""

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        classes = set((values.get("class") or "").split())
        if tag == "link" and values.get("rel") == "next":
            self.next = values.get("href")
        if tag == "div" and classes & CHAPTER_CLASSES:
            self.starts_chapter = True
        if tag == "br":
            self._text += "\n"
        if tag in VOID:
            return
        if tag in BLOCKS:
            self._end_paragraph()
        skipped = (self._skipping() or tag in SKIPPED_TAGS or bool(classes & SKIPPED_CLASSES)
                   or values.get("id") in SKIPPED_IDS)
        self._open.append((tag, skipped))

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if tag not in (name for name, _ in self._open):
            return
        if tag in BLOCKS:
            self._end_paragraph()
        while self._open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        if not self._skipping():
            self._text += data


def read_book(folder):
    """Chapters in reading order, each a list of pages."""
    chapters = []
    name, seen = "index.html", set()
    while name and name not in seen:
        seen.add(name)
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            page = Page(file.read())
        if page.starts_chapter:
            chapters.append([])
        if chapters:
            chapters[-1].append(page)
        name = page.next
    return chapters


def chapter_text(pages):
    return "\n\n".join(paragraph for page in pages for paragraph in page.paragraphs) + "\n"


def parse_ranges(text, count):
    """'2,5-7' as [2, 5, 6, 7]; numbers from 1 to count."""
    numbers = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    for number in numbers:
        if not 1 <= number <= count:
            raise ValueError(f"chapter {number} is not in 1..{count}")
    return numbers


def main():
    arguments = argparse.ArgumentParser(description="Plain text of a DocBook book in HTML.")
    arguments.add_argument("folder", help="holds index.html")
    arguments.add_argument("--chapters", help="such as 2,5-7; without it the chapters are listed")
    options = arguments.parse_args()
    chapters = read_book(options.folder)
    if not options.chapters:
        for number, pages in enumerate(chapters, 1):
            size = len(chapter_text(pages).encode())
            print(f"{number:3d} {size:8d} bytes {len(pages):3d} pages  {pages[0].paragraphs[0]}")
        return 0
    try:
        numbers = parse_ranges(options.chapters, len(chapters))
    except ValueError as error:
        print(f"html_to_text.py: --chapters: {error}", file=sys.stderr)
        return 2
    sys.stdout.write("\n".join(chapter_text(chapters[number - 1]) for number in numbers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
