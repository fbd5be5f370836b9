//! One process of a broker takes over from another without anybody noticing: the new one has read its
//! configuration before the old one is asked to freeze, and the old one goes on as if nothing had happened
//! unless the new one has said that it rules now. Never two brokers that lend, never none. (Specification 7.1.)

pub(crate) mod channel;
pub(crate) mod elders;
mod estate;
pub(crate) mod give;
pub(crate) mod outlive;
pub(crate) mod reign;
pub(crate) mod stillness;
pub(crate) mod take;

pub(crate) use elders::Elders;
pub(crate) use estate::{Estate, SessionKey};
pub(crate) use reign::{Phase, Reign};
