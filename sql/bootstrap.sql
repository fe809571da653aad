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
    state             text not null default 'starting',
    errored_from      text,
    created_at        timestamptz not null default pg_catalog.clock_timestamp(),
    state_since       timestamptz not null default pg_catalog.clock_timestamp(),
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
        check (state in ('starting', 'importing', 'installing', 'copying', 'catchup', 'streaming', 'errored'))
);

-- no policy: only superusers (and roles with BYPASSRLS) read connection strings, not members of pg_read_all_data
alter table decamp.subscription enable row level security;

comment on table decamp.subscription is 'one source database flowing into one target: what repl_start makes';
comment on column decamp.subscription.uuid is 'also in table origin of the schema on the source: whose deltas they are';
comment on column decamp.subscription.owner is 'role that called repl_start; the target''s default role';
comment on column decamp.subscription.source is 'connection string, with its password; readable by superusers only';
comment on column decamp.subscription.target is 'connection string; null: this server, this database, the owner''s role';
comment on column decamp.subscription.enabled is 'false: paused by repl_pause';
comment on column decamp.subscription.state is
    'set by the apply worker. starting: nothing done yet. importing: the schema is being imported. installing: capture'
    ' triggers are being put on the source. copying: chunks are being copied. catchup: all is copied, changes made'
    ' meanwhile are being replayed. streaming: every table is ready. errored: cannot go on before a person has acted';
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
    constraint relation_name_key unique (subscription_id, schema, name),
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
    ' copied: all chunks are on the target. catchup: changes made during the copy are being replayed. ready: its backlog'
    ' was empty once; it streams. errored: this table has stopped, the others go on, its deltas wait';
comment on column decamp.relation.errored_from is 'the state repl_resume puts an errored table back to';
comment on column decamp.relation.shape is
    'fingerprint of the source''s columns; when it changes together with content, every row is delivered anew';
comment on column decamp.relation.content is 'fingerprint of what changes rows without firing triggers';
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
    kind              text not null default 'chunk',
    state             text not null default 'pending',
    bytes             bigint not null,
    rows_done         bigint not null default 0,
    bytes_done        bigint not null default 0,
    attempts          int not null default 0,
    worker_pid        int,
    worker_since      timestamptz,
    not_before        timestamptz,
    started_at        timestamptz,
    finished_at       timestamptz,
    error             text,
    constraint task_pkey primary key (id),
    constraint task_relation_fkey
        foreign key (subscription_id, source_oid)
        references decamp.relation (subscription_id, source_oid) on delete cascade,
    constraint task_kind_check check (kind in ('chunk')),
    constraint task_state_check check (state in ('pending', 'running', 'done'))
);

create index task_open_idx on decamp.task (subscription_id, state) where state <> 'done';

comment on table decamp.task is 'one piece of a subscription''s initial copy; claimed by copy workers';
comment on column decamp.task.bytes is 'size of the piece on the source''s disk';
comment on column decamp.task.bytes_done is 'bytes sent to the target so far';
comment on column decamp.task.worker_since is 'backend start of the claiming worker: tells a reused process id';
comment on column decamp.task.not_before is 'earliest moment of the next try';

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

-- src/target.rs makes the same table on a target that is another server
create table decamp.applied (
    subscription      uuid not null,
    chunk             bigint not null,
    rows              bigint,
    at                timestamptz not null default pg_catalog.now(),
    constraint applied_pkey primary key (subscription, chunk)
);

comment on table decamp.applied is
    'on the target: chunks that are copied, written in the transaction that copied them';
