//! Kinds of tasks, in the order in which those of a table are done.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Chunk,
    Duplicates,
    Index,
    Constraint,
    Analyze,
    ForeignKey,
    Validation,
    Trigger,
    Rule,
}

impl Kind {
    const ALL: [Self; 9] = [
        Self::Chunk,
        Self::Duplicates,
        Self::Index,
        Self::Constraint,
        Self::Analyze,
        Self::ForeignKey,
        Self::Validation,
        Self::Trigger,
        Self::Rule,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chunk => "chunk",
            Self::Duplicates => "duplicates",
            Self::Index => "index",
            Self::Constraint => "constraint",
            Self::Analyze => "analyze",
            Self::ForeignKey => "foreign key",
            Self::Validation => "validation",
            Self::Trigger => "trigger",
            Self::Rule => "rule",
        }
    }

    pub fn parse(text: &str) -> Self {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .unwrap_or_else(|| panic!("the check constraint allows no task kind {text:?}"))
    }

    /// A task waits for those of its table with a lower phase.
    pub(super) fn phase(self) -> i32 {
        1 + Self::ALL
            .iter()
            .position(|kind| *kind == self)
            .map_or(0, |at| i32::try_from(at).expect("there are nine"))
    }

    /// Acts on rows that arrive unless session_replication_role is set or it is off.
    pub fn is_firing(self) -> bool {
        matches!(
            self,
            Self::ForeignKey | Self::Validation | Self::Trigger | Self::Rule
        )
    }

    /// Builds again what was taken off the target.
    pub fn is_build(self) -> bool {
        matches!(
            self,
            Self::Index | Self::Constraint | Self::ForeignKey | Self::Validation
        )
    }
}
