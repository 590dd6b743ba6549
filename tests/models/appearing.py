"""Models that appear, change and are watched."""

import hashlib
import os

from runinference.models.watch import ModelWatch

OLD, NOW, NEW = 1_000_000_000, 1_500_000_000, 1_600_000_000


def put(path, content, at=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    if at is not None:
        os.utime(path, (at, at))
    return str(path)


def digest(content):
    return hashlib.sha256(content).hexdigest()


def settled(watch):
    """What the second of two polls finds; the first one must not find anything."""
    assert watch.poll() is None
    return watch.poll()


def soon(watch):
    """What one of two polls finds, where it depends on the clock which of them."""
    return watch.poll() or watch.poll()


def watching(pattern, **options):
    """A watch whose first poll is done, and was taken over."""
    watch = ModelWatch(str(pattern), **options)
    found = watch.poll()
    if found is not None:
        watch.served(found.content_hash)
    return watch


def point(pointer, line, at=None):
    """Puts a line in place of what a pointer says, at once, as a careful person does."""
    put(pointer.with_name("_next"), line.encode(), at)
    os.replace(pointer.with_name("_next"), pointer)
