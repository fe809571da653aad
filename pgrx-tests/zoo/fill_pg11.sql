-- Fills the zoo's partitioned tables.

insert into measurements
select i, date '2021-12-01' + i * 7 % 1400, i / 3.0 from generate_series(1, current_setting('zoo.rows')::integer) as i;
insert into "Mixed Case"."Hashed" select md5(i::text), i from generate_series(1, current_setting('zoo.rows')::integer) as i;
