"""The directive ``cli-reference``: every command of a Typer program, from the program itself."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class CliReference(SphinxDirective):
    """``{cli-reference} MODULE:APP NAME``: a section for each noun and below it for each verb."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        """Sections of the whole program; their ids are the words of the command."""
        from typer import Context
        from typer.main import get_command

        where, name = self.arguments
        module, _, attribute = where.partition(":")
        root = get_command(getattr(importlib.import_module(module), attribute))
        context = Context(root, info_name=name)
        shown = []
        for word in root.list_commands(context):
            command = root.get_command(context, word)
            shown.append(self._section(command, Context(command, parent=context, info_name=word)))
        return shown

    def _section(self, command: Any, context: Any) -> nodes.section:
        path = context.command_path
        label = nodes.make_id(path)
        section = nodes.section(ids=[label], names=[label])
        section += nodes.title("", "", nodes.literal("", path))
        for paragraph in (command.help or "").split("\n\n"):
            section += nodes.paragraph("", " ".join(paragraph.split()))
        nested = getattr(command, "commands", None)
        if nested is None:
            usage = " ".join([path, *command.collect_usage_pieces(context)])
            section += nodes.literal_block(usage, usage, language="text")
            section += _definitions(command, context)
        if command.epilog:
            example = "$ " + command.epilog.removeprefix("Example: ")
            section += nodes.literal_block(example, example, language="console")
        self.state.document.note_explicit_target(section)
        if nested is not None:
            for word in command.list_commands(context):
                inner = command.get_command(context, word)
                section += self._section(
                    inner, type(context)(inner, parent=context, info_name=word)
                )
        return section


def _definitions(command: Any, context: Any) -> nodes.definition_list:
    """Arguments and options, each with its help."""
    return nodes.definition_list(
        "",
        *(
            nodes.definition_list_item(
                "",
                nodes.term("", "", nodes.literal("", words)),
                nodes.definition("", nodes.paragraph("", said)),
            )
            for words, said in _records(command, context)
        ),
    )


def _records(command: Any, context: Any) -> Iterator[tuple[str, str]]:
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None:
            yield record


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("cli-reference", CliReference)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
