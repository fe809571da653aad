-- Our schema on the source, and whose it is. PostgreSQL 10 or later.
-- {schema}: quoted name; {uuid}: quoted literal.
-- REPLICA IDENTITY FULL on everything we delete from: the source may have a publication FOR ALL TABLES, under which a
-- DELETE without replica identity fails.
create schema if not exists {schema};

create table if not exists {schema}.origin (
    subscription uuid not null,
    -- the subscription that leads back here: what it writes passes the fence
    counterpart  uuid
);

alter table {schema}.origin replica identity full;

insert into {schema}.origin (subscription)
select {uuid}::uuid
where not exists (select 1 from {schema}.origin);

create table if not exists {schema}.truncation (
    relation oid    not null,
    schema   text   not null,
    name     text   not null,
    txid     bigint not null default txid_current(),
    -- of tables without a key only
    member   oid,
    position bigint
);

alter table {schema}.truncation replica identity full;
