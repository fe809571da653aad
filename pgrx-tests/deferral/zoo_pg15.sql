-- PostgreSQL 15 or later: NULLS NOT DISTINCT, ON DELETE SET of some columns, operator class parameters (14).
create table zoo.nulls (
    a int, b int, c text, v tsvector,
    constraint nulls_pkey primary key (a, b),
    constraint nulls_key unique nulls not distinct (c) with (fillfactor = 80),
    constraint nulls_deferred_key unique nulls not distinct (b, c) include (a) deferrable
);
alter table zoo.nulls add above_a int, add above_b int,
    add constraint nulls_fkey foreign key (above_a, above_b) references zoo.nulls
        on delete set null (above_b) deferrable initially deferred;
create unique index nulls_idx on zoo.nulls (above_a, c) nulls not distinct where b > 0;
create index nulls_siglen_idx on zoo.nulls using gist (v tsvector_ops (siglen = 100));
create index nulls_bloom_idx on zoo.nulls using brin (a int4_bloom_ops (false_positive_rate = 0.05), b)
    with (pages_per_range = 7, autosummarize = on);
create table zoo.nulls_parts (a int, b int, unique nulls not distinct (a, b)) partition by range (a);
create table zoo.nulls_parts_1 partition of zoo.nulls_parts for values from (0) to (10);
