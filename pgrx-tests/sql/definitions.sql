-- The definition of everything in a database that has one, one row each; without what is ours or an extension's, and without
-- the server's own pg_attver among the columns' options.
select kind, name, definition
from (
    select 'constraint' as kind, conrelid::regclass || '.' || conname as name, pg_get_constraintdef(oid) as definition,
           'pg_constraint'::regclass as classid, oid as objid, connamespace as namespace
    from pg_constraint
    union all
    select 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid) || case when indisclustered then ' clustered' else '' end
           || case when indisreplident then ' replica identity' else '' end || case when indisvalid then '' else ' invalid' end,
           'pg_class'::regclass, indrelid, (select relnamespace from pg_class where oid = indrelid)
    from pg_index
    union all
    select 'function', oid::regprocedure::text, case when prokind = 'a' then 'aggregate' else pg_get_functiondef(oid) end,
           'pg_proc'::regclass, oid, pronamespace
    from pg_proc
    union all
    select 'view', oid::regclass::text, pg_get_viewdef(oid), 'pg_class'::regclass, oid, relnamespace
    from pg_class where relkind in ('v', 'm')
    union all
    select 'rule', ev_class::regclass || '.' || rulename, pg_get_ruledef(oid), 'pg_class'::regclass, ev_class,
           (select relnamespace from pg_class where oid = ev_class)
    from pg_rewrite
    union all
    select 'trigger', tgrelid::regclass || '.' || tgname, pg_get_triggerdef(oid) || ' ' || tgenabled::text,
           'pg_class'::regclass, tgrelid, (select relnamespace from pg_class where oid = tgrelid)
    from pg_trigger where not tgisinternal
    union all
    select 'policy', polrelid::regclass || '.' || polname,
           polcmd::text || ' ' || polpermissive || ' ' || coalesce(pg_get_expr(polqual, polrelid), '') || ' '
           || coalesce(pg_get_expr(polwithcheck, polrelid), ''),
           'pg_class'::regclass, polrelid, (select relnamespace from pg_class where oid = polrelid)
    from pg_policy
    union all
    select 'column', attrelid::regclass || '.' || attname,
           format_type(atttypid, atttypmod) || ' ' || attnotnull || ' ' || attidentity::text || attgenerated::text || ' ' || attstorage::text || ' '
           || coalesce(pg_get_expr(adbin, adrelid), '') || ' ' || coalesce((select string_agg(o, ', ') from unnest(attoptions) o where o !~ '^pg_attver='), '') || ' ' || attstattarget,
           'pg_class'::regclass, attrelid, (select relnamespace from pg_class where oid = attrelid)
    from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum
    where attnum > 0 and not attisdropped and attrelid in (select oid from pg_class where relkind in ('r', 'p', 'v', 'm', 'c'))
    union all
    select 'partition', oid::regclass::text, coalesce(pg_get_expr(relpartbound, oid), '') || coalesce(pg_get_partkeydef(oid), ''),
           'pg_class'::regclass, oid, relnamespace
    from pg_class where relispartition or relkind = 'p'
    union all
    select 'statistics', stxname::text, pg_get_statisticsobjdef(oid), 'pg_statistic_ext'::regclass, oid, stxnamespace
    from pg_statistic_ext
    union all
    select 'enum', enumtypid::regtype::text, string_agg(enumlabel, ', ' order by enumsortorder), 'pg_type'::regclass, enumtypid,
           (select typnamespace from pg_type where oid = enumtypid)
    from pg_enum group by enumtypid
    union all
    select 'sequence', seqrelid::regclass::text,
           format('%s %s %s %s %s %s %s', seqtypid::regtype, seqstart, seqincrement, seqmin, seqmax, seqcache, seqcycle),
           'pg_class'::regclass, seqrelid, (select relnamespace from pg_class where oid = seqrelid)
    from pg_sequence
    union all
    select 'comment', pg_describe_object(classoid, objoid, objsubid), description, classoid, objoid,
           coalesce((select relnamespace from pg_class where oid = objoid), (select typnamespace from pg_type where oid = objoid))
    from pg_description where objoid >= 16384
) d
where not exists (
    select 1 from pg_depend e where e.classid = d.classid and e.objid = d.objid and e.deptype = 'e')
  and coalesce((select nspname from pg_namespace where oid = d.namespace), '') !~ '^(pg_|information_schema|decamp)'
  and kind || name !~ 'decamp'
order by 1, 2, 3
