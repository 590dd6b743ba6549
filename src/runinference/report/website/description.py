"""The text that describes a benchmark, as HTML."""

from __future__ import annotations

import re
from collections.abc import Iterable

from runinference.report.markup import escaped


def to_html(text: str) -> str:
    """Paragraphs with an empty line between them, lists whose items begin with `- `, `code`, **bold** and *italic*."""
    blocks = re.split(r"\n\s*\n", text.strip())
    return "".join(_block(block.splitlines()) for block in blocks if block.strip())


def first_sentence(text: str) -> str:
    """What stands before the first full stop, without marks of emphasis; for where there is little room."""
    words = " ".join(re.split(r"\n\s*\n", text.strip())[0].split())
    return re.sub(r"[`*]", "", re.split(r"(?<=[.!?])\s", words)[0])


def _block(lines: list[str]) -> str:
    """A paragraph, a list, or a paragraph with a list below it."""
    before: list[str] = []
    items: list[list[str]] = []
    for line in lines:
        if re.match(r"\s*[-*] ", line):
            items.append([line.strip()[2:]])
        else:
            (items[-1] if items else before).append(line.strip())
    paragraph = f"<p>{_spans(before)}</p>" if before else ""
    return paragraph + (f"<ul>{''.join(f'<li>{_spans(item)}</li>' for item in items)}</ul>" if items else "")


def _spans(lines: Iterable[str]) -> str:
    """One line; what is within marks of code is taken as it is."""
    pieces = re.split(r"(``.+?``|`.+?`)", " ".join(lines))
    return "".join(
        f"<code>{escaped(piece.strip('`'))}</code>" if place % 2 else _emphasis(escaped(piece))
        for place, piece in enumerate(pieces)
    )


def _emphasis(text: str) -> str:
    text = re.sub(r"\*\*(\S(?:.*?\S)?)\*\*", r"<b>\1</b>", text)
    return re.sub(r"(?<![\w*])\*(\S(?:.*?\S)?)\*(?![\w*])", r"<i>\1</i>", text)
