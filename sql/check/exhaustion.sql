-- Sequences that have used more than 80 % of what they can give. Source, PostgreSQL 10 or later.
-- No parameters.
-- Returns schema, name, type, percent, last, bounded (a limit below that of its type).
select s.schemaname as schema, s.sequencename as name, s.data_type::text as type, u.percent::int8 as percent,
       s.last_value as last,
       u.edge <> case s.data_type::text when 'smallint' then 32767 when 'integer' then 2147483647
                                        else 9223372036854775807 end as bounded
from pg_catalog.pg_sequences s
cross join lateral (
    select case when s.increment_by > 0
                then (s.last_value::numeric - s.min_value) / greatest(s.max_value::numeric - s.min_value, 1)
                else (s.max_value::numeric - s.last_value) / greatest(s.max_value::numeric - s.min_value, 1)
           end * 100 as percent,
           case when s.increment_by > 0 then s.max_value else -s.min_value - 1 end as edge
) u
where u.percent > 80 and not s.cycle
  and s.schemaname !~ '^pg_' and s.schemaname not in ('information_schema', 'decamp')
order by 1, 2
