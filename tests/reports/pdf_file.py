"""A strict reader of rendered PDF files."""

from io import BytesIO

from pypdf import PdfReader


def open_pdf(pdf: bytes) -> PdfReader:
    """The parsed file; raises an error if it is not valid."""
    return PdfReader(BytesIO(pdf), strict=True)


def text_of(pdf: bytes) -> str:
    """All of its text on one line, without the places where a long word may break."""
    pages = (page.extract_text() for page in open_pdf(pdf).pages)
    return " ".join(" ".join(pages).replace("\u200b", "").split())


def addresses_of(pdf: bytes) -> set[str]:
    """The addresses of its outer links."""
    actions = (a.get("/A", {}) for a in _annotations(pdf))
    return {str(action["/URI"]) for action in actions if "/URI" in action}


def inner_links_of(pdf: bytes) -> int:
    """How many links lead to a place in the file."""
    return sum("/Dest" in a or a.get("/A", {}).get("/S") == "/GoTo" for a in _annotations(pdf))


def _annotations(pdf: bytes) -> list[dict[str, dict[str, str]]]:
    return [
        annotation.get_object()
        for page in open_pdf(pdf).pages
        for annotation in page.get("/Annots", ())
    ]
