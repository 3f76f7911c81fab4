"""What a payer, or a test, reaches over HTTP.

Owns the pages behind redirect URLs and the switch of provider time. Mounted on
the process's HTTP port. Never asked by core.
"""

import html

from starlette import requests, responses, routing

from provider_mock import pages, provider
from provider_sdk import errors

ADVANCE_MAX_S = 31_536_000

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Simulated bank</title>
<h1>Simulated bank</h1>
<p>Do you agree to this payment?</p>
<form method="post" action="{path}/complete"><button>Agree</button></form>
<form method="post" action="{path}/fail"><button>Refuse</button></form>
</html>
"""


def routes(mock: provider.MockProvider) -> list[routing.BaseRoute]:
    """Returns the routes that act on *mock*."""

    async def show(request: requests.Request) -> responses.Response:
        return responses.HTMLResponse(_PAGE.format(path=html.escape(request.url.path)))

    async def resolve(request: requests.Request, *, completed: bool) -> responses.Response:
        try:
            row = await mock.resolve_action(request.path_params["token"], completed=completed)
        except errors.NotFound as error:
            return responses.JSONResponse({"error": str(error)}, status_code=404)
        except errors.StateConflict as error:
            return responses.JSONResponse({"error": str(error)}, status_code=409)
        return responses.JSONResponse({"operation_id": row.operation_id, "state": row.state})

    async def complete(request: requests.Request) -> responses.Response:
        return await resolve(request, completed=True)

    async def fail(request: requests.Request) -> responses.Response:
        return await resolve(request, completed=False)

    async def clock(request: requests.Request) -> responses.Response:
        if request.method == "POST":
            try:
                seconds = float(request.query_params.get("advance_s", ""))
            except ValueError:
                seconds = -1.0
            if not 0 <= seconds <= ADVANCE_MAX_S:
                text = f"advance_s: give seconds from 0 to {ADVANCE_MAX_S}"
                return responses.JSONResponse({"error": text}, status_code=400)
            await mock.advance(seconds)
            # Whoever moves time sees what came of it; nothing of it is skipped.
            while await mock.settle_due():
                pass
        return responses.JSONResponse({"offset_s": mock.time.offset_s})

    return [
        *pages.routes(mock),
        routing.Route("/actions/{token:str}", show, methods=["GET"]),
        routing.Route("/actions/{token:str}/complete", complete, methods=["POST"]),
        routing.Route("/actions/{token:str}/fail", fail, methods=["POST"]),
        routing.Route("/clock", clock, methods=["GET", "POST"]),
    ]
