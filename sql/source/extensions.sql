-- Extensions, and the tables whose rows need them: by the type of a column, a default, a generated column or a check;
-- directly or by way of domains, arrays, composite types and ranges. Indexes and views that need one are not told: rows go
-- on without them. Source or target, PostgreSQL 10 or later.
-- No parameters.
-- Returns name, schema, version, tables (quoted and qualified, one on a line; null if none).
with recursive uses(extension, classid, objid) as (
    select d.refobjid, d.classid, d.objid
    from pg_catalog.pg_depend d
    join pg_catalog.pg_extension e on e.oid = d.refobjid
    where d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass and d.deptype = 'e'
      and e.extname not in ('plpgsql', 'pg_decamp')
    union
    -- a composite type's columns are those of a relation that depends on the type, not the type on it
    select u.extension,
           case when c.oid is null then d.classid else 'pg_catalog.pg_type'::pg_catalog.regclass::pg_catalog.oid end,
           coalesce(c.reltype, d.objid)
    from uses u
    join pg_catalog.pg_depend d on d.refclassid = u.classid and d.refobjid = u.objid
    left join pg_catalog.pg_class c
      on d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and c.oid = d.objid and c.relkind = 'c'
    where d.deptype in ('n', 'a', 'i')
      and (d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass or c.oid is not null)
),
needed as (
    select distinct u.extension, n.nspname, c.relname
    from uses u
    join pg_catalog.pg_depend d on d.refclassid = u.classid and d.refobjid = u.objid and d.deptype in ('n', 'a')
    left join pg_catalog.pg_attrdef a
      on d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass and a.oid = d.objid
    left join pg_catalog.pg_constraint k
      on d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass and k.oid = d.objid and k.contype = 'c'
    join pg_catalog.pg_class c
      on c.oid = coalesce(a.adrelid, k.conrelid,
                          case when d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objsubid > 0
                               then d.objid end)
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p')
)
select e.extname as name,
       n.nspname as schema,
       e.extversion as version,
       (select pg_catalog.string_agg(pg_catalog.format('%I.%I', t.nspname, t.relname), E'\n' order by t.nspname, t.relname)
        from needed t where t.extension = e.oid) as tables
from pg_catalog.pg_extension e
join pg_catalog.pg_namespace n on n.oid = e.extnamespace
where e.extname not in ('plpgsql', 'pg_decamp')
order by 1
