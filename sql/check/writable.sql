-- Tables our role may not fully write. Target, PostgreSQL 10 or later.
-- $1: oids of the tables.
-- Returns oid, usage (of the schema), missing (privileges, as GRANT wants them; null if none).
select c.oid::int8 as oid,
       pg_catalog.has_schema_privilege(c.relnamespace, 'usage') as usage,
       (select pg_catalog.string_agg(p.name, ', ')
        from pg_catalog.unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) p(name)
        where not pg_catalog.has_table_privilege(c.oid, p.name)) as missing
from pg_catalog.pg_class c
where c.oid = any ($1::oid[])
