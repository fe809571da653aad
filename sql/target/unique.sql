-- Which tables refuse rows that are alike. Target, PostgreSQL 10 or later.
-- $1: oids of the tables; a partitioned one counts with its partitions.
-- Returns oid.
with recursive family(root, oid) as (
    select t.oid, t.oid from unnest($1::oid[]) t(oid)
    union all
    select f.root, i.inhrelid
    from family f
    join pg_catalog.pg_class p on p.oid = f.oid and p.relkind = 'p'
    join pg_catalog.pg_inherits i on i.inhparent = f.oid
)
select distinct f.root::int8 as oid
from family f
join pg_catalog.pg_index i on i.indrelid = f.oid
where i.indisunique or i.indisexclusion
