-- Finds as many copies of each row that went as went of it. Target, PostgreSQL 10 or later.
-- {found}: where they are noted; {rows}: how many rows of the stage went, which tells the planner; {stage}: the batch, n below zero for rows that went; {staged}, {image}: a row of the stage, and of
-- the table, as text; {target}: the table; {candidate}, {group}: a column of the stage that the table has an index on, or nothing;
-- {matches}: the ways a row may match, each a condition on t and g.
insert into {found} (member, at)
with gone as (
    select {staged} as image {candidate}, -sum(s.n) as n
    from {stage} s
    where s.n < 0
    group by 1 {group}
    limit {rows}
),
copies as (
    {matches}
)
select f.member, f.at
from (select c.*, row_number() over (partition by c.image) as copy from copies c) f
where f.copy <= f.n
