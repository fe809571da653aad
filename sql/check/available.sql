-- Which of some extensions the target has. PostgreSQL 10 or later.
-- $1: names of extensions.
-- Returns name, offered (version that CREATE EXTENSION makes), installed (version, null: not created in this database),
-- schema (null: not created).
select a.name, a.default_version as offered, a.installed_version as installed, n.nspname as schema
from pg_catalog.pg_available_extensions a
left join pg_catalog.pg_extension e on e.extname = a.name
left join pg_catalog.pg_namespace n on n.oid = e.extnamespace
where a.name = any ($1::text[])
