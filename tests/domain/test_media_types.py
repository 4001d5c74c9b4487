import pytest

from domain.files.media_types import find_media_type

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
ZIP = b"PK\x03\x04" + bytes(20)
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@pytest.mark.parametrize(
    ("name", "head", "given", "found"),
    [
        ("a.png", PNG, None, "image/png"),
        ("a.txt", PNG, None, "image/png"),
        ("a", PNG, "text/html", "image/png"),
        ("a.png", b"<script>", None, "text/plain; charset=utf-8"),
        ("a.png", b"\0\1", "image/png", "application/octet-stream"),
        ("a.docx", ZIP, None, DOCX),
        ("a.docx", ZIP, DOCX, DOCX),
        ("a", ZIP, None, "application/zip"),
        ("a", ZIP, "application/octet-stream", "application/zip"),
        ("a.png", ZIP, None, "application/zip"),
        ("a.md", b"# x", None, "text/markdown"),
        ("a.csv", b"BM,ID3", "text/csv", "text/csv"),
        ("a", "aé".encode()[:2], None, "text/plain; charset=utf-8"),
        ("a", b"\xff\xfe\xfd\xfc\xfb", None, "application/octet-stream"),
        ("a", b"", None, "application/octet-stream"),
        ("a.json", b"", None, "application/json"),
    ],
)
def test_the_first_bytes_decide(name: str, head: bytes, given: str | None, found: str) -> None:
    assert find_media_type(name, head, given) == found
