-- What acts on rows that arrive in a session that may not set session_replication_role: triggers, rules and foreign keys
-- that are enabled as usual or always. Those of partitions count too. Target, PostgreSQL 10 or later; search_path has to
-- be pg_catalog.
-- $1: oids of the tables, as for deferral.sql.
-- Returns the columns of deferral.sql, parents before their partitions: whose switches reach down before version 15. Of a
-- foreign key only that it acts: deferral.sql says how it is taken off.
with recursive
member(oid, root, depth) as (
    select u.oid, u.oid, 0
    from pg_catalog.unnest($1::oid[]) u(oid)
    union all
    select i.inhrelid, m.root, m.depth + 1
    from member m
    join pg_catalog.pg_class p on p.oid = m.oid and p.relkind = 'p'
    join pg_catalog.pg_inherits i on i.inhparent = m.oid
),
relation as (
    select distinct on (m.oid)
           m.oid, m.root, m.depth, pg_catalog.format('%I.%I', n.nspname, c.relname) as name
    from member m
    join pg_catalog.pg_class c on c.oid = m.oid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    order by m.oid, m.depth desc
),
firing as (
    select r.root, r.depth, t.oid, 'trigger' as phase, t.tgname as name, r.name as "table", t.tgenabled as mode
    from relation r
    join pg_catalog.pg_trigger t on t.tgrelid = r.oid
    left join pg_catalog.pg_constraint k on k.oid = t.tgconstraint
    where (t.tgconstraint = 0 or k.contype = 't')
      -- capture, ours or another's: it is to hear of what we write, or to let it pass
      and not exists (
        select 1
        from pg_catalog.pg_proc p
        join pg_catalog.pg_namespace n on n.oid = p.pronamespace
        where p.oid = t.tgfoid and n.nspname like 'decamp\_%' and p.proname like 'capture\_%')
    union all
    select r.root, r.depth, w.oid, 'rule', w.rulename, r.name, w.ev_enabled
    from relation r
    join pg_catalog.pg_rewrite w on w.ev_class = r.oid and w.ev_type <> '1'
    union all
    select distinct r.root, r.depth, k.oid, 'foreign key', k.conname, k.conrelid::pg_catalog.regclass::text, t.tgenabled
    from relation r
    join pg_catalog.pg_trigger t on t.tgrelid = r.oid
    join pg_catalog.pg_constraint k on k.oid = t.tgconstraint and k.contype = 'f'
    -- those that a partition has from its parent's go with it
    where not exists (
        select 1
        from pg_catalog.pg_constraint p
        join relation o on o.oid in (p.conrelid, p.confrelid)
        where p.oid = (pg_catalog.to_jsonb(k) ->> 'conparentid')::oid)
)
select f.root::int8 as table_oid, f.phase,
       pg_catalog.row_number() over (partition by f.root, f.phase order by f.depth, f.oid) as ord,
       f.phase || ' ' || f.oid as piece, pg_catalog.format('%s.%I', f."table", f.name) as name, null::int8 as other_oid,
       false as is_unique, null::int8 as weight,
       case when f.phase <> 'foreign key' then
           array[pg_catalog.format('alter table only %s disable %s %I', f."table", f.phase, f.name)]
       else array[]::text[] end as drops,
       case when f.phase <> 'foreign key' then
           array[pg_catalog.format('alter table only %s enable %s%s %I', f."table",
                                   case f.mode when 'A' then 'always ' else '' end, f.phase, f.name)]
       else array[]::text[] end as builds
from firing f
where f.mode in ('O', 'A')
order by f.phase, f.root, ord
