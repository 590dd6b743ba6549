"""Files of options: one `--flag=value` a line."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from runinference.errors import ConfigurationError, closest

_FORM = "One --flag=value is expected on each line; lines that begin with # are comments"
_USUAL_PLACE = Path("benchmarks/options")
_BLANKS = " \t\r\v\f"


def expand(argv: Sequence[str]) -> list[str]:
    """The arguments, with the lines of `options.txt` in place of `@options.txt`.

    A line is `--flag=value`, `--flag value` or `--flag`, with quotes as a shell has them; a backslash is a backslash.
    Empty lines, and what follows a `#`, are left out. What comes later wins, so an argument behind the file replaces
    what the file says.

    Args:
        argv: Arguments.

    Raises:
        ConfigurationError: There is no such file, or a line in it is something else.
    """
    found: list[str] = []
    for argument in argv:
        if argument.startswith("@"):
            found += _flags_in(Path(argument[1:]))
        else:
            found.append(argument)
    return found


def _flags_in(path: Path) -> Iterator[str]:
    for number, line in enumerate(_read(path).split("\n"), 1):
        try:
            words = _words(line)
            if words:
                yield _flag(words)
        except ValueError as error:
            raise ConfigurationError(f"{path}, line {number}: {error}") from None


def _read(path: Path) -> str:
    if not path.name:
        raise ConfigurationError("@ needs the name of a file of options behind it, such as @options.txt")
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigurationError(
            f"The options file {path} cannot be read: {error.strerror}.{_closest_file(path)}"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"The options file {path} is no text in UTF-8: {error}") from error


def _words(line: str) -> list[str]:
    """The words of a line, as a shell would see them if it knew no backslash: the paths of Windows hold some."""
    words: list[str] = []
    word: str | None = None
    quote = ""
    for character in line:
        if quote:
            if character == quote:
                quote = ""
            else:
                word = f"{word}{character}"
        elif character in "'\"":
            quote, word = character, word or ""
        elif character in _BLANKS:
            words += [] if word is None else [word]
            word = None
        elif character == "#" and word is None:
            break
        else:
            word = f"{word or ''}{character}"
    if quote:
        raise ValueError(f"a quote is not closed in {line.strip()!r}")
    return words if word is None else [*words, word]


def _flag(words: list[str]) -> str:
    first, *others = words
    if first.startswith("@"):
        raise ValueError(f"{first} would be a file within a file; name it on the command line")
    if not first.startswith("--") or not first.strip("-"):
        raise ValueError(f"{first!r} is no flag. {_FORM}")
    if not others:
        return first
    if "=" in first or len(others) > 1 or others[0].startswith("--"):
        surplus = others[0] if "=" in first or others[0].startswith("--") else others[1]
        raise ValueError(f"{surplus!r} follows the flag. {_FORM}, and a value with spaces is put in quotes")
    return f"{first}={others[0]}"


def _closest_file(path: Path) -> str:
    """The file that may have been meant: one beside it, or one of the same name in the usual place."""
    near: list[str] = []
    for folder in (path.parent, _USUAL_PLACE):
        try:
            near += [str(folder / name) for name in sorted(os.listdir(folder)) if (folder / name).is_file()]
        except OSError:
            continue
    of_that_name = [each for each in near if Path(each).name == path.name]
    return closest(str(path), near) or (f" Did you mean {of_that_name[0]!r}?" if of_that_name else "")
