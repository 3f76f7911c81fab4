"""Groups of commands, and how they list what is in them.

Owns that a summary is shown whole, on several lines where it has to be. Called by the modules
that add a group. Never runs a command.
"""

from typing import Any

from typer import core


class Group(core.TyperGroup):
    """Commands below another one."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each command's name and the first paragraph of its help."""
        rows = []
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                rows.append((name, (command.help or "").split("\n\n")[0]))
        with formatter.section("Commands"):
            formatter.write_dl(rows)
