//! Cutting a card's power at a chosen moment. The memory is written as a whole or not at all, so what is torn is done or
//! not done, never half.

/// When the power is cut. Commands, writes and bytes count from the moment the cut is ordered, the next being 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tear {
    /// The n-th command arrives, and nothing of it is done.
    BeforeCommand(usize),
    /// In whatever command makes the n-th write to the memory, before it is written: that write is lost.
    BeforeWrite(usize),
    /// The n-th command is performed, and its answer is lost.
    AfterCommand(usize),
    /// So many bytes have crossed the contacts, of commands and answers: a command that isn't whole isn't performed, an
    /// answer that isn't whole is lost.
    AfterBytes(usize),
}

/// A cut that was ordered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ordered {
    tear: Tear,
    /// The power is gone, though the command under way doesn't know.
    gone: bool,
}

impl Ordered {
    pub(super) fn new(tear: Tear) -> Self {
        Self { tear, gone: false }
    }

    /// Whether the power goes before a command of so many bytes is performed.
    pub(super) fn cuts_command(&mut self, len: usize) -> bool {
        self.gone = match &mut self.tear {
            Tear::BeforeCommand(left) => counts_down(left, 1),
            Tear::AfterBytes(left) => counts_down(left, len),
            Tear::BeforeWrite(_) | Tear::AfterCommand(_) => false,
        };
        self.gone
    }

    /// Whether the power goes before a write, or has gone.
    pub(super) fn cuts_write(&mut self) -> bool {
        if let Tear::BeforeWrite(left) = &mut self.tear {
            self.gone = self.gone || counts_down(left, 1);
        }
        self.gone
    }

    /// Whether the power goes before an answer of so many bytes is out, or has gone.
    pub(super) fn cuts_answer(&mut self, len: usize) -> bool {
        self.gone = self.gone
            || match &mut self.tear {
                Tear::AfterCommand(left) => counts_down(left, 1),
                Tear::AfterBytes(left) => counts_down(left, len),
                Tear::BeforeCommand(_) | Tear::BeforeWrite(_) => false,
            };
        self.gone
    }
}

/// Whether the last of what is left passes with these.
fn counts_down(left: &mut usize, passing: usize) -> bool {
    *left = left.saturating_sub(passing);
    *left == 0
}
