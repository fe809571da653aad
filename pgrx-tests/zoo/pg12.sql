-- The zoo, from PostgreSQL 12 on: generated columns.

create table generated_columns (
    id integer primary key,
    first text,
    doubled text generated always as (first || first) stored,
    last text,
    length integer generated always as (char_length(coalesce(last, ''))) stored unique
);
