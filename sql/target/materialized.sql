-- Materialized views in an order in which they can be refreshed: after those they read from, directly or through views.
-- PostgreSQL 10 or later.
-- $1: quoted and qualified names of those that are wanted.
-- Returns name (quoted and qualified).
with recursive edge as (
    select distinct r.ev_class as reader, d.refobjid as read
    from pg_catalog.pg_rewrite r
    join pg_catalog.pg_depend d
         on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and d.objid = r.oid
        and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid <> r.ev_class
    join pg_catalog.pg_class c on c.oid = d.refobjid and c.relkind in ('m', 'v')
),
depth(oid, depth) as (
    select c.oid, 0
    from pg_catalog.pg_class c
    where c.relkind in ('m', 'v')
    union
    select e.reader, p.depth + 1
    from depth p
    join edge e on e.read = p.oid
)
select v.name
from (
    select pg_catalog.format('%I.%I', n.nspname, c.relname) as name, max(p.depth) as depth
    from depth p
    join pg_catalog.pg_class c on c.oid = p.oid and c.relkind = 'm'
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    group by 1
) v
where v.name = any ($1::text[])
order by v.depth, v.name
