-- State of pg_decamp on the extension's own server. Runs once, first, at CREATE EXTENSION.
-- What each state means and who sets it is said in the column comments; the rules are in src/relation.rs and
-- src/subscription.rs.

do $$
begin
    if pg_catalog.to_regnamespace('decamp') is not null then
        raise exception using
            errcode = 'duplicate_schema',
            message = 'schema "decamp" already exists',
            detail = 'pg_decamp keeps its state in a schema of that name. It may be left from a migration whose target'
                     ' this database was (helper mode); those leftovers hold no user data.',
            hint = 'Look into it, then DROP SCHEMA decamp CASCADE and create the extension again. The extension''s'
                   ' functions may live in any other schema: CREATE EXTENSION pg_decamp SCHEMA ops.';
    end if;
end
$$;

create schema decamp;

create table decamp.subscription (
    id                int generated always as identity,
    name              text not null,
    uuid              uuid not null default pg_catalog.gen_random_uuid(),
    owner             text not null,
    source            text not null,
    source_shown      text not null,
    target            text,
    target_shown      text not null,
    tables            text[],
    exclude           text[],
    workers           int not null,
    copy_schema       boolean not null,
    copy_data         boolean not null,
    enabled           boolean not null default true,
    cut               boolean not null default false,
    ordinary          boolean not null default false,
    state             text not null default 'starting',
    errored_from      text,
    created_at        timestamptz not null default pg_catalog.clock_timestamp(),
    state_since       timestamptz not null default pg_catalog.clock_timestamp(),
    fence             text,
    fenced_at         timestamptz,
    counterpart_id    int,
    copy_started_at   timestamptz,
    copy_finished_at  timestamptz,
    heartbeat_at      timestamptz,
    complete_at       timestamptz,
    looked_at         timestamptz,
    backlog           bigint,
    apply_rate        double precision,
    last_batch_at     timestamptz,
    error             text,
    error_sqlstate    text,
    hint              text,
    retry_at          timestamptz,
    constraint subscription_pkey primary key (id),
    constraint subscription_name_key unique (name),
    constraint subscription_name_check check (name operator(pg_catalog.~) '^[a-z][a-z0-9_]{0,40}$'),
    constraint subscription_workers_check check (workers between 1 and 64),
    constraint subscription_state_check
        check (state in ('starting', 'importing', 'installing', 'copying', 'catchup', 'streaming', 'errored', 'finished',
                         'armed')),
    constraint subscription_counterpart_fkey
        foreign key (counterpart_id) references decamp.subscription (id) on delete set null,
    constraint subscription_counterpart_key unique (counterpart_id),
    constraint subscription_fence_check check (fence in ('raising', 'closing', 'standing'))
);

-- no policy: only superusers (and roles with BYPASSRLS) read connection strings, not members of pg_read_all_data
alter table decamp.subscription enable row level security;

comment on table decamp.subscription is 'one source database flowing into one target: what repl_start makes';
comment on column decamp.subscription.uuid is 'also in table origin of the schema on the source: whose deltas they are';
comment on column decamp.subscription.owner is 'role that called repl_start; the target''s default role';
comment on column decamp.subscription.source is 'connection string, with its password; readable by superusers only';
comment on column decamp.subscription.target is 'connection string; null: this server, this database, the owner''s role';
comment on column decamp.subscription.enabled is 'false: paused by repl_pause';
comment on column decamp.subscription.cut is 'paused by repl_pause(now => true): what copy workers have at hand is given up';
comment on column decamp.subscription.ordinary is
    'its role on the target may not set session_replication_role: triggers, rules and foreign keys are off until the end';
comment on column decamp.subscription.state is
    'set by the apply worker. starting: nothing done yet. importing: the schema is being imported. installing: capture'
    ' triggers are being put on the source. copying: chunks are being copied. catchup: all is copied, changes made'
    ' meanwhile are being replayed. streaming: every table is ready. errored: cannot go on before a person has acted.'
    ' finished: switched over, set by the switchover worker; the source stays fenced. armed: the way back of a switchover under'
    ' way; begins when that has finished';
comment on column decamp.subscription.fence is
    'whether the source refuses writes. null: it does not. raising: repl_fence or repl_switchover is at work, and who finds it'
    ' dead lowers the fence. closing: the same, and triggers of the target are being switched on. standing: until repl_unfence or'
    ' repl_stop. The capture functions on the source are the truth; the apply worker looks at them every few seconds';
comment on column decamp.subscription.fenced_at is 'since when';
comment on column decamp.subscription.counterpart_id is
    'the subscription that leads the other way and has made this one: of the two, one works and the other is finished. null for'
    ' one made by repl_start, and when the other has been stopped';
comment on column decamp.subscription.errored_from is 'the state repl_resume puts an errored subscription back to';
comment on column decamp.subscription.heartbeat_at is 'when the apply worker last wrote here; about once a second';
comment on column decamp.subscription.complete_at is
    'this server''s clock just before the source snapshot was taken that the target now equals';
comment on column decamp.subscription.looked_at is
    'this server''s clock just before the source''s sequences, triggers and partitions were looked at; what had happened to'
    ' them until then is on the target or in the deltas';
comment on column decamp.subscription.backlog is 'deltas on the source not yet replayed, as last counted';
comment on column decamp.subscription.apply_rate is 'rows per second replayed, average of the last ten seconds';
comment on column decamp.subscription.retry_at is 'when the apply worker tries again after the error';

create table decamp.relation (
    subscription_id   int not null,
    source_oid        oid not null,
    schema            text not null,
    name              text not null,
    capture           text not null,
    state             text not null default 'init',
    errored_from      text,
    shape             text,
    content           text,
    columns           text,
    deferred          boolean not null default false,
    planned           boolean not null default false,
    restarts          int not null default 0,
    keyless           boolean not null default false,
    leaving           boolean not null default false,
    bytes             bigint not null default 0,
    rows_estimate     bigint not null default 0,
    backlog           bigint not null default 0,
    inserted          bigint not null default 0,
    updated           bigint not null default 0,
    deleted           bigint not null default 0,
    truncated         bigint not null default 0,
    error             text,
    error_sqlstate    text,
    hint              text,
    constraint relation_pkey primary key (subscription_id, source_oid),
    constraint relation_name_key unique (subscription_id, schema, name) deferrable initially deferred,
    constraint relation_subscription_fkey
        foreign key (subscription_id) references decamp.subscription (id) on delete cascade,
    constraint relation_capture_check check (capture in ('statement', 'row')),
    constraint relation_state_check
        check (state in ('init', 'copying', 'copied', 'catchup', 'ready', 'errored'))
);

comment on table decamp.relation is 'one table of a subscription';
comment on column decamp.relation.capture is
    'statement: statement-level capture triggers; row: row-level ones (partitioned and inherited tables)';
comment on column decamp.relation.state is
    'set by the apply worker. init: no capture on the source yet. copying: capture is installed, chunks are being copied.'
    ' copied: all rows and indexes are on the target. catchup: changes made during the copy are being replayed. ready: its'
    ' backlog was empty once; it streams. errored: this table has stopped, the others go on, its deltas wait';
comment on column decamp.relation.errored_from is 'the state repl_resume puts an errored table back to';
comment on column decamp.relation.shape is
    'fingerprint of the source''s columns; when it changes together with content, every row is delivered anew';
comment on column decamp.relation.content is 'fingerprint of what changes rows without firing triggers';
comment on column decamp.relation.columns is
    'JSON: attnums on source and target of the columns replayed into each other, oid and fingerprint of the target''s table; when'
    ' a column goes elsewhere than before, every row is delivered anew';
comment on column decamp.relation.deferred is
    'what is to be taken off its target for the copy (indexes, constraints) is off, and in the tasks';
comment on column decamp.relation.planned is 'its chunks are in the tasks; false: its copy begins, or begins anew';
comment on column decamp.relation.restarts is 'how often its copy began anew: repl_resync, a rewrite of the table on the source';
comment on column decamp.relation.keyless is
    'the table had no key when the subscription started: capture writes whole rows, and rows are matched by all their columns';
comment on column decamp.relation.leaving is
    'repl_remove_table takes it out: nothing of it is copied or replayed any more; what is off on the target is built, then its'
    ' capture goes, then this row';
comment on column decamp.relation.bytes is 'size on the source''s disk, without indexes, when the subscription started';

create table decamp.partition (
    subscription_id   int not null,
    root_oid          oid not null,
    oid               oid not null,
    schema            text not null,
    name              text not null,
    leaf              boolean not null,
    constraint partition_pkey primary key (subscription_id, oid),
    constraint partition_relation_fkey
        foreign key (subscription_id, root_oid)
        references decamp.relation (subscription_id, source_oid) on delete cascade
);

comment on table decamp.partition is
    'partitions of the source''s partitioned tables that are taken care of; a difference to what is there is a partition that'
    ' came or went';

create table decamp.task (
    id                bigint generated always as identity,
    subscription_id   int not null,
    source_oid        oid not null,
    kind              text not null,
    phase             int not null,
    name              text,
    member            oid,
    member_name       text,
    filenode          oid,
    condition         text,
    statements        text[],
    other_oid         oid,
    state             text not null default 'pending',
    bytes             bigint not null,
    rows_estimate     bigint not null default 0,
    rows_done         bigint not null default 0,
    bytes_done        bigint not null default 0,
    part              double precision,
    attempts          int not null default 0,
    cancelled         int not null default 0,
    worker_pid        int,
    worker_since      timestamptz,
    target_pid        int,
    not_before        timestamptz,
    started_at        timestamptz,
    finished_at       timestamptz,
    error             text,
    constraint task_pkey primary key (id),
    constraint task_relation_fkey
        foreign key (subscription_id, source_oid)
        references decamp.relation (subscription_id, source_oid) on delete cascade,
    constraint task_kind_check
        check (kind in ('chunk', 'duplicates', 'index', 'constraint', 'analyze', 'foreign key', 'validation', 'trigger',
                        'rule')),
    constraint task_state_check check (state in ('pending', 'running', 'done'))
);

create index task_relation_idx on decamp.task (subscription_id, source_oid, phase);

comment on table decamp.task is 'one piece of a subscription''s initial copy; claimed by copy workers';
comment on column decamp.task.kind is
    'in this order for each table. chunk: rows of a range. duplicates: rows copied twice, because they moved meanwhile, are'
    ' removed. index, constraint: what was taken off the target is built again. analyze. foreign key (not yet valid) and'
    ' validation: when both its tables are ready. trigger, rule: switched on again at the end, by repl_stop';
comment on column decamp.task.phase is 'rank of the kind: a task waits for those of its table with a lower phase';
comment on column decamp.task.name is 'of the index or constraint';
comment on column decamp.task.member is 'where a chunk is from: the table, or one of its partitions';
comment on column decamp.task.filenode is 'of the member when it was cut by ctid: a rewritten table is cut anew';
comment on column decamp.task.condition is 'rows of the chunk, SQL for the source; null: all of the member';
comment on column decamp.task.statements is 'SQL for the target, run in one transaction with its note in decamp.applied';
comment on column decamp.task.other_oid is 'the other table of a foreign key, if it belongs to the subscription';
comment on column decamp.task.bytes is 'size of the piece on the source''s disk';
comment on column decamp.task.bytes_done is 'bytes sent to the target so far';
comment on column decamp.task.part is 'how far an index build is, 0 to 1';
comment on column decamp.task.cancelled is 'how often somebody cancelled its statement';
comment on column decamp.task.worker_since is 'backend start of the claiming worker: tells a reused process id';
comment on column decamp.task.target_pid is 'the worker''s session on the target';
comment on column decamp.task.not_before is 'earliest moment of the next try';

create view decamp.claimable as
select o.id, o.subscription_id, o.kind, o.bytes, o.attempts, r.bytes as table_bytes,
       o.phase in (1, 5) and o.condition is null and o.attempts = 0 and o.bytes < 1048576 as small,
       case when o.phase = 1 then 1 when o.phase < 5 then 0 else o.phase end as turn
from decamp.task o
join decamp.relation r using (subscription_id, source_oid)
join decamp.subscription s on s.id = o.subscription_id
left join decamp.relation other
       on other.subscription_id = o.subscription_id and other.source_oid = o.other_oid
where o.state = 'pending' and (o.not_before is null or o.not_before <= pg_catalog.clock_timestamp())
  and case when o.phase < 6 then r.planned and r.state in ('copying', 'copied')
           else o.phase < 8 and not s.ordinary and r.state = 'ready' and coalesce(other.state, 'ready') = 'ready' end
  and not exists (
      select from decamp.task b
      where b.subscription_id = o.subscription_id and b.source_oid = o.source_oid and b.state <> 'done'
        and (b.phase < o.phase or (b.phase = 4 and o.phase = 4 and b.id < o.id)));

comment on view decamp.claimable is
    'tasks that a copy worker can be given right now. A task waits for those of its table with a lower phase; constraints,'
    ' each of which locks the table, go one by one; foreign keys wait until both tables are ready, where'
    ' our role on the target is an ordinary one until the end';
comment on column decamp.claimable.small is 'so small that several of them are taken at once';
comment on column decamp.claimable.turn is
    'what others wait for comes first, then chunks, after them statistics, foreign keys last';

create table decamp.offered (
    subscription_id   int not null,
    source_oid        oid not null,
    schema            text not null,
    name              text not null,
    dismissed         boolean not null default false,
    constraint offered_pkey primary key (subscription_id, source_oid),
    constraint offered_subscription_fkey
        foreign key (subscription_id) references decamp.subscription (id) on delete cascade
);

comment on table decamp.offered is
    'tables of the source that the subscription''s patterns match but that it does not follow: they came later, or were taken out';
comment on column decamp.offered.dismissed is 'by repl_remove_table: not told about in repl_status';

create table decamp.skipped (
    id                bigint generated always as identity,
    subscription_id   int not null,
    subscription      text not null,
    source_oid        oid not null,
    schema            text not null,
    name              text not null,
    key               jsonb not null,
    role              text not null,
    at                timestamptz not null default pg_catalog.clock_timestamp(),
    ended_at          timestamptz,
    ended_by          text,
    queued            boolean not null default false,
    constraint skipped_pkey primary key (id)
);

create unique index skipped_key_idx on decamp.skipped (subscription_id, source_oid, key) where ended_at is null;

-- no policy, as on decamp.subscription: keys are values of rows
alter table decamp.skipped enable row level security;

comment on table decamp.skipped is 'rows left out of replay by repl_skip, by their keys; kept for ever, outlives its subscription';
comment on column decamp.skipped.key is 'key columns and their values, as text of the source''s types';
comment on column decamp.skipped.role is 'who called repl_skip';
comment on column decamp.skipped.ended_at is 'null: still left out';
comment on column decamp.skipped.ended_by is 'role and function that ended it';
comment on column decamp.skipped.queued is 'after the end: the key is in a segment again, or its table was copied anew';

create table decamp.ddl (
    id                bigint generated always as identity,
    subscription_id   int not null,
    statement         text not null,
    at                timestamptz not null default pg_catalog.clock_timestamp(),
    told              boolean not null default false,
    constraint ddl_pkey primary key (id),
    constraint ddl_subscription_fkey
        foreign key (subscription_id) references decamp.subscription (id) on delete cascade
);

-- no policy, as on decamp.subscription: there may be a password in a statement
alter table decamp.ddl enable row level security;

comment on table decamp.ddl is
    'statements that repl_ddl is running, and those it was interrupted with when only the target had committed';
comment on column decamp.ddl.told is 'it was done on the target and not on the source, and repl_events says so';

create table decamp.step (
    subscription_id   int not null,
    run               bigint not null,
    number            int not null,
    name              text not null,
    state             text not null default 'running',
    last              boolean not null default false,
    began_at          timestamptz not null default pg_catalog.clock_timestamp(),
    ended_at          timestamptz,
    message           text,
    detail            text,
    hint              text,
    sqlstate          text,
    constraint step_pkey primary key (subscription_id, run, number),
    constraint step_subscription_fkey
        foreign key (subscription_id) references decamp.subscription (id) on delete cascade,
    constraint step_state_check check (state in ('running', 'done', 'skipped', 'failed'))
);

comment on table decamp.step is
    'steps of repl_fence and repl_switchover, written by the switchover worker as they happen';
comment on column decamp.step.run is 'which call; when it was made, microseconds since 1970';
comment on column decamp.step.last is 'nothing comes after it: how the call ended';

create table decamp.event (
    id                bigint generated always as identity,
    at                timestamptz not null default pg_catalog.clock_timestamp(),
    subscription      text not null,
    severity          text not null,
    subject           text not null,
    message           text not null,
    detail            text,
    constraint event_pkey primary key (id),
    constraint event_severity_check check (severity in ('info', 'warning', 'error'))
);

comment on table decamp.event is 'append-only history; outlives its subscription';

create table decamp.phase (
    id                bigint generated always as identity,
    at                timestamptz not null default pg_catalog.clock_timestamp(),
    subscription      text not null,
    state             text not null,
    constraint phase_pkey primary key (id)
);

create index phase_subscription_idx on decamp.phase (subscription, id);

comment on table decamp.phase is 'what state each subscription was in since when; append-only, outlives its subscription';
comment on column decamp.phase.state is 'of decamp.subscription, or paused, or stopped (by repl_stop)';

create function decamp.note_phase() returns trigger
    language plpgsql
    set search_path = pg_catalog, pg_temp
as $$
begin
    insert into decamp.phase (subscription, state)
    select coalesce(new.name, old.name),
           case when new.name is null then 'stopped'
                when new.enabled or new.state = 'errored' then new.state
                else 'paused' end;
    return null;
end
$$;

comment on function decamp.note_phase() is 'trigger of decamp.subscription: writes decamp.phase';

create trigger came_or_went after insert or delete on decamp.subscription
    for each row execute function decamp.note_phase();
create trigger moved after update of state, enabled on decamp.subscription
    for each row when (new.state <> old.state or new.enabled <> old.enabled) execute function decamp.note_phase();
alter table decamp.subscription enable always trigger came_or_went;
alter table decamp.subscription enable always trigger moved;

create table decamp.sample (
    subscription      text not null,
    at                timestamptz not null default pg_catalog.clock_timestamp(),
    lag               double precision,
    backlog           bigint,
    apply_rate        double precision,
    bytes_copied      bigint,
    silence           double precision,
    constraint sample_pkey primary key (subscription, at)
);

comment on table decamp.sample is
    'what the apply worker has measured, every five seconds; of what is older than an hour one sample a minute is kept, after'
    ' a day one in ten minutes, after two weeks one an hour, for a year: that with the largest lag; outlives its subscription';
comment on column decamp.sample.lag is 'the largest since the sample before, seconds; null before streaming';
comment on column decamp.sample.backlog is 'deltas on the source not yet replayed, as last counted';
comment on column decamp.sample.apply_rate is 'rows per second replayed, average of the last ten seconds';
comment on column decamp.sample.bytes_copied is 'by the initial copy, in bytes of the source''s disk; null when it does not copy';
comment on column decamp.sample.silence is
    'seconds before this sample in which nothing was measured: no worker was running, or it did not get to it; null: none';

create table decamp.finished (
    subscription      text not null,
    started_at        timestamptz not null,
    stopped_at        timestamptz not null default pg_catalog.clock_timestamp(),
    source            text not null,
    target            text not null,
    copied            json not null,
    constraint finished_pkey primary key (subscription, stopped_at)
);

comment on table decamp.finished is 'what repl_report tells of subscriptions that repl_stop has ended';
comment on column decamp.finished.source is 'connection string without its password; so is target';
comment on column decamp.finished.copied is 'the lines of repl_copy_report';

create table decamp.verification (
    id                bigint generated always as identity,
    subscription      text not null,
    mode              text not null,
    tables            text[],
    repair            boolean not null,
    started_at        timestamptz not null default pg_catalog.clock_timestamp(),
    finished_at       timestamptz,
    pid               int,
    pid_since         timestamptz,
    constraint verification_pkey primary key (id),
    constraint verification_mode_check check (mode in ('count', 'checksum', 'schema'))
);

comment on table decamp.verification is
    'one call of repl_verify, or of repl_switchover with verify => checksum; or several of which the first were interrupted';
comment on column decamp.verification.tables is 'as given to it';
comment on column decamp.verification.finished_at is 'null: it is running, or was interrupted';
comment on column decamp.verification.pid is
    'of the session that writes here; when that is gone without finished_at being set, the verification was interrupted';
comment on column decamp.verification.pid_since is 'its backend start: tells a reused process id';

create table decamp.verified (
    verification      bigint not null,
    "table"           text not null,
    started_at        timestamptz,
    finished_at       timestamptz,
    source_rows       bigint,
    target_rows       bigint,
    equal             boolean,
    differing         jsonb,
    how               text,
    note              text,
    constraint verified_pkey primary key (verification, "table"),
    constraint verified_verification_fkey
        foreign key (verification) references decamp.verification (id) on delete cascade
);

comment on table decamp.verified is 'what a verification found of one table, or of one kind of objects';
