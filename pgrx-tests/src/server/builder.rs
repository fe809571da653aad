//! How a throw-away server is configured.

use std::process::Command;

use super::Server;
use super::directory::{self, Directory};
use crate::installation::{Installation, give_to_postgres, run};

/// What a server is to be like; [`Builder::start`] makes it so.
pub struct Builder {
    installation: Installation,
    name: String,
    conf: Vec<String>,
    hba: Vec<String>,
    tls: bool,
}

impl Builder {
    pub(super) fn new(installation: Installation) -> Self {
        Self {
            installation,
            name: "server".into(),
            conf: Vec::new(),
            hba: Vec::new(),
            tls: false,
        }
    }

    /// What messages call this server: `source`, `target`, ...
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// A line of postgresql.conf.
    pub fn conf(mut self, line: &str) -> Self {
        self.conf.push(line.into());
        self
    }

    /// A line of pg_hba.conf, before the one that lets everybody in through the socket.
    pub fn hba(mut self, line: &str) -> Self {
        self.hba.push(line.into());
        self
    }

    /// Puts libraries into `shared_preload_libraries`.
    pub fn preload(self, libraries: &str) -> Self {
        self.conf(&format!("shared_preload_libraries = '{libraries}'"))
    }

    /// Lets the server offer TLS, with a certificate it has signed itself.
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Makes the server's files and starts it.
    pub fn start(self) -> Server {
        let directory = Directory::new();
        let data = directory.path().join("data");
        run(Command::new("cp")
            .args(["-a", "--reflink=auto"])
            .arg(self.installation.template())
            .arg(&data));

        let port = directory::free_port();
        let mut conf = vec![
            format!("port = {port}"),
            format!("unix_socket_directories = '{}'", directory.path().display()),
            "listen_addresses = '127.0.0.1'".into(),
            "max_connections = 200".into(),
            "max_worker_processes = 64".into(),
            "shared_buffers = '64MB'".into(),
            "password_encryption = 'scram-sha-256'".into(),
            "timezone = 'UTC'".into(),
            "lc_messages = 'C'".into(),
            "log_line_prefix = '%m [%p] %a: '".into(),
            // nothing here outlives the machine
            "fsync = off".into(),
            "full_page_writes = off".into(),
        ];
        if self.tls {
            let certificate = directory.path().join("server.crt");
            let key = directory.path().join("server.key");
            run(Command::new("openssl")
                .args([
                    "req", "-new", "-x509", "-days", "2", "-nodes", "-newkey", "ec", "-pkeyopt",
                ])
                .args([
                    "ec_paramgen_curve:prime256v1",
                    "-subj",
                    "/CN=127.0.0.1",
                    "-keyout",
                ])
                .arg(&key)
                .arg("-out")
                .arg(&certificate));
            give_to_postgres(&key);
            give_to_postgres(&certificate);
            conf.push("ssl = on".into());
            conf.push(format!("ssl_cert_file = '{}'", certificate.display()));
            conf.push(format!("ssl_key_file = '{}'", key.display()));
        }
        conf.extend(self.conf);
        directory::append(&data.join("postgresql.conf"), &conf.join("\n"));

        let mut hba = self.hba;
        hba.push("local all all trust".into());
        std::fs::write(data.join("pg_hba.conf"), hba.join("\n") + "\n")
            .expect("our own directory can be written");

        let server = Server {
            name: self.name,
            port,
            installation: self.installation,
            directory,
        };
        server.start();
        server
    }
}
