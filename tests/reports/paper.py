"""Reading a PDF as a person and a screen reader would."""

from io import BytesIO

from pypdf import PdfReader


def opened(pdf: bytes) -> PdfReader:
    """The file, strictly."""
    return PdfReader(BytesIO(pdf), strict=True)


def text_of(pdf: bytes) -> str:
    """All of its words on one line; where a long word may break says nothing."""
    pages = (page.extract_text() for page in opened(pdf).pages)
    return " ".join(" ".join(pages).replace("\u200b", "").split())


def addresses_of(pdf: bytes) -> set[str]:
    """Where its links lead outside of it."""
    actions = (a.get("/A", {}) for a in _annotations(pdf))
    return {str(action["/URI"]) for action in actions if "/URI" in action}


def inner_links_of(pdf: bytes) -> int:
    """How many links lead to another place in it."""
    return sum("/Dest" in a or a.get("/A", {}).get("/S") == "/GoTo" for a in _annotations(pdf))


def _annotations(pdf: bytes) -> list[dict[str, dict[str, str]]]:
    return [
        annotation.get_object()
        for page in opened(pdf).pages
        for annotation in page.get("/Annots", ())
    ]
