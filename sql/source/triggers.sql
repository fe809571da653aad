-- Our triggers on user tables, partitions included. PostgreSQL 10 or later.
-- $1: schema of the subscription on the source.
-- Returns oid (of the table), schema, name, trigger, enabled, inherited (cloned from a partitioned parent).
select c.oid::int8 as oid, n.nspname as schema, c.relname as name, t.tgname as trigger,
       t.tgenabled in ('A', 'O') as enabled,
       coalesce((pg_catalog.to_jsonb(t) ->> 'tgparentid')::oid, 0) <> 0 as inherited
from pg_catalog.pg_trigger t
join pg_catalog.pg_class c on c.oid = t.tgrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_proc p on p.oid = t.tgfoid
join pg_catalog.pg_namespace pn on pn.oid = p.pronamespace
where pn.nspname = $1 and not t.tgisinternal
order by 2, 3, 4
