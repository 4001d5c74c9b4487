"""Progress on the terminal."""


def say(what: str) -> None:
    """Tell what is being measured."""
    print(f"bench: {what}", flush=True)
