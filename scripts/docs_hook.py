"""A hook of mkdocs: what the pages of docs/ tell of the code, taken from the code when the site is built."""

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import typer.main

from callcov_auth.cli.app import app
from callcov_auth.errors import REFUSALS

_CODE = re.compile(r"(^```.*?^```$)", re.M | re.S)
_LINK = re.compile(r"\[([^\]]*)\]\((?!\w+:)([^)#\s]+)[^)]*\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Put what a mark stands for in its place, and of a link that leads out of the pages leave the text."""
    for mark, made in MARKS.items():
        if mark in markdown:
            markdown = markdown.replace(mark, "\n".join(made()))
    folder = posixpath.dirname(page.file.src_uri)
    prose_and_code = _CODE.split(markdown)
    prose_and_code[::2] = [_linked_within(folder, prose) for prose in prose_and_code[::2]]
    return "".join(prose_and_code)


def _linked_within(folder: str, prose: str) -> str:
    return _LINK.sub(lambda link: link[1] if _leads_out(folder, link[2]) else link[0], prose)


def _leads_out(folder: str, target: str) -> bool:
    return posixpath.normpath(posixpath.join(folder, target)).startswith("../")


def _commands() -> Iterator[str]:
    """Every command with its options, as ``--help`` tells them."""
    members: Mapping[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for name, command in members.items():
        if not hasattr(command, "commands"):
            yield from _told(command, name, "##")
    for name, group in members.items():
        if hasattr(group, "commands"):
            yield from (f"## {name}", "", group.help, "")
            for word, command in group.commands.items():
                yield from _told(command, f"{name} {word}", "###")


def _told(command: Any, name: str, level: str) -> Iterator[str]:
    context = command.make_context(name, [], resilient_parsing=True)
    usage = " ".join(["callcov-auth", name, *command.collect_usage_pieces(context)])
    yield from (f"{level} {name}", "", "```text", usage, "```", "", command.help or "", "")
    rows = [record for parameter in command.params if (record := parameter.get_help_record(context))]
    if rows:
        yield from ("| given | what it is |", "|---|---|")
        yield from (f"| `{option}` | {_cell(about)} |" for option, about in rows)
        yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _refusals() -> Iterator[str]:
    """Every refusal with its code and status, which its class has and its docstring does not say again."""
    for refusal in REFUSALS:
        is_made_otherwise = "__init__" in vars(refusal)
        yield f"::: {refusal.__module__}.{refusal.__qualname__}"
        yield "    options:"
        yield "      heading_level: 3"
        yield "      show_if_no_docstring: true"
        yield f"      show_signature: {str(is_made_otherwise).lower()}"
        yield '      filters: ["!^_", "!^(code|status|description)$"]'
        yield f"\n`{refusal.code}`, status {refusal.status}. {refusal.description}.\n"


MARKS: dict[str, Callable[[], Iterator[str]]] = {
    "<!-- commands -->": _commands,
    "<!-- refusals -->": _refusals,
}
