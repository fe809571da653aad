-- The zoo, from PostgreSQL 14 on: multiranges and an infinite numeric.

create table multiranges (id integer primary key, value int4multirange, amount numeric);
insert into multiranges values (1, '{[1,3),[5,9)}', 'infinity'), (2, '{}', '-infinity'), (3, null, 'NaN');
