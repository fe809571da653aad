-- What our role may do with the schema and the triggers of each table. Source, PostgreSQL 10 or later.
-- $1: oids of the tables.
-- Returns oid, schema, usage (of the schema), trigger.
select c.oid::int8 as oid, n.nspname as schema,
       pg_catalog.has_schema_privilege(n.oid, 'usage') as usage,
       pg_catalog.has_table_privilege(c.oid, 'trigger') as trigger
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.oid = any ($1::oid[])
