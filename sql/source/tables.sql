-- Every user table of a database, with what decides how it can be taken. Source or target, PostgreSQL 10 or later.
-- No parameters.
-- Returns oid, schema, name, kind (relkind), persistence, root (oid of the topmost partitioned parent, null if not a
-- partition), inherits (old-style inheritance, up or down), owned (this role may act as the owner), owner, selectable,
-- row_security (policies would apply to this role), update_rule (it has a rule on UPDATE, even a disabled one), primary_key
-- (name of its constraint).
with recursive
tree(root, leaf) as (
    select i.inhparent, i.inhrelid
    from pg_catalog.pg_inherits i
    join pg_catalog.pg_class p on p.oid = i.inhparent
    where p.relkind = 'p' and not p.relispartition
    union all
    select t.root, i.inhrelid
    from tree t
    join pg_catalog.pg_inherits i on i.inhparent = t.leaf
)
select c.oid::int8 as oid,
       n.nspname as schema,
       c.relname as name,
       c.relkind as kind,
       c.relpersistence as persistence,
       t.root::int8 as root,
       c.relkind = 'r' and not c.relispartition and exists (
           select 1 from pg_catalog.pg_inherits i where c.oid in (i.inhrelid, i.inhparent)
       ) as inherits,
       pg_catalog.pg_has_role(c.relowner, 'usage') as owned,
       pg_catalog.pg_get_userbyid(c.relowner) as owner,
       pg_catalog.has_table_privilege(c.oid, 'select') as selectable,
       pg_catalog.row_security_active(c.oid) as row_security,
       c.relhasrules and exists (
           select 1 from pg_catalog.pg_rewrite w where w.ev_class = c.oid and w.ev_type = '2'
       ) as update_rule,
       (select p.conname from pg_catalog.pg_constraint p where p.conrelid = c.oid and p.contype = 'p') as primary_key
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join tree t on t.leaf = c.oid
where c.relkind in ('r', 'p', 'f')
  and c.relpersistence <> 't'
  and n.nspname !~ '^pg_'
  and n.nspname not in ('information_schema', 'decamp')
  and not (n.nspname ~ '^decamp_' and exists (
      select 1 from pg_catalog.pg_class o where o.relnamespace = n.oid and o.relname = 'origin'))
  and not exists (
      select 1 from pg_catalog.pg_depend d
      where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid and d.deptype = 'e')
order by n.nspname, c.relname
