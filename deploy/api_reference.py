"""Writes docs/api/ from the contract: every service, RPC, message and enum with its comments.

Owns what a page looks like. Called by `make gen`, which writes, and by `make check`, which fails
where a page is not what the contract says. Never says anything of its own: what is missing
on a page is missing in a comment of `protos/`.
"""

import argparse
import pathlib
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from buf.validate import validate_pb2
from google.protobuf import descriptor_pb2, text_format
from payhub.options.v1 import options_pb2

from deploy import check_contract

FOLDER = check_contract.ROOT / "docs" / "api"
# One page for each of these, of one package or several.
PAGES = {
    "payments": ("payhub.payments.v1", "payhub.type.v1"),
    "events": ("payhub.events.v1",),
    "admin": ("payhub.admin.v1",),
    "provider": ("payhub.provider.v1",),
    "plugin": ("payhub.plugin.v1", "payhub.registry.v1", "payhub.options.v1"),
}
HEAD = "<!-- Written by `make gen` from the comments in protos/. -->"
INTRODUCTION = (
    "Every RPC with the scope that a key needs, its deadline (default, longest) and whether a call "
    "can be repeated; every field with its rules, as protovalidate writes them. How the calls go "
    "together is told in the [guides](../../README.md#more)."
)
# Field numbers of descriptor.proto, as paths of source information are made of.
_MESSAGE, _ENUM, _SERVICE = 4, 5, 6
_METHOD = _FIELD = _VALUE = 2
_NESTED, _NESTED_ENUM = 3, 4
_F = descriptor_pb2.FieldDescriptorProto
_SCALARS = {number: name.removeprefix("TYPE_").lower() for name, number in _F.Type.items()}
_IDEMPOTENCY = {
    descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS: "changes nothing",
    descriptor_pb2.MethodOptions.IDEMPOTENT: "can be repeated",
    descriptor_pb2.MethodOptions.IDEMPOTENCY_UNKNOWN: "not to be repeated blindly",
}
Path = tuple[int, ...]


class File:
    """One proto file and what its comments say.

    Args:
        proto: Its descriptor, with source information.
    """

    def __init__(self, proto: descriptor_pb2.FileDescriptorProto) -> None:
        self.proto = proto
        self._comments = {
            tuple(each.path): each.leading_comments or each.trailing_comments
            for each in proto.source_code_info.location
        }

    def comment(self, *path: int) -> str:
        """Returns what stands above an element, as one paragraph for each of the comment's."""
        text = self._comments.get(path, "")
        return "\n".join(line.removeprefix(" ").rstrip() for line in text.splitlines()).strip()

    def cell(self, *path: int, whole: bool = True) -> str:
        """Returns the same for a cell of a table, or the first paragraph of it."""
        text = self.comment(*path)
        text = text if whole else text.split("\n\n")[0]
        return " ".join(text.split()).replace("|", "\\|")

    def messages(self) -> Iterator[tuple[str, Any, Path]]:
        """Yields every message: its name below the package, descriptor and path."""
        for index, message in enumerate(self.proto.message_type):
            yield from _nested("", message, (_MESSAGE, index))

    def enums(self) -> Iterator[tuple[str, Any, Path]]:
        """Yields every enum, those within messages too."""
        for index, enum in enumerate(self.proto.enum_type):
            yield enum.name, enum, (_ENUM, index)
        for name, message, path in self.messages():
            for index, enum in enumerate(message.enum_type):
                yield f"{name}.{enum.name}", enum, (*path, _NESTED_ENUM, index)


def _nested(prefix: str, message: Any, path: Path) -> Iterator[tuple[str, Any, Path]]:
    if message.options.map_entry:
        return
    name = f"{prefix}{message.name}"
    yield name, message, path
    for index, inner in enumerate(message.nested_type):
        yield from _nested(f"{name}.", inner, (*path, _NESTED, index))


def render(files: Sequence[File]) -> dict[str, str]:
    """Returns the text of each page by its name in the folder."""
    pages = {}
    index = [HEAD, "# API reference", INTRODUCTION]
    for page, packages in PAGES.items():
        own = [file for file in files if file.proto.package in packages]
        pages[f"{page}.md"] = "\n\n".join(_page(packages, own)) + "\n"
        services = [
            f"| [{service.name}]({page}.md#{service.name.lower()}) | "
            f"{file.cell(_SERVICE, number, whole=False)} |"
            for file in own
            for number, service in enumerate(file.proto.service)
        ]
        rows = ["| service | |", "|---|---|", *services]
        index += [
            f"## [{', '.join(packages)}]({page}.md)",
            *(["\n".join(rows)] if services else []),
        ]
    return {"README.md": "\n\n".join(index) + "\n", **pages}


def _page(packages: Sequence[str], files: Sequence[File]) -> Iterator[str]:
    yield HEAD
    yield f"# {', '.join(packages)}"
    for file in files:
        for number, service in enumerate(file.proto.service):
            yield f"## {service.name}"
            yield file.comment(_SERVICE, number)
            for place, method in enumerate(service.method):
                yield from _method(file, method, (_SERVICE, number, _METHOD, place))
    yield "## Messages"
    for file in files:
        for name, message, path in file.messages():
            yield f"### {name}"
            yield file.comment(*path)
            if message.field:
                yield _fields(file, message, path)
    yield "## Enums"
    for file in files:
        for name, enum, path in file.enums():
            yield f"### {name}"
            yield file.comment(*path)
            rows = [
                f"| `{value.name}` | {value.number} | {file.cell(*path, _VALUE, place)} |"
                for place, value in enumerate(enum.value)
            ]
            yield "\n".join(["| value | number | |", "|---|---:|---|", *rows])


def _method(file: File, method: Any, path: Path) -> Iterator[str]:
    access = method.options.Extensions[options_pb2.access]
    limits = method.options.Extensions[options_pb2.limits]
    facts = [_IDEMPOTENCY[method.options.idempotency_level]]
    if access.open:
        facts.append("needs no key")
    elif access.scope:
        facts.append(f"scope `{access.scope}`")
    if limits.HasField("default_deadline"):
        facts.append(
            f"{_seconds(limits.default_deadline)}, at most {_seconds(limits.max_deadline)}"
        )
    takes = "stream of " if method.client_streaming else ""
    gives = "stream of " if method.server_streaming else ""
    yield f"### {method.name}"
    yield (
        f"{takes}{_link(method.input_type)} → {gives}{_link(method.output_type)}: "
        f"{'; '.join(facts)}."
    )
    yield file.comment(*path)


def _seconds(duration: Any) -> str:
    return f"{duration.ToTimedelta().total_seconds():g} s"


def _fields(file: File, message: Any, path: Path) -> str:
    rows = ["| field | type | rules | |", "|---|---|---|---|"]
    for place, field in enumerate(message.field):
        rows.append(
            f"| `{field.name}` = {field.number} | {_type(message, field)} | {_rules(field)} | "
            f"{file.cell(*path, _FIELD, place)} |"
        )
    return "\n".join(rows)


def _type(message: Any, field: Any) -> str:
    entry = next((n for n in message.nested_type if field.type_name.endswith(f".{n.name}")), None)
    if entry is not None and entry.options.map_entry:
        key, value = entry.field
        return f"map of {_one(key)} to {_one(value)}"
    words = _one(field)
    if field.label == _F.LABEL_REPEATED:
        return f"repeated {words}"
    if field.proto3_optional:
        return f"optional {words}"
    if field.HasField("oneof_index"):
        choice = message.oneof_decl[field.oneof_index]
        required = choice.options.Extensions[validate_pb2.oneof].required
        return f"{words}, one of `{choice.name}`{', which is required' if required else ''}"
    return words


def _one(field: Any) -> str:
    return _link(field.type_name) if field.type_name else _SCALARS[field.type]


def _link(type_name: str) -> str:
    full = type_name.removeprefix(".")
    for page, packages in PAGES.items():
        for package in packages:
            if full.startswith(f"{package}."):
                name = full.removeprefix(f"{package}.")
                return f"[{name}]({page}.md#{re.sub(r'[^a-z0-9_-]', '', name.lower())})"
    return f"`{full}`"


def _rules(field: Any) -> str:
    rules = validate_pb2.FieldRules()
    rules.CopyFrom(field.options.Extensions[validate_pb2.field])
    told = [each.message or each.id for each in rules.cel]
    rules.ClearField("cel")
    text = text_format.MessageToString(rules, as_one_line=True).strip()
    told += [f"`{text}`"] if text else []
    if field.options.Extensions[options_pb2.sensitive]:
        told.append("secret")
    return ", ".join(told).replace("|", "\\|")


def read() -> list[File]:
    """Returns the files of the contract."""
    with tempfile.TemporaryDirectory() as folder:
        image = pathlib.Path(folder) / "contract.binpb"
        if problems := check_contract.write_image(check_contract.ROOT, image):
            sys.exit("\n".join(problems))
        found = descriptor_pb2.FileDescriptorSet.FromString(image.read_bytes())
    return [File(file) for file in found.file if file.name.startswith(check_contract.OURS)]


def main() -> int:
    """Writes the pages, or with `--check` compares; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deploy.api_reference")
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args()
    pages = render(read())
    if not options.check:
        FOLDER.mkdir(exist_ok=True)
        for name, text in pages.items():
            (FOLDER / name).write_text(text)
    elif {path.name: path.read_text() for path in FOLDER.glob("*")} != pages:
        sys.stderr.write("docs/api is not what protos/ says: run make gen\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
