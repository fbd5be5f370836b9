//! A blocking client of the broker: plain sockets, no runtime, no threads, so that it survives `fork`
//! and can be called from anywhere. (Specification 9.)

mod broker;
mod connection;
mod error;
mod grant;
mod link;
mod options;
mod patience;
mod proxy;
mod stream;

pub use broker::Broker;
pub use connection::Connection;
pub use error::ClientError;
pub use grant::{Door, Grant};
pub use options::{Credential, Interrupt, Options};
pub use proxy::{Liveness, Proxy};
