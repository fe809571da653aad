-- The sequences that a migration has to bring over. Returns the name, quoted, and the increment. Servers: 10 and up.
select
    pg_catalog.format('%I.%I', n.nspname, c.relname) as name,
    s.seqincrement as increment
from pg_catalog.pg_sequence s
join pg_catalog.pg_class c on c.oid = s.seqrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname not in ('information_schema', 'decamp')
and n.nspname !~ '^(pg_|decamp_)'
and not exists (
    select from pg_catalog.pg_depend d
    where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
    and d.objid = c.oid
    and d.deptype = 'e'
)
order by 1;
