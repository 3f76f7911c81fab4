import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from payhub.options.v1 import options_pb2 as _options_pb2
from payhub.payments.v1 import mirror_pb2 as _mirror_pb2
from payhub.type.v1 import money_pb2 as _money_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Checkout(_message.Message):
    __slots__ = ("id", "state", "customer_id", "user_id", "amount", "plan_id", "quantity", "redirect_url", "client_secret", "publishable_key", "expire_time", "payment_id", "subscription_id", "order_id", "description", "metadata", "mirror", "version", "create_time", "update_time")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Checkout.State]
        STATE_PENDING: _ClassVar[Checkout.State]
        STATE_OPEN: _ClassVar[Checkout.State]
        STATE_COMPLETED: _ClassVar[Checkout.State]
        STATE_EXPIRED: _ClassVar[Checkout.State]
        STATE_FAILED: _ClassVar[Checkout.State]
    STATE_UNSPECIFIED: Checkout.State
    STATE_PENDING: Checkout.State
    STATE_OPEN: Checkout.State
    STATE_COMPLETED: Checkout.State
    STATE_EXPIRED: Checkout.State
    STATE_FAILED: Checkout.State
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    PLAN_ID_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    REDIRECT_URL_FIELD_NUMBER: _ClassVar[int]
    CLIENT_SECRET_FIELD_NUMBER: _ClassVar[int]
    PUBLISHABLE_KEY_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_ID_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTION_ID_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    MIRROR_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    state: Checkout.State
    customer_id: str
    user_id: str
    amount: _money_pb2.Money
    plan_id: str
    quantity: int
    redirect_url: str
    client_secret: str
    publishable_key: str
    expire_time: _timestamp_pb2.Timestamp
    payment_id: str
    subscription_id: str
    order_id: str
    description: str
    metadata: _containers.ScalarMap[str, str]
    mirror: _mirror_pb2.Mirror
    version: int
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., state: _Optional[_Union[Checkout.State, str]] = ..., customer_id: _Optional[str] = ..., user_id: _Optional[str] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., plan_id: _Optional[str] = ..., quantity: _Optional[int] = ..., redirect_url: _Optional[str] = ..., client_secret: _Optional[str] = ..., publishable_key: _Optional[str] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., payment_id: _Optional[str] = ..., subscription_id: _Optional[str] = ..., order_id: _Optional[str] = ..., description: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ..., mirror: _Optional[_Union[_mirror_pb2.Mirror, _Mapping]] = ..., version: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CreateCheckoutRequest(_message.Message):
    __slots__ = ("idempotency_key", "customer_id", "user_id", "amount", "plan_id", "quantity", "trial_days", "success_url", "cancel_url", "open_for", "description", "embedded", "provider", "order_id", "metadata")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    PLAN_ID_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    TRIAL_DAYS_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_URL_FIELD_NUMBER: _ClassVar[int]
    CANCEL_URL_FIELD_NUMBER: _ClassVar[int]
    OPEN_FOR_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    EMBEDDED_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    idempotency_key: str
    customer_id: str
    user_id: str
    amount: _money_pb2.Money
    plan_id: str
    quantity: int
    trial_days: int
    success_url: str
    cancel_url: str
    open_for: _duration_pb2.Duration
    description: str
    embedded: bool
    provider: str
    order_id: str
    metadata: _containers.ScalarMap[str, str]
    def __init__(self, idempotency_key: _Optional[str] = ..., customer_id: _Optional[str] = ..., user_id: _Optional[str] = ..., amount: _Optional[_Union[_money_pb2.Money, _Mapping]] = ..., plan_id: _Optional[str] = ..., quantity: _Optional[int] = ..., trial_days: _Optional[int] = ..., success_url: _Optional[str] = ..., cancel_url: _Optional[str] = ..., open_for: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., description: _Optional[str] = ..., embedded: _Optional[bool] = ..., provider: _Optional[str] = ..., order_id: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ...) -> None: ...

class CreateCheckoutResponse(_message.Message):
    __slots__ = ("checkout",)
    CHECKOUT_FIELD_NUMBER: _ClassVar[int]
    checkout: Checkout
    def __init__(self, checkout: _Optional[_Union[Checkout, _Mapping]] = ...) -> None: ...

class GetCheckoutRequest(_message.Message):
    __slots__ = ("checkout_id",)
    CHECKOUT_ID_FIELD_NUMBER: _ClassVar[int]
    checkout_id: str
    def __init__(self, checkout_id: _Optional[str] = ...) -> None: ...

class GetCheckoutResponse(_message.Message):
    __slots__ = ("checkout",)
    CHECKOUT_FIELD_NUMBER: _ClassVar[int]
    checkout: Checkout
    def __init__(self, checkout: _Optional[_Union[Checkout, _Mapping]] = ...) -> None: ...

class ListCheckoutsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "customer_id", "state")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    customer_id: str
    state: Checkout.State
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., customer_id: _Optional[str] = ..., state: _Optional[_Union[Checkout.State, str]] = ...) -> None: ...

class ListCheckoutsResponse(_message.Message):
    __slots__ = ("checkouts", "next_page_token")
    CHECKOUTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    checkouts: _containers.RepeatedCompositeFieldContainer[Checkout]
    next_page_token: str
    def __init__(self, checkouts: _Optional[_Iterable[_Union[Checkout, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ExpireCheckoutRequest(_message.Message):
    __slots__ = ("idempotency_key", "checkout_id")
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    CHECKOUT_ID_FIELD_NUMBER: _ClassVar[int]
    idempotency_key: str
    checkout_id: str
    def __init__(self, idempotency_key: _Optional[str] = ..., checkout_id: _Optional[str] = ...) -> None: ...

class ExpireCheckoutResponse(_message.Message):
    __slots__ = ("checkout",)
    CHECKOUT_FIELD_NUMBER: _ClassVar[int]
    checkout: Checkout
    def __init__(self, checkout: _Optional[_Union[Checkout, _Mapping]] = ...) -> None: ...
