-- The capture functions of a table that write to one of its segments. PostgreSQL 10 or later.
-- $1: schema of the subscription on the source; $2: capture_<table oid>, which the functions' names begin with; $3: what the
-- quoted names of the table's segments begin with.
-- Returns definition (CREATE OR REPLACE FUNCTION).
select pg_catalog.pg_get_functiondef(p.oid) as definition
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where n.nspname = $1
  and (p.proname = $2 or pg_catalog.left(p.proname, pg_catalog.length($2) + 1) = $2 || '_')
  and pg_catalog.strpos(p.prosrc, $3) > 0
order by p.proname
