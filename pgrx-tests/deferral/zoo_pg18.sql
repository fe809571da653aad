-- PostgreSQL 18 or later: WITHOUT OVERLAPS, PERIOD, NOT ENFORCED, NOT VALID on partitioned tables, named NOT NULL;
-- exclusion constraints on partitioned tables (17).
create table zoo.periods (
    id     int4range,
    valid  daterange constraint "valid not null" not null,
    note   text,
    constraint periods_pkey primary key (id, valid without overlaps) with (fillfactor = 61)
        using index tablespace "Deferral Space",
    constraint periods_key unique (id, valid without overlaps) with (fillfactor = 62, buffering = off)
        deferrable initially deferred
);
comment on constraint periods_key on zoo.periods is ' DEFERRABLE';
comment on index zoo.periods_pkey is 'without overlaps';
create table zoo.refers_to_period (
    id int4range, valid daterange,
    constraint refers_to_period_fkey foreign key (id, period valid) references zoo.periods (id, period valid)
);
create table zoo.period_parts (
    id int4range, valid daterange, part int4range,
    constraint period_parts_pkey primary key (part, valid without overlaps),
    constraint period_parts_excl exclude using gist (part with =, id with &&) where (not isempty(id)) deferrable
) partition by list (part);
create table zoo.period_parts_1 partition of zoo.period_parts for values in ('[1,2)');
create table zoo.period_parts_2 partition of zoo.period_parts for values in ('[2,3)', '[3,4)') partition by list (part);
create table zoo.period_parts_2_1 partition of zoo.period_parts_2 for values in ('[2,3)');
alter index zoo.period_parts_1_pkey rename to "Period 'one'";
alter index zoo.period_parts_2_pkey rename to "Period \ two";
alter index zoo.period_parts_2_1_pkey rename to period_two_one;

-- Left alone: a leaf elsewhere than the rest of the exclusion constraint.
create table zoo.placed_periods (part int4range, exclude using gist (part with =)) partition by list (part);
create table zoo.placed_periods_1 partition of zoo.placed_periods for values in ('[1,2)');
alter index zoo.placed_periods_1_part_excl set tablespace "Deferral Space";

comment on constraint "Period 'one'" on zoo.period_parts_1 is 'leaf without overlaps';

create table zoo.unenforced (
    a int constraint unenforced_a_fkey references zoo.parent not enforced,
    b int constraint unenforced_b_fkey references zoo.parent (spare) deferrable initially deferred not enforced
);
create table zoo.late_parts (a int, b int) partition by range (a);
create table zoo.late_parts_1 partition of zoo.late_parts for values from (0) to (10);
alter table zoo.late_parts add constraint late_parts_a_fkey foreign key (a) references zoo.parent not valid;
alter table zoo.late_parts add constraint late_parts_b_fkey foreign key (b) references zoo.parent;
alter table zoo.late_parts add constraint late_parts_parts_fkey
    foreign key (a, b) references zoo.parts (a, b) not enforced;
create table zoo.named_not_null (a int constraint "a is there" not null, b int constraint "b too" not null no inherit);
alter table zoo.named_not_null add primary key (a);
create table zoo.virtual (a int primary key, b int generated always as (a + 1) virtual);
