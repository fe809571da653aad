-- Some rows for the tables of this directory's other files, all of them valid.
insert into zoo.parent select i, 'code ' || i, 'region ' || i, i, i, i, i from generate_series(0, 200) as i;
insert into zoo.elsewhere select i, 'a' || i, int4range(i, i + 1) from generate_series(1, 200) as i;
insert into zoo.indexed
select i, 'b' || i % 7, 'c' || i, jsonb_build_object('n', i), int4range(i, i + 3), point(i, -i), i, i
from generate_series(1, 300) as i;
insert into zoo.adopted select i, i, i from generate_series(1, 100) as i;
insert into "Odd ""Schema""\"."Odd 'table' %s \" select i, i, 'x' from generate_series(1, 100) as i;
insert into zoo.a_table_with_a_name_that_has_all_of_the_63_bytes_that_it_can_ha select i, i from generate_series(1, 100) as i;
insert into zoo."Größe" select i, -i from generate_series(1, 100) as i;
insert into zoo.child (id, parent_id, code, region, place, self_id, altered)
select i, i, 'code ' || i, 'region ' || i, i, i, i from generate_series(1, 150) as i;
insert into outside.referred select generate_series(1, 20);
insert into zoo.refers_out select i, i from generate_series(1, 20) as i;
insert into outside.refers select i, 'code ' || i from generate_series(1, 20) as i;
insert into zoo.line select i, i from generate_series(1, 50) as i;
insert into zoo.line_below select i, i, i from generate_series(1, 50) as i;
insert into zoo.grouped select i, i from generate_series(1, 50) as i;
insert into zoo.unlogged select i, i from generate_series(1, 50) as i;
