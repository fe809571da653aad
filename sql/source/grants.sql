-- Rights to write to tables, each as it was granted. PostgreSQL 10 or later.
-- $1: schemas.
-- Returns table (quoted and qualified), "column" (quoted, of a right on a column only; else null), privilege, grantable, grantor,
-- grantee (both quoted; PUBLIC), owned (granted by the table's owner), ours (our role may act as the grantor).
with relation as (
    select c.oid, c.relowner, pg_catalog.format('%I.%I', n.nspname, c.relname) as name,
           coalesce(c.relacl, pg_catalog.acldefault('r', c.relowner)) as acl
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = any ($1::text[]) and c.relkind in ('r', 'p')
),
entry as (
    select r.oid, r.name, r.relowner, null::text as "column", a.*
    from relation r
    cross join pg_catalog.aclexplode(r.acl) a
    where a.privilege_type in ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')
    union all
    select r.oid, r.name, r.relowner, pg_catalog.quote_ident(t.attname), a.*
    from relation r
    join pg_catalog.pg_attribute t on t.attrelid = r.oid and t.attacl is not null and not t.attisdropped
    cross join pg_catalog.aclexplode(t.attacl) a
    where a.privilege_type in ('INSERT', 'UPDATE')
)
select e.name as "table", e."column", e.privilege_type as privilege, e.is_grantable as grantable,
       pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(e.grantor)) as grantor,
       case e.grantee when 0 then 'PUBLIC' else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(e.grantee)) end as grantee,
       e.grantor = e.relowner as owned,
       pg_catalog.pg_has_role(e.grantor, 'member') as ours
from entry e
order by e.oid, e."column" nulls first, e.grantor, e.grantee, e.privilege_type
