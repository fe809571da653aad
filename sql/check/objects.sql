-- Things in the source's database that are not tables. PostgreSQL 10 or later.
-- No parameters.
-- Returns large_objects (counted up to 100001), views (quoted names of materialized views, null if none), partitioned
-- (how many partitioned tables).
select (select count(*)
        from (select 1 from pg_catalog.pg_largeobject_metadata limit 100001) l) as large_objects,
       (select pg_catalog.string_agg(pg_catalog.format('%I.%I', n.nspname, c.relname), E'\n' order by n.nspname, c.relname)
        from pg_catalog.pg_class c
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where c.relkind = 'm'
          and not exists (
              select 1 from pg_catalog.pg_depend d
              where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid
                and d.deptype = 'e')) as views,
       (select count(*) from pg_catalog.pg_class c where c.relkind = 'p' and not c.relispartition) as partitioned
