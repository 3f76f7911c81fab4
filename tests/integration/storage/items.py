"""The one table of the tests of storage, and what is said to it.

Owns the statements. Called by the tests of this folder.
"""

from servicekit import storage

CREATE = "create table item (id text primary key, amount bigint not null check (amount >= 0))"
INSERT = storage.Statement("insert into item (id, amount) values (:id, :amount)")
SELECT = storage.Statement("select amount from item where id = :id")
IDS = storage.Statement("select id from item order by id")
AMONG = storage.Statement(
    "select id from item where amount = any(cast(:amounts as bigint[])) "
    "and id <> all(cast(:ids as text[])) order by id"
)
MATCHING = storage.Statement(
    "select w.name, i.amount from unnest(cast(:names as text[]), cast(:amounts as bigint[])) "
    "as w (name, least) join item i on i.id = w.name and i.amount >= w.least order by w.name"
)
RAISE = storage.Statement(
    "update item set amount = item.amount + w.more "
    "from unnest(cast(:names as text[]), cast(:amounts as bigint[])) as w (name, more) "
    "where item.id = w.name"
)
COUNT = storage.Statement("select count(*) from item")
TAKE = storage.Statement("update item set amount = amount - :by where id = :id and amount >= :by")
NOW = storage.Statement("select {now_us}")
