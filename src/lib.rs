pgrx::pg_module_magic!(name = c"pg_decamp", version = c"0.1.0");
