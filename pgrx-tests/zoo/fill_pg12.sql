-- Fills the zoo's tables with generated columns.

insert into generated_columns (id, first, last) select i, 'first ' || i, repeat('x', i) from generate_series(1, 60) as i;
