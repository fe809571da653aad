-- All partitions below a partitioned table, at any depth, sub-partitioned ones included. PostgreSQL 11 or later.
-- $1: oid of the partitioned table.
-- Returns oid, schema, name, leaf (not partitioned further).
with recursive tree(oid) as (
    select i.inhrelid from pg_catalog.pg_inherits i where i.inhparent = $1::oid
    union all
    select i.inhrelid from tree t join pg_catalog.pg_inherits i on i.inhparent = t.oid
)
select c.oid::int8 as oid, n.nspname as schema, c.relname as name, c.relkind <> 'p' as leaf
from tree t
join pg_catalog.pg_class c on c.oid = t.oid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
order by 2, 3
