"""Progress on the terminal."""


def say(what: str) -> None:
    """Print what is being measured."""
    print(f"bench: {what}", flush=True)
