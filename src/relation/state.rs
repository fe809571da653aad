//! The states of a table.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Init,
    Copying,
    Copied,
    Catchup,
    Ready,
    Errored,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Copying => "copying",
            Self::Copied => "copied",
            Self::Catchup => "catchup",
            Self::Ready => "ready",
            Self::Errored => "errored",
        }
    }

    pub(super) fn parse(text: &str) -> Self {
        [
            Self::Init,
            Self::Copying,
            Self::Copied,
            Self::Catchup,
            Self::Ready,
            Self::Errored,
        ]
        .into_iter()
        .find(|state| state.as_str() == text)
        .unwrap_or_else(|| panic!("the check constraint allows no table state {text:?}"))
    }

    /// Its deltas may be replayed.
    pub fn is_replayed(self) -> bool {
        matches!(self, Self::Catchup | Self::Ready)
    }
}
