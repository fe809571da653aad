-- Tables that must be ours where session_replication_role cannot be set, and are not: those that are written, their
-- partitions, and those that foreign keys tie to them. Target, PostgreSQL 10 or later.
-- $1: oids of the tables.
-- Returns schema, name, owner, key (the foreign key it is about; null for the tables themselves).
with recursive member(oid) as (
    select u.oid
    from pg_catalog.unnest($1::oid[]) u(oid)
    union
    select i.inhrelid
    from member m
    join pg_catalog.pg_class p on p.oid = m.oid and p.relkind = 'p'
    join pg_catalog.pg_inherits i on i.inhparent = m.oid
),
needed as (
    select m.oid, null::text as key
    from member m
    union all
    select case when k.conrelid = m.oid then k.confrelid else k.conrelid end, k.conname
    from member m
    join pg_catalog.pg_constraint k on k.contype = 'f' and m.oid in (k.conrelid, k.confrelid)
)
select distinct on (c.oid) n.nspname as schema, c.relname as name, pg_catalog.pg_get_userbyid(c.relowner) as owner, d.key
from needed d
join pg_catalog.pg_class c on c.oid = d.oid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where not pg_catalog.pg_has_role(c.relowner, 'usage')
order by c.oid, d.key nulls first
