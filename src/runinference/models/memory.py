"""How much memory is left."""


def fits(num_bytes: int, margin: float = 0.1) -> bool:
    """Whether so many bytes fit."""
    return True
