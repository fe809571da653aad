-- Every user sequence, what it belongs to and what may be done with it. Source or target, PostgreSQL 10 or later.
-- No parameters.
-- Returns oid, schema, name; type, increment, min, max, start, cache, cycles: its definition; owned: by a column; ties: json
-- array of the oids of the tables it serves (that of the owning column, those with a default that uses it, and the
-- partitioned ancestors of both); readable, settable: our role's rights.
with recursive tie as (
    select s.oid as sequence, d.refobjid as relation, d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass as owns
    from pg_catalog.pg_class s
    join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = s.oid
    where s.relkind = 'S'
      and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjsubid > 0 and d.deptype in ('a', 'i')
    union
    select s.oid, a.adrelid, false
    from pg_catalog.pg_class s
    join pg_catalog.pg_depend d on d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid = s.oid
    join pg_catalog.pg_attrdef a on a.oid = d.objid
    where s.relkind = 'S' and d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
    union
    select t.sequence, i.inhparent, t.owns
    from tie t
    join pg_catalog.pg_class c on c.oid = t.relation and c.relispartition
    join pg_catalog.pg_inherits i on i.inhrelid = t.relation
), served as (
    select t.sequence, pg_catalog.json_agg(t.relation::int8)::text as ties, pg_catalog.bool_or(t.owns) as owned
    from tie t
    group by t.sequence
)
select c.oid::int8 as oid, n.nspname as schema, c.relname as name,
       pg_catalog.format_type(s.seqtypid, null) as type, s.seqincrement as increment, s.seqmin as min, s.seqmax as max,
       s.seqstart as start, s.seqcache as cache, s.seqcycle as cycles,
       coalesce(v.owned, false) as owned, coalesce(v.ties, '[]') as ties,
       pg_catalog.has_sequence_privilege(c.oid, 'select') as readable,
       pg_catalog.has_sequence_privilege(c.oid, 'update') as settable
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_sequence s on s.seqrelid = c.oid
left join served v on v.sequence = c.oid
where c.relkind = 'S'
  and c.relpersistence <> 't'
  and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'decamp')
  and not (n.nspname ~ '^decamp_' and exists (
      select 1 from pg_catalog.pg_class o where o.relnamespace = n.oid and o.relname = 'origin'))
  and not exists (
      select 1 from pg_catalog.pg_depend d
      where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid and d.deptype = 'e')
order by 2, 3
