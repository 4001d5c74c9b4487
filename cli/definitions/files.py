"""Tasks and agents kept as files: YAML, JSON, or Markdown with front matter.

Files and the gateway's resources are compared in one form: the fields that differ from their
defaults, in a fixed order.
"""

import json
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from agent_library.documents import DocumentError, ParsedDocument, read_json, read_yaml
from agent_library.files import FrontMatter, read_agent_file, split_front_matter
from cli.connection.client import Json
from cli.exits import CommandError
from services.definitions.inputs import AgentCreate, TaskCreate
from services.validation_messages import describe_error

MARKDOWN = frozenset({".md", ".markdown"})
SUFFIXES = frozenset({".yaml", ".yml", ".json"}) | MARKDOWN
STDIN = Path("-")
"""The name of standard input, as in other programs."""

_KIND = re.compile(r"^kind[ \t]*:[ \t]*(?P<name>\w+)[ \t]*$", re.MULTILINE)


class DefinitionError(CommandError):
    """A file can't be read, or holds no definition."""


@dataclass(frozen=True)
class DefinitionKind:
    """A kind of resource that files define.

    `key` is the field that identifies it, `id_field` what its operations are called with, `prose`
    the field that is the body of a Markdown file.
    """

    name: str
    key: str
    id_field: str
    prose: str
    model: type[BaseModel]

    @cached_property
    def defaults(self) -> Json:
        """Every field that may be left out, with its default as JSON."""
        fields = self.model.model_fields.items()
        optional = {
            n: f.get_default(call_default_factory=True) for n, f in fields if not f.is_required()
        }
        dumped: Json = self.model.model_construct(**optional).model_dump(
            mode="json", warnings=False
        )
        return {name: dumped[name] for name in optional}

    def normalize(self, body: Mapping[str, Any]) -> Json:
        """The fields that differ from their defaults, in a fixed order, the key first.

        Raises:
            ValidationError: the body is invalid.
        """
        model = self.model.model_validate_json(json.dumps(body), strict=True)
        changed = model.model_dump(mode="json", exclude_defaults=True)
        return {self.key: changed.pop(self.key), **changed}


TASK = DefinitionKind(
    name="task",
    key="name",
    id_field="id",
    prose="prompt_template",
    model=TaskCreate,
)
AGENT = DefinitionKind(
    name="agent",
    key="agent_id",
    id_field="agent_id",
    prose="system_prompt",
    model=AgentCreate,
)
KINDS = {kind.name: kind for kind in (AGENT, TASK)}
"""In the order in which they are applied: a task may name an agent."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One task or agent in its normal form, and the file that holds it.

    `ignored` names the fields of a coding agent's file that have no meaning here.
    """

    kind: DefinitionKind
    body: Json
    source: str
    ignored: Sequence[str] = ()

    @property
    def key(self) -> str:
        """What identifies it."""
        key: str = self.body[self.kind.key]
        return key


def read_task(path: Path) -> Definition:
    """The one task in a file.

    Raises:
        DefinitionError: the file can't be read, or holds something else.
    """
    found = list(read_file(path))
    if len(found) != 1 or found[0].kind is not TASK:
        raise DefinitionError(f"{path} must hold one task; `perdure apply` takes more.")
    return found[0]


def find_files(path: Path, suffixes: Collection[str] = SUFFIXES) -> Sequence[Path]:
    """The definition files in a directory and those below it, sorted; or the one file.

    Raises:
        DefinitionError: there is none.
    """
    if not path.is_dir():
        return [path]
    found = sorted(
        file
        for file in path.rglob("*")
        if file.suffix in suffixes and not _is_skipped(file.relative_to(path))
    )
    if not found:
        kinds = ", ".join(f"*{suffix}" for suffix in sorted(suffixes))
        raise DefinitionError(f"{path} holds no definitions: no {kinds}.")
    return found


def _is_skipped(file: Path) -> bool:
    """Hidden files, and a directory's README."""
    return file.stem.upper() == "README" or any(part.startswith(".") for part in file.parts)


def read_all(paths: Iterable[Path]) -> Sequence[Definition]:
    """Every definition below these paths.

    Raises:
        DefinitionError: files can't be read, or two define the same resource; lists all problems.
    """
    problems: list[str] = []
    found: dict[tuple[str, str], Definition] = {}
    for file in (file for path in paths for file in find_files(path)):
        try:
            definitions = list(read_file(file))
        except DefinitionError as error:
            problems.append(str(error))
            continue
        for definition in definitions:
            earlier = found.setdefault((definition.kind.name, definition.key), definition)
            if earlier is not definition:
                problems.append(
                    f"{definition.source}: the {definition.kind.name} {definition.key!r} "
                    f"is defined in {earlier.source} already."
                )
    if problems:
        raise DefinitionError("\n".join(problems))
    return list(found.values())


def read_file(path: Path) -> Iterator[Definition]:
    """The definitions in a file: one, or one for each document of a YAML file.

    The kind is that of the field `kind`, else of the directory (`agents/`), else a task.

    Raises:
        DefinitionError: the file can't be read, or holds something else.
    """
    if path.suffix in MARKDOWN:
        yield parse_markdown(read_text(path), path)
        return
    for document in _read_documents(path):
        yield parse_definition(document, path)


def read_fields(path: Path, model: type[BaseModel]) -> Json:
    """The fields of the one resource in a YAML or JSON file, which are valid for the model.

    Raises:
        DefinitionError: the file can't be read, or holds something else.
    """
    if path.suffix in MARKDOWN:
        raise DefinitionError(f"{path} is Markdown; write the fields in YAML or JSON.")
    found = list(_read_documents(path))
    if len(found) != 1 or not isinstance(found[0].value, dict):
        raise DefinitionError(f"{path} must hold the fields of one thing.")
    return _choose_readings(model, found[0], str(path))


def read_text(path: Path) -> str:
    """The text of a file or, for `-`, of stdin: no byte order mark, Unix line ends.

    Raises:
        DefinitionError: the file can't be read, or is not UTF-8.
    """
    try:
        content = sys.stdin.buffer.read() if path == STDIN else path.read_bytes()
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise DefinitionError(f"{path} can't be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"{path}:{line}: This is not UTF-8; save the file with this encoding."
        raise DefinitionError(message) from error


def _read_documents(path: Path) -> Iterator[ParsedDocument]:
    text = read_text(path)
    try:
        yield from [read_json(text)] if path.suffix == ".json" else read_yaml(text)
    except DocumentError as error:
        raise _refuse(str(path), error) from error


def parse_markdown(text: str, path: Path) -> Definition:
    """The task or agent of a Markdown file: its front matter, and the text below.

    Raises:
        DefinitionError: the text holds none.
    """
    try:
        front = split_front_matter(text)
        found = _KIND.search(front.fields)
        kind = _kind_of(found and found["name"], path)
        fields = _KIND.sub("", front.fields)
        if kind is AGENT:
            agent = read_agent_file(FrontMatter(fields, front.text, front.first_line))
            return _make_definition(kind, agent.body, path, agent.ignored)
        documents = read_yaml(fields, first_line=front.first_line)
    except DocumentError as error:
        raise _refuse(str(path), error) from error
    if len(documents) != 1 or not isinstance(documents[0].value, dict):
        raise DefinitionError(f"{path}:1: The front matter must hold fields, such as `name: …`.")
    [document] = documents
    if front.text and kind.prose in document.value:
        line = document.lines[kind.prose,]
        message = f"{path}:{line}: {kind.prose} is the text below the front matter; keep one."
        raise DefinitionError(message)
    document.value.setdefault(kind.prose, front.text)
    return _make_definition(kind, document, path)


def _refuse(source: str, error: DocumentError) -> DefinitionError:
    return DefinitionError(f"{source}:{error.line}: {error}")


def _kind_of(name: str | None, path: Path) -> DefinitionKind:
    """The kind with this name, else that of the directory."""
    directory = path.parent.name.removesuffix("s")
    kind = KINDS.get(name or (directory if directory in KINDS else TASK.name))
    if kind is None:
        raise DefinitionError(f"{path}: there is no kind {name!r}; write {' or '.join(KINDS)}.")
    return kind


def parse_definition(document: ParsedDocument, path: Path) -> Definition:
    """The definition that a document of a YAML or JSON file holds.

    Raises:
        DefinitionError: it holds none.
    """
    if not isinstance(document.value, dict):
        line = document.line_of(())
        raise DefinitionError(f"{path}:{line}: This is no definition: write fields, as `name: …`.")
    fields = dict(document.value)
    name = fields.pop("kind", None)
    kind = _kind_of(None if name is None else str(name), path)
    return _make_definition(kind, ParsedDocument(fields, document.lines, document.readings), path)


def _make_definition(
    kind: DefinitionKind, document: ParsedDocument, path: Path, ignored: Sequence[str] = ()
) -> Definition:
    fields = _choose_readings(kind.model, document, str(path))
    return Definition(kind, kind.normalize(fields), str(path), ignored)


def _choose_readings(model: type[BaseModel], document: ParsedDocument, source: str) -> Json:
    """The fields; a word that is no text but should be one is a text, and the reverse.

    Raises:
        DefinitionError: they are invalid for the model.
    """
    fields: Json = document.value
    problems = {problem["loc"]: problem for problem in _find_problems(model, fields)}
    wrong = problems.keys() & document.readings.keys()
    if wrong:
        fields = document.with_readings(wrong)
        others = _find_problems(model, fields)
        problems = {other["loc"]: problems.get(other["loc"], other) for other in others}
    if problems:
        found = problems.values()
        lines = [_describe_problem(model, problem, document, source) for problem in found]
        raise DefinitionError("\n".join(lines))
    return fields


def _find_problems(model: type[BaseModel], value: Any) -> Sequence[Any]:
    try:
        model.model_validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        return error.errors(include_url=False)
    return ()


def _describe_problem(
    model: type[BaseModel], problem: Any, document: ParsedDocument, source: str
) -> str:
    """One line: the file, the line, the field, and what is wrong with it."""
    field = f"{'.'.join(map(str, problem['loc']))}: " if problem["loc"] else ""
    line = document.line_of(problem["loc"])
    return f"{source}:{line}: {field}{describe_error(problem, model)}"


def define_resource(kind: DefinitionKind, resource: Mapping[str, Any]) -> Definition:
    """The definition of a resource of the gateway."""
    given = {name: resource[name] for name in kind.model.model_fields if name in resource}
    return Definition(kind, kind.normalize(given), "the gateway")
