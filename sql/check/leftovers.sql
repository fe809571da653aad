-- Schemas of subscriptions, running or left behind, on the source. PostgreSQL 10 or later.
-- $1: a schema that counts even if it does not look like ours (null: none).
-- Returns schema, readable (whose it is can be read).
select n.nspname as schema,
       o.oid is not null
       and pg_catalog.has_schema_privilege(n.oid, 'usage')
       and pg_catalog.has_table_privilege(o.oid, 'select') as readable
from pg_catalog.pg_namespace n
left join pg_catalog.pg_class o on o.relnamespace = n.oid and o.relname = 'origin' and o.relkind = 'r'
where n.nspname = $1 or (n.nspname like 'decamp\_%' and o.oid is not null)
order by 1
