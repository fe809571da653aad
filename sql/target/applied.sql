-- The state that commits together with the data, on a target that is another server than the extension's.
-- The same tables as in bootstrap.sql. PostgreSQL 10 or later.
create schema if not exists decamp;

create table if not exists decamp.applied (
    subscription      uuid not null,
    task              bigint not null,
    rows              bigint,
    at                timestamptz not null default pg_catalog.now(),
    constraint applied_pkey primary key (subscription, task)
);

create table if not exists decamp.applied_snapshot (
    subscription      uuid not null,
    relation          oid not null,
    snapshot          text,
    layout            text not null,
    at                timestamptz not null default pg_catalog.now(),
    constraint applied_snapshot_pkey primary key (subscription, relation)
);
