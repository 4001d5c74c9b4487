"""The process that sets one PDF: JSON on stdin, PDF on stdout. `reports.writers.pdf` starts it."""

import resource
import sys
from contextlib import ExitStack
from importlib.resources import as_file, files
from typing import cast

FONTS = ("manimgx_fonts", "manimgx_fonts_cjk")
"""Packages with fonts for scripts that typst has none for (Noto, SIL Open Font License)."""

LONGEST_SECONDS = 20.0
"""A report of 200 turns takes a second; a browser waits some 30 s (chosen)."""

MAX_MEMORY_BYTES = 2 * 1024**3
"""Of addresses, more than it uses: fonts are mapped and threads have stacks (chosen)."""


def main() -> None:
    """Set the PDF of the data on stdin."""
    seconds = int(LONGEST_SECONDS)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    data = sys.stdin.buffer.read().decode()
    with as_file(files("reports") / "templates") as templates:
        sys.stdout.buffer.write(typeset(str(templates), data))


def typeset(templates: str, data: str) -> bytes:
    """The PDF of this JSON. Typst can read only the directory `templates`, which has its template.

    The PDF is PDF/UA-1 (ISO 14289-1) unless the text has letters that no font has.
    """
    import typst  # noqa: PLC0415 - after the limits are set

    with ExitStack() as fonts:
        folders = [str(fonts.enter_context(as_file(files(package)))) for package in FONTS]
        compiler = typst.Compiler(
            f"{templates}/report.typ",
            root=templates,
            sys_inputs={"data": data},
            font_paths=folders,
        )
    try:
        made = compiler.compile(format="pdf", pdf_standards="ua-1")
    except typst.TypstError:
        made = compiler.compile(format="pdf")
    return cast("bytes", made)  # a list would be several pictures


if __name__ == "__main__":
    main()
