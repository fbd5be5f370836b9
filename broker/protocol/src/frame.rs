//! Frames: four bytes of length, most significant first, and that many bytes of payload.
//! (Specification 1.1.)

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::limits::PAYLOAD_BYTES_MAX;

const HEADER_BYTES: usize = 4;

/// Why no frame can be taken or made. The connection cannot go on: where the next frame begins is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The payload is longer than allowed.
    #[error("frame too long: at most {max} bytes, found {found}")]
    TooLong {
        /// The length the header announces, or that of what was to be sent.
        found: usize,
        /// The longest allowed.
        max: usize,
    },
}

/// Takes one frame's payload from the front of `buffer`, if it is complete.
///
/// Never reserves anything: the buffer grows with the bytes that arrive, not with those announced.
///
/// # Errors
/// [`FrameError::TooLong`] as soon as the header announces more than `bytes_max`.
pub fn decode(buffer: &mut BytesMut, bytes_max: usize) -> Result<Option<Bytes>, FrameError> {
    let Some(header) = buffer.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let found = u32::from_be_bytes(*header) as usize;
    if found > bytes_max {
        return Err(FrameError::TooLong { found, max: bytes_max });
    }
    if buffer.len() - HEADER_BYTES < found {
        return Ok(None);
    }
    buffer.advance(HEADER_BYTES);
    Ok(Some(buffer.split_to(found).freeze()))
}

/// How many bytes are missing until the frame at the front of `buffer` is complete, as far as its header tells:
/// without one, only those of the header.
pub fn missing(buffer: &[u8]) -> usize {
    match buffer.first_chunk::<HEADER_BYTES>() {
        None => HEADER_BYTES - buffer.len(),
        Some(header) => (u32::from_be_bytes(*header) as usize + HEADER_BYTES).saturating_sub(buffer.len()),
    }
}

/// Appends a frame with this payload, which is a constant or far below the limit.
///
/// # Panics
/// If the payload is longer than [`PAYLOAD_BYTES_MAX`].
pub fn encode(payload: &[u8], out: &mut BytesMut) {
    encode_with(out, |out| out.put_slice(payload)).expect("the caller keeps its payload short");
}

/// Appends a frame with the payload that `write` appends.
///
/// # Errors
/// [`FrameError::TooLong`] if that is longer than [`PAYLOAD_BYTES_MAX`]; `out` is then as before.
pub fn encode_with(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) -> Result<(), FrameError> {
    let start = out.len();
    out.put_bytes(0, HEADER_BYTES);
    let body = out.len();
    write(out);
    let found = out.len() - body;
    match u32::try_from(found) {
        Ok(length) if found <= PAYLOAD_BYTES_MAX => {
            out[start..body].copy_from_slice(&length.to_be_bytes());
            Ok(())
        }
        _ => {
            out.truncate(start);
            Err(FrameError::TooLong { found, max: PAYLOAD_BYTES_MAX })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(payloads: &[&[u8]]) -> BytesMut {
        let mut out = BytesMut::new();
        payloads.iter().for_each(|payload| encode(payload, &mut out));
        out
    }

    #[test]
    fn frames_may_arrive_split_at_any_byte() {
        let sent: [&[u8]; 3] = [b"first", b"", b"the third"];
        let wire = framed(&sent);
        for cut in 0..=wire.len() {
            let mut buffer = BytesMut::new();
            let mut got = Vec::new();
            for part in [&wire[..cut], &wire[cut..]] {
                buffer.extend_from_slice(part);
                while let Some(payload) = decode(&mut buffer, 100).unwrap() {
                    got.push(payload);
                }
            }
            assert_eq!(got, sent, "cut at {cut}"); // 11, 12
        }
    }

    #[test]
    fn frames_may_arrive_byte_by_byte() {
        let mut buffer = BytesMut::new();
        let wire = framed(&[b"slow"]);
        for (at, byte) in wire.iter().enumerate() {
            buffer.put_u8(*byte);
            let got = decode(&mut buffer, 100).unwrap();
            assert_eq!(got.is_some(), at + 1 == wire.len());
        }
        assert!(buffer.is_empty());
    }

    #[test]
    fn an_announced_length_reserves_nothing() {
        let mut buffer = BytesMut::from(&[0x0f, 0xff, 0xff, 0xff, 1, 2, 3][..]);
        assert_eq!(decode(&mut buffer, 256 << 20), Ok(None));
        assert!(buffer.capacity() < 1024);
    }

    #[test]
    fn what_is_missing_is_known_once_the_header_is_there() {
        let whole = framed(&[b"12345"]);
        assert!((0..4).all(|sent| missing(&whole[..sent]) == 4 - sent));
        assert!((4..=whole.len()).all(|sent| missing(&whole[..sent]) == whole.len() - sent));
        assert_eq!(missing(&framed(&[b"12345", b"6"])), 0);
    }

    #[test]
    fn the_header_alone_is_enough_to_refuse() {
        // 15
        let mut buffer = BytesMut::from(&[0x80, 0, 0, 0][..]);
        let refused = FrameError::TooLong { found: 0x8000_0000, max: 10 };
        assert_eq!(decode(&mut buffer, 10), Err(refused));
        let mut fits = framed(&[&[7; 10]]);
        assert_eq!(decode(&mut fits, 10).unwrap().unwrap().len(), 10);
        assert_eq!(decode(&mut framed(&[&[7; 11]]), 10), Err(FrameError::TooLong { found: 11, max: 10 }));
    }
}
