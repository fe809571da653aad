//! The unit tests of the extension's pure modules, which know nothing of PostgreSQL and so run without a server.
