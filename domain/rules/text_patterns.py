"""Patterns for text in which `*` stands for any characters."""


def matches_wildcards(pattern: str, text: str) -> bool:
    """Whether the whole text matches. One search for each part is fast for any text."""
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    *middle, last = rest
    position = len(first)
    if not text.startswith(first):
        return False
    for piece in middle:
        found = text.find(piece, position)
        if found < 0:
            return False
        position = found + len(piece)
    return len(text) - len(last) >= position and text.endswith(last)


def may_match_wildcards(pattern: str, beginning: str) -> bool:
    """Whether a text with this beginning can match."""
    first, star, _ = pattern.partition("*")
    return first.startswith(beginning) or (star != "" and beginning.startswith(first))
