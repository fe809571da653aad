-- Triggers and rules that do not fire as usual. Source or target, PostgreSQL 10 or later.
-- $1: oids of the tables.
-- Returns schema, name, kind, trigger (or rule), internal (it enforces a foreign key), mode (D: disabled, A: always, R: replica).
select n.nspname as schema, c.relname as name, 'trigger' as kind, t.tgname as trigger, t.tgisinternal as internal, t.tgenabled as mode
from pg_catalog.pg_trigger t
join pg_catalog.pg_class c on c.oid = t.tgrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where t.tgrelid = any ($1::oid[]) and t.tgenabled <> 'O'
union all
select n.nspname, c.relname, 'rule', r.rulename, false, r.ev_enabled
from pg_catalog.pg_rewrite r
join pg_catalog.pg_class c on c.oid = r.ev_class
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where r.ev_class = any ($1::oid[]) and r.ev_enabled <> 'O'
order by 1, 2, 3, 4
