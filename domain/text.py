"""Text from tools, models and people, made storable."""


def clean(text: str) -> str:
    """`text` with NUL and lone surrogates, which Postgres can't hold, replaced by U+FFFD."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return text
