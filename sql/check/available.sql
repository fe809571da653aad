-- Which of some extensions the target has. PostgreSQL 10 or later.
-- $1: names of extensions.
-- Returns name, installed (version, null: not created in this database).
select a.name, a.installed_version as installed
from pg_catalog.pg_available_extensions a
where a.name = any ($1::text[])
