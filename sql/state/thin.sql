-- Thins samples with their age, as the comment on decamp.sample says. Gaps stay: a sample that tells of one is kept first.
-- On our own server.
-- $1 subscription's name.
with aged as (
    select s.at, s.lag, s.backlog, s.silence,
           case when s.at > pg_catalog.clock_timestamp() - interval '1 day' then 60
                when s.at > pg_catalog.clock_timestamp() - interval '14 days' then 600
                else 3600 end as width
    from decamp.sample s
    where s.subscription = $1 and s.at < pg_catalog.clock_timestamp() - interval '1 hour'
), placed as (
    select a.at,
           row_number() over (partition by a.width, floor(extract(epoch from a.at) / a.width)
                              order by a.silence desc nulls last, a.lag desc nulls last, a.backlog desc nulls last, a.at) as place
    from aged a
)
delete from decamp.sample s
using placed p
where s.subscription = $1 and s.at = p.at
  and (p.place > 1 or p.at < pg_catalog.clock_timestamp() - interval '1 year')
