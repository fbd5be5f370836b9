//! The bytes of a journal: a header, then records, each with its length and the checksums that tell a record
//! that was never finished from one that has been damaged. What a record says is for others.

use std::fmt;

/// What every journal begins with.
const MAGIC: &[u8; 8] = b"AVEJRNL\n";

/// The format of header and records. A journal of another one is not read.
const FORMAT: u32 = 1;

/// The length of the header: the magic and the format.
pub(super) const HEADER_BYTES: usize = 12;

/// The length of what precedes a payload: its length, its checksum, and the checksum of both.
const HEAD_BYTES: usize = 12;

/// The longest payload: a report as long as the longest frame (256 MiB), or the state of a million pieces.
pub(super) const PAYLOAD_BYTES_MAX: usize = 512 << 20;

/// The header of a new journal.
pub(super) fn header() -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(MAGIC);
    header[8..].copy_from_slice(&FORMAT.to_le_bytes());
    header
}

/// A payload as it is written; `None` if it is too long.
pub(super) fn record(payload: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= PAYLOAD_BYTES_MAX)?;
    let mut record = Vec::with_capacity(HEAD_BYTES + payload.len());
    record.extend(length.to_le_bytes());
    record.extend(crc32fast::hash(payload).to_le_bytes());
    record.extend(crc32fast::hash(&record).to_le_bytes());
    record.extend(payload);
    Some(record)
}

/// Where and why reading ends before the end of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Bytes from the beginning of the file.
    pub offset: usize,
    /// What should be there.
    pub wanted: String,
    /// What is.
    pub found: String,
}

impl Damage {
    pub(super) fn new(offset: usize, wanted: impl Into<String>, found: impl fmt::Display) -> Damage {
        Damage { offset, wanted: wanted.into(), found: found.to_string() }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: wanted {}, found {}", self.offset, self.wanted, self.found)
    }
}

/// How the records of a file end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With the last byte of the last record.
    Whole,
    /// In the middle of a record, at this offset: whoever wrote it died, or the machine did.
    Torn(usize),
    /// Because what follows is no record.
    Damaged(Damage),
}

/// Reads the payloads of a file, one after the other, with the offset of their records.
#[derive(Debug)]
pub(super) struct Records<'f> {
    file: &'f [u8],
    offset: usize,
    end: Option<End>,
}

impl<'f> Records<'f> {
    /// The records of this file.
    ///
    /// # Errors
    /// If it is no journal, or one of another format.
    pub(super) fn of(file: &'f [u8]) -> Result<Records<'f>, Damage> {
        let (magic, format) = match file.get(..HEADER_BYTES) {
            Some(header) => header.split_at(MAGIC.len()),
            None => {
                return Err(Damage::new(0, "the header of a journal", format_args!("{} bytes", file.len())));
            }
        };
        if magic != MAGIC {
            return Err(Damage::new(
                0,
                "a journal",
                format_args!("a file that begins with {}", shown(magic)),
            ));
        }
        let format = format.try_into().map_or(0, u32::from_le_bytes);
        if format != FORMAT {
            return Err(Damage::new(
                MAGIC.len(),
                format!("a journal of format {FORMAT}"),
                format!("format {format}"),
            ));
        }
        Ok(Records { file, offset: HEADER_BYTES, end: None })
    }

    /// How far it has read.
    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    /// How the records end; known once there are no more.
    pub(super) fn end(self) -> End {
        self.end.unwrap_or(End::Whole)
    }

    /// The payload at the present offset and the offset behind it; `None` at the end of the file.
    fn read(&self) -> Result<Option<(&'f [u8], usize)>, End> {
        let rest = &self.file[self.offset..];
        if rest.is_empty() {
            return Ok(None);
        }
        let torn = || End::Torn(self.offset);
        let damage = |wanted: &str, found: String| End::Damaged(Damage::new(self.offset, wanted, found));
        // After a loss of power the end of a file may be there without its content.
        if rest.iter().all(|byte| *byte == 0) {
            return Err(torn());
        }
        let head: &[u8; HEAD_BYTES] = rest.first_chunk().ok_or_else(torn)?;
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (length, sum, head_sum) = (word(0) as usize, word(4), word(8));
        if crc32fast::hash(&head[..8]) != head_sum {
            return Err(damage("the head of a record", shown(head)));
        }
        if length > PAYLOAD_BYTES_MAX {
            return Err(damage(
                &format!("at most {PAYLOAD_BYTES_MAX} bytes"),
                format!("a record of {length}"),
            ));
        }
        let next = self.offset + HEAD_BYTES + length;
        let payload = rest.get(HEAD_BYTES..HEAD_BYTES + length).ok_or_else(torn)?;
        match crc32fast::hash(payload) {
            found if found == sum => Ok(Some((payload, next))),
            _ if next == self.file.len() => Err(torn()),
            found => Err(damage(&format!("a record with checksum {sum:08x}"), format!("{found:08x}"))),
        }
    }
}

impl<'f> Iterator for Records<'f> {
    type Item = (usize, &'f [u8]);

    fn next(&mut self) -> Option<(usize, &'f [u8])> {
        if self.end.is_some() {
            return None;
        }
        match self.read() {
            Ok(None) => {
                self.end = Some(End::Whole);
                None
            }
            Ok(Some((payload, next))) => Some((std::mem::replace(&mut self.offset, next), payload)),
            Err(end) => {
                self.end = Some(end);
                None
            }
        }
    }
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(payloads: &[&[u8]]) -> Vec<u8> {
        let records = payloads.iter().map(|payload| record(payload).unwrap());
        [header().to_vec()].into_iter().chain(records).flatten().collect()
    }

    fn read(file: &[u8]) -> (Vec<Vec<u8>>, End) {
        let mut records = Records::of(file).unwrap();
        let payloads = records.by_ref().map(|(_, payload)| payload.to_vec()).collect();
        (payloads, records.end())
    }

    const THREE: [&[u8]; 3] = [b"first", b"", b"the third"];

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(read(&journal(&THREE)), (THREE.map(<[u8]>::to_vec).to_vec(), End::Whole));
        assert_eq!(read(&journal(&[])), (Vec::new(), End::Whole));
    }

    #[test]
    fn a_tail_torn_at_any_byte_costs_the_last_record_alone() {
        let whole = journal(&THREE);
        let last = journal(&THREE[..2]).len();
        for end in last + 1..whole.len() {
            let (payloads, end) = read(&whole[..end]);
            assert_eq!((payloads.len(), end), (2, End::Torn(last)));
        }
        for end in HEADER_BYTES..whole.len() {
            assert!(!matches!(read(&whole[..end]).1, End::Damaged(_)), "torn at {end}");
        }
        let zeros = [&whole[..], &[0; 100]].concat();
        assert_eq!(read(&zeros), (THREE.map(<[u8]>::to_vec).to_vec(), End::Torn(whole.len())));
    }

    #[test]
    fn a_byte_that_changed_is_damage_unless_it_is_the_tails() {
        let whole = journal(&THREE);
        let last = journal(&THREE[..2]).len();
        for at in HEADER_BYTES..last {
            let mut file = whole.clone();
            file[at] ^= 1;
            assert!(matches!(read(&file).1, End::Damaged(_)), "byte {at}");
        }
        let mut file = whole.clone();
        *file.last_mut().unwrap() ^= 1;
        assert_eq!(read(&file).1, End::Torn(last));
    }

    #[test]
    fn a_foreign_file_is_said_to_be_one() {
        let said = |file: &[u8]| Records::of(file).unwrap_err().to_string();
        assert_eq!(
            said(b"{\"a\":1, \"b\":2}"),
            r#"at byte 0: wanted a journal, found a file that begins with {\"a\":1, "#
        );
        assert_eq!(said(b""), "at byte 0: wanted the header of a journal, found 0 bytes");
        let mut other = journal(&THREE);
        other[8] = 2;
        assert_eq!(said(&other), "at byte 8: wanted a journal of format 1, found format 2");
    }

    #[test]
    fn an_endless_length_is_damage() {
        let mut head = [(u32::MAX).to_le_bytes(), 7_u32.to_le_bytes()].concat();
        head.extend(crc32fast::hash(&head).to_le_bytes());
        let (payloads, end) = read(&[&header()[..], &head].concat());
        assert!(payloads.is_empty() && matches!(end, End::Damaged(_)), "{end:?}");
    }
}
