-- How the values of a table's leading key column are distributed, by its statistics, in the column's order. PostgreSQL 10
-- or later.
-- $1: oid of the table; $2: name of the column; {type}: its type, one whose order is known to be that of its text read back.
-- Returns value (SQL, with its type), before (share of the rows between the value before and this one), at (share of the
-- rows with just this value). No rows: without statistics, or with a collation of its own.
with stats as (
    select s.histogram_bounds::text::text[] as bounds, s.most_common_vals::text::text[] as common,
           s.most_common_freqs as frequencies,
           1 - coalesce((select sum(f) from unnest(s.most_common_freqs) f), 0) as rest
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attname = $2
    join pg_catalog.pg_stats s on s.schemaname = n.nspname and s.tablename = c.relname and s.attname = a.attname
    where c.oid = $1::oid and not s.inherited and a.attcollation in (0, 100)
),
point as (
    select b.value,
           case when b.place > 1 then s.rest / greatest(array_length(s.bounds, 1) - 1, 1) else 0 end as before, 0 as at
    from stats s, unnest(s.bounds) with ordinality b(value, place)
    union all
    select m.value, 0, m.frequency
    from stats s, unnest(s.common, s.frequencies) m(value, frequency)
)
select quote_literal(p.value) || '::{type}' as value, sum(p.before)::float8 as before, sum(p.at)::float8 as at
from point p
group by p.value
order by p.value::{type}
