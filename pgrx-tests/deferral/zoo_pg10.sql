-- PostgreSQL 10 only: partitions have their own keys, statistics of index columns go by name.
alter index zoo.indexed_lower_idx alter column lower set statistics 321;
alter index zoo.indexed_lower_idx alter column expr set statistics 0;
create table zoo.old_parts (a int not null, b int) partition by range (a);
create table zoo.old_part_1 partition of zoo.old_parts for values from (0) to (10);
create table zoo.old_part_2 partition of zoo.old_parts for values from (10) to (20) partition by range (a);
create table zoo.old_part_2_1 partition of zoo.old_part_2 for values from (10) to (15);
alter table zoo.old_part_1 add primary key (a);
alter table zoo.old_part_2_1 add constraint old_part_other primary key (a);
create index on zoo.old_part_2_1 (b);
alter table zoo.old_part_2_1 add foreign key (a) references zoo.parent;
