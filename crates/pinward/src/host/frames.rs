//! The whole frames that one read brought.

use std::ops::Range;

use iso8583::framing::{FrameError, FrameReader};

/// Frames in the order in which they came. Keeps its memory from one read to the next.
#[derive(Default)]
pub(super) struct Frames {
    bytes: Vec<u8>,
    ranges: Vec<Range<usize>>,
}

impl Frames {
    /// Takes every whole frame, and forgets those before. Fails where nothing after them can be read; those are still to be answered.
    pub(super) fn gather(&mut self, reader: &mut FrameReader) -> Result<(), FrameError> {
        self.bytes.clear();
        self.ranges.clear();
        while let Some(frame) = reader.next_frame()? {
            let begin = self.bytes.len();
            self.bytes.extend_from_slice(frame);
            self.ranges.push(begin..self.bytes.len());
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.ranges.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.ranges
            .iter()
            .filter_map(|range| self.bytes.get(range.clone()))
    }
}
