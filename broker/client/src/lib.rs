//! A blocking client of the broker: plain sockets, no runtime, no threads, so that it survives `fork`
//! and can be called from anywhere. (Specification 9.)
//!
//! ```no_run
//! use ave_client::{Broker, Credential, Options};
//! use ave_profile::{Profile, Want};
//! use ave_protocol::arguments::Arguments;
//! use serde_json::json;
//!
//! # fn main() -> Result<(), ave_client::ClientError> {
//! let mut broker = Broker::new(("lab1".to_owned(), 4000), Credential::Anonymous, Options::default());
//! let handset = Profile::of(json!({"type": "handset", "pretty": "yuga"}));
//! let mut grants = broker.get(&Want { groups: vec![vec![handset]] })?;
//! let mut handset = broker.proxy(grants.remove(0));
//! println!("{}", handset.call("get_profile", Arguments::default())?);
//! # Ok(())
//! # }
//! ```

mod broker;
mod connection;
mod error;
mod grant;
mod link;
mod options;
mod patience;
mod proxy;
mod stream;

pub use ave_protocol::handshake::Credential;
pub use broker::Broker;
pub use connection::Connection;
pub use error::ClientError;
pub use grant::{Allotment, Door, Grant};
pub use options::{Interrupt, Options, Warned};
pub use proxy::{Liveness, Proxy};
