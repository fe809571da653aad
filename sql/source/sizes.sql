-- How large the user tables are: a partitioned table with all its partitions, except on PostgreSQL 10, whose partitions
-- are taken one by one. PostgreSQL 10 or later.
-- No parameters. Waits for whoever has a table locked exclusively: run it under a lock timeout.
-- Returns oid, bytes (heap and toast, no indexes), rows_estimate (by the statistics).
with recursive
tree(root, leaf) as (
    select i.inhparent, i.inhrelid
    from pg_catalog.pg_inherits i
    join pg_catalog.pg_class p on p.oid = i.inhparent
    where p.relkind = 'p' and not p.relispartition
    union all
    select t.root, i.inhrelid
    from tree t
    join pg_catalog.pg_inherits i on i.inhparent = t.leaf
)
select coalesce(t.root, c.oid)::int8 as oid,
       sum(pg_catalog.pg_table_size(c.oid))::int8 as bytes,
       sum(greatest(c.reltuples, 0))::int8 as rows_estimate
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join tree t
       on t.leaf = c.oid and pg_catalog.current_setting('server_version_num')::int >= 110000
where c.relkind = 'r' and c.relpersistence <> 't'
  and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
group by 1
