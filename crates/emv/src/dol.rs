//! Data object lists: which values the chip wants, without tags and lengths (EMV Book 3, 5.4). CDOL1, CDOL2, PDOL.

use crate::tags::{self, Format};
use crate::tlv::{Tag, TlvError, TlvReason, first_tag};

/// A data object list: tags and lengths, in the order the values are joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dol {
    /// Tag and length in bytes of each value.
    pub entries: Vec<(Tag, u8)>,
}

impl Dol {
    /// Reads tags, each with a length of one byte. Refuses a tag that is cut short, longer than 3 bytes or
    /// begins `00`, and a missing length.
    pub fn parse(value: &[u8]) -> Result<Self, TlvError> {
        let mut entries = Vec::new();
        let mut rest = value;
        while !rest.is_empty() {
            let at = value.len() - rest.len();
            let (tag, after) = first_tag(rest).map_err(|reason| TlvError {
                at,
                tag: None,
                reason,
            })?;
            let without_length = TlvError::of(at, tag, TlvReason::HeadTruncated);
            let (&len, after) = after.split_first().ok_or(without_length)?;
            entries.push((tag, len));
            rest = after;
        }
        Ok(Self { entries })
    }

    /// The value of the tag that holds the list.
    pub fn to_bytes(&self) -> Vec<u8> {
        let entries = self.entries.iter();
        entries.flat_map(|&(tag, len)| tag.bytes().chain([len])).collect()
    }

    /// Joins the values. One that is missing becomes zeros; one of another length is cut or filled by its format.
    pub fn fill<'v>(&self, value_of: impl Fn(Tag) -> Option<&'v [u8]>) -> Vec<u8> {
        let mut out = Vec::new();
        for &(tag, len) in &self.entries {
            let value = value_of(tag);
            put_fitted(
                value.unwrap_or_default(),
                usize::from(len),
                value.map_or(Format::B, |_| tags::format(tag)),
                &mut out,
            );
        }
        out
    }

    /// Finds where the value of a tag is in joined values, as the chip does. `None` where the list does not have the
    /// tag, or the values are too short.
    pub fn value_in<'v>(&self, joined: &'v [u8], tag: Tag) -> Option<&'v [u8]> {
        let mut begin = 0;
        for &(candidate, len) in &self.entries {
            if candidate == tag {
                return joined.get(begin..)?.get(..usize::from(len));
            }
            begin += usize::from(len);
        }
        None
    }

    /// Bytes of all values joined.
    pub fn values_len(&self) -> usize {
        self.entries.iter().map(|&(_, len)| usize::from(len)).sum()
    }
}

fn put_fitted(value: &[u8], len: usize, format: Format, out: &mut Vec<u8>) {
    let missing = len.saturating_sub(value.len());
    let extra = value.len().saturating_sub(len);
    match format {
        Format::N => {
            out.extend(std::iter::repeat_n(0, missing));
            out.extend(value.iter().skip(extra));
        }
        Format::Cn | Format::B => {
            let fill = if format == Format::Cn { 0xFF } else { 0 };
            out.extend(value.iter().take(len));
            out.extend(std::iter::repeat_n(fill, missing));
        }
    }
}
