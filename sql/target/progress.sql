-- How far the indexes are that are being built in this database. Target, PostgreSQL 12 or later.
-- No parameters.
-- Returns pid (of the session that builds), part (0 to 1: the table is read in the first half, the tree filled in the second).
select p.pid,
       case
           when p.tuples_total > 0 then 0.5 + 0.5 * p.tuples_done / p.tuples_total
           when p.blocks_total > 0 then 0.5 * p.blocks_done / p.blocks_total
           else 0
       end::float8 as part
from pg_catalog.pg_stat_progress_create_index p
where p.datname = current_database()
