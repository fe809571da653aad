-- The zoo: the schema of an imaginary, realistic and nasty application, as far as PostgreSQL 10 knows it.
-- Run by the role that owns the database. Every table has a key; nothing in it depends on the time or on chance.

create type user_status as enum ('new', 'active', 'it''s "complicated"');
create type address as (street text, zip varchar(10));
create domain positive as integer constraint above_zero check (value > 0);

create schema sales;
create schema "Mixed Case";
create schema "odd""schema'\";

-- the heart of the application: a trigger stamps rows, another one keeps an audit log, rows refer to each other

create table users (
    id bigserial primary key,
    email text not null unique,
    name text,
    status user_status not null default 'new',
    home address,
    tags text[],
    props jsonb not null default '{}',
    manager_id bigint references users on delete set null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index on users (lower(name));
create index on users using gin (props);
create unique index on users (email, status) where status = 'active';
comment on table users is 'People, it''s "all" of them';
comment on column users.name is E'a comment\nof two lines';

create table audit_log (
    id bigint generated always as identity primary key,
    table_name text not null,
    action text not null,
    detail text
);

create function touch() returns trigger language plpgsql as $$
begin
    new.updated_at := clock_timestamp();
    return new;
end
$$;

create function audit() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' then
        insert into public.audit_log (table_name, action, detail) values (tg_table_name, tg_op, old.id);
    else
        insert into public.audit_log (table_name, action, detail) values (tg_table_name, tg_op, new.id);
    end if;
    return null;
end
$$;

create trigger touch before update on users for each row execute procedure touch();
create trigger audit after insert or update or delete on users for each row execute procedure audit();

alter table users enable row level security;
create policy own_rows on users using (name = current_user);

create view active_users as select id, email from users where status = 'active';
create materialized view users_per_status as select status, count(*) as users from users group by status;
create unique index on users_per_status (status);

create table sales.orders (
    id serial primary key,
    user_id bigint not null references public.users on delete cascade,
    amount numeric(12, 2) not null check (amount >= 0),
    note text
);
create table sales.order_lines (
    order_id integer not null references sales.orders on delete cascade,
    line smallint not null,
    quantity positive not null default 1,
    price money,
    primary key (order_id, line)
);

-- keys of every kind

create table text_keys (key text primary key, value text);
create table c_keys (key text collate "C" primary key, value char(10));
create table bpchar_keys (key char(8) primary key, value integer);
create table uuid_keys (id uuid primary key, payload bytea);
create table bytea_keys (id bytea primary key, value text);
create table numeric_keys (id numeric primary key, value numeric, approximate double precision, small real);
create table timestamptz_keys (at timestamptz primary key, day date, local timestamp, clock time, zoned timetz);
create table date_keys (day date primary key, value interval);
create table enum_keys (status user_status primary key, value integer);
create table only_keys (name text primary key);
create table only_keys_two (a integer, b integer, primary key (b, a));
create table reversed_key (first integer, second text, value text, third uuid, primary key (third, second, first));
create table unique_key (code text not null, decoy integer unique, value text);
create unique index on unique_key (value) where value like 'x%';
create unique index unique_key_code on unique_key (code);
create table range_keys (during int4range primary key, value text);
create table array_keys (path integer[] primary key, value text);
create table boolean_keys (yes boolean primary key, value integer);
create table inet_keys (address inet primary key, net cidr, mac macaddr);

-- types without an order or even an equality, and a value for every one that may break on its way

create table every_type (
    id integer primary key,
    a_json json,
    a_jsonb jsonb,
    a_point point,
    a_box box,
    a_polygon polygon,
    a_circle circle,
    a_bit bit(5),
    a_varbit bit varying,
    a_char "char",
    a_name name,
    a_oid oid,
    a_lsn pg_lsn,
    a_vector tsvector,
    a_query tsquery,
    an_interval interval,
    a_range tstzrange,
    a_num_range numrange,
    an_address address,
    addresses address[],
    matrix integer[][],
    statuses user_status[],
    a_float double precision,
    a_real real,
    a_numeric numeric,
    a_text text default 'default, not this',
    a_bytea bytea
);

create table large_values (id integer primary key, kind text, value text, raw bytea);
alter table large_values alter value set storage external;

-- names

create table "Mixed Case"."Table" (
    "Id" integer primary key,
    "select" text,
    "Col ""quoted""" text,
    "it's" text,
    "back\slash" text,
    "tab	stop" text,
    "ключ" text,
    "%s $1 :name" text
);
create table "odd""schema'\"."odd""table'\" ("odd""key'\" text, "null" integer, primary key ("odd""key'\", "null"));
create table "odd""schema'\".a_name_as_long_as_postgresql_allows_it_to_be_sixty_three_bytes_ (
    id_as_long_as_postgresql_allows_it_to_be_sixty_three_bytes_xxxx integer primary key,
    value text
);
create table collisions (
    k integer, t text, keys text, taken text, "new" text, "old" text, "delta" text, "sign" text, "source" text, "target" text,
    "row" text, "values" text, "excluded" text, "n" text,
    primary key (k, "new")
);

-- shapes

create table empty_table (id integer primary key, value text);
create table dropped_columns (gone integer, id integer primary key, also_gone text, value text, last_gone jsonb);
alter table dropped_columns drop column gone, drop column also_gone, drop column last_gone;
alter table dropped_columns add column added text default 'added';
create table identity_always (id integer generated always as identity primary key, value text);
create table identity_by_default (
    id bigint generated by default as identity (start with 1000 increment by 10) primary key,
    value text
);
create table deferred_unique (
    id integer primary key,
    position integer,
    constraint one_place unique (position) deferrable initially deferred
);
create table bookings (
    id integer primary key,
    during int4range not null,
    constraint no_overlap exclude using gist (during with &&)
);
create table counters (name text primary key, value bigint not null) with (fillfactor = 50);
create table truncated_now_and_then (id integer primary key, value text);

create table hens (id integer primary key, favourite_egg integer);
create table eggs (id integer primary key, hen integer not null references hens deferrable initially deferred);
alter table hens add foreign key (favourite_egg) references eggs deferrable initially deferred;

create table vehicles (id integer primary key, name text);
create table cars (doors integer, primary key (id)) inherits (vehicles);
create table trucks (load numeric, primary key (id)) inherits (vehicles);

do $$
begin
    execute (
        select 'create table wide (id integer primary key, ' || string_agg(format('c%s text', i), ', ' order by i) || ')'
        from generate_series(1, 200) as i
    );
end
$$;

-- sequences that no column owns

create sequence ticket;
create sequence "Mixed Case"."Countdown" increment by -3 minvalue -1000000 maxvalue 100 start with 100;
create sequence "odd""schema'\"."odd""sequence'\" increment by 7;
create sequence never_called start with 42;
