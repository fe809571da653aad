-- The TRUNCATE trigger of a partitioned table and of each of its partitions: unlike row triggers it is not cloned.
-- {truncate}: trigger name; {table}: the table or partition; {function_truncate}: qualified function name.
create trigger {truncate} after truncate on {table}
for each statement execute procedure {function_truncate}();
