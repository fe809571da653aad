-- PostgreSQL 12 or later: foreign keys to partitioned tables, tablespaces of partitioned indexes.
create table zoo.refers_to_parts (
    a int, b int,
    constraint refers_to_parts_fkey foreign key (a, b) references zoo.parts on delete cascade
);
alter table zoo.refers_to_parts add constraint refers_late_fkey
    foreign key (b, a) references zoo.parts (b, a) not valid;
create table zoo.parts_refer_to_parts (a int, b int) partition by range (a);
create table zoo.parts_refer_1 partition of zoo.parts_refer_to_parts for values from (0) to (10);
create table zoo.parts_refer_2 partition of zoo.parts_refer_to_parts for values from (10) to (20);
alter table zoo.parts_refer_to_parts
    add constraint parts_refer_fkey foreign key (a, b) references zoo.parts (a, b) deferrable;
create table outside.refers_to_parts (a int, b int, foreign key (a, b) references zoo.parts);
alter table zoo.parts add column above_a int, add column above_b int,
    add constraint parts_self_fkey foreign key (above_a, above_b) references zoo.parts (a, b);

create table zoo.placed (a int, b int, primary key (a) with (fillfactor = 90) using index tablespace "Deferral Space")
    partition by range (a);
create table zoo.placed_1 partition of zoo.placed for values from (0) to (10);
create index placed_idx on zoo.placed (b) with (fillfactor = 60) tablespace "Deferral Space";
create table zoo.placed_2 partition of zoo.placed for values from (10) to (20);
