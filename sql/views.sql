-- What people look at: repl_status, repl_tables, repl_events, repl_verifications and others. In the schema the extension is created in.

create view repl_status as
with running as (
    select l.objid::int8 as subscription_id, count(*) as workers,
           bool_or(l.classid = 1684366081::oid) as apply
    from pg_catalog.pg_locks l
    where l.locktype = 'advisory' and l.granted and l.objsubid = 2
      and l.classid in (1684366081::oid, 1684366082::oid)  -- APPLY_CLASS, COPY_CLASS of src/pg/worker.rs
      and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
    group by l.objid
), chunk as (
    select t.subscription_id, t.source_oid, t.rows_done, t.bytes * d.part as copied,
           -- of that, what came in the last half minute, if it came evenly
           t.bytes * d.part * greatest(extract(epoch from d.until - greatest(t.started_at, d.since)), 0)
               / greatest(extract(epoch from d.until - t.started_at), 0.001) as lately
    from decamp.task t
    join decamp.relation r using (subscription_id, source_oid)
    cross join lateral (
        select case
                   when t.state = 'done' then 1.0
                   when t.rows_estimate > 0 then least(t.rows_done::numeric / t.rows_estimate, 0.99)
                   when t.bytes > 0 then least(t.bytes_done::numeric / t.bytes, 0.99)
                   else 0
               end as part,
               case when t.state = 'pending' then t.started_at
                    else coalesce(t.finished_at, pg_catalog.clock_timestamp()) end as until,
               pg_catalog.clock_timestamp() - interval '30 seconds' as since
    ) d
    where t.kind = 'chunk'
), copy as (
    select c.subscription_id, sum(round(c.copied)) as copied, sum(c.rows_done) as rows,
           coalesce(sum(c.lately), 0) as lately
    from chunk c
    group by c.subscription_id
), build as (
    select t.subscription_id,
           pg_catalog.string_agg(t.name || coalesce(' (' || round(100 * t.part::numeric) || '%)', ''), ', '
                                 order by t.id) as names
    from decamp.task t
    where t.state = 'running' and t.kind in ('index', 'constraint', 'foreign key', 'validation')
    group by t.subscription_id
), missing as (
    select t.subscription_id, count(*) filter (where t.kind = 'foreign key') as keys,
           count(*) filter (where t.kind = 'validation') as validations,
           count(*) filter (where t.kind in ('trigger', 'rule')) as triggers
    from decamp.task t
    where t.state <> 'done' and t.kind in ('foreign key', 'validation', 'trigger', 'rule')
    group by t.subscription_id
), waiting as (
    select distinct on (t.subscription_id) t.subscription_id, t.error
    from decamp.task t
    where t.state <> 'done' and t.error is not null and t.not_before > pg_catalog.clock_timestamp() - interval '15 seconds'
    order by t.subscription_id, t.not_before desc
), rel as (
    select r.subscription_id, count(*) as tables,
           count(*) filter (where r.state = 'ready') as ready,
           count(*) filter (where r.state in ('copied', 'catchup', 'ready')) as copied,
           count(*) filter (where r.state = 'errored') as errored,
           sum(r.bytes) as bytes, sum(r.rows_estimate) as rows,
           bool_and(r.state in ('copied', 'catchup', 'ready')) as done,
           (array_agg(pg_catalog.format('%I.%I: %s', r.schema, r.name, r.error) order by r.schema, r.name)
               filter (where r.state = 'errored'))[1] as error,
           (array_agg(r.hint order by r.schema, r.name) filter (where r.state = 'errored'))[1] as hint
    from decamp.relation r
    where not r.leaving
    group by r.subscription_id
), offered as (
    select o.subscription_id, count(*) as tables, min(pg_catalog.format('%I.%I', o.schema, o.name)) as example
    from decamp.offered o
    where not o.dismissed
      and not exists (select from decamp.relation r
                      where r.subscription_id = o.subscription_id and r.source_oid = o.source_oid)
    group by o.subscription_id
), fact as (
    select s.*, pg_catalog.clock_timestamp() as now,
           coalesce(w.workers, 0) as running, coalesce(w.apply, false) as alive,
           coalesce(rel.tables, 0) as tables_total, coalesce(rel.ready, 0) as ready, coalesce(rel.copied, 0) as copied,
           coalesce(rel.errored, 0) as tables_errored, rel.error as table_error, rel.hint as table_hint,
           coalesce(rel.bytes, 0)::int8 as bytes_total,
           coalesce(c.copied, 0)::int8 as bytes_copied,
           greatest(rel.rows, c.rows, 0)::int8 as rows_total,
           coalesce(c.rows, 0)::int8 as rows_copied,
           case when w.workers > 0 then build.names end as building, waiting.error as waiting,
           offered.tables as offered, offered.example,
           coalesce(missing.keys, 0) as missing_keys,
           coalesce(missing.validations, 0) as missing_validations,
           coalesce(missing.triggers, 0) as triggers_off,
           case
               when rel.done or s.state in ('catchup', 'streaming') then 1.0
               when rel.bytes > 0 then least(c.copied / rel.bytes, 1.0)
               else 0
           end as part,
           case when s.copy_started_at < pg_catalog.clock_timestamp() - interval '1 second'
                then c.lately / least(extract(epoch from pg_catalog.clock_timestamp() - s.copy_started_at), 30)
           end as copy_rate,
           other.name as counterpart
    from decamp.subscription s
    left join decamp.subscription other on other.counterpart_id = s.id or other.id = s.counterpart_id
    left join running w on w.subscription_id = s.id
    left join copy c on c.subscription_id = s.id
    left join build on build.subscription_id = s.id
    left join offered on offered.subscription_id = s.id
    left join waiting on waiting.subscription_id = s.id
    left join missing on missing.subscription_id = s.id
    left join rel on rel.subscription_id = s.id
), judged as (
    select f.*,
           case
               when f.part between 0.01 and 0.9999 and f.copy_rate > 0
                    and f.now - f.copy_started_at > interval '5 seconds'
               then pg_catalog.make_interval(secs => round((f.bytes_total - f.bytes_copied) / f.copy_rate)::float8)
           end as eta,
           case
               when f.state = 'streaming' or (f.state = 'errored' and f.complete_at is not null)
               then greatest(f.now - f.complete_at, interval '0')
           end as lag,
           case
               when f.state in ('errored', 'finished', 'armed') then f.state
               when not f.enabled and f.running > 0 then 'pausing'
               when not f.enabled then 'paused'
               else f.state
           end as shown,
           f.enabled and f.state not in ('errored', 'finished', 'armed') and not f.alive
               and f.now - greatest(f.created_at, f.state_since, f.heartbeat_at) > interval '5 seconds' as orphaned,
           f.enabled and f.alive and f.retry_at is null and (
               f.now - f.heartbeat_at > interval '30 seconds'
               or (f.state = 'streaming' and f.tables_errored = 0 and f.now - f.complete_at > interval '30 seconds'
                   and f.now - greatest(f.last_batch_at, f.state_since) > interval '30 seconds')
               or (f.state = 'catchup' and f.backlog > 0 and f.tables_errored = 0
                   and f.now - greatest(f.last_batch_at, f.state_since) > interval '30 seconds')
           ) as stalled
    from fact f
)
select j.name,
       j.shown as state,
       j.fence is not null as fenced,
       j.tables_total::int as tables,
       j.ready::int as tables_ready,
       j.bytes_total,
       j.bytes_copied,
       j.rows_total,
       j.rows_copied,
       round(100 * j.part, 1) as progress,
       case when j.state = 'copying' then round(coalesce(j.copy_rate, 0))::int8 end as copy_rate,
       j.eta,
       j.building,
       j.backlog,
       j.lag,
       case when j.alive and j.last_batch_at > j.now - interval '10 seconds'
            then round(j.apply_rate::numeric, 1) else 0 end as apply_rate,
       j.last_batch_at,
       j.running::int as workers,
       coalesce(j.error, j.table_error, j.waiting,
                case when j.orphaned then 'no worker is running' end) as error,
       coalesce(case when j.error is not null then j.hint end, j.table_hint,
                case when j.orphaned then pg_catalog.format('SELECT repl_resume(%L);', j.name) end,
                case when j.stalled then
                    'SELECT pid, application_name, wait_event, pg_blocking_pids(pid) FROM pg_stat_activity'
                    ' WHERE application_name LIKE ''pg_decamp%''; here and on the source' end,
                case when j.offered > 0 then pg_catalog.format(
                    'New on the source and not followed: %s%s. SELECT repl_add_table(%L, %L); takes it in,'
                    ' repl_remove_table with the same arguments leaves it out for good.',
                    j.example, case when j.offered > 1 then pg_catalog.format(' and %s more', j.offered - 1) else '' end,
                    j.name, j.example) end) as hint,
       case
           when j.shown = 'finished' then ''
           when j.fence = 'standing' then
               pg_catalog.format('FENCED since %s: the source refuses writes. To let them: SELECT repl_unfence(%L); ',
                                 date_trunc('second', j.fenced_at), j.name)
           when j.fence is not null then
               pg_catalog.format('FENCED for %s: the source refuses writes, repl_fence or repl_switchover is at work or was'
                                 ' interrupted; then the apply worker unfences, or type SELECT repl_unfence(%L); ',
                                 date_trunc('second', j.now - j.fenced_at), j.name)
           else ''
       end
       || case
           when j.shown = 'armed' then
               'Armed: repl_switchover is at work in the other direction, or was interrupted and this goes away by itself; it begins'
               ' when that has finished.'
           when j.shown = 'finished' and j.counterpart is not null then
               pg_catalog.format('Finished: switched over at %s, all is on the target. What is written there flows back by'
                                 ' subscription %s. SELECT repl_switchover(%L); goes back. To stay for good: SELECT repl_stop(%L);'
                                 ' then SELECT repl_stop(%L);',
                                 date_trunc('second', j.state_since), j.counterpart, j.counterpart, j.counterpart, j.name)
           when j.shown = 'finished' then
               pg_catalog.format('Finished: switched over at %s, all is on the target. The source still refuses writes, so that no'
                                 ' straggler is lost. SELECT repl_stop(%L); cleans it up and lets it take writes again.',
                                 date_trunc('second', j.state_since), j.name)
           when j.shown = 'errored' and j.error_sqlstate = 'DC001' then
               'Stopped: ' || j.error || '. ' || j.hint
           when j.shown = 'errored' then
               'Stopped: ' || coalesce(j.error, 'unknown error') || '. Nothing is lost: changes keep being collected'
               ' on the source. ' || coalesce(j.hint, pg_catalog.format('Then SELECT repl_resume(%L);', j.name))
           when j.shown in ('pausing', 'paused') then
               pg_catalog.format('%s by repl_pause; changes are being collected on the source meanwhile. To go on:'
                                 ' SELECT repl_resume(%L);', initcap(j.shown), j.name)
           when j.orphaned then
               pg_catalog.format('No worker is running, as after a server restart without preload; changes are being'
                                 ' collected on the source, nothing is lost. To go on: SELECT repl_resume(%L);', j.name)
           when j.retry_at is not null then
               pg_catalog.format('Interrupted (%s); nothing is lost; trying again %s.', j.error,
                                 case when j.retry_at > j.now
                                      then 'in ' || ceil(extract(epoch from j.retry_at - j.now)) || ' s'
                                      else 'now' end)
           when j.stalled then
               pg_catalog.format('Stalled: nothing was replayed for %s; nothing is lost. See pg_stat_activity here and on'
                                 ' the source for what it waits for.',
                                 date_trunc('second', j.now - greatest(j.last_batch_at, j.state_since)))
           when j.tables_errored > 0 then
               pg_catalog.format('%s of %s tables stopped, the others go on. See repl_tables for what to do about each;'
                                 ' once mended: SELECT repl_resume(%L);',
                                 j.tables_errored, j.tables_total, j.name)
           when j.state = 'starting' then 'Starting.'
           when j.state = 'importing' then 'Importing the schema into the target.'
           when j.state = 'installing' then 'Installing capture triggers on the source, one table at a time.'
           when j.state = 'copying' then
               pg_catalog.format('Copying: %s of %s tables done, %s%% of the bytes%s%s%s.', j.copied, j.tables_total,
                                 floor(100 * j.part),
                                 ' at ' || pg_catalog.pg_size_pretty(nullif(round(j.copy_rate), 0)::int8) || '/s',
                                 ', about ' || date_trunc('second', j.eta) || ' left',
                                 '; building ' || j.building)
               || coalesce(' A piece is tried again, nothing is lost: ' || j.waiting || '.', '')
           when j.state = 'catchup' then
               pg_catalog.format('Replaying what changed during the copy: %s deltas to go, %s of %s tables ready.',
                                 coalesce(j.backlog, 0), j.ready, j.tables_total)
           when coalesce(j.backlog, 0) = 0 and j.lag < interval '5 seconds'
                and coalesce(j.now - j.last_batch_at > interval '5 seconds', true) then
               pg_catalog.format('Streaming and idle: nothing to replay, the target was complete %s s ago.',
                                 round(extract(epoch from j.lag)::numeric, 1))
           else
               pg_catalog.format('Streaming: %s deltas to replay at %s rows/s, the target was complete %s s ago.',
                                 coalesce(j.backlog, 0), round(coalesce(j.apply_rate, 0)::numeric),
                                 round(extract(epoch from j.lag)::numeric, 1))
       end
       || case
           when j.ordinary and j.missing_keys + j.triggers_off > 0 then
               pg_catalog.format(' Off on the target, which repl_stop puts back: foreign keys %s, triggers and rules %s.',
                                 j.missing_keys, j.triggers_off)
           when j.shown <> 'streaming' then ''
           when j.missing_keys > 0 then
               pg_catalog.format(' Foreign keys not on the target yet: %s; they are being added.', j.missing_keys)
           when j.missing_validations > 0 then
               pg_catalog.format(' Foreign keys being validated: %s.', j.missing_validations)
           else ''
       end as summary,
       j.source_shown as source,
       j.target_shown as target
from judged j
order by j.name;

comment on view repl_status is 'one row per subscription: where it stands';
comment on column repl_status.name is 'as given to repl_start';
comment on column repl_status.state is
    'starting, importing (schema), installing (capture), copying, catchup (replaying what changed during the copy),'
    ' streaming (every table ready), pausing, paused, errored (needs a person), finished (switched over), armed (the way back of a'
    ' switchover under way)';
comment on column repl_status.fenced is 'the source refuses writes, by repl_fence or repl_switchover';
comment on column repl_status.tables is 'tables taken';
comment on column repl_status.tables_ready is 'tables whose copy is complete and whose backlog was empty once';
comment on column repl_status.bytes_total is 'size of the tables on the source''s disk, without indexes, at the start';
comment on column repl_status.bytes_copied is 'the share of bytes_total that is copied';
comment on column repl_status.rows_total is 'rows of the tables, estimated from the source''s statistics';
comment on column repl_status.rows_copied is 'rows sent to the target by the initial copy';
comment on column repl_status.progress is 'bytes_copied of bytes_total, percent';
comment on column repl_status.copy_rate is
    'bytes of the source''s disk copied per second, average of the last half minute; null when nothing is to be copied';
comment on column repl_status.eta is
    'when bytes_total is reached at copy_rate; null while there is too little to tell from; index builds come on top';
comment on column repl_status.building is 'indexes and constraints being built on the target, and how far each is';
comment on column repl_status.backlog is 'deltas (changed rows, by their keys) waiting on the source, as last counted';
comment on column repl_status.lag is
    'how long ago the target was equal to the source; grows while nothing can be replayed; null before streaming';
comment on column repl_status.apply_rate is 'rows replayed per second, average of the last ten seconds';
comment on column repl_status.last_batch_at is 'when a batch of changes was last committed on the target';
comment on column repl_status.workers is 'background workers running now (apply and copy)';
comment on column repl_status.error is 'what is wrong now; null when nothing is';
comment on column repl_status.hint is 'what to type about it';
comment on column repl_status.summary is 'all of this in one sentence';
comment on column repl_status.source is 'where the source is, without password';
comment on column repl_status.target is 'where the target is, without password';

create view repl_tables as
select s.name as subscription,
       r.schema,
       r.name as "table",
       case when r.leaving then 'leaving' else r.state end as state,
       r.rows_estimate,
       coalesce(t.rows, 0)::int8 as rows_copied,
       r.bytes,
       coalesce(t.bytes, 0)::int8 as bytes_copied,
       coalesce(t.chunks, 0)::int as chunks,
       coalesce(t.chunks_done, 0)::int as chunks_done,
       coalesce(t.indexes_missing, 0)::int as indexes_missing,
       t.building,
       r.backlog,
       r.inserted,
       r.updated,
       r.deleted,
       r.truncated,
       r.capture,
       coalesce(k.skipped, 0)::int as skipped,
       case when r.keyless then 'all columns' else 'key' end as matched_by,
       r.error,
       r.hint
from decamp.relation r
join decamp.subscription s on s.id = r.subscription_id
left join (
    select t.subscription_id, t.source_oid, sum(t.rows_done) as rows, sum(t.bytes_done) as bytes,
           count(*) filter (where t.phase = 1) as chunks,
           count(*) filter (where t.phase = 1 and t.state = 'done') as chunks_done,
           count(*) filter (where t.phase in (3, 4, 6) and t.state <> 'done') as indexes_missing,
           pg_catalog.string_agg(t.name || coalesce(' (' || round(100 * t.part::numeric) || '%)', ''), ', '
                                 order by t.id) filter (where t.state = 'running' and t.phase > 2) as building
    from decamp.task t
    group by t.subscription_id, t.source_oid
) t using (subscription_id, source_oid)
left join (
    select k.subscription_id, k.source_oid, count(*) as skipped
    from decamp.skipped k
    where k.ended_at is null
    group by k.subscription_id, k.source_oid
) k using (subscription_id, source_oid)
order by s.name, r.schema, r.name;

comment on view repl_tables is 'one row per table of a subscription';
comment on column repl_tables.subscription is 'as given to repl_start';
comment on column repl_tables.schema is 'of the table, on both sides';
comment on column repl_tables."table" is 'its name, on both sides';
comment on column repl_tables.state is
    'init: no capture on the source yet. copying: being copied. copied: all chunks are on the target. catchup: changes'
    ' made during the copy are being replayed. ready: streams. errored: this table stopped, its deltas wait. leaving: repl_remove_table takes it out';
comment on column repl_tables.rows_estimate is 'rows on the source at the start, by its statistics';
comment on column repl_tables.rows_copied is 'rows sent to the target by the initial copy';
comment on column repl_tables.bytes is 'size on the source''s disk, without indexes, at the start';
comment on column repl_tables.bytes_copied is 'bytes sent to the target by the initial copy, in COPY format';
comment on column repl_tables.chunks is 'pieces the table is copied in';
comment on column repl_tables.chunks_done is 'pieces that are on the target';
comment on column repl_tables.indexes_missing is
    'indexes, constraints and foreign keys that were taken off the target for the copy and are not built again yet; foreign'
    ' keys stay off until repl_stop where the target''s role may not set session_replication_role';
comment on column repl_tables.building is 'which of them are being built right now, and how far each is';
comment on column repl_tables.backlog is 'deltas waiting on the source, as last counted';
comment on column repl_tables.inserted is 'rows inserted by replay';
comment on column repl_tables.updated is 'rows updated by replay';
comment on column repl_tables.deleted is 'rows deleted by replay';
comment on column repl_tables.truncated is 'truncations replayed';
comment on column repl_tables.capture is 'statement: statement-level triggers; row: row-level ones';
comment on column repl_tables.skipped is 'rows left out by repl_skip; which they are: repl_skipped';
comment on column repl_tables.matched_by is
    'how a row of the source is found on the target. key: by primary key or unique index. all columns: the table has no key,'
    ' an update is a delete and an insert';
comment on column repl_tables.error is 'why the table stopped';
comment on column repl_tables.hint is 'what to do about it';

create view repl_copy_report as
with piece as (
    select s.name as subscription, s.id, r.schema, r.name, r.bytes, r.source_oid, t.kind, t.phase, t.state, t.rows_done, t.bytes_done,
           t.started_at, t.finished_at
    from decamp.relation r
    join decamp.subscription s on s.id = r.subscription_id
    left join decamp.task t using (subscription_id, source_oid)
), line as (
    select p.subscription, p.id,
           case when grouping(p.schema) = 0 then pg_catalog.format('%I.%I', p.schema, p.name) else 'total' end as "table",
           grouping(p.schema) as total,
           case when grouping(p.schema) = 0 then max(p.bytes)
                else (select sum(r.bytes) from decamp.relation r where r.subscription_id = p.id) end::int8 as bytes,
           coalesce(sum(p.rows_done) filter (where p.phase = 1), 0)::int8 as rows,
           count(*) filter (where p.phase = 1)::int as chunks,
           max(p.finished_at) filter (where p.phase = 1) - min(p.started_at) filter (where p.phase = 1) as copy_time,
           count(*) filter (where p.phase in (3, 4, 6))::int as indexes,
           max(p.finished_at) filter (where p.phase in (3, 4)) - min(p.started_at) filter (where p.phase in (3, 4)) as index_time,
           max(p.finished_at) filter (where p.phase < 6) - min(p.started_at) filter (where p.phase < 6) as total_time,
           bool_and(p.state = 'done') filter (where p.phase < 6) as complete
    from piece p
    group by grouping sets ((p.subscription, p.id, p.schema, p.name, p.source_oid), (p.subscription, p.id))
)
select l.subscription, l."table", l.bytes, pg_catalog.pg_size_pretty(l.bytes) as size, l.rows, l.chunks, l.copy_time, l.indexes,
       l.index_time, l.total_time,
       round(l.bytes / nullif(extract(epoch from l.copy_time), 0)::numeric / 1048576, 1) as mb_per_second,
       coalesce(l.complete, false) as complete
from line l
order by l.subscription, l.total, l.bytes desc, l."table";

comment on view repl_copy_report is 'what the initial copy of each table took, the largest first, totals last';
comment on column repl_copy_report.subscription is 'as given to repl_start';
comment on column repl_copy_report."table" is 'its name, or total';
comment on column repl_copy_report.bytes is 'size on the source''s disk when it was copied, without indexes';
comment on column repl_copy_report.size is 'the same for people';
comment on column repl_copy_report.rows is 'rows copied';
comment on column repl_copy_report.chunks is 'pieces it was copied in';
comment on column repl_copy_report.copy_time is 'from the beginning of its first chunk to the end of its last';
comment on column repl_copy_report.indexes is 'indexes, constraints and foreign keys built after that';
comment on column repl_copy_report.index_time is 'from the beginning of the first build to the end of the last, without foreign keys';
comment on column repl_copy_report.total_time is 'from the first chunk until nothing but foreign keys was left';
comment on column repl_copy_report.mb_per_second is 'megabytes of the source''s disk per second of copy_time';
comment on column repl_copy_report.complete is 'nothing but foreign keys is left to do';

create view repl_skipped as
select k.subscription, k.schema, k.name as "table", k.key, k.role, k.at, k.ended_at, k.ended_by
from decamp.skipped k;

comment on view repl_skipped is
    'rows left out of replay by repl_skip, kept after repl_stop. Superusers only, for keys are values of rows';
comment on column repl_skipped.subscription is 'as given to repl_start';
comment on column repl_skipped.schema is 'of the table';
comment on column repl_skipped."table" is 'its name when the row was left out';
comment on column repl_skipped.key is 'the columns of its key and their values, as text';
comment on column repl_skipped.role is 'who called repl_skip';
comment on column repl_skipped.at is 'when, by this server''s clock';
comment on column repl_skipped.ended_at is 'when it was taken back; null: the target has not got what happened to the row on the source since';
comment on column repl_skipped.ended_by is 'role and function that took it back (repl_unskip, repl_resync)';

create view repl_events as
select e.at, e.subscription, e.severity, e.subject, e.message, e.detail
from decamp.event e;

comment on view repl_events is 'what happened, oldest to newest by column at; kept after repl_stop';
comment on column repl_events.at is 'this server''s clock';
comment on column repl_events.subscription is 'as given to repl_start';
comment on column repl_events.severity is 'info, warning or error';
comment on column repl_events.subject is 'a table, or what else it is about';
comment on column repl_events.message is 'one line';
comment on column repl_events.detail is 'SQLSTATE and hint of an error, the statement that was refused, and the like';

create view repl_verifications as
select v.subscription,
       v.id as verification,
       v.mode,
       t."table",
       case when t.finished_at is not null then 'finished'
            when v.finished_at is null and a.pid is not null then case when t.started_at is null then 'waiting' else 'running' end
            else 'interrupted' end as state,
       t.source_rows,
       t.target_rows,
       t.equal,
       t.differing,
       t.how,
       t.started_at,
       t.finished_at - t.started_at as duration,
       t.note
from decamp.verification v
join decamp.verified t on t.verification = v.id
left join pg_catalog.pg_stat_activity a on a.pid = v.pid and a.backend_start = v.pid_since
order by v.id, t."table";

comment on view repl_verifications is 'what repl_verify found, and repl_switchover with verify => checksum, call by call, also of calls that were interrupted; kept after repl_stop';
comment on column repl_verifications.subscription is 'as given to repl_start';
comment on column repl_verifications.verification is 'number of the call; one that goes on after an interruption keeps its number';
comment on column repl_verifications.mode is 'checksum, count or schema';
comment on column repl_verifications."table" is 'with its schema; in mode schema also sequences, views, functions, extensions';
comment on column repl_verifications.state is
    'waiting: for its turn. running. finished. interrupted: nothing is known of it; the same call within an hour goes on with it';
comment on column repl_verifications.source_rows is 'rows of the source, counted range by range while both sides may be written to';
comment on column repl_verifications.target_rows is 'rows of the target, likewise';
comment on column repl_verifications.equal is 'true: equal. false: different. null: not finished, or not known, see note';
comment on column repl_verifications.differing is
    'the first 20 differences: keys, with row: missing (not on the target), extra (only there) or different; or parts of definitions';
comment on column repl_verifications.how is 'what was looked at';
comment on column repl_verifications.started_at is 'this server''s clock';
comment on column repl_verifications.duration is 'how long it took';
comment on column repl_verifications.note is 'why it is not known, and what to do about it';

grant select on repl_status, repl_tables, repl_copy_report, repl_events, repl_verifications to pg_monitor;

-- repl_report reads these: it knows where the state is, not which schema the extension was made in
create view decamp.shown_status as table repl_status;
create view decamp.shown_tables as table repl_tables;
create view decamp.shown_verifications as table repl_verifications;
create view decamp.shown_copy as
select c.subscription,
       pg_catalog.json_agg(pg_catalog.json_build_object(
           'table', c."table", 'bytes', c.bytes, 'rows', c.rows, 'chunks', c.chunks,
           'copy_seconds', extract(epoch from c.copy_time), 'indexes', c.indexes,
           'index_seconds', extract(epoch from c.index_time), 'total_seconds', extract(epoch from c.total_time),
           'complete', c.complete)) as lines
from repl_copy_report c
group by c.subscription;

comment on view decamp.shown_status is 'repl_status';
comment on view decamp.shown_tables is 'repl_tables';
comment on view decamp.shown_verifications is 'repl_verifications';
comment on view decamp.shown_copy is 'the lines of repl_copy_report, in their order; times in seconds';
