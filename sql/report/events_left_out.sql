-- How many events sql/report/events.sql leaves out. On our own server.
-- $1 subscription's name, $2 since when (seconds since 1970).
-- Returns left_out.
with numbered as (
    select row_number() over (order by e.id) as place, row_number() over (order by e.id desc) as back,
           case when e.severity <> 'info'
                then row_number() over (partition by e.severity = 'info' order by e.id desc) end as graver
    from decamp.event e
    where e.subscription = $1 and extract(epoch from e.at)::float8 >= $2::float8
)
select count(*) filter (where n.place > 100 and n.back > 100 and coalesce(n.graver > 100, true)) as left_out
from numbered n
