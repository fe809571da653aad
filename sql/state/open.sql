-- How much there is to do for the copy workers of a subscription.
-- $1: the subscription.
-- Returns copying (whether tables that go on have open tasks other than foreign keys), claimable (tasks that a worker could
-- be given right now, counted up to a hundred).
select exists (
           select from decamp.task t
           join decamp.relation r using (subscription_id, source_oid)
           where t.subscription_id = $1::int4 and t.state <> 'done' and t.phase < 6 and r.state in ('copying', 'copied')
       ) as copying,
       (select count(*) from (select from decamp.claimable c where c.subscription_id = $1::int4 limit 100) c) as claimable
