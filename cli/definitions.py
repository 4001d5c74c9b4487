"""Tasks and agents kept as files: YAML, JSON, or Markdown with front matter.

Both sides of a comparison, what a file says and what the gateway holds, are brought to one form:
the fields that differ from their defaults, in a fixed order.
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

from api.agents.schemas import AgentCreate
from cli.client import Json
from cli.exits import CommandError
from domain import agent_files
from services.definitions.inputs import TaskCreate

MARKDOWN = frozenset({".md", ".markdown"})
SUFFIXES = frozenset({".yaml", ".yml", ".json"}) | MARKDOWN

_TEXT = "(text)"
"""Where the text of a Markdown file stands among its fields: no field has that name."""

_UNKNOWN = "There is no such field; leave it out."
"""Pydantic says that extra inputs are not permitted, which names nothing that a file has."""

_LONGEST_FILE_NAME = 80
"""Characters of a name that a file's name takes over: enough to know it by (chosen)."""


class DefinitionError(CommandError):
    """A file can't be read as what it should be."""


@dataclass(frozen=True)
class Kind:
    """What can be kept as a file. `key` identifies it, `prose` is the body of a Markdown file."""

    name: str
    path: str
    key: str
    prose: str
    model: type[BaseModel]
    unless_said: Mapping[str, Any]
    """Required fields that a file may leave out."""

    @cached_property
    def defaults(self) -> Json:
        """Every field that may be left out, with what it is then, as JSON."""
        fields = self.model.model_fields.items()
        optional = {
            n: f.get_default(call_default_factory=True) for n, f in fields if not f.is_required()
        }
        dumped: Json = self.model.model_construct(**optional).model_dump(
            mode="json", warnings=False
        )
        return {**self.unless_said, **{name: dumped[name] for name in optional}}

    def normal(self, body: Mapping[str, Any]) -> Json:
        """The fields that differ from their defaults, in a fixed order, the key first.

        Raises:
            ValidationError: it is no body of this kind.
        """
        text = json.dumps({**self.unless_said, **body}, default=str)  # YAML knows dates
        model = self.model.model_validate_json(text, strict=True)
        lean = model.model_dump(mode="json", exclude_defaults=True)
        said = {n: v for n, v in lean.items() if self.unless_said.get(n, ...) != v}
        return {self.key: said.pop(self.key), **said}


TASK = Kind(
    name="task",
    path="/tasks",
    key="name",
    prose="prompt_template",
    model=TaskCreate,
    unless_said={"allowed_tools": [], "sdk_options": {}},
)
AGENT = Kind(
    name="agent",
    path="/agents",
    key="agent_id",
    prose="system_prompt",
    model=AgentCreate,
    unless_said={},
)
KINDS = {kind.name: kind for kind in (AGENT, TASK)}
"""In the order in which they are applied: a task may name an agent."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One task or agent in its normal form, and the file it came from.

    `ignored` names what the file says beyond that: coding agents' files have fields of their own.
    """

    kind: Kind
    body: Json
    source: str
    ignored: Sequence[str] = ()

    @property
    def key(self) -> str:
        """What it is known by."""
        key: str = self.body[self.kind.key]
        return key

    @property
    def request(self) -> Json:
        """The body that creates it."""
        return {**self.kind.unless_said, **self.body}


def is_file(name_or_file: str) -> bool:
    """Whether an argument means a file: it ends like one, or there is one."""
    path = Path(name_or_file)
    return path.suffix in SUFFIXES or path.is_file()


def task_in(path: Path) -> Definition:
    """The one task in a file.

    Raises:
        DefinitionError: the file can't be read, or holds something else.
    """
    found = list(read(path))
    if len(found) != 1 or found[0].kind is not TASK:
        raise DefinitionError(f"{path} must hold one task; `perdure apply` takes more.")
    return found[0]


# --- reading --------------------------------------------------------------------------------------


def files_in(path: Path) -> Sequence[Path]:
    """The definition files of a directory and those below it, in order; or the one file.

    Raises:
        DefinitionError: there is nothing.
    """
    if path.is_dir():
        found = sorted(
            file
            for file in path.rglob("*")
            if file.suffix in SUFFIXES and not _is_aside(file.relative_to(path))
        )
        if not found:
            raise DefinitionError(f"{path} holds no definitions: no *.yaml, *.json or *.md.")
        return found
    return [path]


def _is_aside(file: Path) -> bool:
    """Hidden things, and what a directory says about itself."""
    return file.stem.upper() == "README" or any(part.startswith(".") for part in file.parts)


def read_all(paths: Iterable[Path]) -> Sequence[Definition]:
    """Every definition below these paths; all that is wrong is told at once.

    Raises:
        DefinitionError: a file can't be read, or two define the same thing.
    """
    problems: list[str] = []
    found: dict[tuple[str, str], Definition] = {}
    for file in (file for path in paths for file in files_in(path)):
        try:
            definitions = list(read(file))
        except DefinitionError as error:
            problems.append(str(error))
            continue
        for definition in definitions:
            earlier = found.setdefault((definition.kind.name, definition.key), definition)
            if earlier is not definition:
                problems.append(
                    f"{definition.source}: the {definition.kind.name} {definition.key!r} "
                    f"stands in {earlier.source} already."
                )
    if problems:
        raise DefinitionError("\n".join(problems))
    return list(found.values())


def read(path: Path) -> Iterator[Definition]:
    """The definitions in a file: one, or one for each document of a YAML file.

    The kind is what `kind` says, else that of the directory (`agents/`), else a task.

    Raises:
        DefinitionError: the file can't be read, or holds something else.
    """
    for document in _documents(path):
        if document is not None:
            yield of_fields(document, path)


def fields_in(path: Path) -> Json:
    """The fields of the one thing in a YAML or JSON file, as they are: the gateway checks them.

    Raises:
        DefinitionError: the file can't be read, or holds something else.
    """
    found = [document for document in _documents(path) if document is not None]
    if path.suffix in MARKDOWN or len(found) != 1 or not isinstance(found[0], dict):
        raise DefinitionError(f"{path} must hold the fields of one thing, in YAML or JSON.")
    fields: Json = json.loads(json.dumps(found[0], default=str))  # YAML knows dates
    return fields


def _documents(path: Path) -> Sequence[Any]:
    try:
        text = path.read_text(encoding="utf-8")
        return [_markdown(text)] if path.suffix in MARKDOWN else list(yaml.safe_load_all(text))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DefinitionError(f"{path} can't be read: {error}") from error


def _markdown(text: str) -> Any:
    """The front matter, and the text after it as `_TEXT`."""
    post = frontmatter.loads(text)
    return {**post.metadata, _TEXT: post.content}


def of_fields(document: Any, path: Path) -> Definition:
    """The definition that a document of a file holds.

    Raises:
        DefinitionError: it holds none.
    """
    if not isinstance(document, dict):
        raise DefinitionError(f"{path} holds no definition: write fields, such as `name: …`.")
    fields = dict(document)
    usual = path.parent.name.removesuffix("s")
    name = str(fields.pop("kind", usual if usual in KINDS else TASK.name))
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
        return Definition(kind, kind.normal(fields), str(path), ignored)
    except ValidationError as error:
        lines = [f"{path} is no {kind.name}:"]
        for problem in error.errors(include_url=False):
            where = ".".join(map(str, problem["loc"])) or "(all of it)"
            msg = _UNKNOWN if problem["type"] == "extra_forbidden" else problem["msg"]
            lines.append(f"  {where}: {msg}")
        raise DefinitionError("\n".join(lines)) from error


def of_resource(kind: Kind, resource: Mapping[str, Any]) -> Definition:
    """What the gateway holds, in the same form."""
    given = {name: resource[name] for name in kind.model.model_fields if name in resource}
    return Definition(kind, kind.normal(given), "the gateway")


# --- writing --------------------------------------------------------------------------------------


def as_files(definitions: Iterable[Definition]) -> Iterator[tuple[str, str]]:
    """A path of its own and a text for each: Markdown, unless its prose would not survive that."""
    taken: set[str] = set()
    for definition in definitions:
        kind = definition.kind
        suffix, text = _written(definition)
        stem = re.sub(r"[^\w.-]+", "-", definition.key.lower())[:_LONGEST_FILE_NAME].strip("-.")
        path = f"{kind.name}s/{stem or kind.name}"
        numbered = (f"{path}-{n}" for n in count(2))
        while path + suffix in taken:
            path = next(numbered)
        taken.add(path + suffix)
        yield path + suffix, text


def as_stream(definitions: Iterable[Definition]) -> str:
    """All of them as one YAML file."""
    return "---\n".join(as_yaml({"kind": d.kind.name, **d.body}) for d in definitions)


def _written(definition: Definition) -> tuple[str, str]:
    kind = definition.kind
    fields = dict(definition.body)
    prose = str(fields.pop(kind.prose, ""))
    text = f"---\n{as_yaml(fields)}---\n\n{prose}\n"
    if "\r" not in prose and _is_read_again(text, definition):
        return ".md", text
    return ".yaml", as_yaml(definition.body)


def _is_read_again(text: str, definition: Definition) -> bool:
    """Markdown has no way to say some things, such as spaces around a prompt."""
    try:
        document = {**_markdown(text), "kind": definition.kind.name}
        return of_fields(document, Path("-")).body == definition.body
    except DefinitionError:
        return False


def as_yaml(value: Mapping[str, Any]) -> str:
    """YAML as people write it: fields in their order, texts of several lines as blocks."""
    text: str = yaml.dump(
        dict(value), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100
    )
    return text


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    """A block for several lines; quotes around line ends that YAML would take for its own."""
    style = "|" if "\n" in text else None
    if any(end in text for end in "\r\x85\u2028\u2029"):
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
