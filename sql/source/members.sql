-- What the rows of some tables are in: the table itself, or a partitioned table's leaves. PostgreSQL 10 or later.
-- $1: oids of the tables.
-- Waits for whoever has one locked exclusively: run it under a lock timeout.
-- Returns relation (of $1), oid, schema, name, kind (relkind), filenode (null for foreign tables), pages (of the heap), bytes
-- (heap and toast), rows_estimate (by the statistics).
with recursive family(root, oid) as (
    select t.oid, t.oid from unnest($1::oid[]) t(oid)
    union all
    select f.root, i.inhrelid
    from family f
    join pg_catalog.pg_class p on p.oid = f.oid and p.relkind = 'p'
    join pg_catalog.pg_inherits i on i.inhparent = f.oid
)
select f.root::int8 as relation, c.oid::int8 as oid, n.nspname as schema, c.relname as name, c.relkind as kind,
       pg_relation_filenode(c.oid)::int8 as filenode,
       coalesce(pg_relation_size(c.oid) / current_setting('block_size')::int8, 0) as pages,
       coalesce(pg_table_size(c.oid), 0) as bytes,
       greatest(c.reltuples, 0)::int8 as rows_estimate
from family f
join pg_catalog.pg_class c on c.oid = f.oid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'f')
order by f.root, n.nspname, c.relname
