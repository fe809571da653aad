-- The zoo, from PostgreSQL 18 on: virtual generated columns.

create table virtual_columns (
    id integer primary key,
    value integer,
    next integer generated always as (value + 1) virtual
);
insert into virtual_columns (id, value) select i, i * 2 from generate_series(1, 20) as i;
