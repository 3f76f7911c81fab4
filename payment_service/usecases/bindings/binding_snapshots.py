"""Bindings as the contract shows them, and what differs between two contents.

Owns the messages of bindings, their options and versions, and their events' payloads.
Called by the API and by the use cases of bindings. Pure. Keys of configurations come in;
values only where an administrator compares two versions; secrets never.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from payhub.admin.v1 import binding_admin_service_pb2, value_change_pb2
from payhub.payments.v1 import payment_pb2
from payhub.plugin.v1 import binding_pb2, plugin_events_pb2

from payment_service.db import bindings as rows
from payment_service.domain import bindings, model
from payment_service.usecases import snapshots
from payment_service.usecases.bindings import schema_check, secrets

Binding = binding_pb2.Binding
CHANGES_MAX = 1_000


def binding(stored: rows.Stored, held: secrets.Secrets) -> binding_pb2.Binding:
    """Returns a binding as callers see it; *held* are its secrets, opened."""
    found = stored.binding
    message = Binding(
        id=found.id,
        tenant_id=found.tenant_id,
        plugin_id=found.plugin_id,
        generation=found.generation,
        options=options(found.options),
        config_keys=keys(stored.content.config_json),
        secrets=map(_stored_secret, held),
        schema_digest=found.schema_digest,
        revision=found.revision,
        create_time=snapshots.timestamp(found.created_us),
        update_time=snapshots.timestamp(found.updated_us),
    )
    if found.deleted:
        message.delete_time.CopyFrom(snapshots.timestamp(found.deleted_us))
    return message


def version(found: rows.Version, held: secrets.Secrets) -> binding_admin_service_pb2.BindingVersion:
    """Returns one generation as callers see it."""
    return binding_admin_service_pb2.BindingVersion(
        generation=found.generation,
        options=options(found.content.options),
        config_keys=keys(found.content.config_json),
        secrets=map(_stored_secret, held),
        schema_digest=found.content.schema_digest,
        actor=found.actor,
        reason=found.reason,
        create_time=snapshots.timestamp(found.created_us),
    )


def _stored_secret(held: secrets.Secret) -> binding_pb2.StoredSecret:
    message = binding_pb2.StoredSecret(
        slot=held.slot,
        version=held.version,
        create_time=snapshots.timestamp(held.created_us),
    )
    if held.expire_us:
        message.expire_time.CopyFrom(snapshots.timestamp(held.expire_us))
    return message


def options(found: bindings.Options) -> binding_pb2.BindingOptions:
    """Returns options as the contract spells them."""
    return binding_pb2.BindingOptions(
        limits=[
            binding_pb2.CurrencyLimit(
                currency_code=currency,
                min_minor=limits.min_minor,
                max_minor=limits.max_minor,
                daily_minor=limits.daily_minor,
            )
            for currency, limits in sorted(found.limits.items())
        ],
        time_zone="" if found.zone == bindings.UTC else found.zone,
        disabled_operations=[
            cast("payment_pb2.Operation.Kind", int(kind)) for kind in sorted(found.off)
        ],
        disabled_capture_methods=[
            cast("payment_pb2.CaptureMethod", int(method)) for method in sorted(found.off_methods)
        ],
        disabled=found.disabled,
    )


def options_of(message: binding_pb2.BindingOptions) -> bindings.Options:
    """Returns options as the domain has them; the API has checked them."""
    return bindings.Options(
        limits={
            each.currency_code: bindings.Limits(
                min_minor=each.min_minor, max_minor=each.max_minor, daily_minor=each.daily_minor
            )
            for each in message.limits
        },
        zone=message.time_zone or bindings.UTC,
        off=frozenset(model.Kind(kind) for kind in message.disabled_operations),
        off_methods=frozenset(
            model.CaptureMethod(method) for method in message.disabled_capture_methods
        ),
        disabled=message.disabled,
    )


def keys(config_json: str) -> list[str]:
    """Returns the names of a configuration's members, sorted."""
    return sorted(json.loads(config_json))


def event(
    before: tuple[rows.Stored, secrets.Secrets] | None,
    after: tuple[rows.Stored, secrets.Secrets],
    reason: str,
) -> plugin_events_pb2.BindingEvent:
    """Returns the payload of an event: a binding right after a change, and what changed."""
    new = binding(*after)
    payload = plugin_events_pb2.BindingEvent(binding=new, reason=reason)
    old_config = json.loads(before[0].content.config_json) if before else {}
    new_config = json.loads(after[0].content.config_json)
    payload.changed_config_keys.extend(changed_keys(old_config, new_config))
    old_secrets = before[1] if before else ()
    payload.changed_secret_slots.extend(secrets.changed_slots(old_secrets, after[1]))
    if before is None:
        return payload
    old = binding(*before)
    for field in Binding.DESCRIPTOR.fields:
        was, is_now = getattr(old, field.name), getattr(new, field.name)
        if field.name in ("revision", "update_time") or was == is_now:
            continue
        payload.changed.paths.append(field.name)
        target = payload.previous
        if field.is_repeated:
            getattr(target, field.name).extend(was)
        elif field.message_type is None:
            setattr(target, field.name, was)
        elif old.HasField(field.name):
            getattr(target, field.name).CopyFrom(was)
    payload.previous.SetInParent()
    return payload


def changed_keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Returns the members that were added, changed or removed, sorted."""
    missing = object()
    return sorted(
        name
        for name in old.keys() | new.keys()
        if not _same(old.get(name, missing), new.get(name, missing))
    )


def _same(one: Any, other: Any) -> bool:
    # 1 and True are equal in Python and not in JSON.
    return json_text(one) == json_text(other)


def json_text(value: Any) -> str:
    """Returns a JSON value as text; equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)


def differences(
    old: tuple[rows.Content, secrets.Secrets], new: tuple[rows.Content, secrets.Secrets]
) -> list[value_change_pb2.ValueChange]:
    """Returns what two generations hold differently, sorted, at most CHANGES_MAX."""
    changes = [
        *config_differences(old[0].config_json, new[0].config_json),
        *_values(_options_values(old[0].options), _options_values(new[0].options), "/options"),
        *(
            value_change_pb2.ValueChange(json_pointer=f"/secrets/{slot}", secret=True)
            for slot in secrets.changed_slots(old[1], new[1])
        ),
    ]
    return sorted(changes, key=lambda each: each.json_pointer)[:CHANGES_MAX]


def config_differences(old: str, new: str) -> list[value_change_pb2.ValueChange]:
    """Returns what two configurations hold differently; pointers begin with `/config`."""
    return list(_values(json.loads(old), json.loads(new), "/config"))


def _options_values(found: bindings.Options) -> dict[str, Any]:
    message = options(found)
    names = payment_pb2.Operation.Kind
    methods = payment_pb2.CaptureMethod
    return {
        "limits": {
            each.currency_code: {
                "min_minor": each.min_minor,
                "max_minor": each.max_minor,
                "daily_minor": each.daily_minor,
            }
            for each in message.limits
        },
        "time_zone": found.zone,
        "disabled_operations": [names.Name(kind) for kind in message.disabled_operations],
        "disabled_capture_methods": [
            methods.Name(method) for method in message.disabled_capture_methods
        ],
        "disabled": found.disabled,
    }


def _values(old: Any, new: Any, pointer: str) -> Iterator[value_change_pb2.ValueChange]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            inner = f"{pointer}/{schema_check.escape(name)}"
            if name not in old:
                yield _change(inner, "", json_text(new[name]))
            elif name not in new:
                yield _change(inner, json_text(old[name]), "")
            else:
                yield from _values(old[name], new[name], inner)
    elif not _same(old, new):
        yield _change(pointer, json_text(old), json_text(new))


def _change(pointer: str, old: str, new: str) -> value_change_pb2.ValueChange:
    return value_change_pb2.ValueChange(json_pointer=pointer, old_json=old, new_json=new)
