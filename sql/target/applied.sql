-- The state that commits together with the data: in schema decamp of the target, whether that is the extension's own database (where
-- CREATE EXTENSION runs this) or another server. PostgreSQL 10 or later.
create schema if not exists decamp;

create table if not exists decamp.applied (
    subscription      uuid not null,
    task              bigint not null,
    rows              bigint,
    at                timestamptz not null default pg_catalog.now(),
    constraint applied_pkey primary key (subscription, task)
);

comment on table decamp.applied is
    'tasks that are done, written in the transaction that did them';
comment on column decamp.applied.task is 'of decamp.task; negative: the number of a call of repl_ddl, of decamp.ddl';

create table if not exists decamp.applied_snapshot (
    subscription      uuid not null,
    relation          oid not null,
    snapshot          text,
    layout            text not null,
    at                timestamptz not null default pg_catalog.now(),
    constraint applied_snapshot_pkey primary key (subscription, relation)
);

comment on table decamp.applied_snapshot is
    'what of a table without a key is here, written in the transaction that brought it';
comment on column decamp.applied_snapshot.relation is 'oid on the source';
comment on column decamp.applied_snapshot.snapshot is
    'txid_snapshot of the source: deltas of transactions it sees are applied; null: none is';
comment on column decamp.applied_snapshot.layout is 'fingerprint of the source''s columns, of which deltas are images';
