//! The states of a subscription; the picture is in `subscription.rs`. Pure.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Starting,
    Importing,
    Installing,
    Copying,
    Catchup,
    Streaming,
    Errored,
    Finished,
    Armed,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Importing => "importing",
            Self::Installing => "installing",
            Self::Copying => "copying",
            Self::Catchup => "catchup",
            Self::Streaming => "streaming",
            Self::Errored => "errored",
            Self::Finished => "finished",
            Self::Armed => "armed",
        }
    }

    /// No worker works for it.
    pub fn is_at_rest(self) -> bool {
        matches!(self, Self::Errored | Self::Finished | Self::Armed)
    }

    pub(super) fn parse(text: &str) -> Self {
        [
            Self::Starting,
            Self::Importing,
            Self::Installing,
            Self::Copying,
            Self::Catchup,
            Self::Streaming,
            Self::Errored,
            Self::Finished,
            Self::Armed,
        ]
        .into_iter()
        .find(|state| state.as_str() == text)
        .unwrap_or_else(|| panic!("the check constraint allows no subscription state {text:?}"))
    }
}
