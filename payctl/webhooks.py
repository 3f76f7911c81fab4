"""Commands on webhooks, in both directions.

Owns the group `payctl webhooks`. The commands are in modules of their own.
"""

import typer

from payctl import groups, webhooks_in, webhooks_out

app = typer.Typer(no_args_is_help=True, help="Webhooks: those of providers, and yours.")
app.add_typer(webhooks_in.app, name="in", cls=groups.Group)
app.add_typer(webhooks_out.app, name="out", cls=groups.Group)
