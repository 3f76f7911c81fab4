"""What `payctl … --help` shows on a terminal of 80 columns."""

from typing import Any

from tests.unit.client import shell


def pages(command: Any, parent: Any = None, name: str = "payctl") -> list[tuple[Any, str]]:
    """Returns each command with its page of help."""
    context = command.context_class(
        command, info_name=name, parent=parent, terminal_width=80, max_content_width=80
    )
    found = [(command, command.get_help(context))]
    for child_name, child in getattr(command, "commands", {}).items():
        found += pages(child, context, child_name)
    return found


def test_help_is_whole_on_a_narrow_terminal() -> None:
    """No name of an option and no line about a command is cut off, as nobody could type it."""
    seen = pages(shell.command())
    assert len(seen) > 90
    for command, page in seen:
        for option in command.params:
            if option.param_type_name == "option":
                for name in (*option.opts, *option.secondary_opts):
                    assert name in page.split() or f"{name}," in page.split(), command.name
        for child in getattr(command, "commands", {}).values():
            summary = " ".join(child.help.split("\n\n")[0].split())
            assert summary in " ".join(page.split()), child.name
        assert max(map(len, page.splitlines())) <= 80
