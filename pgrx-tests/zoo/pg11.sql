-- The zoo, from PostgreSQL 11 on: partitioned tables with keys, arrays of a domain.

create table measurements (
    id bigint not null,
    taken_on date not null,
    value numeric,
    primary key (taken_on, id)
) partition by range (taken_on);
create table measurements_2023 partition of measurements for values from ('2023-01-01') to ('2024-01-01');
create table measurements_2024 partition of measurements for values from ('2024-01-01') to ('2025-01-01')
    partition by list (id);
create table measurements_2024_small partition of measurements_2024 for values in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
create table measurements_2024_rest partition of measurements_2024 default;
create table measurements_rest partition of measurements default;

create table "Mixed Case"."Hashed" ("Id" text primary key, value text) partition by hash ("Id");
create table "Mixed Case"."Hashed 0" partition of "Mixed Case"."Hashed" for values with (modulus 3, remainder 0);
create table "Mixed Case"."Hashed 1" partition of "Mixed Case"."Hashed" for values with (modulus 3, remainder 1);
create table sales.hashed_2 partition of "Mixed Case"."Hashed" for values with (modulus 3, remainder 2);

-- a partition whose columns are in another order than the root's, with a gap besides
create table measurements_2022 (gone text, value numeric, taken_on date not null, id bigint not null);
alter table measurements_2022 drop column gone;
alter table measurements attach partition measurements_2022 for values from ('2022-01-01') to ('2023-01-01');

create table domain_arrays (id integer primary key, value positive[]);
insert into domain_arrays values (1, '{1,2}'), (2, '{}'), (3, '{null}'), (4, null);
