-- Notes what has just been measured, before it is published. On our own server.
-- $1 subscription's id, $2 the largest lag since the last sample (microseconds, null: unknown), $3 backlog (null: as last
-- counted), $4 rows replayed per second.
-- After a silence the lag is what it had become by now. The part of a chunk that is copied is estimated as in repl_status.
insert into decamp.sample (subscription, lag, backlog, apply_rate, bytes_copied, silence)
select s.name,
       case when s.state = 'streaming'
            then greatest($2::int8 / 1000000.0,
                          case when $2 is null or s.complete_at < pg_catalog.clock_timestamp() - interval '20 seconds'
                               then extract(epoch from pg_catalog.clock_timestamp() - s.complete_at) end, 0) end,
       coalesce($3::int8, s.backlog),
       $4::float8,
       case when s.state = 'copying' then (
           select coalesce(sum(t.bytes * case
                      when t.state = 'done' then 1
                      when t.rows_estimate > 0 then least(t.rows_done::numeric / t.rows_estimate, 0.99)
                      when t.bytes > 0 then least(t.bytes_done::numeric / t.bytes, 0.99)
                      else 0 end), 0)::int8
           from decamp.task t
           where t.subscription_id = s.id and t.kind = 'chunk') end,
       case when last.at < pg_catalog.clock_timestamp() - interval '20 seconds'
            then extract(epoch from pg_catalog.clock_timestamp() - last.at) end
from decamp.subscription s
left join lateral (
    select p.at
    from decamp.sample p
    where p.subscription = s.name and p.at >= s.created_at
    order by p.at desc
    limit 1
) last on true
where s.id = $1::int4
