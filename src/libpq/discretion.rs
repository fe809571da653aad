//! What of a server's error may be told: never a row's values. Pure.

use crate::failure::Failure;

/// The fields of an error, as the server sent them.
#[derive(Debug, Default)]
pub struct Told {
    pub sqlstate: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    pub context: Option<String>,
    pub constraint: Option<String>,
    pub column: Option<String>,
}

impl Told {
    /// `writes`: it comes from a session that writes users' rows, where what a trigger has to say may be about them.
    pub fn failure(self, writes: bool) -> Failure {
        let raised = self.raised_by().filter(|_| writes);
        let mut failure = match raised {
            Some(by) => Failure::new(
                &self.sqlstate,
                format!("a trigger or function raised an error: {by}"),
            )
            .detail("What it says may quote rows, so it is in that server's log only."),
            None => {
                let mut failure = Failure::new(&self.sqlstate, without_value(&self));
                failure.detail = without_values(&self);
                failure.hint.clone_from(&self.hint);
                failure
            }
        };
        if let Some(constraint) = &self.constraint {
            failure = failure.during(format_args!("checking constraint \"{constraint}\""));
        }
        failure.column = self.column.clone().or_else(|| self.copied_column());
        failure.constraint = self.constraint;
        failure
    }

    /// The innermost PL/pgSQL function, if the error is one it raised itself.
    fn raised_by(&self) -> Option<&str> {
        let innermost = self.context.as_deref()?.lines().next()?;
        (innermost.starts_with("PL/pgSQL") && innermost.contains("RAISE")).then_some(innermost)
    }

    /// `COPY stage_1, line 2, column c3: "..."`.
    fn copied_column(&self) -> Option<String> {
        let line = self.context.as_deref()?.lines().next()?;
        let (_, column) = line.strip_prefix("COPY ")?.split_once(", column ")?;
        let name = column
            .split([':', ' '])
            .next()
            .expect("a split has a first part");
        Some(name.to_owned())
    }
}

/// `invalid input syntax for type integer: "..."`: what follows the colon is a value.
fn without_value(told: &Told) -> &str {
    if told.sqlstate.starts_with("22") {
        told.message.split(": \"").next().unwrap_or(&told.message)
    } else {
        &told.message
    }
}

/// Details of integrity and data errors quote rows ("Key (email)=(...) already exists", "Failing row contains (...)"):
/// they stay out of status and events.
fn without_values(told: &Told) -> Option<String> {
    told.detail
        .clone()
        .filter(|_| !told.sqlstate.starts_with("22") && !told.sqlstate.starts_with("23"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_trigger_raises_is_not_repeated() {
        let told = || Told {
            sqlstate: "23514".into(),
            message: "no secret here, please".into(),
            detail: Some("secret".into()),
            context: Some("PL/pgSQL function public.guard() line 3 at RAISE\nSQL statement".into()),
            ..Told::default()
        };
        let failure = told().failure(true);
        assert!(!failure.line().contains("secret"), "{}", failure.line());
        assert!(failure.line().contains("public.guard() line 3"));
        assert!(told().failure(false).line().contains("no secret here"));
    }

    #[test]
    fn the_column_of_a_value_is_known_but_not_the_value() {
        let failure = Told {
            sqlstate: "22P02".into(),
            message: "invalid input value for enum mood: \"bored\"".into(),
            context: Some("COPY stage_16385, line 1, column c3: \"bored\"".into()),
            ..Told::default()
        }
        .failure(true);
        assert_eq!(failure.column.as_deref(), Some("c3"));
        assert_eq!(failure.line(), "invalid input value for enum mood");
    }
}
