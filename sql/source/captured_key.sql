-- The key that capture writes, and what has become of its columns. PostgreSQL 10 or later.
-- $1: schema of the subscription on the source; $2: oids of the tables; $3: name of the trigger that watches the key.
-- Returns oid, body (of a capture function, which names the key's columns as they were), columns (JSON: what those are called
-- now, in no order; null when the trigger is gone).
select t.oid::int8 as oid, p.prosrc as body,
       (select json_agg(a.attname)::text
        from pg_trigger g
        join pg_depend d on d.classid = 'pg_trigger'::regclass and d.objid = g.oid
         and d.refclassid = 'pg_class'::regclass and d.refobjid = t.oid
        join pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid
        where g.tgrelid = t.oid and g.tgname = $3 and d.refobjsubid > 0) as columns
from unnest($2::oid[]) t(oid)
join pg_proc p on p.proname = format('capture_%s_old', t.oid)
join pg_namespace n on n.oid = p.pronamespace and n.nspname = $1
