//! Requests and replies, in both encodings. (Specification 2.1 to 2.4.)

mod encoding;
mod reply;
mod request;

pub use encoding::Encoding;
pub use reply::{NotAReply, Reply};
pub use request::{Call, Envelope, Malformed, Place, Request};
