//! A connection string taken apart by libpq itself, so that everything libpq understands is understood: URIs, keyword
//! strings, services. Knows which parts are secret and never prints them.

use std::ffi::{CStr, CString};
use std::fmt;

use crate::failure::Failure;

/// The parts that were given, in libpq's own order. Defaults, environment and password files are left to libpq.
#[derive(Clone, PartialEq)]
pub struct Conninfo {
    pairs: Vec<(String, String)>,
}

impl fmt::Debug for Conninfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

const SECRETS: [&str; 3] = ["password", "sslpassword", "oauth_client_secret"];

impl Conninfo {
    /// Errors: 22023; libpq's own message is not passed on, it quotes the string and with it the password.
    pub fn parse(text: &str, argument: &str) -> Result<Self, Failure> {
        let malformed = || {
            Failure::new("22023", format!("malformed connection string in argument \"{argument}\""))
                .detail("It is not shown here because it may contain a password.")
                .hint(
                    "Write a URI such as 'postgres://user:password@host:5432/database?sslmode=require' with : / @ % in \
                     the password percent-encoded, or keywords such as 'host=... dbname=... user=... password=...'.",
                )
        };
        if text.trim().is_empty() {
            return Err(malformed());
        }
        let text = CString::new(text).map_err(|_| malformed())?;
        // SAFETY: libpq returns null or an array ended by an entry with a null keyword, freed once by us; strings are
        // copied before that.
        unsafe {
            let options = pq_sys::PQconninfoParse(text.as_ptr(), std::ptr::null_mut());
            if options.is_null() {
                return Err(malformed());
            }
            let mut pairs = Vec::new();
            let mut at = options;
            while !(*at).keyword.is_null() {
                if !(*at).val.is_null() {
                    let copy = |p| CStr::from_ptr(p).to_string_lossy().into_owned();
                    pairs.push((copy((*at).keyword), copy((*at).val)));
                }
                at = at.add(1);
            }
            pq_sys::PQconninfoFree(options);
            Ok(Self { pairs })
        }
    }

    /// Of named parts.
    pub fn of(pairs: &[(&str, &str)]) -> Self {
        Self {
            pairs: pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
        }
    }

    /// With one part set.
    pub fn with(&self, keyword: &str, value: &str) -> Self {
        let mut pairs = self.pairs.clone();
        pairs.retain(|(k, _)| k != keyword);
        pairs.push((keyword.to_owned(), value.to_owned()));
        Self { pairs }
    }

    pub fn get(&self, keyword: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(k, _)| k == keyword)
            .map(|(_, v)| v.as_str())
    }

    /// All parts.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// As a keyword string without its secrets: to show, and for command lines.
    pub fn shown(&self) -> String {
        let quoted = |v: &str| format!("'{}'", v.replace('\\', "\\\\").replace('\'', "\\'"));
        let parts: Vec<String> = self
            .pairs()
            .filter(|(k, _)| !SECRETS.contains(k))
            .map(|(k, v)| {
                if v.chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
                    && !v.is_empty()
                {
                    format!("{k}={v}")
                } else {
                    format!("{k}={}", quoted(v))
                }
            })
            .collect();
        parts.join(" ")
    }

    /// Its secrets as the environment of a client program.
    pub fn environment(&self) -> Vec<(&'static str, &str)> {
        [("password", "PGPASSWORD"), ("sslpassword", "PGSSLPASSWORD")]
            .into_iter()
            .filter_map(|(keyword, variable)| self.get(keyword).map(|value| (variable, value)))
            .collect()
    }
}
