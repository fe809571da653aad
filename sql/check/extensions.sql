-- Extensions of the source. PostgreSQL 10 or later.
-- No parameters.
-- Returns name, version.
select e.extname as name, e.extversion as version
from pg_catalog.pg_extension e
where e.extname not in ('plpgsql', 'pg_decamp')
order by 1
