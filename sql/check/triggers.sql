-- Triggers that do not fire as usual. Source or target, PostgreSQL 10 or later.
-- $1: oids of the tables.
-- Returns schema, name, trigger, internal (it enforces a foreign key), mode (D: disabled, A: always, R: replica).
select n.nspname as schema, c.relname as name, t.tgname as trigger, t.tgisinternal as internal, t.tgenabled as mode
from pg_catalog.pg_trigger t
join pg_catalog.pg_class c on c.oid = t.tgrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where t.tgrelid = any ($1::oid[]) and t.tgenabled <> 'O'
order by 1, 2, 3
