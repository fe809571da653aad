-- PostgreSQL 11 or later: INCLUDE, statistics of index columns by number, partitioned indexes and keys.
alter index zoo.indexed_lower_idx alter column 1 set statistics 321;
alter index zoo.indexed_lower_idx alter column 3 set statistics 0;
create table zoo.included (
    a int, b int, c int,
    constraint included_pkey primary key (a) include (b, c) with (fillfactor = 71),
    constraint included_key unique (b, a) include (c) deferrable
);
create index on zoo.included (c) include (b) with (fillfactor = 88);

-- Three levels, keys all the way down, leaves with names of their own.
create table zoo.parts (a int, b int not null, c text, d int) partition by range (a);
create table zoo.parts_1 partition of zoo.parts for values from (0) to (10);
create table zoo.parts_2 partition of zoo.parts for values from (10) to (20) partition by list (b);
create table zoo.parts_2_1 partition of zoo.parts_2 for values in (1);
create table zoo."Parts 2 2" partition of zoo.parts_2 for values in (2);
create table zoo.parts_own (d int, c text, b int not null, a int not null, constraint "Own key" primary key (a, b));
create unique index own_unique_idx on zoo.parts_own (b, a) with (fillfactor = 33);
create index own_expression_idx on zoo.parts_own (lower(c)) tablespace "Deferral Space";
alter table zoo.parts add constraint parts_pkey primary key (a, b);
alter table zoo.parts attach partition zoo.parts_own for values from (20) to (30);
create table zoo.parts_default partition of zoo.parts default;
create unique index parts_unique_idx on zoo.parts (b, a) where c <> '';
create unique index parts_plain_unique_idx on zoo.parts (b, a);
create index parts_expression_idx on zoo.parts (lower(c));
create index on zoo.parts_2 (c desc);
create index on zoo.parts_1 (c);
create unique index parts_leaf_unique_idx on zoo.parts_2_1 (d);
alter table zoo."Parts 2 2" add constraint parts_leaf_key unique (c);
alter table zoo.parts add constraint parts_deferred_key unique (b, a, d) deferrable initially deferred;
comment on index zoo.parts_pkey is 'root';
comment on constraint parts_pkey on zoo.parts is 'root constraint';
comment on index zoo.parts_2_1_pkey is 'leaf';
comment on constraint parts_2_1_pkey on zoo.parts_2_1 is 'leaf constraint';
alter index zoo.parts_expression_idx alter column 1 set statistics 111;
alter index zoo.parts_1_lower_idx alter column 1 set statistics 222;
alter index zoo.parts_expression_idx depends on extension plpgsql;
alter table zoo.parts_1 cluster on parts_1_lower_idx;
alter table zoo.parts_1 replica identity using index parts_1_b_a_idx1;
alter table zoo.parts replica identity using index parts_plain_unique_idx;

-- Only some leaves are attached: the parent is invalid and has to stay so.
create index parts_half_idx on only zoo.parts (d);
create index half_1_idx on zoo.parts_1 (d);
create index half_default_idx on zoo.parts_default (d);
alter index zoo.parts_half_idx attach partition zoo.half_1_idx;
create index parts_none_idx on only zoo.parts (d, a);

-- A leaf's constraint attached to what is a mere index above.
create table zoo.mixed (a int not null, b int) partition by range (a);
create table zoo.mixed_1 partition of zoo.mixed for values from (0) to (10);
alter table zoo.mixed_1 add constraint mixed_1_key unique (a);
create unique index mixed_idx on zoo.mixed (a);
create table zoo.no_parts (a int primary key, b int) partition by range (a);
create index on zoo.no_parts (b);

-- Foreign keys of partitioned tables.
alter table zoo.parts add constraint parts_d_fkey foreign key (d) references zoo.parent deferrable initially deferred;
comment on constraint parts_d_fkey on zoo.parts is 'from partitions';
alter table zoo.parts_2 add constraint parts_2_b_fkey foreign key (b) references zoo.parent (spare);
alter table zoo.parts_1 add constraint parts_1_a_fkey foreign key (a) references zoo.parent not valid;
create table zoo.named (a int not null, b int constraint "named ""otherwise""" references zoo.parent);
create table zoo.renamed (a int not null, b int constraint renamed_fkey references zoo.parent) partition by range (a);
alter table zoo.renamed attach partition zoo.named for values from (0) to (10);

-- Partitions that can have no index.
create foreign data wrapper nowhere;
create server nowhere foreign data wrapper nowhere;
create table zoo.far (a int, b int, c int) partition by range (a);
create table zoo.far_1 partition of zoo.far for values from (0) to (10);
create foreign table zoo.far_2 partition of zoo.far for values from (10) to (20) server nowhere;
create table zoo.far_3 partition of zoo.far for values from (20) to (30) partition by range (a);
create table zoo.far_3_1 partition of zoo.far_3 for values from (20) to (25);
create index "far ON ONLY idx" on zoo.far (b);
alter index zoo.far_1_b_idx rename to "Far 1";
alter index zoo.far_3_b_idx rename to "Far 3";
create index far_half_idx on only zoo.far (c);
create index far_half_1_idx on zoo.far_1 (c);
alter index zoo.far_half_idx attach partition zoo.far_half_1_idx;

-- Left alone: an invalid leaf, and so all of it.
create table zoo.invalid_parts (a int, b int) partition by range (a);
create table zoo.invalid_parts_1 partition of zoo.invalid_parts for values from (0) to (10);
create table zoo.invalid_parts_2 partition of zoo.invalid_parts for values from (10) to (20);
create index invalid_parts_idx on zoo.invalid_parts (b);
create index on zoo.invalid_parts (a);
update pg_index set indisvalid = false
where indexrelid in ('zoo.invalid_parts_idx'::regclass, 'zoo.invalid_parts_1_b_idx'::regclass);
