-- The events of a report: of very many the first hundred, what went wrong, and the last. On our own server.
-- $1 subscription's name, $2 since when (seconds since 1970).
-- Returns at, severity, subject, message, detail; oldest first.
with numbered as (
    select e.*, row_number() over (order by e.id) as place, row_number() over (order by e.id desc) as back,
           case when e.severity <> 'info'
                then row_number() over (partition by e.severity = 'info' order by e.id desc) end as graver
    from decamp.event e
    where e.subscription = $1 and extract(epoch from e.at)::float8 >= $2::float8
)
select extract(epoch from n.at)::float8 as at, n.severity, n.subject, n.message, n.detail
from numbered n
where n.place <= 100 or n.back <= 100 or n.graver <= 100
order by n.id
