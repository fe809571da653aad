-- All capture functions of a subscription. PostgreSQL 10 or later.
-- $1: schema of the subscription on the source; $2: what a fenced body has in it.
-- Returns definition (CREATE OR REPLACE FUNCTION), fenced.
select pg_catalog.pg_get_functiondef(p.oid) as definition, pg_catalog.strpos(p.prosrc, $2) > 0 as fenced
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where n.nspname = $1 and pg_catalog.left(p.proname, 8) = 'capture_'
order by p.oid
