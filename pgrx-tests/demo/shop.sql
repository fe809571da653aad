-- A small web shop, as the demo's application has it: schema and some 250,000 rows. Run by the role that owns the
-- database, in an empty schema. Uses what real schemas have: identity columns, a uuid key, an enum, jsonb, arrays, foreign keys, a
-- trigger that stamps rows, a generated column, a partitioned table, a view. Servers: 13 and up (gen_random_uuid).

create schema shop;
set search_path = shop;

create type order_status as enum ('placed', 'paid', 'shipped', 'returned');

create function stamp() returns trigger language plpgsql as $$
begin
    new.updated_at := clock_timestamp();
    return new;
end
$$;

create table customers (
    id bigint generated always as identity primary key,
    email text not null unique,
    name text not null,
    preferences jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create trigger stamp before update on customers for each row execute function stamp();

create table products (
    id uuid primary key default gen_random_uuid(),
    name text not null,
    price numeric(10, 2) not null check (price >= 0),
    tags text[] not null default '{}',
    stock integer not null,
    updated_at timestamptz not null default now()
);
create index on products using gin (tags);
create trigger stamp before update on products for each row execute function stamp();

create table orders (
    id bigint generated always as identity primary key,
    customer_id bigint not null references customers,
    status order_status not null default 'placed',
    note text,
    placed_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index on orders (customer_id);
create index on orders (placed_at) where status in ('placed', 'paid');
create trigger stamp before update on orders for each row execute function stamp();

create table order_lines (
    order_id bigint not null references orders on delete cascade,
    line smallint not null,
    product_id uuid not null references products,
    quantity integer not null,
    price numeric(10, 2) not null,
    total numeric generated always as (quantity * price) stored,
    primary key (order_id, line)
);
create index on order_lines (product_id);

create table events (
    id bigserial,
    at timestamptz not null default now(),
    kind text not null,
    payload jsonb not null,
    primary key (id, at)
) partition by range (at);
create table events_2024 partition of events for values from ('2024-01-01') to ('2025-01-01');
create table events_2025 partition of events for values from ('2025-01-01') to ('2026-01-01');
create table events_later partition of events default;

create view open_orders as
select o.id, c.name, o.placed_at
from orders o
join customers c on c.id = o.customer_id
where o.status in ('placed', 'paid');

insert into customers (email, name, preferences, created_at)
select
    'customer' || i || '@example.com',
    (array['Ada', 'Grace', 'Edgar', 'Zoë', 'Ngô', 'Seán'])[1 + i % 6] || ' ' || i,
    case when i % 5 = 0 then '{}'
        else jsonb_build_object('newsletter', i % 2 = 0, 'language', (array['en', 'de', 'ja'])[1 + i % 3]) end,
    timestamptz '2024-01-01' + i * interval '7 minutes'
from generate_series(1, 30000) as i;

-- the load finds a product's key by the same expression
insert into products (id, name, price, tags, stock)
select
    md5('product ' || i)::uuid,
    'Product ' || i,
    (i * 37 % 9900) / 100.0 + 1,
    (array['{}', '{new}', '{sale,"last one"}'])[1 + i % 3]::text[],
    100000
from generate_series(1, 2000) as i;

insert into orders (customer_id, status, note, placed_at)
select
    1 + i * 7919 % 30000,
    (array['placed', 'paid', 'shipped', 'shipped', 'returned'])[1 + i % 5]::order_status,
    case when i % 10 = 0 then E'Please ring twice.\nIt''s the "blue" door \\o/' end,
    timestamptz '2024-01-01' + i * interval '10 minutes'
from generate_series(1, 50000) as i;

insert into order_lines (order_id, line, product_id, quantity, price)
select o, l, md5('product ' || 1 + (o * 31 + l * 101) % 2000)::uuid, 1 + o % 4, (o * 13 % 9900) / 100.0 + 1
from generate_series(1, 50000) as o, generate_series(1, 1 + o % 4) as l;

insert into events (at, kind, payload)
select
    timestamptz '2024-02-01' + i * interval '12 minutes',
    (array['visit', 'search', 'order'])[1 + i % 3],
    jsonb_build_object('page', '/p/' || i % 2000, 'ms', i % 250)
from generate_series(1, 60000) as i;

analyze customers, products, orders, order_lines, events;
