//! Whether this broker shares what it has with a master. (Specification 6.6.)

use std::sync::Arc;

use ave_profile::Value;

use crate::site::{Site, address_value};

/// Begins anew if need be; null without a rule to share by.
pub(crate) async fn start(site: &Arc<Site>) -> Value {
    match site.sharing.start(site).await {
        true => address_value(&(String::new(), site.address.1)),
        false => Value::Null,
    }
}

pub(crate) async fn restart(site: &Arc<Site>) -> Value {
    site.sharing.restart(site).await;
    Value::Null
}

pub(crate) async fn stop(site: &Site) -> Value {
    site.sharing.stop().await;
    Value::Null
}
