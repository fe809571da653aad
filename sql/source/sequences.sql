-- Every user sequence and what it belongs to. Source or target, PostgreSQL 10 or later.
-- No parameters.
-- Returns oid, schema, name, increment, owner_oid (table of the owning column, null if none), readable.
select c.oid::int8 as oid, n.nspname as schema, c.relname as name, s.seqincrement as increment,
       (select d.refobjid::int8
        from pg_catalog.pg_depend d
        where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid
          and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.deptype in ('a', 'i')
        limit 1) as owner_oid,
       pg_catalog.has_sequence_privilege(c.oid, 'select') as readable
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_sequence s on s.seqrelid = c.oid
where c.relkind = 'S'
  and c.relpersistence <> 't'
  and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'decamp')
  and not (n.nspname ~ '^decamp_' and exists (
      select 1 from pg_catalog.pg_class o where o.relnamespace = n.oid and o.relname = 'origin'))
  and not exists (
      select 1 from pg_catalog.pg_depend d
      where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid and d.deptype = 'e')
order by 2, 3
