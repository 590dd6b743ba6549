"""Text as HTML. Whatever comes from outside goes through `escaped`."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

# Characters that no page may hold are shown as what they are.
_CONTROLS = {code: f"\\x{code:02x}" for code in [*range(32), *range(127, 160)] if chr(code) not in "\t\n"}
_LIKE_CONTROLS = {code: f"\\u{code:04x}" for code in [*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFFFE, 0xFFFF]}


def escaped(value: Any) -> str:
    """A value as text that holds no markup, wherever in a page it stands."""
    return html.escape(str(value).translate(_CONTROLS | _LIKE_CONTROLS))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], css: str = "") -> str:
    """A table of cells that are HTML already."""
    titles = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    heading = f"<thead><tr>{titles}</tr></thead>" if head else ""
    return f'<div class="scroll"><table class="{css}">{heading}<tbody>{body}</tbody></table></div>'


def definitions(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and what belongs to them, escaped."""
    items = "".join(f"<div><dt>{escaped(name)}</dt><dd>{escaped(value)}</dd></div>" for name, value in pairs)
    return f"<dl>{items}</dl>"


def section(title: str, *parts: str, css: str = "") -> str:
    """A section; the title is escaped, the parts are HTML. Without parts there is none."""
    body = "".join(parts)
    return f'<section class="{css}"><h2>{escaped(title)}</h2>{body}</section>' if body else ""
