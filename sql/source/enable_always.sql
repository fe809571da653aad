-- Lets triggers fire under session_replication_role = replica too: such changes are changes as well. PostgreSQL 10 or later;
-- not for row triggers of partitioned tables before 13, whose clones on the partitions only a superuser may alter.
-- {table}: the table; {enable}: list of "enable always trigger <name>".
alter table {table} {enable};
