//! A source and a target, ready for `repl_start`.

use crate::installation::Installation;
use crate::proxy::Proxy;
use crate::server::{Builder, Server};
use crate::source::Source;

/// The target's database that has the extension.
pub const TARGET_DATABASE: &str = "postgres";

/// A source, a target that has the extension, and perhaps a proxy on the way from here to there.
pub struct Pair {
    pub target: Server,
    pub proxy: Option<Proxy>,
    pub source: Source,
}

impl Pair {
    /// 15 to 15, not preloaded, no proxy.
    pub fn start() -> Self {
        Self::builder().start()
    }

    pub fn builder() -> PairBuilder {
        PairBuilder::default()
    }

    /// How the target reaches the source: through the proxy if there is one.
    pub fn source_uri(&self) -> String {
        match &self.proxy {
            Some(proxy) => self.source.uri_through(proxy.port()),
            None => self.source.uri(),
        }
    }

    /// The proxy.
    ///
    /// # Panics
    /// When the pair was not built with one.
    pub fn proxy(&self) -> &Proxy {
        self.proxy
            .as_ref()
            .expect("the pair was built with a proxy")
    }

    /// Whether both servers have citext and hstore. Tried, not looked up: the view of available extensions fails on a server
    /// that comes with a control file it does not understand.
    pub fn has_contrib(&self) -> bool {
        let sql = "BEGIN; CREATE EXTENSION citext; CREATE EXTENSION hstore; ROLLBACK";
        [&*self.source, &self.target]
            .iter()
            .all(|server| server.try_rows("template1", sql).is_ok())
    }

    /// Makes and fills the zoo on the source, with all that both servers can have.
    pub fn load_zoo(&self, rows: u32) {
        self.source.load_zoo(rows, self.has_contrib());
    }

    /// SQL on the target, in the database that has the extension.
    pub fn sql(&self, sql: &str) {
        self.target.sql(TARGET_DATABASE, sql);
    }

    /// The first value of a query on the target.
    pub fn query(&self, sql: &str) -> String {
        self.target.query_one_text(TARGET_DATABASE, sql)
    }
}

/// What a pair is to be like.
pub struct PairBuilder {
    source_version: u32,
    target_version: u32,
    source_conf: Vec<String>,
    target_conf: Vec<String>,
    preload: Option<String>,
    proxy: bool,
    extension: bool,
}

impl Default for PairBuilder {
    fn default() -> Self {
        Self {
            source_version: 15,
            target_version: 15,
            source_conf: Vec::new(),
            target_conf: Vec::new(),
            preload: None,
            proxy: false,
            extension: true,
        }
    }
}

impl PairBuilder {
    pub fn source_version(mut self, major: u32) -> Self {
        self.source_version = major;
        self
    }

    pub fn target_version(mut self, major: u32) -> Self {
        self.target_version = major;
        self
    }

    /// A line of the source's postgresql.conf.
    pub fn source_conf(mut self, line: &str) -> Self {
        self.source_conf.push(line.into());
        self
    }

    /// A line of the target's postgresql.conf.
    pub fn target_conf(mut self, line: &str) -> Self {
        self.target_conf.push(line.into());
        self
    }

    /// Tables are copied in pieces of two megabytes; those of less than one may be copied together.
    pub fn cut(self) -> Self {
        self.target_conf("pg_decamp.chunk_size = '2MB'")
    }

    /// The extension is in the target's `shared_preload_libraries`.
    pub fn preload(self) -> Self {
        self.preload_libraries("pg_decamp")
    }

    /// The target's `shared_preload_libraries`.
    pub fn preload_libraries(mut self, libraries: &str) -> Self {
        self.preload = Some(libraries.into());
        self
    }

    /// A proxy between target and source.
    pub fn proxy(mut self) -> Self {
        self.proxy = true;
        self
    }

    /// The target does not get the extension: the test creates it itself.
    pub fn without_extension(mut self) -> Self {
        self.extension = false;
        self
    }

    pub fn start(self) -> Pair {
        let with_lines = |builder: Builder, lines: &[String]| {
            lines
                .iter()
                .fold(builder, |builder, line| builder.conf(line))
        };
        let source = Source::start_with(self.source_version, |builder| {
            with_lines(builder, &self.source_conf)
        });

        let major = self.target_version;
        let installation = Installation::target(major).unwrap_or_else(|| {
            panic!("PostgreSQL {major} is there to run the extension on: run `make setup`")
        });
        let mut builder = with_lines(
            Server::builder(installation).name("target"),
            &self.target_conf,
        );
        if let Some(libraries) = &self.preload {
            builder = builder.preload(libraries);
        }
        let target = builder.start();
        if self.extension {
            target.sql(TARGET_DATABASE, "CREATE EXTENSION pg_decamp");
        }

        let proxy = self.proxy.then(|| Proxy::to(source.port()));
        Pair {
            target,
            proxy,
            source,
        }
    }
}
