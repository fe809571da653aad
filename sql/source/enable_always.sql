-- Lets a trigger fire under session_replication_role = replica too: such changes are changes as well. PostgreSQL 10 or later;
-- not for row triggers of partitioned tables before 13, whose clones on the partitions only a superuser may alter.
-- {table}: the table; {trigger}: the trigger.
alter table {table} enable always trigger {trigger};
