-- Moves tables on whose tasks are done: from copying to copied when all rows and indexes are there, from copied to catchup when
-- nothing is left but foreign keys.
-- $1: the subscription.
-- Returns oid, schema, name, state (the old one), and of all tasks together rows, bytes, chunks, copying (seconds from the
-- first chunk's beginning to the last one's end), indexes, indexing (seconds).
-- Rows are locked in one order: several workers do this at the same time.
with open as (
    select o.source_oid
    from decamp.relation o
    where o.subscription_id = $1::int4 and o.planned and not o.leaving and o.state in ('copying', 'copied')
      and not exists (select from decamp.task t
                      where t.subscription_id = o.subscription_id and t.source_oid = o.source_oid
                        and t.state <> 'done' and t.phase < case o.state when 'copied' then 6 else 5 end)
    order by o.source_oid
    for no key update
), moved as (
    update decamp.relation r
    set state = case
            when exists (select from decamp.task t
                         where t.subscription_id = r.subscription_id and t.source_oid = r.source_oid
                           and t.state <> 'done' and t.phase < 6) then 'copied'
            else 'catchup'
        end
    from open
    join decamp.relation before on before.source_oid = open.source_oid
    where before.subscription_id = r.subscription_id and before.source_oid = r.source_oid
      and r.subscription_id = $1::int4 and r.state in ('copying', 'copied')
    returning r.subscription_id, r.source_oid, r.schema, r.name, before.state
)
select m.source_oid::int8 as oid, m.schema, m.name, m.state,
       coalesce(sum(t.rows_done) filter (where t.phase = 1), 0)::int8 as rows,
       coalesce(sum(t.bytes_done) filter (where t.phase = 1), 0)::int8 as bytes,
       count(t.id) filter (where t.phase = 1) as chunks,
       coalesce(extract(epoch from max(t.finished_at) filter (where t.phase = 1)
                                   - min(t.started_at) filter (where t.phase = 1)), 0)::numeric(12, 1) as copying,
       count(t.id) filter (where t.phase in (3, 4)) as indexes,
       coalesce(extract(epoch from max(t.finished_at) filter (where t.phase in (3, 4))
                                   - min(t.started_at) filter (where t.phase in (3, 4))), 0)::numeric(12, 1) as indexing
from moved m
left join decamp.task t on t.subscription_id = m.subscription_id and t.source_oid = m.source_oid
group by m.source_oid, m.schema, m.name, m.state
order by m.schema, m.name
