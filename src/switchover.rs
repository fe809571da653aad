//! What the switchover worker is asked to do, and how it is told. Pure.

use std::time::Duration;

/// How the rows of both sides are compared before the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    None,
    Count,
    /// counted, and all of their content
    Checksum,
}

/// The longest name a subscription may have.
const LONGEST: usize = 41;
const SUFFIX: &str = "_reverse";

/// What the way back of a subscription is called.
pub fn way_back(name: &str) -> String {
    match name.strip_suffix(SUFFIX) {
        Some(forward) if !forward.is_empty() => forward.to_owned(),
        _ => format!(
            "{}{SUFFIX}",
            &name[..name.len().min(LONGEST - SUFFIX.len())]
        ),
    }
}

/// One call of repl_fence or repl_switchover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    Fence {
        timeout: Duration,
        terminate: bool,
        /// by revoking rights; in which schemas is left as a note
        revoke: bool,
    },
    Switchover {
        max_downtime: Duration,
        verify: Verify,
        /// a subscription is to lead back
        reverse: bool,
        dry_run: bool,
    },
}

/// With which call it is, and which process waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    pub run: i64,
    pub caller: i64,
    pub task: Task,
}

impl Order {
    /// Of no more than 80 bytes.
    pub fn text(self) -> String {
        let (kind, time, choice) = match self.task {
            Task::Fence {
                timeout,
                terminate,
                revoke,
            } => ("f", timeout, u8::from(terminate) + 2 * u8::from(revoke)),
            Task::Switchover {
                max_downtime,
                verify,
                reverse,
                dry_run,
            } => {
                let verify = match verify {
                    Verify::None => 0,
                    Verify::Count => 1,
                    Verify::Checksum => 8,
                };
                (
                    "s",
                    max_downtime,
                    verify + 2 * u8::from(dry_run) + 4 * u8::from(reverse),
                )
            }
        };
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        format!("{kind} {} {} {millis} {choice}", self.run, self.caller)
    }

    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        let kind = parts.next()?;
        let mut number = || parts.next()?.parse::<u64>().ok();
        let run = i64::try_from(number()?).ok()?;
        let caller = i64::try_from(number()?).ok()?;
        let time = Duration::from_millis(number()?);
        let choice = number()?;
        let task = match kind {
            "f" => Task::Fence {
                timeout: time,
                terminate: choice & 1 == 1,
                revoke: choice & 2 == 2,
            },
            "s" => Task::Switchover {
                max_downtime: time,
                verify: match choice & (1 | 8) {
                    0 => Verify::None,
                    1 => Verify::Count,
                    _ => Verify::Checksum,
                },
                reverse: choice & 4 == 4,
                dry_run: choice & 2 == 2,
            },
            _ => return None,
        };
        Some(Self { run, caller, task })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back_again() {
        assert_eq!(way_back("heroku"), "heroku_reverse");
        assert_eq!(way_back("heroku_reverse"), "heroku");
        assert_eq!(way_back("_reverse"), "_reverse_reverse");
        assert_eq!(way_back(&"a".repeat(LONGEST)).len(), LONGEST);
    }

    #[test]
    fn what_is_told_is_understood() {
        let longest = Duration::from_millis(u64::MAX);
        for task in [
            Task::Fence {
                timeout: longest,
                terminate: true,
                revoke: false,
            },
            Task::Fence {
                timeout: Duration::ZERO,
                terminate: false,
                revoke: true,
            },
            Task::Switchover {
                max_downtime: longest,
                verify: Verify::Count,
                reverse: false,
                dry_run: true,
            },
            Task::Switchover {
                max_downtime: Duration::from_secs(10),
                verify: Verify::None,
                reverse: true,
                dry_run: false,
            },
            Task::Switchover {
                max_downtime: Duration::from_secs(10),
                verify: Verify::Checksum,
                reverse: true,
                dry_run: true,
            },
        ] {
            let order = Order {
                run: i64::MAX,
                caller: i64::from(i32::MAX),
                task,
            };
            assert!(order.text().len() <= 80);
            assert_eq!(Order::parse(&order.text()), Some(order));
        }
        assert_eq!(Order::parse(""), None);
    }
}
