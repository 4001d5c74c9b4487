"""Tasks and agents kept as files: YAML, JSON, or Markdown with front matter.

Files and the gateway's resources are compared in one form: the fields that differ from their
defaults, in a fixed order.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import frontmatter
import yaml
from pydantic import BaseModel, ValidationError

from cli.client import Json
from cli.exits import CommandError
from domain import agent_files
from services.definitions.inputs import AgentCreate, TaskCreate

MARKDOWN = frozenset({".md", ".markdown"})
SUFFIXES = frozenset({".yaml", ".yml", ".json"}) | MARKDOWN

_TEXT = "(text)"
"""The text of a Markdown file among its fields; no field has this name."""

_UNKNOWN_FIELD = "There is no such field; leave it out."
"""In place of Pydantic's message, which mentions `extra inputs`."""

_LONGEST_FILE_NAME = 80
"""Characters of a resource's name in its file's name (chosen)."""


class DefinitionError(CommandError):
    """A file can't be read, or holds no definition."""


@dataclass(frozen=True)
class DefinitionKind:
    """A kind of resource that files define.

    `key` is the field that identifies it, `id_field` what its operations are called with, `prose`
    the field that is the body of a Markdown file. `required` has fields of requests that a file
    may leave out.
    """

    name: str
    key: str
    id_field: str
    prose: str
    model: type[BaseModel]
    required: Mapping[str, Any]

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
        return {**self.required, **{name: dumped[name] for name in optional}}

    def normalize(self, body: Mapping[str, Any]) -> Json:
        """The fields that differ from their defaults, in a fixed order, the key first.

        Raises:
            ValidationError: the body is invalid.
        """
        text = json.dumps({**self.required, **body}, default=str)  # YAML has dates
        model = self.model.model_validate_json(text, strict=True)
        fields = model.model_dump(mode="json", exclude_defaults=True)
        changed = {n: v for n, v in fields.items() if self.required.get(n, ...) != v}
        return {self.key: changed.pop(self.key), **changed}


TASK = DefinitionKind(
    name="task",
    key="name",
    id_field="id",
    prose="prompt_template",
    model=TaskCreate,
    required={"allowed_tools": [], "sdk_options": {}},
)
AGENT = DefinitionKind(
    name="agent",
    key="agent_id",
    id_field="agent_id",
    prose="system_prompt",
    model=AgentCreate,
    required={},
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

    @property
    def request(self) -> Json:
        """The body that creates it."""
        return {**self.kind.required, **self.body}


def is_file(name_or_file: str) -> bool:
    """Whether an argument means a file: by its suffix, or because the file exists."""
    path = Path(name_or_file)
    return path.suffix in SUFFIXES or path.is_file()


# --- reading --------------------------------------------------------------------------------------


def read_task(path: Path) -> Definition:
    """The one task in a file.

    Raises:
        DefinitionError: the file can't be read, or holds something else.
    """
    found = list(read_file(path))
    if len(found) != 1 or found[0].kind is not TASK:
        raise DefinitionError(f"{path} must hold one task; `perdure apply` takes more.")
    return found[0]


def find_files(path: Path) -> Sequence[Path]:
    """The definition files in a directory and those below it, sorted; or the one file.

    Raises:
        DefinitionError: there is none.
    """
    if not path.is_dir():
        return [path]
    found = sorted(
        file
        for file in path.rglob("*")
        if file.suffix in SUFFIXES and not _is_skipped(file.relative_to(path))
    )
    if not found:
        raise DefinitionError(f"{path} holds no definitions: no *.yaml, *.json or *.md.")
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
    for document in _read_documents(path):
        if document is not None:
            yield parse_definition(document, path)


def read_fields(path: Path) -> Json:
    """The fields of the one resource in a YAML or JSON file, unchecked.

    Raises:
        DefinitionError: the file can't be read, or holds something else.
    """
    found = [document for document in _read_documents(path) if document is not None]
    if path.suffix in MARKDOWN or len(found) != 1 or not isinstance(found[0], dict):
        raise DefinitionError(f"{path} must hold the fields of one thing, in YAML or JSON.")
    fields: Json = json.loads(json.dumps(found[0], default=str))  # YAML has dates
    return fields


def _read_documents(path: Path) -> Sequence[Any]:
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix in MARKDOWN:
            return [_parse_markdown(text)]
        return list(yaml.safe_load_all(text))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DefinitionError(f"{path} can't be read: {error}") from error


def _parse_markdown(text: str) -> Any:
    """The front matter, and the text after it as `_TEXT`."""
    post = frontmatter.loads(text)
    return {**post.metadata, _TEXT: post.content}


def parse_definition(document: Any, path: Path) -> Definition:
    """The definition that a document of a file holds.

    Raises:
        DefinitionError: it holds none.
    """
    if not isinstance(document, dict):
        raise DefinitionError(f"{path} holds no definition: write fields, such as `name: …`.")
    fields = dict(document)
    directory = path.parent.name.removesuffix("s")
    name = str(fields.pop("kind", directory if directory in KINDS else TASK.name))
    kind = KINDS.get(name)
    if kind is None:
        raise DefinitionError(f"{path}: there is no kind {name!r}; write {' or '.join(KINDS)}.")
    ignored: Sequence[str] = ()
    if _TEXT in fields and kind is AGENT:
        found = agent_files.read(fields, fields.pop(_TEXT))
        fields, ignored = dict(found.body), found.ignored
    elif _TEXT in fields:
        fields.setdefault(kind.prose, fields.pop(_TEXT))
    try:
        return Definition(kind, kind.normalize(fields), str(path), ignored)
    except ValidationError as error:
        lines = [f"{path} is no {kind.name}:"]
        for problem in error.errors(include_url=False):
            field = ".".join(map(str, problem["loc"])) or "(all of it)"
            msg = _UNKNOWN_FIELD if problem["type"] == "extra_forbidden" else problem["msg"]
            lines.append(f"  {field}: {msg}")
        raise DefinitionError("\n".join(lines)) from error


def define_resource(kind: DefinitionKind, resource: Mapping[str, Any]) -> Definition:
    """The definition of a resource of the gateway."""
    given = {name: resource[name] for name in kind.model.model_fields if name in resource}
    return Definition(kind, kind.normalize(given), "the gateway")


# --- writing --------------------------------------------------------------------------------------


def write_files(definitions: Iterable[Definition]) -> Iterator[tuple[str, str]]:
    """A unique path and a text for each: Markdown, unless the prose would change by it."""
    taken: set[str] = set()
    for definition in definitions:
        kind = definition.kind
        suffix, text = _write_file(definition)
        stem = re.sub(r"[^\w.-]+", "-", definition.key.lower())[:_LONGEST_FILE_NAME].strip("-.")
        path = f"{kind.name}s/{stem or kind.name}"
        numbered = (f"{path}-{n}" for n in count(2))
        while path + suffix in taken:
            path = next(numbered)
        taken.add(path + suffix)
        yield path + suffix, text


def write_stream(definitions: Iterable[Definition]) -> str:
    """All of them as one YAML file."""
    return "---\n".join(write_yaml({"kind": d.kind.name, **d.body}) for d in definitions)


def _write_file(definition: Definition) -> tuple[str, str]:
    fields = dict(definition.body)
    prose = str(fields.pop(definition.kind.prose, ""))
    text = f"---\n{write_yaml(fields)}---\n\n{prose}\n"
    if "\r" not in prose and _survives_markdown(text, definition):
        return ".md", text
    return ".yaml", write_yaml(definition.body)


def _survives_markdown(text: str, definition: Definition) -> bool:
    """Whether reading the text returns the definition; spaces around a prompt are lost, say."""
    try:
        document = {**_parse_markdown(text), "kind": definition.kind.name}
        return parse_definition(document, Path("-")).body == definition.body
    except DefinitionError:
        return False


def write_yaml(value: Mapping[str, Any]) -> str:
    """YAML with the fields in their order, and texts of several lines as blocks."""
    text: str = yaml.dump(
        dict(value), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100
    )
    return text


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    """A block for several lines; quotes around line ends that YAML would normalise."""
    style = "|" if "\n" in text else None
    if any(end in text for end in "\r\x85\u2028\u2029"):
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
