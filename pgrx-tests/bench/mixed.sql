-- A database of about 1 GB (at bench.scale = 1) of what applications keep: uuid, jsonb, text, numeric, timestamptz, arrays,
-- bytea; values of a few kB; three to five secondary indexes per table, GIN, partial and expression indexes among them.
-- Deterministic: every value comes from a row's number. Setting bench.scale: the factor for the numbers of rows.

set local synchronous_commit = off;
set local maintenance_work_mem = '512MB';

create function pg_temp.rows(full_size int) returns int
language sql as $$ select greatest(1, (full_size * current_setting('bench.scale')::numeric)::int) $$;

create table customers (
    id uuid not null,
    email text not null,
    name text,
    attributes jsonb not null,
    tags text[] not null,
    balance numeric(12, 2) not null,
    created_at timestamptz not null,
    active boolean not null
);
insert into customers
select
    h::uuid,
    'customer.' || i || '@example.com',
    case when i % 11 > 0 then initcap(left(h, 7)) || ' ' || initcap(right(h, 9)) end,
    jsonb_build_object(
        'country', (array['AT', 'CH', 'DE', 'FR', 'IT', 'PL'])[1 + i % 6],
        'plan', (array['free', 'team', 'business'])[1 + i % 3],
        'seats', i % 40,
        'external_id', right(h, 8)
    ),
    array['segment-' || i % 50, 'batch-' || i % 700],
    (i::bigint * 7919 % 1000000) / 100.0,
    timestamptz '2020-01-01 00:00:00+00' + i * interval '97 seconds',
    i % 5 > 0
from (select i, md5('customer ' || i) as h from generate_series(1, pg_temp.rows(300000)) as i) as numbered;
alter table customers add primary key (id);
create unique index on customers (email);
create index on customers (created_at);
create index on customers using gin (attributes jsonb_path_ops);
create index on customers using gin (tags);

create table orders (
    id bigint generated always as identity,
    customer_id uuid not null,
    status text not null,
    total numeric(12, 2) not null,
    positions jsonb not null,
    note text,
    placed_at timestamptz not null,
    shipped_at timestamptz
);
insert into orders (customer_id, status, total, positions, note, placed_at, shipped_at)
select
    md5('customer ' || 1 + i::bigint * 104729 % pg_temp.rows(300000))::uuid,
    (array['new', 'paid', 'packed', 'shipped', 'returned'])[1 + i % 5],
    (i::bigint * 104729 % 5000000) / 100.0,
    jsonb_build_array(
        jsonb_build_object('sku', left(h, 6), 'quantity', 1 + i % 9),
        jsonb_build_object('sku', right(h, 6), 'quantity', 1 + i % 4)
    ),
    case when i % 4 = 0 then 'leave it at the back door, ' || h end,
    timestamptz '2021-01-01 00:00:00+00' + i * interval '61 seconds',
    case when i % 5 > 2 then timestamptz '2021-01-03 00:00:00+00' + i * interval '61 seconds' end
from (select i, md5('order ' || i) as h from generate_series(1, pg_temp.rows(900000)) as i) as numbered;
alter table orders add primary key (id);
create index on orders (customer_id);
create index on orders (placed_at);
create index on orders (status, total);
create index on orders (shipped_at) where shipped_at is not null;

create table events (
    id uuid not null,
    at timestamptz not null,
    kind text not null,
    origin inet,
    payload jsonb not null
);
insert into events
select
    h::uuid,
    timestamptz '2022-01-01 00:00:00+00' + i * interval '41 seconds',
    (array['view', 'click', 'search', 'basket', 'purchase', 'logout', 'error'])[1 + i % 7],
    ('10.' || i / 65536 % 256 || '.' || i / 256 % 256 || '.' || i % 256)::inet,
    jsonb_build_object('session', left(h, 5), 'path', '/item/' || i % 5000, 'milliseconds', i % 977, 'mobile', i % 3 = 0)
from (select i, md5('event ' || i) as h from generate_series(1, pg_temp.rows(700000)) as i) as numbered;
alter table events add primary key (id);
create index on events (at);
create index on events (kind, at);
create index on events using gin (payload jsonb_path_ops);

create table documents (
    id bigint not null,
    title text not null,
    body text not null,
    checksum bytea not null,
    labels int[] not null,
    price numeric,
    revised_at timestamptz not null
);
insert into documents
select
    i,
    'Document ' || i || ': ' || left(h, 12),
    (
        select string_agg(md5(h || j), ' ')
        from generate_series(1, 20 + i % 120) as j
    ),
    decode(h, 'hex'),
    array[i % 10, i % 300, i % 5000],
    case when i % 3 > 0 then i::numeric / 7 end,
    timestamptz '2023-01-01 00:00:00+00' + i * interval '997 seconds'
from (select i, md5('document ' || i) as h from generate_series(1, pg_temp.rows(50000)) as i) as numbered;
alter table documents add primary key (id);
create index on documents (lower(title));
create unique index on documents (checksum);
create index on documents (revised_at);
create index on documents using gin (labels);

create table measurements (
    device uuid not null,
    taken_at timestamptz not null,
    value numeric not null,
    deviation double precision,
    flags int not null,
    raw bytea not null
);
insert into measurements
select
    md5('device ' || i % 2000)::uuid,
    timestamptz '2024-01-01 00:00:00+00' + i * interval '7 seconds',
    (i::bigint * 15485863 % 100000000) / 1000.0,
    case when i % 6 > 0 then sqrt(i) end,
    i % 256,
    decode(h, 'hex')
from (select i, md5('measurement ' || i) as h from generate_series(1, pg_temp.rows(1000000)) as i) as numbered;
alter table measurements add primary key (device, taken_at);
create index on measurements (taken_at);
create index on measurements (value);
create index on measurements (device, flags) where flags > 200;
