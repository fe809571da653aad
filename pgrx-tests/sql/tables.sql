-- The tables that a migration has to bring over: ordinary ones and the roots of partitioned ones, without our own, the
-- system's and those that belong to an extension.
-- Returns the name, quoted; what to select from; and an expression that renders a row as text, columns by name, so that
-- the same content looks the same whatever the columns' order is. Floating point numbers as their bytes: their text is
-- longer before PostgreSQL 12. Servers: 10 and up.
select
    pg_catalog.format('%I.%I', n.nspname, c.relname) as name,
    pg_catalog.format(case c.relkind when 'p' then '%I.%I' else 'only %I.%I' end, n.nspname, c.relname) as origin,
    'row(' || (
        select coalesce(pg_catalog.string_agg(
            pg_catalog.format(
                case a.atttypid
                    when 'pg_catalog.float4'::pg_catalog.regtype then 'pg_catalog.float4send(%I)'
                    when 'pg_catalog.float8'::pg_catalog.regtype then 'pg_catalog.float8send(%I)'
                    else '%I'
                end,
                a.attname
            ),
            ', ' order by a.attname::pg_catalog.text collate "C"
        ), '')
        from pg_catalog.pg_attribute a
        where a.attrelid = c.oid
        and a.attnum > 0
        and not a.attisdropped
    ) || ')::text' as image
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p')
and not c.relispartition
and c.relpersistence <> 't'
and n.nspname not in ('information_schema', 'decamp')
and n.nspname !~ '^(pg_|decamp_)'
and not exists (
    select from pg_catalog.pg_depend d
    where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
    and d.objid = c.oid
    and d.deptype = 'e'
)
order by 1;
