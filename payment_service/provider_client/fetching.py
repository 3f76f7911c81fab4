"""Fetching: an object as the provider has it now.

Owns what an answer to FetchObject tells, and that whatever is not understood is unknown.
Called by the use cases of mirrored entities and by the resolver. Never changes anything
upstream.
"""

from dataclasses import dataclass

import grpc
import grpc.aio
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import failure_pb2, notice_provider_service_pb2

from payment_service.domain.mirrors import objects
from payment_service.provider_client import asking, client, pool, reading, seeing
from servicekit import logs

_log = logs.get_logger(__name__)

TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What is known of an object: itself first, then what belongs to it.

    `absent` says that the provider has none of that name. Neither it nor any object: it is
    not known, and `detail` says why.
    """

    seen: tuple[objects.Seen, ...] = ()
    absent: bool = False
    detail: str = ""


async def fetch(
    provider: pool.Provider,
    wanted: objects.Reference,
    *,
    binding_id: str,
    tenant_id: str,
    patience_s: float | None = None,
) -> Fetched:
    """Asks for an object and returns what is known. Never raises.

    *patience_s* is how long it waits for its turn; see `pool.Provider.look_up`.
    """
    if provider.lacks(capability_pb2.CAPABILITY_OBJECT_FETCH):
        return Fetched(detail="the provider has no OBJECT_FETCH")
    request = notice_provider_service_pb2.FetchObjectRequest(
        binding_id=binding_id, reference=seeing.refer(wanted)
    )
    try:
        answer = await provider.fetch(
            request,
            binding_id=binding_id,
            tenant_id=tenant_id,
            timeout_s=TIMEOUT_S,
            patience_s=patience_s,
        )
        if answer is None:
            return Fetched(detail="the answer is not a message of the contract")
        main = seeing.read(answer.object)
    except (asking.Unreachable, client.NotConfigured) as error:
        return Fetched(detail=str(error))
    except seeing.NotUnderstood as error:
        _log.error("contract broken", provider=provider.name, problem=error.text)
        return Fetched(detail=error.text)
    except grpc.aio.AioRpcError as error:
        return _failed(error)
    except Exception:
        _log.exception("a fetch failed in core", provider=provider.name)
        return Fetched(detail="a fault in core")
    if main.reference != wanted:
        return Fetched(detail=f"asked for {wanted}, got {main.reference}"[:256])
    return Fetched(seen=(main, *_related(provider, answer)))


def _related(provider: pool.Provider, answer: object) -> tuple[objects.Seen, ...]:
    """What belongs to it; one that is not understood is left out and fetched when needed."""
    found: list[objects.Seen] = []
    for message in getattr(answer, "related", ()):
        try:
            found.append(seeing.read(message))
        except seeing.NotUnderstood as error:
            _log.warning("object not understood", provider=provider.name, problem=error.text)
    return tuple(found)


def _failed(error: grpc.aio.AioRpcError) -> Fetched:
    failure = reading.failure_of(error)
    promised = failure is not None and failure.reason == failure_pb2.FAILURE_REASON_NOT_FOUND
    if error.code() is grpc.StatusCode.NOT_FOUND and promised:
        return Fetched(absent=True)
    why = reading.reason_of(failure) if failure is not None else "no failure detail"
    return Fetched(detail=f"{error.code().name}: {why}")
